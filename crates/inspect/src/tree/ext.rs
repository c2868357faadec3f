//! ext2, ext3 and ext4.
use std::error::Error;

use ext4_view::{Ext4, Ext4Error, Ext4Read, FileType, Metadata, Path};

use super::{Sink, Tree, check_length, push, show};
use crate::budget::Budget;
use crate::fields::Fields;
use crate::{DiskView, Entry, EntryKind, FileSystemKind, InspectError, Time};

/// Groups of blocks that a file system may have; each takes memory. Of the usual 128 MiB, that is 512 TiB.
const GROUPS_MAX: u64 = 1 << 22;
/// Bytes of a link's target.
const TARGET_MAX: u64 = 4096;
/// Bytes of a file that are read at once.
const PIECE: usize = 64 << 10;

/// A file system that is open.
pub struct Ext {
    kind: FileSystemKind,
    volume: Ext4,
    budget: Budget,
}

struct Reader(DiskView);

impl Ext4Read for Reader {
    fn read(
        &mut self,
        start_byte: u64,
        dst: &mut [u8],
    ) -> Result<(), Box<dyn Error + Send + Sync + 'static>> {
        Ok(self.0.read_at(start_byte, dst)?)
    }
}

impl Ext {
    /// Opens it. A journal that was left is replayed in memory.
    pub fn open(kind: FileSystemKind, mut view: DiskView) -> Result<Self, InspectError> {
        let superblock: [u8; 1024] = view.array_at(1024).map_err(InspectError::Disk)?;
        let fields = Fields(&superblock);
        let blocks = u64::from(fields.u32(0x150)) << 32 | u64::from(fields.u32(0x4));
        if blocks / u64::from(fields.u32(0x20).max(1)) > GROUPS_MAX {
            return Err(InspectError::damaged(kind, "it has too many groups of blocks"));
        }
        let budget = view.budget();
        let volume = Ext4::load(Box::new(Reader(view))).map_err(|error| failure(kind, &[], error))?;
        Ok(Self { kind, volume, budget })
    }

    fn describe(&self, path: &[Vec<u8>], name: Vec<u8>, metadata: &Metadata) -> Result<Entry, InspectError> {
        let kind = kind_of(metadata.file_type());
        let is_link = kind == EntryKind::Symlink;
        if is_link && metadata.len() > TARGET_MAX {
            return Err(InspectError::damaged(self.kind, "a link's target is too long"));
        }
        let target = if is_link { Some(self.target(path)?) } else { None };
        Ok(Entry {
            name,
            kind,
            mode: Some(metadata.mode() & 0o7777),
            size: metadata.len(),
            modified: Some(Time(metadata.modified().seconds())),
            target,
        })
    }
    fn target(&self, path: &[Vec<u8>]) -> Result<Vec<u8>, InspectError> {
        let bytes = joined(path);
        let target =
            self.volume.read_link(bytes.as_slice()).map_err(|error| failure(self.kind, path, error))?;
        Ok(AsRef::<[u8]>::as_ref(&target.as_path()).to_vec())
    }
}

impl Tree for Ext {
    fn entry(&mut self, path: &[Vec<u8>]) -> Result<Entry, InspectError> {
        let bytes = joined(path);
        let metadata = self.volume.symlink_metadata(bytes.as_slice());
        let metadata = metadata.map_err(|error| failure(self.kind, path, error))?;
        self.describe(path, path.last().cloned().unwrap_or_default(), &metadata)
    }
    fn list(&mut self, path: &[Vec<u8>]) -> Result<Vec<Entry>, InspectError> {
        let bytes = joined(path);
        let failed = |error| failure(self.kind, path, error);
        let mut entries = Vec::new();
        for entry in self.volume.read_dir(bytes.as_slice()).map_err(failed)? {
            self.budget.refill();
            let entry = entry.map_err(failed)?;
            let name = AsRef::<[u8]>::as_ref(&entry.file_name()).to_vec();
            if matches!(name.as_slice(), b"." | b"..") {
                continue;
            }
            let metadata = entry.metadata().map_err(failed)?;
            let place: Vec<Vec<u8>> = path.iter().cloned().chain([name.clone()]).collect();
            push(self.kind, &mut entries, self.describe(&place, name, &metadata)?)?;
        }
        Ok(entries)
    }
    fn read(&mut self, path: &[Vec<u8>], sink: &mut Sink<'_>) -> Result<(), InspectError> {
        let bytes = joined(path);
        let failed = |error| failure(self.kind, path, error);
        let mut file = self.volume.open(bytes.as_slice()).map_err(failed)?;
        check_length(self.kind, file.metadata().len())?;
        let mut piece = vec![0; PIECE];
        loop {
            let count = file.read_bytes(&mut piece).map_err(failed)?;
            if count == 0 {
                return Ok(());
            }
            sink(&piece[..count])?;
        }
    }
}

/// The path in the words of the reader, which takes it by [`Path`].
fn joined(path: &[Vec<u8>]) -> Vec<u8> {
    let bytes = [b"/".as_slice(), &path.join(&b'/')].concat();
    debug_assert!(Path::try_from(bytes.as_slice()).is_ok_and(Path::is_absolute));
    bytes
}

fn kind_of(kind: FileType) -> EntryKind {
    match kind {
        FileType::BlockDevice => EntryKind::BlockDevice,
        FileType::CharacterDevice => EntryKind::CharacterDevice,
        FileType::Directory => EntryKind::Directory,
        FileType::Fifo => EntryKind::Pipe,
        FileType::Regular => EntryKind::File,
        FileType::Socket => EntryKind::Socket,
        FileType::Symlink => EntryKind::Symlink,
    }
}

fn failure(kind: FileSystemKind, path: &[Vec<u8>], error: Ext4Error) -> InspectError {
    match error {
        Ext4Error::NotFound | Ext4Error::MalformedPath => InspectError::NotFound(show(path)),
        Ext4Error::NotADirectory => InspectError::NotADirectory(show(path)),
        Ext4Error::IsADirectory | Ext4Error::IsASpecialFile => InspectError::NotAFile(show(path)),
        Ext4Error::Encrypted => InspectError::Unsupported { kind, what: "it is encrypted".to_owned() },
        Ext4Error::Incompatible(reason) => InspectError::Unsupported { kind, what: reason.to_string() },
        Ext4Error::Io(reason) => InspectError::Disk(std::io::Error::other(reason)),
        other => InspectError::damaged(kind, other.to_string()),
    }
}
