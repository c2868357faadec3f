//! Superblocks of Linux's file systems.
use std::io;

use super::{FileSystem, FileSystemKind};
use crate::DiskView;
use crate::fields::Fields;

/// Where btrfs keeps its superblock.
const BTRFS_SUPERBLOCK: u64 = 64 << 10;

/// Looks at the first bytes of a range.
pub fn identify(start: Fields<'_>) -> Option<FileSystem> {
    luks(start).or_else(|| xfs(start)).or_else(|| lvm(start)).or_else(|| swap(start)).or_else(|| ext(start))
}

fn ext(start: Fields<'_>) -> Option<FileSystem> {
    const SUPERBLOCK: usize = 1024;
    const HAS_JOURNAL: u32 = 4;
    // Features that ext3 has too: file types in directories, a journal to recover, groups of descriptors.
    const OLD_INCOMPATIBLE: u32 = 0x2 | 0x4 | 0x10;
    // Sparse superblocks, large files, directories as trees.
    const OLD_READ_ONLY: u32 = 0x1 | 0x2 | 0x4;
    let superblock = Fields(start.bytes(SUPERBLOCK, 1024));
    let (compatible, incompatible, read_only) =
        (superblock.u32(0x5c), superblock.u32(0x60), superblock.u32(0x64));
    let kind = match (incompatible & !OLD_INCOMPATIBLE, read_only & !OLD_READ_ONLY) {
        (0, 0) if compatible & HAS_JOURNAL == 0 => FileSystemKind::Ext2,
        (0, 0) => FileSystemKind::Ext3,
        _ => FileSystemKind::Ext4,
    };
    let found = superblock.u16(0x38) == 0xef53;
    found.then(|| FileSystem { kind, label: superblock.text(0x78, 16), uuid: superblock.uuid(0x68) })
}

fn xfs(start: Fields<'_>) -> Option<FileSystem> {
    let kind = FileSystemKind::Xfs;
    start.has(0, b"XFSB").then(|| FileSystem { kind, label: start.text(108, 12), uuid: start.uuid(32) })
}

fn luks(start: Fields<'_>) -> Option<FileSystem> {
    const VERSION_2: u8 = 2;
    // The version is big-endian; only the second one has a label.
    let label = if start.u8(7) == VERSION_2 { start.text(24, 48) } else { None };
    let found = start.has(0, b"LUKS\xba\xbe");
    found.then(|| FileSystem { kind: FileSystemKind::Luks, label, uuid: start.text(168, 40) })
}

fn swap(start: Fields<'_>) -> Option<FileSystem> {
    // The mark ends the first page.
    let found = start.has(4096 - 10, b"SWAPSPACE2");
    let (label, uuid) = (start.text(1024 + 28, 16), start.uuid(1024 + 12));
    found.then_some(FileSystem { kind: FileSystemKind::Swap, label, uuid })
}

fn lvm(start: Fields<'_>) -> Option<FileSystem> {
    // The label is in one of the first four sectors, and says where its header is; that begins with 32 letters.
    let sector = (0..4).map(|sector| Fields(start.bytes(sector * 512, 512)));
    let mut labels = sector.filter(|sector| sector.has(0, b"LABELONE") && sector.has(24, b"LVM2 001"));
    let label = labels.next()?;
    let letters = label.text(label.u32(20) as usize, 32);
    let uuid = letters.filter(|letters| letters.is_ascii() && letters.len() == 32).map(|letters| {
        let ends = [0, 6, 10, 14, 18, 22, 26, 32];
        ends.windows(2).map(|ends| &letters[ends[0]..ends[1]]).collect::<Vec<_>>().join("-")
    });
    Some(FileSystem { kind: FileSystemKind::Lvm, label: None, uuid })
}

/// Looks for btrfs, which leaves the first bytes alone.
pub fn btrfs(view: &mut DiskView) -> io::Result<Option<FileSystem>> {
    let superblock: [u8; 1024] = view.array_or_zeros(BTRFS_SUPERBLOCK)?;
    let superblock = Fields(&superblock);
    let found = superblock.has(0x40, b"_BHRfS_M");
    let (label, uuid) = (superblock.text(0x12b, 256), superblock.uuid(0x20));
    Ok(found.then_some(FileSystem { kind: FileSystemKind::Btrfs, label, uuid }))
}
