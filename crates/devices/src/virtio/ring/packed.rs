//! Packed virtqueues (VirtIO 1.2 §2.8): one ring of descriptors that driver and device write in turn.
use std::sync::atomic::{Ordering, fence};

use platform::GuestRam;
use serde::{Deserialize, Serialize};
use x86::Gpa;

use super::super::spec::descriptor::{self, AVAILABLE, PACKED_FLAGS, USED, WRITE};
use super::super::spec::packed::{AT_POSITION, DISABLE, ENABLE, TURN};
use super::QueueError;
use super::collect::Collected;
use super::place::Place;
use super::table::Table;

/// A packed queue that is in use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Packed {
    place: Place,
    event_idx: bool,
    next_available: Position,
    next_used: Position,
}

/// An entry, and in which of two turns around the ring (§2.8.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Position {
    index: u16,
    /// The wrap counter.
    turn: bool,
}

/// A chain of a packed queue: its number, its entries, its buffers.
pub type PackedChain = (u16, u16, Collected);

impl Position {
    const START: Self = Self { index: 0, turn: true };

    fn advance(&mut self, entries: u16, size: u16) {
        self.index += entries;
        if self.index >= size {
            self.index -= size;
            self.turn = !self.turn;
        }
    }
    fn retreat(&mut self, entries: u16, size: u16) {
        if self.index < entries {
            self.index += size;
            self.turn = !self.turn;
        }
        self.index -= entries;
    }
    fn bits(self) -> u16 {
        self.index | if self.turn { TURN } else { 0 }
    }
}

impl Packed {
    /// A queue from its beginning.
    pub fn new(place: Place, ram: &GuestRam, event_idx: bool) -> Result<Self, QueueError> {
        place.check_packed(ram)?;
        Ok(Self { place, event_idx, next_available: Position::START, next_used: Position::START })
    }
    /// Where it is.
    pub fn place(&self) -> &Place {
        &self.place
    }
    /// Whether positions are inside the ring.
    pub fn is_possible(&self) -> bool {
        self.next_available.index < self.place.size && self.next_used.index < self.place.size
    }
    /// The next chain.
    pub fn take(&mut self, ram: &GuestRam) -> Result<Option<PackedChain>, QueueError> {
        if !self.is_available(ram)? {
            return Ok(None);
        }
        let size = self.place.size;
        let table = Table { address: self.place.descriptors, entries: size };
        let mut collected = Collected::default();
        for entries in 1..=size {
            let found = table.packed(ram, self.next_available.index)?;
            self.next_available.advance(1, size);
            match found.table()? {
                Some(inner) => collected.add_all(ram, inner)?,
                None => collected.add(ram, found)?,
            }
            if !found.goes_on() {
                return Ok(Some((found.number, entries, collected)));
            }
        }
        Err(QueueError::Endless)
    }
    /// The last chain, which took `entries` entries, waits again.
    pub fn put_back(&mut self, entries: u16) {
        self.next_available.retreat(entries, self.place.size);
    }
    /// Gives a chain back that took `entries` entries.
    pub fn give(&mut self, ram: &GuestRam, id: u16, entries: u16, written: u32) -> Result<(), QueueError> {
        let at = self.entry(self.next_used);
        let mut body = [0; 6];
        body[..4].copy_from_slice(&written.to_le_bytes());
        body[4..].copy_from_slice(&id.to_le_bytes());
        ram.write(Gpa(at.0 + 8), &body).ok_or(QueueError::Memory)?;
        let turn = if self.next_used.turn { AVAILABLE | USED } else { 0 };
        let flags = turn | if written > 0 { WRITE } else { 0 };
        ram.store_u16(Gpa(at.0 + PACKED_FLAGS), flags).ok_or(QueueError::Memory)?;
        self.next_used.advance(entries, self.place.size);
        Ok(())
    }

    /// The device looks by itself for now.
    pub fn quiet(&self, ram: &GuestRam) -> Result<(), QueueError> {
        // With event indices, the position that was asked for is behind.
        if self.event_idx { Ok(()) } else { self.ask(ram, 0, DISABLE) }
    }
    /// The driver shall notify of the next chain. Whether there is one already.
    pub fn listen(&self, ram: &GuestRam) -> Result<bool, QueueError> {
        if self.event_idx {
            self.ask(ram, self.next_available.bits(), AT_POSITION)?;
        } else {
            self.ask(ram, 0, ENABLE)?;
        }
        // The driver stores its flags, then looks whether to notify; we do it the other way round.
        fence(Ordering::SeqCst);
        self.is_available(ram)
    }
    /// Whether the driver wants an interrupt for the last `given` entries.
    pub fn wants_interrupt(&self, ram: &GuestRam, given: u16) -> Result<bool, QueueError> {
        // The driver says what it wants, then looks at our flags; we do it the other way round.
        fence(Ordering::SeqCst);
        let event = ram.load_u32(Gpa(self.place.driver)).ok_or(QueueError::Memory)?;
        let (position, flags) = (event as u16, (event >> 16) as u16 & 3);
        if flags == DISABLE {
            return Ok(false);
        }
        if flags != AT_POSITION || !self.event_idx {
            return Ok(true);
        }
        // Entries back from where we are now, if the position is in this turn or the one before.
        let mut ago = i32::from(self.next_used.index) - i32::from(position & !TURN) - 1;
        if (position & TURN != 0) != self.next_used.turn {
            ago += i32::from(self.place.size);
        }
        Ok((0..i32::from(given)).contains(&ago))
    }

    fn ask(&self, ram: &GuestRam, position: u16, flags: u16) -> Result<(), QueueError> {
        let event = u32::from(flags) << 16 | u32::from(position);
        ram.store_u32(Gpa(self.place.device), event).ok_or(QueueError::Memory)
    }
    fn is_available(&self, ram: &GuestRam) -> Result<bool, QueueError> {
        let at = Gpa(self.entry(self.next_available).0 + PACKED_FLAGS);
        let flags = ram.load_u16(at).ok_or(QueueError::Memory)?;
        let (available, used) = (flags & AVAILABLE != 0, flags & USED != 0);
        Ok(available == self.next_available.turn && used != available)
    }
    fn entry(&self, position: Position) -> Gpa {
        Gpa(self.place.descriptors + u64::from(position.index) * descriptor::BYTES)
    }
}
