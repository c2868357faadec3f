//! What a port finds in guest RAM: its commands, and where their data is (AHCI §4.2).
use platform::{Buffers, GuestRam};
use x86::Gpa;

use super::spec::{frame, header, table};
use crate::ata::Task;

/// Descriptors that are read at once.
const DESCRIPTORS_PER_READ: usize = 64;

/// A slot of a command list.
#[derive(Clone, Copy, Debug)]
pub(super) struct Command {
    pub(super) slot: u8,
    /// Where the header is.
    header: u64,
    flags: u32,
    table: u64,
    /// The frame is a command; otherwise only `control` counts.
    pub(super) is_command: bool,
    pub(super) task: Task,
    /// Device control register.
    pub(super) control: u8,
}

/// Memory for a command's data.
pub(super) struct Gathered {
    pub(super) buffers: Buffers,
    /// A descriptor wants an interrupt.
    pub(super) interrupts: bool,
}

/// Why there is no memory for a command's data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// It is not RAM.
    NoRam,
    /// There are fewer bytes than the device has.
    TooShort,
}

impl Command {
    /// Reads a slot; `None` if it is not in RAM, or what it sends is no register frame.
    pub(super) fn fetch(ram: &GuestRam, list: u64, slot: u8) -> Option<Self> {
        let at = list.checked_add(u64::from(slot) * header::BYTES)?;
        let mut bytes = [0; 16];
        ram.read(Gpa(at), &mut bytes)?;
        let flags = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
        let words = u128::from_le_bytes(bytes);
        let table = (words >> 64) as u64 & !(header::TABLE_ALIGNMENT - 1);
        let mut sent = [0; table::FRAME_BYTES];
        ram.read(Gpa(table), &mut sent)?;
        if sent[0] != frame::TO_DEVICE || flags & header::FRAME_LENGTH < 5 {
            return None;
        }
        let is_command = sent[1] & frame::COMMAND != 0;
        Some(Self { slot, header: at, flags, table, is_command, task: task(&sent), control: sent[15] })
    }
    /// Whether a packet follows the frame.
    pub(super) fn has_packet(&self) -> bool {
        self.flags & header::PACKET != 0
    }
    /// Whether the command's data goes to the device.
    pub(super) fn sends_data(&self) -> bool {
        self.flags & header::WRITE != 0
    }
    /// The packet.
    pub(super) fn packet(&self, ram: &GuestRam) -> Option<[u8; table::PACKET_BYTES]> {
        let mut packet = [0; table::PACKET_BYTES];
        ram.read(Gpa(self.table.checked_add(table::PACKET)?), &mut packet)?;
        Some(packet)
    }
    /// Tells the driver how many bytes were moved. The header was in RAM when it was fetched, and RAM does not go away.
    pub(super) fn tell_moved(&self, ram: &GuestRam, bytes: u32) {
        let _ = ram.write(Gpa(self.header + header::MOVED), &bytes.to_le_bytes());
    }
    /// Memory for exactly `bytes` bytes.
    pub(super) fn gather(&self, ram: &GuestRam, bytes: u32) -> Result<Gathered, Trouble> {
        let gathered = self.gather_up_to(ram, bytes)?;
        if gathered.buffers.len() < bytes as usize { Err(Trouble::TooShort) } else { Ok(gathered) }
    }
    /// Memory for `bytes` bytes, or fewer if there is not that much.
    pub(super) fn gather_up_to(&self, ram: &GuestRam, bytes: u32) -> Result<Gathered, Trouble> {
        let mut left = bytes;
        let mut interrupts = false;
        let mut ranges = Vec::new();
        let all = (self.flags >> header::DESCRIPTORS_SHIFT) as usize;
        let mut read = [[0; table::DESCRIPTOR_BYTES]; DESCRIPTORS_PER_READ];
        for first in (0..all).step_by(DESCRIPTORS_PER_READ) {
            if left == 0 {
                break;
            }
            let count = (all - first).min(DESCRIPTORS_PER_READ);
            let offset = table::DESCRIPTORS + (first * table::DESCRIPTOR_BYTES) as u64;
            let at = self.table.checked_add(offset).ok_or(Trouble::NoRam)?;
            ram.read(Gpa(at), read[..count].as_flattened_mut()).ok_or(Trouble::NoRam)?;
            for descriptor in &read[..count] {
                if left == 0 {
                    break;
                }
                let words = u128::from_le_bytes(*descriptor);
                let last = (words >> 96) as u32;
                // Lengths are even: bit 0 of the length less one is set.
                let length = ((last & table::LENGTH | 1) + 1).min(left);
                ranges.push((Gpa(words as u64 & !1), length));
                interrupts |= last & table::INTERRUPT != 0;
                left -= length;
            }
        }
        let buffers = Buffers::of_ram(ram, ranges).ok_or(Trouble::NoRam)?;
        Ok(Gathered { buffers, interrupts })
    }
}

/// The registers in a frame (Serial ATA 3.0 §10.3.4).
fn task(sent: &[u8; table::FRAME_BYTES]) -> Task {
    let number = |low: usize, high: usize| {
        (0..3).rev().fold(0, |value, index| value << 8 | u64::from(sent[high + index])) << 24
            | (0..3).rev().fold(0, |value, index| value << 8 | u64::from(sent[low + index]))
    };
    Task {
        command: sent[2],
        features: u16::from_le_bytes([sent[3], sent[11]]),
        count: u16::from_le_bytes([sent[12], sent[13]]),
        lba: number(4, 8),
        device: sent[7],
    }
}
