//! FAT of 12, 16 and 32 bits.
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};

use fatfs::{DateTime, Dir, DirEntry, FileAttributes, FsOptions};

use super::{Sink, Tree, push, show};
use crate::{DiskView, Entry, EntryKind, FileSystemKind, InspectError, Time};

const KIND: FileSystemKind = FileSystemKind::Fat;
/// Bytes of a file that are read at once.
const PIECE: usize = 64 << 10;

/// A file system that is open.
pub struct Fat(fatfs::FileSystem<ReadOnly>);

/// A view for a reader that could write as well.
struct ReadOnly(DiskView);

impl Read for ReadOnly {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.0.read(into)
    }
}

impl Seek for ReadOnly {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.0.seek(to)
    }
}

impl Write for ReadOnly {
    fn write(&mut self, _bytes: &[u8]) -> io::Result<usize> {
        Err(ErrorKind::ReadOnlyFilesystem.into())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

type Item<'a> = DirEntry<'a, ReadOnly>;

impl Fat {
    /// Opens it.
    pub fn open(view: DiskView) -> Result<Self, InspectError> {
        let volume = fatfs::FileSystem::new(ReadOnly(view), FsOptions::new());
        Ok(Self(volume.map_err(failure)?))
    }

    /// What a path leads to; `None` for the root.
    fn find(&self, path: &[Vec<u8>]) -> Result<Option<Item<'_>>, InspectError> {
        let mut found: Option<Item<'_>> = None;
        for name in path {
            let missing = || InspectError::NotFound(show(path));
            let name = std::str::from_utf8(name).map_err(|_| missing())?;
            let directory = self.directory(found, path)?;
            let mut items = directory.iter();
            let item = items.find(|item| item.as_ref().map_or(true, |item| is_named(item, name)));
            found = Some(item.ok_or_else(missing)?.map_err(failure)?);
        }
        Ok(found)
    }
    fn directory<'a>(
        &'a self,
        item: Option<Item<'a>>,
        path: &[Vec<u8>],
    ) -> Result<Dir<'a, ReadOnly>, InspectError> {
        match item {
            None => Ok(self.0.root_dir()),
            Some(item) if item.is_dir() => Ok(item.to_dir()),
            Some(_) => Err(InspectError::NotADirectory(show(path))),
        }
    }
}

impl Tree for Fat {
    fn entry(&mut self, path: &[Vec<u8>]) -> Result<Entry, InspectError> {
        Ok(self.find(path)?.map_or_else(Entry::root, |item| describe(&item)))
    }
    fn list(&mut self, path: &[Vec<u8>]) -> Result<Vec<Entry>, InspectError> {
        let directory = self.directory(self.find(path)?, path)?;
        let mut entries = Vec::new();
        for item in directory.iter() {
            let entry = describe(&item.map_err(failure)?);
            if !matches!(entry.name.as_slice(), b"." | b"..") {
                push(KIND, &mut entries, entry)?;
            }
        }
        Ok(entries)
    }
    fn read(&mut self, path: &[Vec<u8>], sink: &mut Sink<'_>) -> Result<(), InspectError> {
        let item = self.find(path)?.filter(|item| !item.is_dir());
        let item = item.ok_or_else(|| InspectError::NotAFile(show(path)))?;
        let mut file = item.to_file();
        let mut piece = vec![0; PIECE];
        let mut rest = item.len();
        while rest > 0 {
            let count = file.read(&mut piece).map_err(failure)?;
            if count == 0 {
                return Err(InspectError::damaged(KIND, "a file ends before it should"));
            }
            rest = rest.saturating_sub(count as u64);
            sink(&piece[..count])?;
        }
        Ok(())
    }
}

/// Upper and lower case are the same, and files have a second, short name.
fn is_named(item: &Item<'_>, name: &str) -> bool {
    let upper = name.to_uppercase();
    item.file_name().to_uppercase() == upper || item.short_file_name().to_uppercase() == upper
}

fn describe(item: &Item<'_>) -> Entry {
    let is_directory = item.is_dir();
    let writable = if item.attributes().contains(FileAttributes::READ_ONLY) { 0 } else { 0o200 };
    Entry {
        name: item.file_name().into_bytes(),
        kind: if is_directory { EntryKind::Directory } else { EntryKind::File },
        mode: Some(if is_directory { 0o555 } else { 0o444 } | writable),
        size: item.len(),
        modified: time(item.modified()),
        target: None,
    }
}

/// `None` for a date that was never set.
fn time(at: DateTime) -> Option<Time> {
    let (date, time) = (at.date, at.time);
    let is_set = date.month > 0 && date.day > 0;
    is_set.then(|| {
        Time::of_parts(
            date.year.into(),
            date.month.into(),
            date.day.into(),
            time.hour.into(),
            time.min.into(),
            time.sec.into(),
        )
    })
}

/// The reader has one kind of error for a disk that fails and for nonsense on it.
fn failure(error: io::Error) -> InspectError {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<platform::DiskError>()) {
        Some(_) => InspectError::Disk(error),
        None => InspectError::damaged(KIND, error.to_string()),
    }
}
