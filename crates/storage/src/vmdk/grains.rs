//! The grains of a sparse extent: a directory names tables, tables name grains.
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use parking_lot::Mutex;
use platform::disk::SECTOR_BYTES;
use platform::{DiskError, Span};

use super::header::Header;
use super::spec;
use crate::ImageError;
use crate::blocks::{self, BlockStore};
use crate::fields::le32;
use crate::file::HostFile;

/// A sparse extent's file, and what has been read of its tables.
pub struct Grains {
    pub(super) file: HostFile,
    pub(super) header: Header,
    /// Bytes of the disk that are here.
    length: u64,
    pub(super) directory: Vec<Table>,
    /// Where the next grain comes; held while a grain gets its place.
    pub(super) next: Mutex<u64>,
    /// Places from here on are beyond the file's end.
    end: AtomicU64,
}

/// A grain table, or that there is none.
pub struct Table {
    /// The sector where it is, 0 for nowhere.
    pub(super) sector: AtomicU32,
    /// The same for its copy.
    redundant: AtomicU32,
    /// Its entries, once somebody asked. They are read before the first of them is changed.
    entries: OnceLock<Box<[AtomicU32]>>,
}

impl Grains {
    /// Reads the directory that a header tells of, for an extent of a length.
    pub fn read(file: HostFile, header: Header, length: u64) -> Result<Self, ImageError> {
        let sectors_at = |offset: Option<u64>| -> Result<Vec<u8>, ImageError> {
            let mut bytes = vec![0; header.directory_entries() as usize * 4];
            if let Some(offset) = offset {
                file.read(offset, &mut bytes)?;
            }
            Ok(bytes)
        };
        let (primary, redundant) =
            (sectors_at(Some(header.directory_offset))?, sectors_at(header.redundant_offset)?);
        let both = primary.chunks_exact(4).zip(redundant.chunks_exact(4));
        let directory = both.map(|(primary, redundant)| Table {
            sector: AtomicU32::new(le32(primary, 0)),
            redundant: AtomicU32::new(le32(redundant, 0)),
            entries: OnceLock::new(),
        });
        let (directory, end) = (directory.collect(), file.length()?);
        Ok(Self { file, header, length, directory, next: Mutex::new(end), end: AtomicU64::new(end) })
    }

    /// The table that names a grain, and the grain's entry there.
    fn table_of(&self, grain: u64) -> Result<(u64, &Table, usize), DiskError> {
        let per_table = u64::from(self.header.table_entries);
        let number = grain / per_table;
        let table = usize::try_from(number).ok().and_then(|number| self.directory.get(number));
        let none = || DiskError::Damaged(format!("grain {grain} has no entry in the directory"));
        Ok((number, table.ok_or_else(none)?, (grain % per_table) as usize))
    }
    /// A table's entries; `None` if it is nowhere.
    pub(super) fn entries<'a>(&self, table: &'a Table) -> Result<Option<&'a [AtomicU32]>, DiskError> {
        if let Some(entries) = table.entries.get() {
            return Ok(Some(entries));
        }
        let sector = table.sector.load(Ordering::Acquire);
        if sector == 0 {
            return Ok(None);
        }
        let (place, mut bytes) =
            (u64::from(sector) * SECTOR_BYTES, vec![0; self.header.table_entries as usize * 4]);
        if place + bytes.len() as u64 > self.end.load(Ordering::Acquire) {
            return Err(DiskError::Damaged(format!(
                "a grain table is said to be at {place}, beyond the end"
            )));
        }
        self.file.read(place, &mut bytes)?;
        let entries = bytes.chunks_exact(4).map(|entry| AtomicU32::new(le32(entry, 0))).collect();
        Ok(Some(table.entries.get_or_init(|| entries)))
    }
    /// Where an entry says that its grain is.
    pub(super) fn place_of(&self, entry: u32) -> Result<Option<u64>, DiskError> {
        let zeros = self.header.flags & spec::FLAG_ZERO_GRAINS != 0 && entry == spec::GRAIN_OF_ZEROS;
        if entry == 0 || zeros {
            return Ok(None);
        }
        let place = u64::from(entry) * SECTOR_BYTES;
        if place >= self.end.load(Ordering::Acquire) {
            return Err(DiskError::Damaged(format!("a grain is said to be at {place}, beyond the end")));
        }
        Ok(Some(place))
    }

    /// Takes room at the file's end, full of zeros.
    fn take(&self, next: &mut u64, length: u64, align: u64) -> Result<u32, DiskError> {
        let place = next.next_multiple_of(align);
        let full = || DiskError::Damaged(format!("there is no number for a grain at {place}"));
        let sector = u32::try_from(place / SECTOR_BYTES).map_err(|_| full())?;
        blocks::make_room(&self.file, place, length)?;
        Ok(sector)
    }
    fn took(&self, next: &mut u64, sector: u32, length: u64) {
        *next = u64::from(sector) * SECTOR_BYTES + length;
        self.end.fetch_max(*next, Ordering::AcqRel);
    }
    /// Makes a table that is nowhere yet, and its copy.
    fn add_table(&self, next: &mut u64, number: u64, table: &Table) -> Result<(), DiskError> {
        let bytes = self.header.table_bytes();
        let redundant = self.header.redundant_offset.map(|offset| (offset, &table.redundant));
        let primary = (self.header.directory_offset, &table.sector);
        for (directory, kept) in redundant.into_iter().chain([primary]) {
            let sector = self.take(next, bytes, SECTOR_BYTES)?;
            self.took(next, sector, bytes);
            self.file.write(directory + number * 4, &sector.to_le_bytes())?;
            kept.store(sector, Ordering::Release);
        }
        Ok(())
    }
    /// Lets a table and its copy name a grain.
    fn set(&self, table: &Table, index: usize, sector: u32) -> Result<(), DiskError> {
        let end = self.end.load(Ordering::Relaxed);
        for kept in [&table.redundant, &table.sector] {
            let table_sector = kept.load(Ordering::Relaxed);
            let at = u64::from(table_sector) * SECTOR_BYTES + index as u64 * 4;
            // A copy that is nowhere, or beyond the end, is left alone.
            if table_sector != 0 && at < end {
                self.file.write(at, &sector.to_le_bytes())?;
            }
        }
        if let Some(entry) = table.entries.get().and_then(|entries| entries.get(index)) {
            entry.store(sector, Ordering::Release);
        }
        Ok(())
    }
}

impl BlockStore for Grains {
    fn file(&self) -> &HostFile {
        &self.file
    }
    fn length(&self) -> u64 {
        self.length
    }
    fn block_bytes(&self) -> u64 {
        self.header.grain_bytes
    }
    fn find(&self, grain: u64) -> Result<Option<u64>, DiskError> {
        let (_, table, index) = self.table_of(grain)?;
        match self.entries(table)?.and_then(|entries| entries.get(index)) {
            Some(entry) => self.place_of(entry.load(Ordering::Acquire)),
            None => Ok(None),
        }
    }
    fn place(&self, grain: u64, within: u64, from: Span<'_>) -> Result<(), DiskError> {
        let mut next = self.next.lock();
        if let Some(place) = self.find(grain)? {
            return self.file.write_span(place + within, from);
        }
        let (number, table, index) = self.table_of(grain)?;
        if table.sector.load(Ordering::Relaxed) == 0 {
            self.add_table(&mut next, number, table)?;
            self.entries(table)?;
        }
        let sector = self.take(&mut next, self.header.grain_bytes, self.header.grain_bytes)?;
        self.file.write_span(u64::from(sector) * SECTOR_BYTES + within, from)?;
        self.took(&mut next, sector, self.header.grain_bytes);
        self.set(table, index, sector)
    }
}
