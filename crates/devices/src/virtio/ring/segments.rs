//! Ranges of guest memory that are one run of bytes.
use std::ops::Range;

use platform::GuestRam;
use smallvec::SmallVec;
use x86::Gpa;

use super::QueueError;

/// A range of guest memory: its first byte and its bytes.
pub type Segment = (Gpa, u32);

/// Segments in order, all of them RAM and none empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Segments {
    list: SmallVec<[Segment; 4]>,
    length: u32,
}

impl Segments {
    /// Adds a segment at the end; an empty one is nothing.
    pub(super) fn push(&mut self, ram: &GuestRam, address: Gpa, length: u32) -> Result<(), QueueError> {
        if length == 0 {
            return Ok(());
        }
        if !ram.layout().contains(address, length.into()) {
            return Err(QueueError::Memory);
        }
        self.length = self.length.checked_add(length).ok_or(QueueError::Length)?;
        self.list.push((address, length));
        Ok(())
    }

    /// Bytes in all.
    pub fn length(&self) -> u32 {
        self.length
    }
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }
    /// The segments.
    pub fn list(&self) -> &[Segment] {
        &self.list
    }
    /// The segments that make up a part of the bytes; cut off at the end.
    pub fn part(&self, range: Range<u32>) -> impl Iterator<Item = Segment> + '_ {
        let mut at = 0;
        self.list.iter().filter_map(move |(address, length)| {
            let (first, last) = (range.start.max(at), range.end.min(at + length));
            let skip = first - at;
            at += length;
            let length = last.checked_sub(first).filter(|length| *length > 0)?;
            Some((Gpa(address.0 + u64::from(skip)), length))
        })
    }
    /// Copies bytes out of memory from byte `at` on; returns how many there were.
    pub fn get(&self, ram: &GuestRam, at: u32, bytes: &mut [u8]) -> usize {
        let end = at.saturating_add(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
        let mut done = 0;
        for (address, length) in self.part(at..end) {
            let to = &mut bytes[done..done + length as usize];
            if ram.read(address, to).is_none() {
                break;
            }
            done += length as usize;
        }
        done
    }
    /// Copies bytes into memory from byte `at` on; returns how many had room.
    pub fn put(&self, ram: &GuestRam, at: u32, bytes: &[u8]) -> usize {
        let end = at.saturating_add(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
        let mut done = 0;
        for (address, length) in self.part(at..end) {
            if ram.write(address, &bytes[done..done + length as usize]).is_none() {
                break;
            }
            done += length as usize;
        }
        done
    }
    /// The first bytes, all of them or none.
    pub fn first<const N: usize>(&self, ram: &GuestRam) -> Option<[u8; N]> {
        let mut bytes = [0; N];
        (self.get(ram, 0, &mut bytes) == N).then_some(bytes)
    }
}
