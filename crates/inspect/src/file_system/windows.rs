//! Boot sectors of file systems that came with DOS and Windows.
use super::{FileSystem, FileSystemKind};
use crate::DiskView;
use crate::fields::Fields;

/// NTFS. Its label is in a file of its own.
pub fn ntfs(boot: Fields<'_>) -> Option<FileSystem> {
    let uuid = Some(format!("{:016X}", boot.u64(72)));
    boot.has(3, b"NTFS    ").then_some(FileSystem { kind: FileSystemKind::Ntfs, label: None, uuid })
}

/// exFAT.
pub fn exfat(boot: Fields<'_>, view: &mut DiskView) -> Option<FileSystem> {
    if !boot.has(3, b"EXFAT   ") {
        return None;
    }
    let label = exfat_label(boot, view);
    Some(FileSystem { kind: FileSystemKind::ExFat, label, uuid: Some(serial(boot.u32(100))) })
}

/// The label is an entry of the root directory, and one of the first.
fn exfat_label(boot: Fields<'_>, view: &mut DiskView) -> Option<String> {
    const LABEL: u8 = 0x83;
    const ENTRY_BYTES: usize = 32;
    let (sector_shift, cluster_shift) = (u32::from(boot.u8(108)), u32::from(boot.u8(109)));
    let root = u64::from(boot.u32(96).checked_sub(2)?);
    let sector = root.checked_shl(cluster_shift)?.checked_add(boot.u32(88).into())?;
    let directory: [u8; 512] = view.array_at(sector.checked_mul(1_u64.checked_shl(sector_shift)?)?).ok()?;
    let entries = directory.chunks(ENTRY_BYTES).map(Fields);
    let entry = entries.take_while(|entry| entry.u8(0) != 0).find(|entry| entry.u8(0) == LABEL)?;
    entry.text_utf16(2, entry.u8(1).min(11).into())
}

/// FAT, which is known by numbers that make sense.
pub fn fat(boot: Fields<'_>) -> Option<FileSystem> {
    if !is_fat(boot) {
        return None;
    }
    // FAT32 has no sectors per table in the old place, and everything behind it further back.
    let extended = if boot.u16(22) == 0 { 64 } else { 36 };
    let has_label = matches!(boot.u8(extended + 2), 0x28 | 0x29);
    let label = boot.text(extended + 7, 11).filter(|label| has_label && label != "NO NAME");
    let uuid = has_label.then(|| serial(boot.u32(extended + 3)));
    Some(FileSystem { kind: FileSystemKind::Fat, label, uuid })
}

fn is_fat(boot: Fields<'_>) -> bool {
    let sector_bytes = boot.u16(11);
    let sectors = u32::from(boot.u16(19)).max(boot.u32(32));
    boot.has(510, &[0x55, 0xaa])
        && matches!(boot.u8(0), 0xe9 | 0xeb)
        && sector_bytes.is_power_of_two()
        && (512..=4096).contains(&sector_bytes)
        && boot.u8(13).is_power_of_two()
        && boot.u16(14) > 0
        && (1..=2).contains(&boot.u8(16))
        && matches!(boot.u8(21), 0xf0 | 0xf8..)
        && sectors > 0
}

fn serial(number: u32) -> String {
    format!("{:04X}-{:04X}", number >> 16, number & 0xffff)
}
