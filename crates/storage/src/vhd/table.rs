//! The Block Allocation Table of a dynamic VHD image.
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use parking_lot::Mutex;
use platform::disk::SECTOR_BYTES;
use platform::{DiskError, Span};

use super::footer::Footer;
use super::header::Header;
use super::spec;
use crate::ImageError;
use crate::blocks::{self, BlockStore};
use crate::fields::be32;
use crate::file::HostFile;

/// The file of a dynamic image with the table in memory.
pub struct Table {
    pub(super) file: HostFile,
    pub(super) footer: Footer,
    pub(super) header: Header,
    /// Sectors where blocks begin, with their bitmaps.
    pub(super) entries: Vec<AtomicU32>,
    /// A bit for every block: its bitmap is known to have every sector.
    full: Vec<AtomicU64>,
    /// Where the next block comes; held while a block gets its place.
    pub(super) next: Mutex<u64>,
    /// Where the footer at the file's end begins: blocks end here at the latest.
    end: AtomicU64,
}

impl Table {
    /// Reads the table that a header tells of.
    pub fn read(file: HostFile, footer: Footer, header: Header) -> Result<Self, ImageError> {
        let mut bytes = vec![0; header.entries as usize * 4];
        file.read(header.table_offset, &mut bytes)?;
        let entries: Vec<_> = bytes.chunks_exact(4).map(|entry| AtomicU32::new(be32(entry, 0))).collect();
        let full = (0..entries.len().div_ceil(64)).map(|_| AtomicU64::new(0)).collect();
        let footer_bytes = if footer.is_at_end { spec::FOOTER_BYTES as u64 } else { 0 };
        let end = file.length()?.saturating_sub(footer_bytes);
        let block = header.bitmap_bytes() + u64::from(header.block_bytes);
        let places = entries.iter().map(|entry| entry.load(Ordering::Relaxed));
        let places = places.filter(|sector| *sector != spec::UNUSED).map(|s| u64::from(s) * SECTOR_BYTES);
        // A place beyond the end is damage; it must not make the file grow up to there.
        let ends = places.map(|place| place + block).filter(|block_end| *block_end <= end);
        let next = ends.max().unwrap_or(0).max(header.data_offset);
        Ok(Self { file, footer, header, entries, full, next: Mutex::new(next), end: AtomicU64::new(end) })
    }

    fn entry(&self, block: u64) -> Result<&AtomicU32, DiskError> {
        let entry = usize::try_from(block).ok().and_then(|block| self.entries.get(block));
        entry.ok_or_else(|| DiskError::Damaged(format!("block {block} has no entry in the table")))
    }
    /// The beginning of a block's bitmap.
    fn bitmap_of(&self, block: u64) -> Result<Option<u64>, DiskError> {
        let sector = self.entry(block)?.load(Ordering::Acquire);
        if sector == spec::UNUSED {
            return Ok(None);
        }
        let place = u64::from(sector) * SECTOR_BYTES;
        let whole = self.header.bitmap_bytes() + u64::from(self.header.block_bytes);
        let end = place + whole;
        if end > self.end.load(Ordering::Acquire) || self.header.is_in(place, end) {
            let problem = format!("block {block} is said to be at {place}, where no block can be");
            return Err(DiskError::Damaged(problem));
        }
        Ok(Some(place))
    }
    fn mark_full(&self, block: u64) {
        if let Some(word) = self.full.get((block / 64) as usize) {
            word.fetch_or(1 << (block % 64), Ordering::Release);
        }
    }
    fn is_full(&self, block: u64) -> bool {
        let word = self.full.get((block / 64) as usize).map_or(0, |word| word.load(Ordering::Acquire));
        word >> (block % 64) & 1 != 0
    }
    fn full_bitmap(&self) -> Vec<u8> {
        vec![0xff; self.header.bitmap_bytes() as usize]
    }
    /// Moves the footer to make room for `[place, end)`. The new one comes first: there is always one at the end.
    fn move_footer(&self, place: u64, end: u64) -> Result<(), DiskError> {
        let footer_bytes = spec::FOOTER_BYTES as u64;
        let old_length = self.file.length()?;
        if old_length < end + footer_bytes {
            if let Err(error) = self.file.write(end, &self.footer.bytes) {
                // Part of it may be there, which is no footer.
                let _ = self.file.set_length(old_length);
                return Err(error);
            }
            self.end.store(end, Ordering::Release);
        }
        blocks::make_room(&self.file, place, end - place)
    }
}

impl BlockStore for Table {
    fn file(&self) -> &HostFile {
        &self.file
    }
    fn length(&self) -> u64 {
        self.footer.length
    }
    fn block_bytes(&self) -> u64 {
        self.header.block_bytes.into()
    }
    fn find(&self, block: u64) -> Result<Option<u64>, DiskError> {
        Ok(self.bitmap_of(block)?.map(|place| place + self.header.bitmap_bytes()))
    }
    fn place(&self, block: u64, within: u64, from: Span<'_>) -> Result<(), DiskError> {
        let mut next = self.next.lock();
        if let Some(place) = self.find(block)? {
            return self.file.write_span(place + within, from);
        }
        let place = next.next_multiple_of(SECTOR_BYTES);
        let data = place + self.header.bitmap_bytes();
        let end = data + self.block_bytes();
        let too_long = || DiskError::Damaged(format!("there is no number for a block at {place}"));
        let sector = u32::try_from(place / SECTOR_BYTES).ok().filter(|sector| *sector != spec::UNUSED);
        let sector = sector.ok_or_else(too_long)?;
        self.move_footer(place, end)?;
        self.file.write(place, &self.full_bitmap())?;
        self.file.write_span(data + within, from)?;
        self.file.write(self.header.table_offset + block * 4, &sector.to_be_bytes())?;
        self.mark_full(block);
        self.entry(block)?.store(sector, Ordering::Release);
        *next = end;
        Ok(())
    }
    fn touch(&self, block: u64) -> Result<(), DiskError> {
        if self.is_full(block) {
            return Ok(());
        }
        // Sectors that are not in the bitmap read as zeros elsewhere.
        if let Some(place) = self.bitmap_of(block)? {
            self.file.write(place, &self.full_bitmap())?;
        }
        self.mark_full(block);
        Ok(())
    }
}
