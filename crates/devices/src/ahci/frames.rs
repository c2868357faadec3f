//! Frames that a device sends, and where a port puts them (AHCI §4.2.1, Serial ATA 3.0 §10.3).
use x86::Gpa;

use super::port::Port;
use super::spec::{cmd, frame, interrupt, received};
use crate::ata::{Registers, status};

impl Port {
    /// Registers to the host (§10.3.5 of Serial ATA).
    pub(super) fn send_registers(&mut self, registers: &Registers, interrupts: bool) {
        let flags = if interrupts { frame::INTERRUPT } else { 0 };
        let bytes = register_frame(frame::TO_HOST, flags, registers);
        self.take_status(registers.status, registers.error);
        self.put_frame(received::REGISTERS, &bytes);
        if interrupts {
            self.raise(interrupt::REGISTERS);
        }
    }
    /// PIO setup (§10.3.11 of Serial ATA): `bytes` bytes, after which the status is that in `registers`.
    pub(super) fn send_pio_setup(&mut self, registers: &Registers, to_memory: bool, bytes: u32) {
        let direction = if to_memory { frame::TO_MEMORY | frame::INTERRUPT } else { 0 };
        let moving = Registers { status: registers.status | status::DATA_REQUEST, ..*registers };
        let mut sent = register_frame(frame::PIO_SETUP, direction, &moving);
        sent[15] = registers.status;
        sent[16..18].copy_from_slice(&(bytes as u16).to_le_bytes());
        self.take_status(registers.status, registers.error);
        self.put_frame(received::PIO_SETUP, &sent);
        if to_memory {
            self.raise(interrupt::PIO_SETUP);
        }
    }
    /// Set device bits (§10.3.6 of Serial ATA): these queued commands are done.
    pub(super) fn send_device_bits(&mut self, registers: &Registers, done: u32) {
        // Only some bits of the status are sent; busy and data request stay.
        let shown = registers.status & !(status::BUSY | status::DATA_REQUEST);
        let mut sent = [0; 8];
        sent[..4].copy_from_slice(&[frame::DEVICE_BITS, frame::INTERRUPT, shown, registers.error]);
        sent[4..].copy_from_slice(&done.to_le_bytes());
        self.take_status(shown, registers.error);
        self.put_frame(received::DEVICE_BITS, &sent);
        self.raise(interrupt::DEVICE_BITS);
    }

    fn put_frame(&mut self, offset: u64, bytes: &[u8]) {
        if self.state.command & cmd::RECEIVE == 0 {
            return;
        }
        let at = self.state.received.checked_add(offset);
        if at.and_then(|at| self.ram.write(Gpa(at), bytes)).is_none() {
            self.raise(interrupt::HOST_BUS_FATAL);
        }
    }
}

/// A frame that carries registers.
fn register_frame(kind: u8, flags: u8, registers: &Registers) -> [u8; 20] {
    let Registers { status, error, count, lba, device } = *registers;
    let lba = lba.to_le_bytes();
    let mut bytes = [0; 20];
    bytes[..4].copy_from_slice(&[kind, flags, status, error]);
    bytes[4..7].copy_from_slice(&lba[..3]);
    bytes[7] = device;
    bytes[8..11].copy_from_slice(&lba[3..6]);
    bytes[12..14].copy_from_slice(&count.to_le_bytes());
    bytes
}
