//! The log of a VHDX image: changes that may not all be in the file yet ("Log Replay").
use platform::disk::SECTOR_BYTES as DISK_SECTOR;

use super::checksum;
use super::header::{Header, malformed, unsupported};
use super::patched::Patched;
use super::spec::log::{self, SECTOR_BYTES, data, descriptor};
use super::spec::{self, Guid};
use crate::ImageError;
use crate::fields::{array, le32, le64};

/// The longest log that is read into memory.
const LENGTH_MAX: u32 = 64 << 20;
/// How often every byte of a log may be looked at, on average. Sound entries are looked at twice at most.
const LOOKS_MAX: usize = 8;

/// An entry of the log.
struct Entry {
    /// Where in the log it begins.
    offset: usize,
    bytes: Vec<u8>,
    sequence: u64,
}

/// Applies what is in the log.
pub fn replay(patched: &mut Patched, header: &Header) -> Result<(), ImageError> {
    let Some(guid) = header.log_guid else { return Ok(()) };
    let length = header.log_length;
    if length > LENGTH_MAX {
        return Err(unsupported(patched.file(), "a VHDX log of more than 64 MiB".to_owned()));
    }
    let end = header.log_offset.checked_add(length.into());
    let is_aligned = |value: u64| value.is_multiple_of(spec::ALIGNMENT);
    if !is_aligned(header.log_offset)
        || !is_aligned(length.into())
        || end.is_none_or(|e| e > patched.length())
    {
        return Err(malformed(patched.file(), "its log is in the wrong place"));
    }
    let bytes = patched.read(header.log_offset, length as usize)?;
    let entries = Scan { log: &bytes, guid, looks: bytes.len() * LOOKS_MAX }.newest();
    let Some(last) = entries.last() else {
        return Err(malformed(patched.file(), "no entry of its log is sound"));
    };
    if le64(&last.bytes, log::FLUSHED_OFFSET) > patched.length() {
        return Err(malformed(patched.file(), "it is shorter than its log says"));
    }
    let new_length = le64(&last.bytes, log::LAST_OFFSET);
    for entry in &entries {
        let applied = entry.apply(patched);
        applied.ok_or_else(|| malformed(patched.file(), "an entry of its log contradicts itself"))?;
    }
    patched.extend(new_length);
    Ok(())
}

/// A search for the entries that count.
struct Scan<'a> {
    log: &'a [u8],
    guid: Guid,
    /// Bytes that may yet be looked at.
    looks: usize,
}

impl Scan<'_> {
    /// The newest run of entries, from the oldest one that still counts to the last. Runs may go round the log's end.
    fn newest(mut self) -> Vec<Entry> {
        let mut best: Vec<Entry> = Vec::new();
        let mut tail = 0;
        while tail < self.log.len() {
            let run = self.run_at(tail);
            let length: usize = run.iter().map(|entry| entry.bytes.len()).sum();
            tail += length.max(SECTOR_BYTES);
            let Some(last) = run.last() else { continue };
            let oldest = le32(&last.bytes, log::TAIL) as usize;
            let is_newer = best.last().is_none_or(|best| best.sequence < last.sequence);
            if let Some(first) = run.iter().position(|entry| entry.offset == oldest)
                && is_newer
            {
                best = run.into_iter().skip(first).collect();
            }
        }
        best
    }
    /// Entries that follow one another.
    fn run_at(&mut self, offset: usize) -> Vec<Entry> {
        let mut run: Vec<Entry> = Vec::new();
        let (mut at, mut room) = (offset, self.log.len());
        while let Some(entry) = self.entry_at(at, room) {
            if run.last().is_some_and(|last| last.sequence.checked_add(1) != Some(entry.sequence)) {
                break;
            }
            room -= entry.bytes.len();
            at = (at + entry.bytes.len()) % self.log.len();
            run.push(entry);
        }
        run
    }
    /// The entry at an offset, no longer than `room`.
    fn entry_at(&mut self, offset: usize, room: usize) -> Option<Entry> {
        let head = self.log.get(offset..offset + log::DESCRIPTORS)?;
        let length = le32(head, log::LENGTH) as usize;
        let fits = length > 0 && length <= room && length.is_multiple_of(SECTOR_BYTES);
        if !head.starts_with(log::SIGNATURE) || array(head, log::GUID) != self.guid || !fits {
            return None;
        }
        self.looks = self.looks.checked_sub(length)?;
        let bytes: Vec<u8> = self.log.iter().cycle().skip(offset).take(length).copied().collect();
        let sequence = le64(&bytes, log::SEQUENCE);
        let entry = Entry { offset, bytes, sequence };
        (sequence != 0 && checksum::is_sound(&entry.bytes, log::SIGNATURE) && entry.is_whole())
            .then_some(entry)
    }
}

impl Entry {
    /// Bytes of the descriptors' sectors.
    fn front_bytes(&self) -> Option<usize> {
        let descriptors = (le32(&self.bytes, log::COUNT) as usize).checked_mul(log::DESCRIPTOR_BYTES)?;
        let front = descriptors.checked_add(log::DESCRIPTORS)?.next_multiple_of(SECTOR_BYTES);
        (front <= self.bytes.len()).then_some(front)
    }
    fn descriptors(&self) -> impl Iterator<Item = &[u8]> {
        let count = le32(&self.bytes, log::COUNT) as usize;
        self.bytes[log::DESCRIPTORS..].chunks_exact(log::DESCRIPTOR_BYTES).take(count)
    }
    /// Whether all sectors were written by the same pass.
    fn is_whole(&self) -> bool {
        let Some(front) = self.front_bytes() else { return false };
        let data = self.descriptors().filter(|bytes| bytes.starts_with(descriptor::DATA)).count();
        let sectors = self.bytes[front..].chunks_exact(SECTOR_BYTES);
        let ours = |sector: &[u8]| {
            let high = u64::from(le32(sector, data::SEQUENCE_HIGH)) << 32;
            let sequence = high | u64::from(le32(sector, data::SEQUENCE_LOW));
            sector.starts_with(data::SIGNATURE) && sequence == self.sequence
        };
        data <= sectors.len()
            && sectors.take(data).all(ours)
            && self.descriptors().all(|bytes| le64(bytes, descriptor::SEQUENCE) == self.sequence)
    }
    /// Makes the entry's changes; `None` if they make no sense.
    fn apply(&self, patched: &mut Patched) -> Option<()> {
        let mut sectors = self.bytes[self.front_bytes()?..].chunks_exact(SECTOR_BYTES);
        let page = SECTOR_BYTES as u64;
        for bytes in self.descriptors() {
            let offset = le64(bytes, descriptor::OFFSET);
            let length =
                if bytes.starts_with(descriptor::ZERO) { le64(bytes, descriptor::LEADING) } else { page };
            let end = offset.checked_add(length).filter(|end| *end <= i64::MAX as u64 / DISK_SECTOR)?;
            if !offset.is_multiple_of(page) || !length.is_multiple_of(page) {
                return None;
            }
            if bytes.starts_with(descriptor::ZERO) {
                patched.set_zeros(offset, end);
            } else if bytes.starts_with(descriptor::DATA) {
                let sector = sectors.next()?;
                let leading = &bytes[descriptor::LEADING..descriptor::OFFSET];
                let trailing = &bytes[descriptor::TRAILING..descriptor::LEADING];
                let middle = &sector[data::DATA..data::SEQUENCE_LOW];
                patched.set_page(offset, [leading, middle, trailing].concat().into());
            } else {
                return None;
            }
        }
        Some(())
    }
}
