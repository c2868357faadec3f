//! Descriptors and tables of them.
use platform::GuestRam;
use x86::Gpa;

use super::super::spec::descriptor::{self, INDIRECT, NEXT};
use super::QueueError;

/// Descriptors that an indirect table may have: what devices here say that a request may have, with all that goes with
/// it. (§2.7.5.3.1 has the size of the queue as the limit.)
const TABLE_MAX: u32 = 256;

/// A buffer, and how the chain goes on.
#[derive(Clone, Copy, Debug)]
pub struct Descriptor {
    pub address: Gpa,
    pub length: u32,
    pub flags: u16,
    /// Split: the next one. Packed: the chain's number.
    pub number: u16,
}

/// Descriptors side by side.
#[derive(Clone, Copy, Debug)]
pub struct Table {
    pub address: u64,
    pub entries: u16,
}

impl Descriptor {
    fn has(self, flag: u16) -> bool {
        self.flags & flag != 0
    }
    /// Whether another one follows.
    pub fn goes_on(self) -> bool {
        self.has(NEXT)
    }
    /// The table that it stands for, if it does; that must be the last of its chain.
    pub fn table(self) -> Result<Option<Table>, QueueError> {
        if !self.has(INDIRECT) {
            return Ok(None);
        }
        let entries = self.length / descriptor::BYTES as u32;
        let is_whole = self.length.is_multiple_of(descriptor::BYTES as u32);
        if self.has(NEXT) || !is_whole || !(1..=TABLE_MAX).contains(&entries) {
            return Err(QueueError::Table);
        }
        Ok(Some(Table { address: self.address.0, entries: entries as u16 }))
    }
}

impl Table {
    /// An entry in the layout of split queues.
    pub fn split(&self, ram: &GuestRam, index: u16) -> Result<Descriptor, QueueError> {
        let (address, length, [flags, number]) = self.entry(ram, index)?;
        Ok(Descriptor { address, length, flags, number })
    }
    /// An entry in the layout of packed queues.
    pub fn packed(&self, ram: &GuestRam, index: u16) -> Result<Descriptor, QueueError> {
        let (address, length, [number, flags]) = self.entry(ram, index)?;
        Ok(Descriptor { address, length, flags, number })
    }
    fn entry(&self, ram: &GuestRam, index: u16) -> Result<(Gpa, u32, [u16; 2]), QueueError> {
        if index >= self.entries {
            return Err(QueueError::Descriptor);
        }
        let at = self.address.checked_add(u64::from(index) * descriptor::BYTES).ok_or(QueueError::Memory)?;
        let mut raw = [0; descriptor::BYTES as usize];
        ram.read(Gpa(at), &mut raw).ok_or(QueueError::Memory)?;
        let bits = u128::from_le_bytes(raw);
        Ok((Gpa(bits as u64), (bits >> 64) as u32, [(bits >> 96) as u16, (bits >> 112) as u16]))
    }
}
