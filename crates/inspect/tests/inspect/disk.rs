//! Disks in memory, and what is expected of them.
use std::sync::Arc;

use gasang_inspect::{Entry, Files, InspectError};
use platform::{DiskBackend, DiskError, DiskShape, Span};

/// A disk of bytes; it cannot be written.
struct Memory(Vec<u8>);

impl DiskBackend for Memory {
    fn shape(&self) -> DiskShape {
        DiskShape { length: self.0.len() as u64, read_only: true, physical_block: 512, discard_unit: None }
    }
    fn read(&self, offset: u64, into: Span<'_>) -> Result<(), DiskError> {
        self.shape().check(offset, into.len() as u64)?;
        assert!(offset.is_multiple_of(512) && into.len().is_multiple_of(512), "{offset} {}", into.len());
        into.put(0, &self.0[offset as usize..]);
        Ok(())
    }
    fn write(&self, _offset: u64, _from: Span<'_>) -> Result<(), DiskError> {
        Err(DiskError::ReadOnly)
    }
    fn write_zeroes(&self, _offset: u64, _length: u64, _free: bool) -> Result<(), DiskError> {
        Err(DiskError::ReadOnly)
    }
    fn discard(&self, _offset: u64, _length: u64) -> Result<(), DiskError> {
        Err(DiskError::ReadOnly)
    }
    fn flush(&self) -> Result<(), DiskError> {
        Ok(())
    }
}

/// A disk with these bytes, and zeros up to a whole sector.
pub fn disk(mut bytes: Vec<u8>) -> Arc<dyn DiskBackend> {
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    Arc::new(Memory(bytes))
}

/// Opens the file system that would be chosen.
pub fn open(disk: &Arc<dyn DiskBackend>) -> Result<Files, InspectError> {
    let survey = gasang_inspect::survey(disk)?;
    Files::open(disk, survey.choose(None)?)
}

/// The names in a directory.
pub fn names(files: &mut Files, path: &str) -> Vec<String> {
    let entries = files.list(path.as_bytes()).unwrap();
    entries.into_iter().map(|entry| String::from_utf8(entry.name).unwrap()).collect()
}

/// The only entry of that name in a directory.
pub fn entry(files: &mut Files, directory: &str, name: &str) -> Entry {
    let entries = files.list(directory.as_bytes()).unwrap();
    let mut found = entries.into_iter().filter(|entry| entry.name == name.as_bytes());
    let entry = found.next().unwrap_or_else(|| panic!("{name} is missing"));
    assert!(found.next().is_none());
    entry
}

/// A file's bytes.
pub fn read(files: &mut Files, path: &str) -> Result<Vec<u8>, InspectError> {
    let mut bytes = Vec::new();
    files.read(path.as_bytes(), &mut bytes)?;
    Ok(bytes)
}
