//! A function's configuration space: fixed bytes, writable bits, windows and capabilities.
use platform::SavedError;
use serde::{Deserialize, Serialize};

use super::spec::{self, CONFIG_BYTES, bar, command, status};

/// Who a function says it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Vendor.
    pub vendor: u16,
    /// The vendor's number of the device.
    pub device: u16,
    /// Revision.
    pub revision: u8,
    /// Class, subclass and programming interface, 8 bits each.
    pub class: u32,
    /// Subsystem: vendor and number.
    pub subsystem: (u16, u16),
}

/// What a base address register asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BarKind {
    /// I/O ports.
    Io,
    /// Memory below 4 GiB.
    Memory32,
    /// Memory anywhere; takes the next register too.
    Memory64,
}

/// Which bus a window is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Space {
    /// I/O ports.
    Io,
    /// Memory.
    Memory,
}

/// Addresses that a function answers to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Which bus.
    pub space: Space,
    /// First address.
    pub first: u64,
    /// Addresses.
    pub length: u64,
}

#[derive(Clone, Copy, Debug)]
struct Bar {
    kind: BarKind,
    length: u64,
}

/// The first 256 bytes of configuration space. Built once, then read and written by the guest.
#[derive(Clone, Debug)]
pub struct ConfigSpace {
    bytes: [u8; CONFIG_BYTES],
    /// Bits that the guest can change.
    writable: [u8; CONFIG_BYTES],
    /// Bytes after reset.
    initial: [u8; CONFIG_BYTES],
    bars: [Option<Bar>; spec::BARS],
    capabilities_end: usize,
    last_capability: Option<usize>,
}

/// The saved form: bytes whose writable bits count.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedConfig(Vec<u8>);

impl ConfigSpace {
    /// The space of a function without windows and capabilities.
    pub fn new(identity: &Identity) -> Self {
        let mut config = Self {
            bytes: [0; CONFIG_BYTES],
            writable: [0; CONFIG_BYTES],
            initial: [0; CONFIG_BYTES],
            bars: [None; spec::BARS],
            capabilities_end: spec::CAPABILITIES_START,
            last_capability: None,
        };
        config.define(spec::VENDOR_ID, &identity.vendor.to_le_bytes());
        config.define(spec::DEVICE_ID, &identity.device.to_le_bytes());
        config.define(spec::REVISION_ID, &(identity.class << 8 | u32::from(identity.revision)).to_le_bytes());
        config.define(spec::SUBSYSTEM_VENDOR_ID, &identity.subsystem.0.to_le_bytes());
        config.define(spec::SUBSYSTEM_ID, &identity.subsystem.1.to_le_bytes());
        config.let_write(spec::COMMAND, &command::WRITABLE.to_le_bytes());
        config.let_write(spec::CACHE_LINE_SIZE, &[0xff]);
        config.let_write(spec::INTERRUPT_LINE, &[0xff]);
        config
    }
    /// Sets what bytes are after reset. Building only; panics outside the space.
    pub fn define(&mut self, offset: usize, bytes: &[u8]) {
        self.initial[offset..offset + bytes.len()].copy_from_slice(bytes);
        self.bytes[offset..offset + bytes.len()].copy_from_slice(bytes);
    }
    /// Makes bits writable. Building only; panics outside the space.
    pub fn let_write(&mut self, offset: usize, bits: &[u8]) {
        self.writable[offset..offset + bits.len()].copy_from_slice(bits);
    }
    /// Says that the slot may have further functions.
    pub fn set_multifunction(&mut self) {
        self.define(spec::HEADER_TYPE, &[spec::MULTIFUNCTION]);
    }
    /// Says by which pin the function interrupts: 1 for INTA#.
    pub fn set_interrupt_pin(&mut self, pin: u8) {
        self.define(spec::INTERRUPT_PIN, &[pin]);
    }
    /// Asks for a window of `length` addresses, a power of two of at least 16. Building only.
    pub fn add_bar(&mut self, index: usize, kind: BarKind, length: u64) {
        assert!(length.is_power_of_two() && length >= 16, "a window of {length:#x} addresses");
        let offset = spec::BAR0 + index * 4;
        let (flags, address) = match kind {
            BarKind::Io => (bar::IO, !u64::from(bar::IO_FLAGS)),
            BarKind::Memory32 => (0, !u64::from(bar::MEMORY_FLAGS)),
            BarKind::Memory64 => (bar::WIDE, !u64::from(bar::MEMORY_FLAGS)),
        };
        let bits = !(length - 1) & address;
        let width = if kind == BarKind::Memory64 { 8 } else { 4 };
        assert!(index * 4 + width <= spec::BARS * 4, "no register for window {index}");
        self.define(offset, &flags.to_le_bytes());
        self.let_write(offset, &bits.to_le_bytes()[..width]);
        self.bars[index] = Some(Bar { kind, length });
    }
    /// Adds a capability whose bytes after identification and pointer are `body`, of which the guest can change
    /// `writable` (missing bytes: nothing). Returns its offset. Building only; panics when the space is full.
    pub fn add_capability(&mut self, id: u8, body: &[u8], writable: &[u8]) -> u8 {
        let offset = self.capabilities_end;
        self.define(offset, &[id, 0]);
        self.define(offset + 2, body);
        self.let_write(offset + 2, writable);
        let pointer = self.last_capability.map_or(spec::CAPABILITIES, |last| last + 1);
        self.define(pointer, &[offset as u8]);
        self.define(spec::STATUS, &[status::CAPABILITIES]);
        self.last_capability = Some(offset);
        self.capabilities_end = (offset + 2 + body.len()).next_multiple_of(4);
        offset as u8
    }

    /// Reads; there is nothing beyond the space but ones.
    pub fn read(&self, register: u16, data: &mut [u8]) {
        for (offset, byte) in (usize::from(register)..).zip(data) {
            *byte = self.bytes.get(offset).copied().unwrap_or(0xff);
        }
    }
    /// Writes the writable bits.
    pub fn write(&mut self, register: u16, data: &[u8]) {
        for (offset, value) in (usize::from(register)..).zip(data) {
            let (Some(byte), Some(bits)) = (self.bytes.get_mut(offset), self.writable.get(offset)) else {
                return;
            };
            *byte = *byte & !bits | value & bits;
        }
    }
    /// Back to the state after power-on.
    pub fn reset(&mut self) {
        self.bytes = self.initial;
    }
    /// What is saved.
    pub fn save(&self) -> SavedConfig {
        SavedConfig(self.bytes.to_vec())
    }
    /// Takes the writable bits of what was saved.
    pub fn restore(&mut self, saved: &SavedConfig) -> Result<(), SavedError> {
        if saved.0.len() != CONFIG_BYTES {
            return Err(SavedError::Impossible("length of configuration space"));
        }
        self.reset();
        self.write(0, &saved.0);
        Ok(())
    }

    /// The 16 bits at an offset; zero outside the space.
    pub fn word(&self, offset: usize) -> u16 {
        self.bytes.get(offset..offset + 2).map_or(0, |bytes| u16::from_le_bytes([bytes[0], bytes[1]]))
    }
    /// Whether the function may use memory and send messages.
    pub fn is_bus_master(&self) -> bool {
        self.word(spec::COMMAND) & command::BUS_MASTER != 0
    }
    /// Whether the interrupt pin is allowed.
    pub fn is_pin_enabled(&self) -> bool {
        self.word(spec::COMMAND) & command::INTX_DISABLE == 0
    }
    /// Shows in the status register whether the function asks for an interrupt by its pin.
    pub fn set_interrupt_status(&mut self, asks: bool) {
        let low = &mut self.bytes[spec::STATUS];
        *low = *low & !status::INTERRUPT | if asks { status::INTERRUPT } else { 0 };
    }
    /// The addresses that a window's register says, if the command register lets it answer. Address 0 is none.
    pub fn window(&self, index: usize) -> Option<Window> {
        let Bar { kind, length } = (*self.bars.get(index)?)?;
        let offset = spec::BAR0 + index * 4;
        let low = u32::from_le_bytes(self.bytes[offset..offset + 4].try_into().ok()?);
        let (space, first, enable) = match kind {
            BarKind::Io => (Space::Io, u64::from(low & !bar::IO_FLAGS), command::IO),
            BarKind::Memory32 => (Space::Memory, u64::from(low & !bar::MEMORY_FLAGS), command::MEMORY),
            BarKind::Memory64 => {
                let wide = u64::from_le_bytes(self.bytes[offset..offset + 8].try_into().ok()?);
                (Space::Memory, wide & !u64::from(bar::MEMORY_FLAGS), command::MEMORY)
            }
        };
        let answers = self.word(spec::COMMAND) & enable != 0 && first != 0;
        answers.then_some(Window { space, first, length })
    }
    /// What a window's register asks for: its kind and addresses.
    pub fn bar(&self, index: usize) -> Option<(BarKind, u64)> {
        self.bars.get(index)?.map(|bar| (bar.kind, bar.length))
    }
}
