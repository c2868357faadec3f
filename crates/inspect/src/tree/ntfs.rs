//! NTFS.
use std::io;

use ntfs::structured_values::{NtfsFileAttributeFlags, NtfsFileName, NtfsFileNamespace, NtfsIndexRoot};
use ntfs::{NtfsAttributeFlags, NtfsAttributeType, NtfsError, NtfsFile, NtfsReadSeek, NtfsTime};

use super::{Sink, Tree, check_length, push, show};
use crate::{DiskView, Entry, EntryKind, FileSystemKind, InspectError, Time};

const KIND: FileSystemKind = FileSystemKind::Ntfs;
/// Bytes of a file that are read at once.
const PIECE: usize = 64 << 10;
/// Bytes that a record of a directory may have; 4 KiB is usual.
const RECORD_MAX: u32 = 64 << 10;
/// Units of NTFS's time in a second.
const TICKS: u64 = 10_000_000;
/// Seconds from 1601, when NTFS's time begins, to 1970.
const SECONDS_TO_1970: i64 = 11_644_473_600;

/// A file system that is open.
pub struct Ntfs {
    view: DiskView,
    volume: ntfs::Ntfs,
}

/// An entry, and the number of the file's record.
struct Child {
    entry: Entry,
    record: u64,
}

impl Ntfs {
    /// Opens it.
    pub fn open(mut view: DiskView) -> Result<Self, InspectError> {
        let volume = ntfs::Ntfs::new(&mut view).map_err(failure)?;
        Ok(Self { view, volume })
    }

    /// What a path leads to; `None` for the root.
    fn find(&mut self, path: &[Vec<u8>]) -> Result<Option<Child>, InspectError> {
        let mut found: Option<Child> = None;
        for name in path {
            let missing = || InspectError::NotFound(show(path));
            let name = std::str::from_utf8(name).map_err(|_| missing())?.to_uppercase();
            let children = self.children(found.as_ref(), path)?;
            let is_it = |child: &Child| String::from_utf8_lossy(&child.entry.name).to_uppercase() == name;
            found = Some(children.into_iter().find(is_it).ok_or_else(missing)?);
        }
        Ok(found)
    }
    /// What a directory has.
    fn children(&mut self, of: Option<&Child>, path: &[Vec<u8>]) -> Result<Vec<Child>, InspectError> {
        if of.is_some_and(|child| child.entry.kind != EntryKind::Directory) {
            return Err(InspectError::NotADirectory(show(path)));
        }
        let directory = match of {
            Some(child) => self.volume.file(&mut self.view, child.record).map_err(failure)?,
            None => self.volume.root_directory(&mut self.view).map_err(failure)?,
        };
        check_index(&directory, &mut self.view)?;
        let index = directory.directory_index(&mut self.view).map_err(failure)?;
        let mut items = index.entries();
        let mut children = Vec::new();
        while let Some(item) = items.next(&mut self.view) {
            let item = item.map_err(failure)?;
            let Some(name) = item.key().transpose().map_err(failure)? else { continue };
            let record = item.file_reference().file_record_number();
            // Short names are second names of files that have long ones; the root is in itself.
            if name.namespace() == NtfsFileNamespace::Dos || name.name() == "." {
                continue;
            }
            if children.len() >= super::ENTRIES_MAX {
                return Err(InspectError::damaged(KIND, "a directory is too long"));
            }
            children.push(Child { entry: describe(&name), record });
        }
        Ok(children)
    }
}

impl Tree for Ntfs {
    fn entry(&mut self, path: &[Vec<u8>]) -> Result<Entry, InspectError> {
        Ok(self.find(path)?.map_or_else(Entry::root, |child| child.entry))
    }
    fn list(&mut self, path: &[Vec<u8>]) -> Result<Vec<Entry>, InspectError> {
        let found = self.find(path)?;
        let mut entries = Vec::new();
        for child in self.children(found.as_ref(), path)? {
            push(KIND, &mut entries, child.entry)?;
        }
        Ok(entries)
    }
    fn read(&mut self, path: &[Vec<u8>], sink: &mut Sink<'_>) -> Result<(), InspectError> {
        let missing = || InspectError::NotAFile(show(path));
        let child = self.find(path)?.ok_or_else(missing)?;
        let file = self.volume.file(&mut self.view, child.record).map_err(failure)?;
        let item = file.data(&mut self.view, "").ok_or_else(missing)?.map_err(failure)?;
        let attribute = item.to_attribute().map_err(failure)?;
        if attribute.flags().intersects(NtfsAttributeFlags::COMPRESSED | NtfsAttributeFlags::ENCRYPTED) {
            let what = format!("{} is compressed or encrypted", show(path));
            return Err(InspectError::Unsupported { kind: KIND, what });
        }
        check_length(KIND, attribute.value_length())?;
        let mut value = attribute.value(&mut self.view).map_err(failure)?;
        let mut piece = vec![0; PIECE];
        loop {
            let count = value.read(&mut self.view, &mut piece).map_err(failure)?;
            if count == 0 {
                return Ok(());
            }
            sink(&piece[..count])?;
        }
    }
}

/// Checks how much memory a directory's records would take.
fn check_index(directory: &NtfsFile<'_>, view: &mut DiskView) -> Result<(), InspectError> {
    let mut items = directory.attributes();
    while let Some(item) = items.next(view) {
        let item = item.map_err(failure)?;
        let attribute = item.to_attribute().map_err(failure)?;
        if attribute.ty().map_err(failure)? != NtfsAttributeType::IndexRoot {
            continue;
        }
        let root = attribute.resident_structured_value::<NtfsIndexRoot<'_>>().map_err(failure)?;
        if root.index_record_size() > RECORD_MAX {
            return Err(InspectError::damaged(KIND, "the records of a directory are too long"));
        }
    }
    Ok(())
}

fn describe(name: &NtfsFileName) -> Entry {
    let attributes = name.file_attributes();
    let kind = if attributes.contains(NtfsFileAttributeFlags::REPARSE_POINT) {
        EntryKind::Other
    } else if name.is_directory() {
        EntryKind::Directory
    } else {
        EntryKind::File
    };
    Entry {
        name: name.name().to_string_lossy().into_bytes(),
        kind,
        mode: None,
        size: name.data_size(),
        modified: Some(time(name.modification_time())),
        target: None,
    }
}

fn time(at: NtfsTime) -> Time {
    Time((at.nt_timestamp() / TICKS) as i64 - SECONDS_TO_1970)
}

fn failure(error: NtfsError) -> InspectError {
    match error {
        NtfsError::Io(error) => {
            let is_end = error.kind() == io::ErrorKind::UnexpectedEof;
            if is_end { InspectError::damaged(KIND, "it ends too early") } else { InspectError::Disk(error) }
        }
        other => InspectError::damaged(KIND, other.to_string()),
    }
}
