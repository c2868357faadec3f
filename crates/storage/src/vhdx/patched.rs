//! A file as it would be if its log had been written to it.
use std::collections::BTreeMap;

use platform::{Buffers, DiskError, Span};

use super::spec::log::SECTOR_BYTES;
use crate::file::HostFile;

/// Bytes of a page that a log replaces.
const PAGE: u64 = SECTOR_BYTES as u64;

/// A file with pages replaced in memory.
pub struct Patched {
    file: HostFile,
    /// Ranges that are zeros, as first byte and end.
    zeros: Vec<(u64, u64)>,
    /// Pages by their offsets. They are later than all zeros.
    pages: BTreeMap<u64, Box<[u8]>>,
    /// What the file's length would be.
    length: u64,
}

impl Patched {
    /// The file as it is.
    pub fn new(file: HostFile) -> Result<Self, DiskError> {
        let length = file.length()?;
        Ok(Self { file, zeros: Vec::new(), pages: BTreeMap::new(), length })
    }
    /// The file itself.
    pub fn file(&self) -> &HostFile {
        &self.file
    }
    /// Bytes, with those that the log adds.
    pub fn length(&self) -> u64 {
        self.length
    }
    /// Whether nothing is replaced.
    pub fn is_as_is(&self) -> bool {
        self.zeros.is_empty() && self.pages.is_empty()
    }

    /// Makes a range zeros; `start` and `end` are multiples of a page.
    pub fn set_zeros(&mut self, start: u64, end: u64) {
        let mut after = self.pages.split_off(&start);
        self.pages.append(&mut after.split_off(&end));
        self.zeros.push((start, end));
    }
    /// Replaces a page; `offset` is a multiple of one.
    pub fn set_page(&mut self, offset: u64, bytes: Box<[u8]>) {
        self.pages.insert(offset, bytes);
    }
    /// Makes the file at least so long.
    pub fn extend(&mut self, length: u64) {
        self.length = self.length.max(length);
    }

    /// Fills a span.
    pub fn read_span(&self, offset: u64, into: Span<'_>) -> Result<(), DiskError> {
        self.file.read_span(offset, into)?;
        let end = offset.saturating_add(into.len() as u64);
        for (from, to) in &self.zeros {
            let (from, to) = ((*from).max(offset), (*to).min(end));
            if from < to {
                into.part((from - offset) as usize..(to - offset) as usize).fill(0);
            }
        }
        for (at, page) in self.pages.range(offset.saturating_sub(PAGE - 1)..end) {
            // The first page may have begun before the span.
            let skip = offset.saturating_sub(*at);
            into.put((at + skip - offset) as usize, &page[skip as usize..]);
        }
        Ok(())
    }
    /// Some bytes.
    pub fn read(&self, offset: u64, length: usize) -> Result<Vec<u8>, DiskError> {
        let bytes = Buffers::of_bytes(vec![0; length]);
        self.read_span(offset, bytes.all())?;
        Ok(bytes.into_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_changes_win() {
        let directory = tempfile::tempdir().unwrap();
        let file = HostFile::create(&directory.path().join("disk")).unwrap();
        file.write(0, &[1; 5 * 4096]).unwrap();
        let mut patched = Patched::new(file).unwrap();
        patched.set_page(4096, vec![2; 4096].into());
        patched.set_page(3 * 4096, vec![3; 4096].into());
        patched.set_zeros(0, 2 * 4096);
        patched.set_page(0, vec![4; 4096].into());
        let first_bytes: Vec<_> = (0..5).map(|page| patched.read(page * 4096, 1).unwrap()[0]).collect();
        assert_eq!(first_bytes, [4, 0, 1, 3, 1]);
        assert_eq!(patched.read(4095, 2).unwrap(), [4, 0]);
        assert_eq!(patched.read(3 * 4096 - 1, 4098).unwrap()[4096..], [3, 1]);
    }
}
