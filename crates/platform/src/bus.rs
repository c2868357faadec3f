//! A map from addresses to devices; one serves ports, another MMIO.
//!
//! Lock order: the map's lock is a leaf. It is dropped before a device is called, so a device may move or remove
//! ranges, its own too, from inside an access. An access that found its device just before the range was removed still
//! reaches it, as it does on a real bus.
use std::collections::BTreeMap;

use parking_lot::RwLock;

use crate::{Region, SharedDevice};

/// Devices by address range.
pub struct Bus {
    ranges: RwLock<BTreeMap<u64, Range>>,
    last_address: u64,
}

#[derive(Clone)]
struct Range {
    last: u64,
    region: Region,
    device: SharedDevice,
}

/// A range that cannot be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BusError {
    /// Another device is there.
    #[error("range {first:#x}..={last:#x} overlaps the one at {other:#x}")]
    Overlap {
        /// First address asked for.
        first: u64,
        /// Last address asked for.
        last: u64,
        /// First address of the range in the way.
        other: u64,
    },
    /// Empty, or beyond the bus's last address.
    #[error("{length:#x} addresses from {first:#x} do not fit on the bus")]
    OutOfRange {
        /// First address asked for.
        first: u64,
        /// Addresses asked for.
        length: u64,
    },
    /// No range starts there.
    #[error("no range starts at {0:#x}")]
    NotThere(u64),
}

impl Bus {
    /// A bus of the 65,536 I/O ports.
    pub fn of_ports() -> Self {
        Self { ranges: RwLock::default(), last_address: 0xffff }
    }
    /// A bus of guest-physical addresses.
    pub fn of_memory() -> Self {
        Self { ranges: RwLock::default(), last_address: u64::MAX }
    }

    /// Gives `length` addresses from `first` to a device, which sees them as offsets into `region`.
    pub fn add(&self, first: u64, length: u64, region: Region, device: SharedDevice) -> Result<(), BusError> {
        let last = self.last_of(first, length)?;
        let mut ranges = self.ranges.write();
        refuse_overlap(&ranges, first, last)?;
        ranges.insert(first, Range { last, region, device });
        Ok(())
    }
    /// Takes the range that starts at `first` off the bus.
    pub fn remove(&self, first: u64) -> Result<(), BusError> {
        self.ranges.write().remove(&first).map(drop).ok_or(BusError::NotThere(first))
    }
    /// Moves the range that starts at `from` to `to`, in one step; where it cannot go it stays.
    pub fn relocate(&self, from: u64, to: u64) -> Result<(), BusError> {
        let mut ranges = self.ranges.write();
        let range = ranges.remove(&from).ok_or(BusError::NotThere(from))?;
        let target = self
            .last_of(to, range.last - from + 1)
            .and_then(|last| refuse_overlap(&ranges, to, last).map(|()| last));
        match target {
            Ok(last) => ranges.insert(to, Range { last, ..range }),
            Err(_) => ranges.insert(from, range),
        };
        target.map(drop)
    }

    /// Reads at an address; bytes that nobody owns are all ones.
    pub fn read(&self, address: u64, data: &mut [u8]) {
        data.fill(0xff);
        let mut at = 0;
        while let Some((position, part)) = self.next_part(address, at, data.len()) {
            if let Some((range, offset)) = part.target {
                range.device.lock().read(range.region, offset, &mut data[position..position + part.length]);
            }
            at = position + part.length;
        }
    }
    /// Writes at an address; bytes that nobody owns are dropped.
    pub fn write(&self, address: u64, data: &[u8]) {
        let mut at = 0;
        while let Some((position, part)) = self.next_part(address, at, data.len()) {
            if let Some((range, offset)) = part.target {
                range.device.lock().write(range.region, offset, &data[position..position + part.length]);
            }
            at = position + part.length;
        }
    }

    fn last_of(&self, first: u64, length: u64) -> Result<u64, BusError> {
        let last = length.checked_sub(1).and_then(|span| first.checked_add(span));
        last.filter(|last| *last <= self.last_address).ok_or(BusError::OutOfRange { first, length })
    }

    /// What becomes of the bytes from position `at` of an access of `length` bytes: up to the end of the range that
    /// owns the first of them, or one byte that nobody owns. `None` at the end of the access or of the bus.
    fn next_part(&self, address: u64, at: usize, length: usize) -> Option<(usize, Part)> {
        let left = length.checked_sub(at).filter(|left| *left > 0)?;
        let first = address.checked_add(at as u64).filter(|first| *first <= self.last_address)?;
        let ranges = self.ranges.read();
        let found = ranges.range(..=first).next_back().filter(|(_, range)| first <= range.last);
        let part = match found {
            Some((start, range)) => {
                let owned = usize::try_from(range.last - first).unwrap_or(usize::MAX).saturating_add(1);
                Part { length: left.min(owned), target: Some((range.clone(), first - start)) }
            }
            None => Part { length: 1, target: None },
        };
        Some((at, part))
    }
}

/// Consecutive bytes of an access with one owner.
struct Part {
    length: usize,
    target: Option<(Range, u64)>,
}

fn refuse_overlap(ranges: &BTreeMap<u64, Range>, first: u64, last: u64) -> Result<(), BusError> {
    match ranges.range(..=last).next_back() {
        Some((other, range)) if range.last >= first => Err(BusError::Overlap { first, last, other: *other }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
