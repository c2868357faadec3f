//! Images that we made and changed, as QEMU reads them.
use std::path::Path;

use platform::Buffers;
use rand::rngs::SmallRng;
use rand::{Rng, RngExt};
use storage::{CreateOptions, Format, Image, ImageError, Repair};

use crate::models::{self, assert_same};
use crate::qemu;

/// Formats that can be created, with QEMU's names.
const CREATED: [(Format, &str); 3] = [(Format::Vdi, "vdi"), (Format::Vmdk, "vmdk"), (Format::Vhd, "vpc")];
/// What QEMU creates and we write: format, options.
const FOREIGN: [(&str, &str); 9] = [
    ("vdi", "static=off"),
    ("vdi", "static=on"),
    ("vmdk", "subformat=monolithicSparse"),
    ("vmdk", "subformat=monolithicSparse,zeroed_grain=on"),
    ("vmdk", "subformat=monolithicFlat"),
    ("vmdk", "subformat=twoGbMaxExtentSparse"),
    ("vmdk", "subformat=twoGbMaxExtentFlat"),
    ("vpc", "subformat=dynamic,force_size=on"),
    ("vpc", "subformat=fixed,force_size=on"),
];
/// Bytes of the disks here: no whole number of blocks.
const LENGTH: usize = (9 << 20) + 5 * 512;

fn create(path: &Path, format: Format, length: u64) -> Result<Box<dyn Image>, ImageError> {
    storage::create(path, &CreateOptions { format, length, backing: None })
}

/// Does something at random to an image and to what it should have in it.
fn change(image: &dyn Image, disk: &mut [u8], numbers: &mut SmallRng) {
    let sectors = disk.len() / 512;
    let start = numbers.random_range(0..sectors) * 512;
    let most = if numbers.random_ratio(1, 8) { 4096 } else { 200 };
    let length = (numbers.random_range(0..most) * 512).min(disk.len() - start);
    let range = &mut disk[start..start + length];
    let (start, length) = (start as u64, length as u64);
    match numbers.random_range(0..10) {
        0..6 => {
            numbers.fill(range);
            image.write(start, Buffers::of_bytes(range.to_vec()).all()).unwrap();
        }
        6 => {
            range.fill(0);
            image.write(start, Buffers::of_bytes(range.to_vec()).all()).unwrap();
        }
        7 => {
            range.fill(0);
            image.write_zeroes(start, length, numbers.random()).unwrap();
        }
        8 => {
            // Discarded bytes may become zeros or stay.
            image.discard(start, length).unwrap();
            let bytes = Buffers::of_bytes(vec![0; length as usize]);
            image.read(start, bytes.all()).unwrap();
            let bytes = bytes.into_bytes();
            assert!(bytes == range || bytes.iter().all(|byte| *byte == 0));
            range.copy_from_slice(&bytes);
        }
        _ => image.flush().unwrap(),
    }
}

fn change_and_compare(path: &Path, format: &str, seed: u64) {
    let mut numbers = models::numbers(seed);
    let mut image = models::open(path);
    let mut disk = models::contents(&*image);
    let raw = path.with_extension("raw");
    for round in 0..4 {
        for _ in 0..(numbers.next_u32() % 30) {
            change(&*image, &mut disk, &mut numbers);
        }
        let what = format!("{format} {seed} in round {round}");
        assert_same(&models::contents(&*image), &disk, &what);
        assert_same(&models::contents_by_extents(&*image), &disk, &what);
        let report = image.check(Repair::None).unwrap();
        assert!(report.is_clean(), "{what}: {report:?}");
        drop(image);
        std::fs::write(&raw, &disk).unwrap();
        qemu::same_and_sound(&raw, path, format);
        image = models::open(path);
        assert_same(&models::contents(&*image), &disk, &what);
    }
}

#[test]
fn created_images_are_read_by_qemu() {
    if !qemu::is_here("created_images_are_read_by_qemu") {
        return;
    }
    for (format, name) in CREATED {
        for seed in 0..6 {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join("disk.image");
            let image = create(&path, format, LENGTH as u64).unwrap();
            assert_eq!(image.shape().length, LENGTH as u64);
            drop(image);
            assert_eq!(qemu::length(&path, name), LENGTH as u64);
            change_and_compare(&path, name, seed);
        }
    }
}

#[test]
fn images_of_qemu_are_written() {
    if !qemu::is_here("images_of_qemu_are_written") {
        return;
    }
    for (format, options) in FOREIGN {
        for seed in 0..3 {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join("disk.image");
            let raw = directory.path().join("disk.raw");
            std::fs::write(&raw, models::sparse_disk(&mut models::numbers(seed), LENGTH)).unwrap();
            let (from, to) = (qemu::path(&raw), qemu::path(&path));
            qemu::succeed(&["convert", "-f", "raw", "-O", format, "-o", options, from, to]);
            change_and_compare(&path, format, seed);
        }
    }
}

#[test]
fn we_and_qemu_take_turns() {
    if !qemu::is_here("we_and_qemu_take_turns") {
        return;
    }
    for (format, name) in CREATED {
        let directory = tempfile::tempdir().unwrap();
        let (path, raw) = (directory.path().join("disk.image"), directory.path().join("disk.raw"));
        drop(create(&path, format, LENGTH as u64).unwrap());
        let mut disk = vec![0; LENGTH];
        // Every turn begins in a block that is new, and ends in one that is not.
        for turn in (0..8).rev() {
            let range = turn << 20 | 1 << 19..(turn + 1) << 20 | 1 << 18;
            disk[range.clone()].fill(turn as u8 + 1);
            if turn % 2 == 0 {
                qemu::write(&path, name, turn as u8 + 1, range.start, range.len());
            } else {
                let bytes = Buffers::of_bytes(vec![turn as u8 + 1; range.len()]);
                models::open(&path).write(range.start as u64, bytes.all()).unwrap();
            }
            let image = models::open(&path);
            assert_same(&models::contents(&*image), &disk, name);
            assert!(image.check(Repair::None).unwrap().is_clean(), "{name}");
            drop(image);
            std::fs::write(&raw, &disk).unwrap();
            qemu::same_and_sound(&raw, &path, name);
        }
    }
}

#[test]
fn conversions_skip_zeros() {
    for (format, _) in CREATED {
        let directory = tempfile::tempdir().unwrap();
        let source = create(&directory.path().join("disk.raw"), Format::Raw, 64 << 20).unwrap();
        source.write(20 << 20, Buffers::of_bytes(vec![7; 4096]).all()).unwrap();
        let path = directory.path().join("disk.image");
        let target = create(&path, format, 64 << 20).unwrap();
        storage::convert(&*source, &*target, &mut |_, _| {}).unwrap();
        assert_same(&models::contents(&*target), &models::contents(&*source), format.name());
        assert!(std::fs::metadata(&path).unwrap().len() < 6 << 20, "{format}");
    }
}

#[test]
fn discarded_room_is_free() {
    for (format, _) in CREATED {
        let directory = tempfile::tempdir().unwrap();
        let image = create(&directory.path().join("disk.image"), format, 16 << 20).unwrap();
        image.write(0, Buffers::of_bytes(vec![7; 16 << 20]).all()).unwrap();
        assert!(image.info().unwrap().allocated >= 16 << 20, "{format}");
        image.discard(0, 16 << 20).unwrap();
        assert!(image.info().unwrap().allocated < 1 << 20, "{format}");
        assert!(models::contents(&*image).iter().all(|byte| *byte == 0));
    }
}

#[test]
fn vdi_disks_grow() {
    if !qemu::is_here("vdi_disks_grow") {
        return;
    }
    for (made_by_qemu, filled) in [(false, 3 << 20), (true, 3 << 20), (true, 0), (true, 9 << 20)] {
        let directory = tempfile::tempdir().unwrap();
        let (path, raw) = (directory.path().join("disk.vdi"), directory.path().join("disk.raw"));
        if made_by_qemu {
            qemu::succeed(&["create", "-q", "-f", "vdi", qemu::path(&path), "9M"]);
        } else {
            create(&path, Format::Vdi, 9 << 20).unwrap();
        }
        let image = models::open(&path);
        let mut data = vec![0; filled];
        rand::Rng::fill_bytes(&mut models::numbers(1), &mut data);
        image.write(0, Buffers::of_bytes(data.clone()).all()).unwrap();
        for length in [9 << 20, 200 << 20, 201 << 20, 3000 << 20_u64] {
            image.resize(length).unwrap();
            assert_eq!(image.shape().length, length);
            let last = Buffers::of_bytes(vec![length as u8 | 5; 512]);
            image.write(length - 512, last.all()).unwrap();
            assert!(image.check(Repair::None).unwrap().is_clean());
        }
        assert!(image.resize(1 << 20).is_err());
        drop(image);
        let file = std::fs::File::create(&raw).unwrap();
        std::os::unix::fs::FileExt::write_all_at(&file, &data, 0).unwrap();
        for length in [9 << 20, 200 << 20, 201 << 20, 3000 << 20_u64] {
            std::os::unix::fs::FileExt::write_all_at(&file, &[length as u8 | 5; 512], length - 512).unwrap();
        }
        qemu::same_and_sound(&raw, &path, "vdi");
    }
}

#[test]
fn lengths_have_limits() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("disk.image");
    for (format, _) in CREATED {
        for length in [u64::MAX / 512 * 512, 1 << 50, 513] {
            assert!(matches!(create(&path, format, length), Err(ImageError::Length { .. })), "{format}");
            assert!(!path.exists());
        }
        let image = create(&path, format, 2040 << 30).unwrap();
        image.write((2040 << 30) - 512, Buffers::of_bytes(vec![1; 512]).all()).unwrap();
        drop(image);
        std::fs::remove_file(&path).unwrap();
        assert_eq!(create(&path, format, 0).unwrap().shape().length, 0);
        std::fs::remove_file(&path).unwrap();
    }
    assert!(matches!(create(&path, Format::Vhdx, 1 << 20), Err(ImageError::Cannot { .. })));
}
