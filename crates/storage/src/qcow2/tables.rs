//! Tables of one cluster each, kept in memory: L2 tables, or refcount blocks.
use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use platform::DiskError;

use crate::file::HostFile;

/// A table.
#[derive(Debug)]
struct Table {
    bytes: Box<[u8]>,
    /// Bytes that the file does not have yet.
    dirty: Range<usize>,
    /// A copy of it is on its way to the file, so what is there may be old.
    is_leaving: bool,
    used: u64,
}

/// Some of the tables of a file. Those that have changed stay until they are written.
#[derive(Debug)]
pub struct Tables {
    file: Arc<HostFile>,
    tables: HashMap<u64, Table>,
    table_bytes: usize,
    /// Tables that are kept without need.
    most: usize,
    clock: u64,
}

/// Bytes of a table that are on their way to the file.
#[derive(Debug)]
pub struct Piece {
    table: u64,
    at: usize,
    bytes: Vec<u8>,
}

impl Piece {
    /// Puts it into the file.
    pub fn write(&self, file: &HostFile) -> Result<(), DiskError> {
        file.write(self.table + self.at as u64, &self.bytes)
    }
}

impl Table {
    fn touch(&mut self, at: usize, length: usize) {
        self.dirty = match self.dirty.is_empty() {
            true => at..at + length,
            false => self.dirty.start.min(at)..self.dirty.end.max(at + length),
        };
    }
}

impl Tables {
    /// None yet; `bytes_max` is how much memory they should take.
    pub fn new(file: Arc<HostFile>, table_bytes: u64, bytes_max: u64) -> Self {
        let most = (bytes_max / table_bytes).max(8) as usize;
        Self { file, tables: HashMap::new(), table_bytes: table_bytes as usize, most, clock: 0 }
    }
    /// Whether the table at an offset is in memory.
    pub fn contains(&self, offset: u64) -> bool {
        self.tables.contains_key(&offset)
    }
    /// The table at an offset.
    pub fn get(&mut self, offset: u64) -> Result<&[u8], DiskError> {
        Ok(&self.load(offset)?.bytes)
    }
    /// Changes a part of it.
    pub fn put(&mut self, offset: u64, at: usize, bytes: &[u8]) -> Result<(), DiskError> {
        let table = self.load(offset)?;
        let damaged = || DiskError::Damaged("a table is shorter than its entries".into());
        table.bytes.get_mut(at..at + bytes.len()).ok_or_else(damaged)?.copy_from_slice(bytes);
        table.touch(at, bytes.len());
        Ok(())
    }
    /// A new table at an offset; what the file has there does not matter.
    pub fn insert(&mut self, offset: u64, bytes: Box<[u8]>) {
        self.clock += 1;
        let table = Table { dirty: 0..bytes.len(), bytes, is_leaving: false, used: self.clock };
        self.tables.insert(offset, table);
    }
    /// Forgets a table that nothing refers to any more.
    pub fn remove(&mut self, offset: u64) {
        self.tables.remove(&offset);
    }
    /// An empty table.
    pub fn blank(&self) -> Box<[u8]> {
        vec![0; self.table_bytes].into()
    }

    /// Whether any has to be written.
    pub fn are_dirty(&self) -> bool {
        self.tables.values().any(|table| !table.dirty.is_empty())
    }
    /// Whether more are kept than should be.
    pub fn are_too_many(&self) -> bool {
        self.tables.len() > self.most
    }
    /// Lets go of tables that the file has and that were not used for longest, some more than are too many.
    pub fn shrink(&mut self) {
        let is_free = |table: &Table| table.dirty.is_empty() && !table.is_leaving;
        let free = self.tables.iter().filter(|(_, table)| is_free(table));
        let mut ages: Vec<_> = free.map(|(offset, table)| (table.used, *offset)).collect();
        ages.sort_unstable();
        let surplus = self.tables.len().saturating_sub(self.most - self.most / 4);
        for (_, offset) in ages.into_iter().take(surplus) {
            self.tables.remove(&offset);
        }
    }

    /// Writes everything that has changed.
    pub fn write(&mut self) -> Result<(), DiskError> {
        let pieces = self.take();
        let done = pieces.iter().try_for_each(|piece| piece.write(&self.file));
        self.settle(&pieces, done.is_ok());
        done
    }
    /// Copies of everything that has changed, in the order of the file. [`Tables::settle`] has to follow.
    pub fn take(&mut self) -> Vec<Piece> {
        let mut pieces = Vec::new();
        for (offset, table) in self.tables.iter_mut().filter(|(_, table)| !table.dirty.is_empty()) {
            let dirty = std::mem::take(&mut table.dirty);
            table.is_leaving = true;
            pieces.push(Piece { table: *offset, at: dirty.start, bytes: table.bytes[dirty].to_vec() });
        }
        pieces.sort_unstable_by_key(|piece| piece.table);
        pieces
    }
    /// Pieces are in the file, or could not be written and are dirty still.
    pub fn settle(&mut self, pieces: &[Piece], are_written: bool) {
        for piece in pieces {
            let Some(table) = self.tables.get_mut(&piece.table) else { continue };
            table.is_leaving = false;
            if !are_written {
                table.touch(piece.at, piece.bytes.len());
            }
        }
    }

    fn load(&mut self, offset: u64) -> Result<&mut Table, DiskError> {
        self.clock += 1;
        if !self.contains(offset) {
            if self.are_too_many() {
                self.shrink();
            }
            let mut bytes = self.blank();
            self.file.read(offset, &mut bytes)?;
            self.tables.insert(offset, Table { bytes, dirty: 0..0, is_leaving: false, used: 0 });
        }
        let clock = self.clock;
        let gone = || DiskError::Damaged("a table was lost".into());
        let table = self.tables.get_mut(&offset).ok_or_else(gone)?;
        table.used = clock;
        Ok(table)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changed_tables_stay_until_they_are_written() {
        let directory = tempfile::tempdir().unwrap();
        let file = Arc::new(HostFile::create(&directory.path().join("tables")).unwrap());
        let mut tables = Tables::new(file.clone(), 512, 0);
        for index in 0..20 {
            tables.put(index * 512, 8, &[7]).unwrap();
        }
        assert!(tables.are_too_many());
        tables.shrink();
        assert_eq!(tables.tables.len(), 20);
        let pieces = tables.take();
        tables.settle(&pieces, false);
        tables.write().unwrap();
        assert!(!tables.are_dirty());
        tables.shrink();
        assert_eq!(tables.tables.len(), 6);
        assert_eq!(tables.get(0).unwrap()[8], 7);
    }
}
