//! Commands on their way: from a slot to the device, and their endings back (AHCI §5.3, §5.6, §6.2).
use std::sync::{Arc, Weak};

use platform::disk::Answer;
use platform::{DiskError, DiskOperation, DiskPort, DiskRequest};

use super::memory::{Command, Gathered, Trouble};
use super::port::{Attached, Port};
use super::spec::{self, cmd, frame, interrupt};
use crate::ata::{Drive, Failure, Move, QueueError, Registers, Step, is_pio, is_queued};

/// A command that the device has.
#[derive(Clone, Copy)]
pub(super) struct Flight {
    pub(super) command: Command,
    /// How it will end.
    pub(super) ending: Ending,
    /// Bytes that it moves.
    pub(super) moved: u32,
    /// A descriptor wants an interrupt.
    pub(super) interrupts: bool,
    /// It writes, which matters to what errors are called.
    pub(super) writes: bool,
}

/// Which frames end a command.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// Registers.
    Registers,
    /// Each block is announced; the last one's announcement has the status.
    PioIn,
    /// Each block is announced; then registers.
    PioOut,
    /// Device bits.
    Queued,
}

impl Flight {
    pub(super) fn new(command: Command) -> Self {
        let ending = if is_queued(command.task.command) { Ending::Queued } else { Ending::Registers };
        Self { command, ending, moved: 0, interrupts: false, writes: true }
    }
    pub(super) fn bit(&self) -> u32 {
        1 << self.command.slot
    }
    /// With data.
    fn moving(self, bytes: u32, is_in: bool, interrupts: bool) -> Self {
        let ending = match self.ending {
            Ending::Registers if is_pio(self.command.task.command) && is_in => Ending::PioIn,
            Ending::Registers if is_pio(self.command.task.command) => Ending::PioOut,
            ending => ending,
        };
        Self { ending, moved: bytes, interrupts, writes: !is_in, ..self }
    }
}

impl Port {
    /// Starts whatever can be started.
    pub(super) fn run(&mut self) {
        while let Some(slot) = self.next_slot() {
            let Some(command) = Command::fetch(&self.ram, self.state.list, slot) else {
                return self.halt(interrupt::HOST_BUS_FATAL);
            };
            let is_alone = !(command.is_command && is_queued(command.task.command));
            // Software that resets the device says only when the reset ends.
            let waits = is_alone && self.state.running != 0 || command.is_command && self.state.in_reset;
            if waits {
                return;
            }
            self.state.slot = slot;
            if command.is_command { self.start(command) } else { self.control(&command) }
        }
    }
    /// A command's disk has answered.
    pub(super) fn answered(&mut self, flight: &Flight, result: Result<(), DiskError>) {
        if self.state.halted {
            // The driver will hear of it by what stopped the list; the slot stays its own until then.
            return;
        }
        match result {
            Ok(()) => self.finish(flight, &Registers::good(&flight.command.task)),
            Err(error) => self.fail(flight, Failure::of_error(&error, flight.writes)),
        }
        self.run();
    }
    /// A command is done.
    pub(super) fn finish(&mut self, flight: &Flight, registers: &Registers) {
        self.land(flight);
        if flight.ending != Ending::Queued {
            flight.command.tell_moved(&self.ram, flight.moved);
            self.state.issued &= !flight.bit();
        }
        if flight.interrupts {
            self.raise(interrupt::DESCRIPTOR);
        }
        match flight.ending {
            Ending::Queued => {
                self.state.active &= !flight.bit();
                self.send_device_bits(registers, flight.bit());
            }
            Ending::PioIn => self.send_pio_setup(registers, true, flight.moved),
            Ending::PioOut => {
                self.send_pio_setup(registers, false, flight.moved);
                self.send_registers(registers, true);
            }
            Ending::Registers => self.send_registers(registers, true),
        }
    }
    /// A command failed: the list stops (AHCI §6.2.2.1). Its slot stays issued, or active.
    pub(super) fn fail(&mut self, flight: &Flight, failure: Failure) {
        let registers = Registers::failed(&flight.command.task, failure);
        if flight.ending == Ending::Queued {
            self.land(flight);
            if let Some(Attached::Disk(drive)) = &mut self.device {
                drive.queued_failed(QueueError { tag: flight.command.slot, registers });
            }
            self.send_device_bits(&registers, 0);
            self.halt(interrupt::TASK_FILE);
        } else {
            self.fail_with(flight, &registers);
        }
    }
    /// A command that is not queued failed, and these are the device's registers.
    pub(super) fn fail_with(&mut self, flight: &Flight, registers: &Registers) {
        self.land(flight);
        self.send_registers(registers, true);
        self.halt(interrupt::TASK_FILE);
    }
    /// There is no memory for a command's data.
    pub(super) fn stumble(&mut self, flight: &Flight, trouble: Trouble) {
        match trouble {
            Trouble::NoRam => {
                self.land(flight);
                self.halt(interrupt::HOST_BUS_FATAL);
            }
            Trouble::TooShort => {
                self.raise(interrupt::OVERFLOW);
                self.fail(flight, Failure::aborted());
            }
        }
    }
    /// The device has a command from now on.
    pub(super) fn take_off(&mut self, flight: &Flight) {
        self.state.running |= flight.bit();
        if flight.ending == Ending::Queued {
            self.state.queued |= flight.bit();
        }
    }

    /// The next slot in turn, if one can be started.
    fn next_slot(&self) -> Option<u8> {
        let state = &self.state;
        let can_start = state.command & cmd::START != 0
            && !state.halted
            && !state.greets
            && self.is_master
            && state.link == spec::LINK_UP
            && state.running & !state.queued == 0;
        let waiting = state.issued & !state.running;
        if !can_start || waiting == 0 {
            return None;
        }
        let first = u32::from(state.slot + 1) % u32::from(spec::SLOTS);
        let turns = waiting.rotate_right(first).trailing_zeros();
        Some(((first + turns) % u32::from(spec::SLOTS)) as u8)
    }
    fn land(&mut self, flight: &Flight) {
        self.state.running &= !flight.bit();
        self.state.queued &= !flight.bit();
    }
    fn halt(&mut self, why: u32) {
        self.raise(why);
        self.state.halted = true;
    }
    /// A frame that only sets device control: resets (AHCI §10.4.1).
    fn control(&mut self, command: &Command) {
        self.state.issued &= !(1 << command.slot);
        let resets = command.control & frame::SOFT_RESET != 0;
        if resets && !self.state.in_reset {
            self.state.task_file = spec::TASK_FILE_BUSY;
        }
        if !resets && self.state.in_reset {
            if let Some(Attached::Disk(drive)) = &mut self.device {
                drive.link_reset();
            }
            self.state.greets = true;
            self.greet();
        }
        self.state.in_reset = resets;
    }
    fn start(&mut self, command: Command) {
        match &self.device {
            Some(Attached::Disk(_)) => self.start_disk(command),
            Some(Attached::CdRom(..)) => self.start_cdrom(command),
            None => {}
        }
    }
    fn start_disk(&mut self, command: Command) {
        let flight = Flight::new(command);
        if flight.ending == Ending::Queued {
            // The device has it now, and the slot is only active any more.
            self.state.issued &= !flight.bit();
            self.send_registers(&Registers::good(&command.task), false);
            if command.task.tag() != command.slot {
                return self.fail(&flight, Failure::aborted());
            }
        }
        let wanted = Drive::parameter_bytes(&command.task);
        let parameters = match command.gather(&self.ram, wanted) {
            Ok(gathered) if wanted > 0 => gathered.buffers.into_bytes(),
            Ok(_) => Vec::new(),
            Err(trouble) => return self.stumble(&flight, trouble),
        };
        let Some(Attached::Disk(drive)) = &mut self.device else { return };
        match drive.execute(&command.task, &parameters) {
            Err(failure) => self.fail(&flight, failure),
            Ok(Step::Done(registers)) => self.finish(&flight, &registers),
            Ok(Step::Data(bytes)) => self.send_data(flight, &bytes),
            Ok(Step::Batch(batch)) => {
                let port = Arc::clone(drive.port());
                self.take_off(&flight);
                batch.submit(&port, self.answer(flight));
            }
            Ok(Step::Transfer(operation, data)) => {
                let port = Arc::clone(drive.port());
                self.start_transfer(flight, &port, operation, data);
            }
        }
    }
    fn start_transfer(
        &mut self,
        flight: Flight,
        port: &Arc<dyn DiskPort>,
        operation: DiskOperation,
        data: Move,
    ) {
        let (bytes, is_in) = match data {
            Move::In(bytes) => (bytes, true),
            Move::Out(bytes) => (bytes, false),
        };
        match flight.command.gather(&self.ram, bytes) {
            Ok(Gathered { buffers, interrupts }) => {
                let flight = flight.moving(bytes, is_in, interrupts);
                self.take_off(&flight);
                port.submit(DiskRequest { operation, buffers, answer: self.answer(flight) });
            }
            Err(trouble) => self.stumble(&flight, trouble),
        }
    }
    /// Bytes of the device itself.
    pub(super) fn send_data(&mut self, flight: Flight, bytes: &[u8]) {
        match flight.command.gather(&self.ram, bytes.len() as u32) {
            Ok(Gathered { buffers, interrupts }) => {
                buffers.all().put(0, bytes);
                let flight = flight.moving(bytes.len() as u32, true, interrupts);
                self.finish(&flight, &Registers::good(&flight.command.task));
            }
            Err(trouble) => self.stumble(&flight, trouble),
        }
    }
    /// What to call when a disk has answered.
    fn answer(&self, flight: Flight) -> Answer {
        let (owner, number, generation) = (Weak::clone(&self.owner), self.number, self.generation);
        Box::new(move |result| {
            if let Some(owner) = owner.upgrade() {
                owner.lock().with_port(number, generation, |port| port.answered(&flight, result));
            }
        })
    }
}
