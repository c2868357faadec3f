//! Which file system a range of a disk has, by its superblock.
mod linux;
mod windows;

use std::{fmt, io};

use serde::{Serialize, Serializer};

use crate::DiskView;
use crate::fields::Fields;

/// Where ISO 9660 keeps its first descriptor.
pub const ISO_DESCRIPTORS: u64 = 16 * 2048;

/// A file system, or what else a partition can hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FileSystem {
    /// Which one.
    pub kind: FileSystemKind,
    /// The name that its owner gave it.
    pub label: Option<String>,
    /// Its UUID or serial number, as `/dev/disk/by-uuid` writes it.
    pub uuid: Option<String>,
}

/// A kind of file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileSystemKind {
    /// ext2.
    Ext2,
    /// ext3: ext2 with a journal.
    Ext3,
    /// ext4.
    Ext4,
    /// XFS.
    Xfs,
    /// btrfs.
    Btrfs,
    /// Room for swapping.
    Swap,
    /// A physical volume of LVM.
    Lvm,
    /// Encrypted by LUKS.
    Luks,
    /// FAT of 12, 16 or 32 bits.
    Fat,
    /// exFAT.
    ExFat,
    /// NTFS.
    Ntfs,
    /// The file system of CDs and DVDs.
    Iso9660,
}

impl FileSystemKind {
    /// Its name, as Linux has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ext2 => "ext2",
            Self::Ext3 => "ext3",
            Self::Ext4 => "ext4",
            Self::Xfs => "xfs",
            Self::Btrfs => "btrfs",
            Self::Swap => "swap",
            Self::Lvm => "lvm2",
            Self::Luks => "luks",
            Self::Fat => "vfat",
            Self::ExFat => "exfat",
            Self::Ntfs => "ntfs",
            Self::Iso9660 => "iso9660",
        }
    }
    /// Whether directories and files can be read.
    pub fn is_readable(self) -> bool {
        matches!(self, Self::Ext2 | Self::Ext3 | Self::Ext4 | Self::Fat | Self::Ntfs | Self::Iso9660)
    }
    /// Whether it begins in the first sector, where a table of partitions would be.
    pub(crate) fn owns_first_sector(self) -> bool {
        matches!(self, Self::Fat | Self::ExFat | Self::Ntfs)
    }
}

impl fmt::Display for FileSystemKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Serialize for FileSystemKind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// What a range has; `None` if it is nothing that is known.
pub fn identify(view: &mut DiskView) -> io::Result<Option<FileSystem>> {
    view.budget().refill();
    let start: [u8; 4096] = view.array_or_zeros(0)?;
    let start = Fields(&start);
    // Those whose marks are long come before FAT, which has hardly any.
    let found =
        linux::identify(start).or_else(|| windows::ntfs(start)).or_else(|| windows::exfat(start, view));
    if let Some(found) = found {
        return Ok(Some(found));
    }
    if let Some(found) = linux::btrfs(view)? {
        return Ok(Some(found));
    }
    if let Some(found) = iso(view)? {
        return Ok(Some(found));
    }
    Ok(windows::fat(start))
}

fn iso(view: &mut DiskView) -> io::Result<Option<FileSystem>> {
    let descriptor: [u8; 2048] = view.array_or_zeros(ISO_DESCRIPTORS)?;
    let descriptor = Fields(&descriptor);
    // ECMA-119 §8.1: type, "CD001", version. The primary descriptor has type 1, and the volume's name from byte 40 on.
    let label = descriptor.text(40, 32);
    let found = descriptor.has(0, b"\x01CD001\x01");
    Ok(found.then_some(FileSystem { kind: FileSystemKind::Iso9660, label, uuid: None }))
}
