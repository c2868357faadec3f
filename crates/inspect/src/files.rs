//! Directories and files of a partition.
use std::io::Write;
use std::sync::Arc;

use platform::DiskBackend;

use crate::budget::Budget;
use crate::guard::guarded;
use crate::tree::{self, Tree};
use crate::{DiskView, Entry, EntryKind, FileSystemKind, InspectError, Partition};

/// Bytes of a path, and of where a link leads to: as in Linux.
const PATH_MAX: usize = 4096;
/// Links that are followed on a way: as in Linux.
const LINKS_MAX: usize = 40;

/// A file system that is open for reading.
pub struct Files {
    kind: FileSystemKind,
    tree: Box<dyn Tree>,
    budget: Budget,
}

impl Files {
    /// Opens the file system of a partition.
    pub fn open(disk: &Arc<dyn DiskBackend>, partition: &Partition) -> Result<Self, InspectError> {
        let number = partition.number.unwrap_or(0);
        let kind = partition.file_system.as_ref().ok_or(InspectError::NoFileSystem(number))?.kind;
        let view = DiskView::new(disk, partition.start, partition.length);
        let budget = view.budget();
        let tree = guarded(kind, || tree::open(kind, view))?;
        Ok(Self { kind, tree, budget })
    }
    /// What a directory has, sorted by name; or what a path leads to if that is no directory.
    pub fn list(&mut self, path: &[u8]) -> Result<Vec<Entry>, InspectError> {
        let (place, entry) = self.resolve(path)?;
        if entry.kind != EntryKind::Directory {
            return Ok(vec![entry]);
        }
        let mut entries = self.step(|tree| tree.list(&place))?;
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }
    /// Writes a file's bytes.
    pub fn read(&mut self, path: &[u8], into: &mut dyn Write) -> Result<(), InspectError> {
        let (place, entry) = self.resolve(path)?;
        if entry.kind != EntryKind::File {
            return Err(InspectError::NotAFile(tree::show(&place)));
        }
        let budget = self.budget.clone();
        self.step(|tree| {
            tree.read(&place, &mut |bytes| {
                budget.refill();
                into.write_all(bytes).map_err(InspectError::Output)
            })
        })
    }

    /// Follows a path to something that is no link.
    fn resolve(&mut self, path: &[u8]) -> Result<(Vec<Vec<u8>>, Entry), InspectError> {
        let mut ahead = names(path)?;
        let mut place: Vec<Vec<u8>> = Vec::new();
        let mut here = Entry::root();
        let mut links = 0;
        while let Some(name) = ahead.pop() {
            if here.kind != EntryKind::Directory {
                return Err(InspectError::NotADirectory(tree::show(&place)));
            }
            if name == b".." {
                place.pop();
                continue;
            }
            place.push(name);
            let entry = self.step(|tree| tree.entry(&place))?;
            if let Some(target) = &entry.target {
                links += 1;
                if links > LINKS_MAX {
                    return Err(InspectError::TooManyLinks(crate::printable(path)));
                }
                place.pop();
                if target.starts_with(b"/") {
                    place.clear();
                }
                ahead.extend(names(target)?);
                here = Entry::root();
            } else {
                here = entry;
            }
        }
        Ok((place, here))
    }

    fn step<T>(
        &mut self,
        action: impl FnOnce(&mut dyn Tree) -> Result<T, InspectError>,
    ) -> Result<T, InspectError> {
        self.budget.refill();
        guarded(self.kind, || action(self.tree.as_mut()))
    }
}

/// The names of a path, last one first, without those that lead nowhere.
fn names(path: &[u8]) -> Result<Vec<Vec<u8>>, InspectError> {
    if path.len() > PATH_MAX {
        return Err(InspectError::PathTooLong(PATH_MAX));
    }
    let names = path.split(|byte| *byte == b'/').rev();
    Ok(names.filter(|name| !name.is_empty() && *name != b".").map(<[u8]>::to_vec).collect())
}
