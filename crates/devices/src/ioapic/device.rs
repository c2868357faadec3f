//! The chip: inputs, redirection table, end of interrupt.
use serde::{Deserialize, Serialize};

use super::spec;
use crate::apic::{DeliveryMode, Message};

/// An I/O APIC. Messages to local APICs go to the `send` that its methods take.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IoApic {
    id: u32,
    select: u8,
    /// Levels of the inputs, a bit each; high means asserted, whatever polarity software has chosen.
    inputs: u32,
    entries: [u64; spec::PINS],
}

impl Default for IoApic {
    fn default() -> Self {
        Self { id: 0, select: 0, inputs: 0, entries: [spec::MASKED; spec::PINS] }
    }
}

impl IoApic {
    /// Drives an input.
    pub fn set_input(&mut self, pin: usize, high: bool, send: &mut dyn FnMut(Message)) {
        let Some(entry) = self.entries.get(pin) else { return };
        let bit = 1 << pin;
        let rises = high && self.inputs & bit == 0;
        self.inputs = self.inputs & !bit | if high { bit } else { 0 };
        if rises && entry & spec::LEVEL == 0 {
            if entry & spec::MASKED == 0 {
                send(message(*entry));
            }
        } else if rises {
            self.serve_level(pin, send);
        }
    }
    /// The end of an interrupt that was delivered as level triggered.
    pub fn end_of_interrupt(&mut self, vector: u8, send: &mut dyn FnMut(Message)) {
        for pin in 0..spec::PINS {
            let entry = &mut self.entries[pin];
            if *entry & spec::REMOTE_IRR != 0 && *entry as u8 == vector {
                *entry &= !spec::REMOTE_IRR;
                self.serve_level(pin, send);
            }
        }
    }
    /// Reads a 32-bit register.
    pub fn read(&self, offset: u64) -> u32 {
        match offset {
            spec::IOREGSEL => self.select.into(),
            spec::IOWIN => self.read_indexed(),
            _ => 0,
        }
    }
    /// Writes a 32-bit register.
    pub fn write(&mut self, offset: u64, value: u32, send: &mut dyn FnMut(Message)) {
        match offset {
            spec::IOREGSEL => self.select = value as u8,
            spec::IOWIN => self.write_indexed(value, send),
            spec::EOI => self.end_of_interrupt(value as u8, send),
            _ => {}
        }
    }

    fn read_indexed(&self) -> u32 {
        match self.select {
            spec::IOAPICID | spec::IOAPICARB => self.id,
            spec::IOAPICVER => spec::VERSION,
            index => match self.half_of(index) {
                Some((pin, shift)) => (self.entries[pin] >> shift) as u32,
                None => 0,
            },
        }
    }
    fn write_indexed(&mut self, value: u32, send: &mut dyn FnMut(Message)) {
        if self.select == spec::IOAPICID {
            self.id = value & spec::ID_MASK;
        } else if let Some((pin, shift)) = self.half_of(self.select) {
            let writable = spec::WRITABLE & (0xffff_ffff << shift);
            let entry = &mut self.entries[pin];
            *entry = *entry & !writable | (u64::from(value) << shift) & writable;
            if *entry & spec::LEVEL == 0 {
                // How Linux ends an interrupt on chips without the EOI register: to edge and back.
                *entry &= !spec::REMOTE_IRR;
            }
            self.serve_level(pin, send);
        }
    }
    /// The entry that an index means, and the shift of its half.
    fn half_of(&self, index: u8) -> Option<(usize, u32)> {
        let half = usize::from(index.checked_sub(spec::IOREDTBL)?);
        (half / 2 < spec::PINS).then_some((half / 2, if half.is_multiple_of(2) { 0 } else { 32 }))
    }
    /// Delivers a level-triggered input that is asserted, unmasked and not yet delivered.
    fn serve_level(&mut self, pin: usize, send: &mut dyn FnMut(Message)) {
        let entry = &mut self.entries[pin];
        let asks = self.inputs & 1 << pin != 0 && *entry & spec::LEVEL != 0;
        if asks && *entry & (spec::MASKED | spec::REMOTE_IRR) == 0 {
            *entry |= spec::REMOTE_IRR;
            send(message(*entry));
        }
    }
}

fn message(entry: u64) -> Message {
    Message {
        destination: (entry >> spec::DESTINATION_SHIFT) as u32,
        logical: entry & spec::LOGICAL != 0,
        mode: DeliveryMode::from_bits((entry >> spec::MODE_SHIFT) as u8),
        vector: entry as u8,
        level_triggered: entry & spec::LEVEL != 0,
    }
}
