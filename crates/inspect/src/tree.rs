//! File systems as trees of names. Paths are lists of names from the root on; links are followed by
//! [`Files`](crate::Files), so no name on the way is one.
mod ext;
mod fat;
mod iso;
mod ntfs;

use crate::{DiskView, Entry, FileSystemKind, InspectError};

/// Entries that a directory may have.
const ENTRIES_MAX: usize = 1 << 20;
/// Bytes that a file may have: more than ext4 and Windows allow would be damage.
const FILE_MAX: u64 = 16 << 40;

/// Where a file's bytes go.
pub type Sink<'a> = dyn FnMut(&[u8]) -> Result<(), InspectError> + 'a;

/// A file system that is open.
pub trait Tree {
    /// What a path leads to; a link is not followed.
    fn entry(&mut self, path: &[Vec<u8>]) -> Result<Entry, InspectError>;
    /// What a directory has, without itself and its parent.
    fn list(&mut self, path: &[Vec<u8>]) -> Result<Vec<Entry>, InspectError>;
    /// Passes on a file's bytes.
    fn read(&mut self, path: &[Vec<u8>], sink: &mut Sink<'_>) -> Result<(), InspectError>;
}

/// Opens the file system of a range.
pub fn open(kind: FileSystemKind, view: DiskView) -> Result<Box<dyn Tree>, InspectError> {
    match kind {
        FileSystemKind::Ext2 | FileSystemKind::Ext3 | FileSystemKind::Ext4 => {
            Ok(Box::new(ext::Ext::open(kind, view)?))
        }
        FileSystemKind::Fat => Ok(Box::new(fat::Fat::open(view)?)),
        FileSystemKind::Iso9660 => Ok(Box::new(iso::Iso::open(view)?)),
        FileSystemKind::Ntfs => Ok(Box::new(ntfs::Ntfs::open(view)?)),
        _ => Err(InspectError::CannotLookInto(kind)),
    }
}

/// A path in words.
pub fn show(path: &[Vec<u8>]) -> String {
    format!("/{}", crate::printable(&path.join(&b'/')))
}

/// Puts an entry into a list that is not too long yet.
fn push(kind: FileSystemKind, entries: &mut Vec<Entry>, entry: Entry) -> Result<(), InspectError> {
    if entries.len() >= ENTRIES_MAX {
        return Err(InspectError::damaged(kind, format!("a directory has more than {ENTRIES_MAX} entries")));
    }
    entries.push(entry);
    Ok(())
}

/// Checks a file's length.
fn check_length(kind: FileSystemKind, length: u64) -> Result<(), InspectError> {
    if length > FILE_MAX {
        return Err(InspectError::damaged(kind, format!("a file claims to have {length} bytes")));
    }
    Ok(())
}
