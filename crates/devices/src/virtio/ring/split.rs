//! Split virtqueues (VirtIO 1.2 §2.7): a table, a ring that the driver writes, and one that the device writes.
use std::sync::atomic::{Ordering, fence};

use platform::GuestRam;
use serde::{Deserialize, Serialize};
use x86::Gpa;

use super::super::spec::split::{AVAILABLE_BYTES, ENTRIES, FLAGS, INDEX, QUIET, USED_BYTES};
use super::QueueError;
use super::collect::Collected;
use super::place::Place;
use super::table::Table;

/// A split queue that is in use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Split {
    place: Place,
    event_idx: bool,
    /// Chains taken, as a running number.
    next_available: u16,
    /// Chains given back, as a running number.
    next_used: u16,
}

impl Split {
    /// A queue from its beginning.
    pub fn new(place: Place, ram: &GuestRam, event_idx: bool) -> Result<Self, QueueError> {
        place.check_split(ram)?;
        Ok(Self { place, event_idx, next_available: 0, next_used: 0 })
    }
    /// Where it is.
    pub fn place(&self) -> &Place {
        &self.place
    }
    /// The next chain and its number.
    pub fn take(&mut self, ram: &GuestRam) -> Result<Option<(u16, Collected)>, QueueError> {
        let waiting = self.available(ram)?.wrapping_sub(self.next_available);
        if waiting == 0 {
            return Ok(None);
        }
        if waiting > self.place.size {
            return Err(QueueError::Index);
        }
        let entry = self.entry(self.place.driver, self.next_available, AVAILABLE_BYTES);
        let head = ram.load_u16(entry).ok_or(QueueError::Memory)?;
        self.next_available = self.next_available.wrapping_add(1);
        let mut collected = Collected::default();
        let table = Table { address: self.place.descriptors, entries: self.place.size };
        collected.add_linked(ram, table, head)?;
        Ok(Some((head, collected)))
    }
    /// The last chain waits again.
    pub fn put_back(&mut self) {
        self.next_available = self.next_available.wrapping_sub(1);
    }
    /// Gives a chain back.
    pub fn give(&mut self, ram: &GuestRam, head: u16, written: u32) -> Result<(), QueueError> {
        let mut entry = [0; USED_BYTES as usize];
        entry[..4].copy_from_slice(&u32::from(head).to_le_bytes());
        entry[4..].copy_from_slice(&written.to_le_bytes());
        let at = self.entry(self.place.device, self.next_used, USED_BYTES);
        ram.write(at, &entry).ok_or(QueueError::Memory)?;
        self.next_used = self.next_used.wrapping_add(1);
        ram.store_u16(Gpa(self.place.device + INDEX), self.next_used).ok_or(QueueError::Memory)
    }

    /// The device looks by itself for now.
    pub fn quiet(&self, ram: &GuestRam) -> Result<(), QueueError> {
        if self.event_idx {
            // The position that was asked for is behind.
            return Ok(());
        }
        ram.store_u16(Gpa(self.place.device + FLAGS), QUIET).ok_or(QueueError::Memory)
    }
    /// The driver shall notify of the next chain. Whether there is one already.
    pub fn listen(&self, ram: &GuestRam) -> Result<bool, QueueError> {
        let (at, value) = if self.event_idx {
            let used_bytes = u64::from(self.place.size) * USED_BYTES;
            (self.place.device + ENTRIES + used_bytes, self.next_available)
        } else {
            (self.place.device + FLAGS, 0)
        };
        ram.store_u16(Gpa(at), value).ok_or(QueueError::Memory)?;
        // The driver stores its index, then looks whether to notify; we do it the other way round.
        fence(Ordering::SeqCst);
        Ok(self.available(ram)? != self.next_available)
    }
    /// Whether the driver wants an interrupt for the last `given` chains.
    pub fn wants_interrupt(&self, ram: &GuestRam, given: u16) -> Result<bool, QueueError> {
        // The driver says what it wants, then looks at our index; we do it the other way round.
        fence(Ordering::SeqCst);
        if !self.event_idx {
            let flags = ram.load_u16(Gpa(self.place.driver + FLAGS)).ok_or(QueueError::Memory)?;
            return Ok(flags & QUIET == 0);
        }
        let at = self.place.driver + ENTRIES + u64::from(self.place.size) * AVAILABLE_BYTES;
        let wanted = ram.load_u16(Gpa(at)).ok_or(QueueError::Memory)?;
        // §2.7.7.2: the entry after which it wants one is among them.
        Ok(self.next_used.wrapping_sub(wanted).wrapping_sub(1) < given)
    }

    fn available(&self, ram: &GuestRam) -> Result<u16, QueueError> {
        ram.load_u16(Gpa(self.place.driver + INDEX)).ok_or(QueueError::Memory)
    }
    fn entry(&self, ring: u64, number: u16, bytes: u64) -> Gpa {
        Gpa(ring + ENTRIES + u64::from(number % self.place.size) * bytes)
    }
}
