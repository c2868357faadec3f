//! A function's configuration space: bytes, which of their bits can be written, BARs and capabilities.
use serde::{Deserialize, Serialize};

use super::spec::{self, command, offset};

/// Who a function is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Vendor.
    pub vendor: u16,
    /// Device.
    pub device: u16,
    /// Class, subclass and programming interface, from the high byte down.
    pub class: u32,
    /// Revision.
    pub revision: u8,
    /// Subsystem's vendor.
    pub subsystem_vendor: u16,
    /// Subsystem.
    pub subsystem: u16,
}

/// What a base address register decodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BarKind {
    /// Memory below 4 GiB.
    Memory32,
    /// Memory anywhere; takes the next register too.
    Memory64,
    /// Ports.
    Ports,
}

/// 256 bytes of configuration.
#[derive(Clone, Debug)]
pub struct ConfigSpace {
    bytes: [u8; spec::CONFIG_BYTES],
    writable: [u8; spec::CONFIG_BYTES],
    bars: [Option<Bar>; spec::BARS],
    last_capability: usize,
    next_free: usize,
}

#[derive(Clone, Copy, Debug)]
struct Bar {
    kind: BarKind,
    size: u64,
}

/// What is saved of a configuration space: its bytes; their meaning is the device's.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ConfigState(Vec<u8>);

impl ConfigSpace {
    /// A space of a normal (type 0) function without BARs and capabilities.
    pub fn new(identity: Identity) -> Self {
        let mut config = Self {
            bytes: [0; spec::CONFIG_BYTES],
            writable: [0; spec::CONFIG_BYTES],
            bars: [None; spec::BARS],
            last_capability: offset::CAPABILITIES,
            next_free: offset::DEVICE_SPECIFIC,
        };
        config.set(offset::VENDOR, &identity.vendor.to_le_bytes());
        config.set(offset::DEVICE, &identity.device.to_le_bytes());
        config.set(offset::REVISION, &(identity.class << 8 | u32::from(identity.revision)).to_le_bytes());
        config.set(offset::SUBSYSTEM_VENDOR, &identity.subsystem_vendor.to_le_bytes());
        config.set(offset::SUBSYSTEM, &identity.subsystem.to_le_bytes());
        config.allow(offset::COMMAND, &command::WRITABLE.to_le_bytes());
        config.allow(offset::INTERRUPT_LINE, &[0xff]);
        config
    }
    /// Says that the function has an interrupt line; 1 is INTA.
    pub fn with_interrupt_pin(mut self, pin: u8) -> Self {
        self.set(offset::INTERRUPT_PIN, &[pin]);
        self
    }
    /// Adds a base address register. `size` is a power of two: of at least 16 bytes of memory, or of 4 to 256 ports.
    pub fn with_bar(mut self, index: usize, kind: BarKind, size: u64) -> Self {
        let at = offset::BAR0 + 4 * index;
        let mask = (!(size - 1)).to_le_bytes();
        match kind {
            BarKind::Memory32 => self.allow(at, &mask[..4]),
            BarKind::Memory64 => {
                self.set(at, &spec::BAR_64.to_le_bytes());
                self.allow(at, &mask);
            }
            BarKind::Ports => {
                self.set(at, &spec::BAR_IO.to_le_bytes());
                self.allow(at, &mask[..2]);
            }
        }
        self.bars[index] = Some(Bar { kind, size });
        self
    }
    /// Appends a capability: its id, then `body` from its third byte on. Returns its offset. The caller's own data must
    /// fit: capabilities are fixed at construction.
    pub fn add_capability(&mut self, id: u8, body: &[u8]) -> usize {
        let at = self.next_free;
        self.set(self.last_capability, &[at as u8]);
        self.set(at, &[id, 0]);
        self.set(at + 2, body);
        self.set(offset::STATUS, &[spec::STATUS_CAPABILITIES]);
        self.last_capability = at + 1;
        self.next_free = (at + 2 + body.len()).next_multiple_of(4);
        at
    }

    /// Sets bytes, whether the guest can write them or not.
    pub fn set(&mut self, at: usize, bytes: &[u8]) {
        self.bytes[at..at + bytes.len()].copy_from_slice(bytes);
    }
    /// Lets the guest write the bits that are set in `mask`.
    pub fn allow(&mut self, at: usize, mask: &[u8]) {
        self.writable[at..at + mask.len()].copy_from_slice(mask);
    }
    /// A byte.
    pub fn byte(&self, at: usize) -> u8 {
        self.bytes[at]
    }
    /// Two bytes.
    pub fn word(&self, at: usize) -> u16 {
        u16::from_le_bytes([self.bytes[at], self.bytes[at + 1]])
    }
    /// Four bytes.
    pub fn dword(&self, at: usize) -> u32 {
        u32::from(self.word(at)) | u32::from(self.word(at + 2)) << 16
    }
    /// Reads as the guest does; nothing is past the end.
    pub fn read(&self, at: usize, data: &mut [u8]) {
        for (at, byte) in (at..).zip(data) {
            *byte = self.bytes.get(at).copied().unwrap_or(0xff);
        }
    }
    /// Writes as the guest does.
    pub fn write(&mut self, at: usize, data: &[u8]) {
        for (at, value) in (at..self.bytes.len()).zip(data) {
            let mask = self.writable[at];
            self.bytes[at] = self.bytes[at] & !mask | value & mask;
        }
    }
    /// The command register.
    pub fn command(&self) -> u16 {
        self.word(offset::COMMAND)
    }
    /// Shows the level of INTx in the status register.
    pub fn show_interrupt(&mut self, asserted: bool) {
        let status = self.bytes[offset::STATUS] & !spec::STATUS_INTERRUPT;
        self.bytes[offset::STATUS] = status | if asserted { spec::STATUS_INTERRUPT } else { 0 };
    }
    /// What BAR `index` is and how large; `None` if the function has no such BAR.
    pub fn bar(&self, index: usize) -> Option<(BarKind, u64)> {
        self.bars.get(index).copied().flatten().map(|bar| (bar.kind, bar.size))
    }
    /// Where BAR `index` decodes now: `None` if it is off or has no address yet.
    pub fn bar_address(&self, index: usize) -> Option<u64> {
        let (kind, _) = self.bar(index)?;
        let at = offset::BAR0 + 4 * index;
        let low = self.dword(at);
        let (enable, address) = match kind {
            BarKind::Ports => (command::IO, u64::from(low & !3)),
            BarKind::Memory32 => (command::MEMORY, u64::from(low & !0xf)),
            BarKind::Memory64 => {
                (command::MEMORY, u64::from(low & !0xf) | u64::from(self.dword(at + 4)) << 32)
            }
        };
        (self.command() & enable != 0 && address != 0).then_some(address)
    }
    /// What is saved.
    pub fn save(&self) -> ConfigState {
        ConfigState(self.bytes.to_vec())
    }
    /// Takes what the guest can have written of a saved space.
    pub fn restore(&mut self, state: &ConfigState) {
        self.write(0, &state.0);
    }
    /// Forgets everything that the guest has written.
    pub fn reset(&mut self) {
        for (byte, writable) in self.bytes.iter_mut().zip(&self.writable) {
            *byte &= !writable;
        }
        self.show_interrupt(false);
    }
}
