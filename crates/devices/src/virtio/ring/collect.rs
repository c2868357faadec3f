//! From descriptors to the segments of a chain.
use platform::GuestRam;

use super::super::spec::descriptor::WRITE;
use super::QueueError;
use super::segments::Segments;
use super::table::{Descriptor, Table};

/// A chain as its descriptors are read.
#[derive(Debug, Default)]
pub struct Collected {
    pub readable: Segments,
    pub writable: Segments,
}

impl Collected {
    /// Adds a buffer.
    pub fn add(&mut self, ram: &GuestRam, buffer: Descriptor) -> Result<(), QueueError> {
        if buffer.flags & WRITE != 0 {
            return self.writable.push(ram, buffer.address, buffer.length);
        }
        if !self.writable.is_empty() {
            return Err(QueueError::Order);
        }
        self.readable.push(ram, buffer.address, buffer.length)
    }
    /// Adds what is linked from an entry of a table on; a split queue's table may end in another one.
    pub fn add_linked(&mut self, ram: &GuestRam, table: Table, first: u16) -> Result<(), QueueError> {
        let (mut table, mut index, mut is_inner) = (table, first, false);
        let mut left = table.entries;
        loop {
            left = left.checked_sub(1).ok_or(QueueError::Endless)?;
            let found = table.split(ram, index)?;
            match found.table()? {
                Some(_) if is_inner => return Err(QueueError::Table),
                Some(inner) => (table, index, is_inner, left) = (inner, 0, true, inner.entries),
                None => {
                    self.add(ram, found)?;
                    if !found.goes_on() {
                        return Ok(());
                    }
                    index = found.number;
                }
            }
        }
    }
    /// Adds all of a packed queue's table, whose entries follow one another (§2.8.7).
    pub fn add_all(&mut self, ram: &GuestRam, table: Table) -> Result<(), QueueError> {
        for index in 0..table.entries {
            let found = table.packed(ram, index)?;
            if found.table()?.is_some() {
                return Err(QueueError::Table);
            }
            self.add(ram, found)?;
        }
        Ok(())
    }
}
