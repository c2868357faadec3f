//! FAT of all widths.
use std::io::{Cursor, Write};

use fatfs::{FatType, FileSystem, FormatVolumeOptions, FsOptions};
use gasang_inspect::{EntryKind, FileSystemKind, InspectError};

use super::disk::{disk, entry, names, open, read};

/// An image with some files.
pub fn image(length: usize, kind: FatType) -> Vec<u8> {
    let mut image = Cursor::new(vec![0; length]);
    let options =
        FormatVolumeOptions::new().fat_type(kind).volume_label(*b"BOOT       ").volume_id(0x1234_abcd);
    fatfs::format_volume(&mut image, options.bytes_per_cluster(512)).unwrap();
    {
        let volume = FileSystem::new(&mut image, FsOptions::new()).unwrap();
        let root = volume.root_dir();
        root.create_dir("EFI").unwrap().create_dir("BOOT").unwrap();
        root.create_file("EFI/BOOT/bootx64.efi").unwrap().write_all(&large()).unwrap();
        root.create_file("a long name für öfter.text").unwrap().write_all(b"long").unwrap();
        root.create_file("empty").unwrap();
    }
    image.into_inner()
}

fn large() -> Vec<u8> {
    (0..50_000_u32).flat_map(u32::to_le_bytes).collect()
}

#[test]
fn files_are_read() {
    for (length, kind) in [(1 << 20, FatType::Fat12), (4 << 20, FatType::Fat16), (40 << 20, FatType::Fat32)] {
        let disk = disk(image(length, kind));
        let survey = gasang_inspect::survey(&disk).unwrap();
        assert_eq!(survey.partitions.len(), 1, "{survey:?}");
        let found = survey.partitions[0].file_system.clone().unwrap();
        assert_eq!((found.kind, found.label.as_deref()), (FileSystemKind::Fat, Some("BOOT")));
        assert_eq!(found.uuid.as_deref(), Some("1234-ABCD"));

        let mut files = open(&disk).unwrap();
        assert_eq!(names(&mut files, "/"), ["EFI", "a long name für öfter.text", "empty"]);
        assert_eq!(names(&mut files, "/efi/boot"), ["bootx64.efi"]);
        assert_eq!(read(&mut files, "/EFI/Boot/BOOTX64.EFI").unwrap(), large());
        assert_eq!(read(&mut files, "A Long Name FÜR ÖFTER.text").unwrap(), b"long");
        assert_eq!(read(&mut files, "empty").unwrap(), b"");
        let boot = entry(&mut files, "/EFI", "BOOT");
        assert_eq!((boot.kind, boot.mode_text().as_str()), (EntryKind::Directory, "drwxr-xr-x"));
        assert!(read(&mut files, "/EFI/nothing").unwrap_err().is_missing());
        assert!(matches!(read(&mut files, "/EFI"), Err(InspectError::NotAFile(_))));
        assert!(matches!(read(&mut files, "/empty/more"), Err(InspectError::NotADirectory(_))));
    }
}

#[test]
fn directories_that_go_in_circles_end() {
    let mut image = image(1 << 20, FatType::Fat12);
    // The tables begin after the boot sector. A directory of one cluster, full of entries, follows itself.
    let root_start = image.windows(11).position(|bytes| bytes == b"EFI        ").unwrap();
    let first = u16::from_le_bytes([image[root_start + 26], image[root_start + 27]]);
    assert_eq!(first, 2, "the first directory has the first cluster");
    let at = image.windows(11).position(|bytes| bytes == b".          ").unwrap();
    for slot in 2..16 {
        let name = [b"FILE", format!("{slot:04}").as_bytes(), b"TXT"].concat();
        image[at + slot * 32..at + slot * 32 + 11].copy_from_slice(&name);
    }
    // Twelve bits of cluster 2: it follows itself.
    image[512 + 3] = 2;
    image[512 + 4] &= 0xf0;
    let error = open(&disk(image)).unwrap().list(b"/EFI").unwrap_err();
    assert!(error.to_string().contains("damaged") || error.to_string().contains("cannot be read"), "{error}");
}
