//! Looking into a damaged disk.
use std::io::{self, Write};
use std::sync::Arc;

use gasang_inspect::{EntryKind, Files};
use platform::{DiskBackend, DiskError, DiskShape, Span};

use crate::Input;

/// Directories, and files of each, that are looked at.
const STEPS: usize = 16;
/// Bytes of a file that are read.
const FILE_BYTES: usize = 1 << 20;

/// Surveys a disk, and lists and reads what can be found on it.
pub fn look_into(bytes: &[u8]) {
    let Some(input) = Input::decode(bytes) else { return };
    let mut file = input.file();
    file.resize(file.len().next_multiple_of(512), 0);
    let disk: Arc<dyn DiskBackend> = Arc::new(Memory(file));
    let Ok(survey) = gasang_inspect::survey(&disk) else { return };
    for partition in survey.readable().take(2) {
        if let Ok(files) = Files::open(&disk, partition) {
            walk(files);
        }
    }
}

fn walk(mut files: Files) {
    let mut ahead = vec![Vec::new()];
    for _ in 0..STEPS {
        let Some(path) = ahead.pop() else { break };
        let Ok(entries) = files.list(&path) else { continue };
        for entry in entries.into_iter().take(STEPS) {
            let inner = [path.as_slice(), &entry.name].join(&b'/');
            match entry.kind {
                EntryKind::Directory => ahead.push(inner),
                _ => drop(files.read(&inner, &mut Little(FILE_BYTES))),
            }
        }
    }
}

/// Takes some bytes, and then no more.
struct Little(usize);

impl Write for Little {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 = self.0.checked_sub(bytes.len()).ok_or(io::ErrorKind::StorageFull)?;
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A disk of bytes; it cannot be written.
struct Memory(Vec<u8>);

impl DiskBackend for Memory {
    fn shape(&self) -> DiskShape {
        DiskShape { length: self.0.len() as u64, read_only: true, physical_block: 512, discard_unit: None }
    }
    fn read(&self, offset: u64, into: Span<'_>) -> Result<(), DiskError> {
        self.shape().check(offset, into.len() as u64)?;
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
