//! The block table of a VDI image: where every block is.
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use parking_lot::Mutex;
use platform::{DiskError, Span};

use super::header::Header;
use super::spec;
use crate::ImageError;
use crate::blocks::{self, BlockStore};
use crate::fields::le32;
use crate::file::HostFile;

/// The image's file with the table in memory.
pub struct Table {
    pub(super) file: HostFile,
    pub(super) header: Header,
    /// Numbers of blocks in the file, as they are in the file's table.
    pub(super) entries: Vec<AtomicU32>,
    /// Held while a block gets its place.
    pub(super) counts: Mutex<Counts>,
    /// Places from here on are beyond the file's end.
    pub(super) end: AtomicU64,
}

/// What tells which block of the file is the next to be used.
#[derive(Clone, Copy, Debug)]
pub(super) struct Counts {
    /// The lowest number that no block beyond has.
    pub(super) next: u32,
    /// `cBlocksAllocated` in the file. Never below `next` for long: others put their next block there.
    pub(super) written: u32,
}

/// Whether an entry is a place.
pub(super) fn is_place(entry: u32) -> bool {
    entry < spec::BLOCK_ZERO
}

impl Table {
    /// Reads the table that a header tells of.
    pub fn read(file: HostFile, header: Header) -> Result<Self, ImageError> {
        let mut bytes = vec![0; header.blocks as usize * 4];
        file.read(header.table_offset, &mut bytes)?;
        let entries: Vec<_> = bytes.chunks_exact(4).map(|entry| AtomicU32::new(le32(entry, 0))).collect();
        let places = entries.iter().map(|entry| entry.load(Ordering::Relaxed)).filter(|e| is_place(*e));
        let next = places.max().map_or(0, |most| most + 1);
        let end = AtomicU64::new(file.length()?);
        let counts = Mutex::new(Counts { next, written: header.allocated });
        Ok(Self { file, header, entries, counts, end })
    }

    fn entry(&self, block: u64) -> Result<&AtomicU32, DiskError> {
        let entry = usize::try_from(block).ok().and_then(|block| self.entries.get(block));
        entry.ok_or_else(|| DiskError::Damaged(format!("block {block} has no entry in the table")))
    }
    /// The number for a new block.
    fn free_index(&self, next: u32) -> Result<u32, DiskError> {
        if next < self.header.blocks {
            return Ok(next);
        }
        // Other programs leave gaps.
        let mut used = vec![false; self.entries.len()];
        for entry in &self.entries {
            if let Some(used) = used.get_mut(entry.load(Ordering::Relaxed) as usize) {
                *used = true;
            }
        }
        let gap = used.iter().position(|used| !used);
        let full = || DiskError::Damaged("its table has no room for another block".to_owned());
        gap.and_then(|gap| u32::try_from(gap).ok()).ok_or_else(full)
    }
    /// Writes one entry.
    pub(super) fn set(&self, block: u64, index: u32) -> Result<(), DiskError> {
        let entry = self.entry(block)?;
        self.file.write(self.header.table_offset + block * 4, &index.to_le_bytes())?;
        entry.store(index, Ordering::Release);
        Ok(())
    }
    /// Writes the count of blocks.
    pub(super) fn set_count(&self, counts: &mut Counts, count: u32) -> Result<(), DiskError> {
        self.file.write(spec::header::BLOCKS_ALLOCATED as u64, &count.to_le_bytes())?;
        counts.written = count;
        Ok(())
    }
}

impl BlockStore for Table {
    fn file(&self) -> &HostFile {
        &self.file
    }
    fn length(&self) -> u64 {
        self.header.length
    }
    fn block_bytes(&self) -> u64 {
        self.header.block_bytes.into()
    }
    fn find(&self, block: u64) -> Result<Option<u64>, DiskError> {
        let index = self.entry(block)?.load(Ordering::Acquire);
        if !is_place(index) {
            return Ok(None);
        }
        let place = self.header.place_of(index);
        if place >= self.end.load(Ordering::Acquire) {
            return Err(DiskError::Damaged(format!(
                "block {block} is said to be at {place}, beyond the end"
            )));
        }
        Ok(Some(place))
    }
    fn place(&self, block: u64, within: u64, from: Span<'_>) -> Result<(), DiskError> {
        let mut counts = self.counts.lock();
        if let Some(place) = self.find(block)? {
            return self.file.write_span(place + within, from);
        }
        let index = self.free_index(counts.next)?;
        let place = self.header.place_of(index);
        blocks::make_room(&self.file, place, self.block_bytes())?;
        self.file.write_span(place + within, from)?;
        // The count first: who believes it must not put another block on top of this one.
        if counts.written <= index {
            self.set_count(&mut counts, index + 1)?;
        }
        self.end.fetch_max(place + self.block_bytes(), Ordering::AcqRel);
        self.set(block, index)?;
        counts.next = counts.next.max(index + 1);
        Ok(())
    }
}
