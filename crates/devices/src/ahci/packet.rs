//! Commands of CD-ROM drives: packets for a SCSI unit, and the few others that packet devices know.
use std::sync::Weak;

use super::memory::{Command, Gathered, Trouble};
use super::port::{Attached, Port};
use super::run::Flight;
use super::spec::frame;
use crate::ata::{Failure, Registers, error, feature, identify_packet, op, status};
use crate::scsi::{self, Data, Done, Outcome, Step, Transfer};

/// Bytes of a packet that count.
const PACKET_BYTES: usize = 12;
/// Bytes that a packet brings to the unit at most.
const PARAMETER_BYTES: u32 = 0x1_0000;

impl Port {
    pub(super) fn start_cdrom(&mut self, command: Command) {
        let flight = Flight::new(command);
        let Some(Attached::CdRom(_, identity)) = &self.device else { return };
        match command.task.command {
            op::PACKET if command.has_packet() => self.start_packet(flight),
            op::IDENTIFY_PACKET => {
                let bytes = identify_packet(identity);
                self.send_data(flight, &bytes);
            }
            op::DEVICE_RESET | op::EXECUTE_DIAGNOSTIC => {
                if let Some(registers) = self.signature() {
                    self.finish(&flight, &registers);
                }
            }
            // Who takes it for a disk finds out what it is (ACS-3 §7.12.3).
            op::IDENTIFY | op::READ_SECTORS => {
                if let Some(signature) = self.signature() {
                    let Failure { status, error } = Failure::aborted();
                    self.fail_with(&flight, &Registers { status, error, ..signature });
                }
            }
            op::CHECK_POWER_MODE => {
                let registers = Registers { count: 0xff, ..Registers::good(&command.task) };
                self.finish(&flight, &registers);
            }
            op::SET_FEATURES
            | op::FLUSH_CACHE
            | op::STANDBY_IMMEDIATE
            | op::IDLE_IMMEDIATE
            | op::STANDBY
            | op::IDLE
            | op::SLEEP => self.finish(&flight, &Registers::good(&command.task)),
            _ => self.fail(&flight, Failure::aborted()),
        }
    }
    /// A packet's disk has answered.
    pub(super) fn packet_answered(&mut self, flight: &Flight, outcome: Outcome) {
        if !self.state.halted {
            self.end_packet(flight, outcome);
            self.run();
        }
    }

    fn start_packet(&mut self, flight: Flight) {
        let command = flight.command;
        let Some(packet) = command.packet(&self.ram) else {
            return self.stumble(&flight, Trouble::NoRam);
        };
        let parameter_bytes = if command.sends_data() { PARAMETER_BYTES } else { 0 };
        let parameters = match command.gather_up_to(&self.ram, parameter_bytes) {
            Ok(gathered) => gathered.buffers,
            Err(trouble) => return self.stumble(&flight, trouble),
        };
        let Some(Attached::CdRom(unit, _)) = &mut self.device else { return };
        let wanted = scsi::Command { cdb: &packet[..PACKET_BYTES], data_out: parameters.all() };
        match unit.execute(&wanted) {
            Step::Done(outcome) => self.end_packet(&flight, outcome),
            Step::Transfer(transfer) => self.transfer_packet(flight, transfer),
        }
    }
    fn transfer_packet(&mut self, flight: Flight, transfer: Transfer) {
        let bytes = match transfer.data() {
            Data::None => 0,
            Data::In(bytes) | Data::Out(bytes) => bytes,
        };
        let Gathered { buffers, interrupts } = match flight.command.gather(&self.ram, bytes) {
            Ok(gathered) => gathered,
            Err(trouble) => return self.stumble(&flight, trouble),
        };
        let flight = Flight { moved: bytes, interrupts, ..flight };
        self.take_off(&flight);
        let (owner, number, generation) = (Weak::clone(&self.owner), self.number, self.generation);
        let done: Done = Box::new(move |outcome| {
            if let Some(owner) = owner.upgrade() {
                owner.lock().with_port(number, generation, |port| port.packet_answered(&flight, outcome));
            }
        });
        if let Err(outcome) = transfer.start(buffers, done) {
            self.end_packet(&flight, outcome);
        }
    }
    fn end_packet(&mut self, flight: &Flight, outcome: Outcome) {
        let Outcome { status: _, sense, data_in } = outcome;
        let task = &flight.command.task;
        let count = frame::REASON_STATUS;
        if let Some(sense) = sense {
            let error = sense.key << 4 | error::ABORT;
            if let Some(Attached::CdRom(unit, _)) = &mut self.device {
                unit.keep_sense(sense);
            }
            let status = status::GOOD | status::ERROR;
            return self.fail_with(flight, &Registers { status, error, count, ..Registers::good(task) });
        }
        let mut flight = *flight;
        if !data_in.is_empty() {
            match flight.command.gather_up_to(&self.ram, data_in.len() as u32) {
                Ok(Gathered { buffers, interrupts }) => {
                    buffers.all().put(0, &data_in);
                    (flight.moved, flight.interrupts) = (buffers.len() as u32, interrupts);
                }
                Err(trouble) => return self.stumble(&flight, trouble),
            }
        }
        let registers = Registers { count, ..Registers::good(task) };
        if task.features & feature::PACKET_DMA == 0 && flight.moved > 0 {
            self.send_pio_setup(&registers, true, flight.moved);
        }
        self.finish(&flight, &registers);
    }
}
