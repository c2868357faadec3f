//! Images that QEMU has made are read as QEMU reads them.
use super::*;
use crate::{ExtentKind, Repair};

const LENGTH: u64 = 12 << 20;

/// Data with runs that compress and runs that do not, and holes.
fn contents(length: u64) -> Vec<u8> {
    let mut dice = Dice(0x1234_5678);
    let mut bytes = vec![0; length as usize];
    for piece in bytes.chunks_mut(96 << 10) {
        match dice.roll(4) {
            0 => {}
            1 => piece.fill(dice.roll(255) as u8 + 1),
            _ => piece.iter_mut().for_each(|byte| *byte = dice.roll(251) as u8),
        }
    }
    bytes
}

/// All that an image reads as, once in large and once in small pieces.
fn all(image: &Qcow2Image) -> Vec<u8> {
    let bytes = read(image, 0, image.length() as usize);
    let mut dice = Dice(99);
    for _ in 0..200 {
        let offset = dice.roll(image.length() / 512) * 512;
        let length = (dice.roll(200) * 512).min(image.length() - offset) as usize;
        let again = read(image, offset, length);
        assert_same(&again, &bytes[offset as usize..][..length], "a small read");
    }
    bytes
}

/// Extents cover the disk, and zeros are zeros.
fn check_extents(image: &Qcow2Image, bytes: &[u8]) {
    let mut at = 0;
    while at < image.length() {
        let extent = image.extent(at).unwrap();
        assert!(extent.length > 0 && at + extent.length <= image.length());
        let part = &bytes[at as usize..][..extent.length as usize];
        assert!(extent.kind == ExtentKind::Data || part.iter().all(|byte| *byte == 0));
        at += extent.length;
    }
}

#[test]
fn images_of_all_kinds_are_read() {
    if !has_qemu() {
        return;
    }
    let place = Place::new();
    let expected = contents(LENGTH);
    std::fs::write(place.path("raw"), &expected).unwrap();
    let variants = [
        "-o compat=0.10",
        "-o compat=1.1",
        "-o compat=0.10,cluster_size=512",
        "-o cluster_size=512,refcount_bits=1",
        "-o cluster_size=4096,refcount_bits=64",
        "-o cluster_size=2M",
        "-o lazy_refcounts=on",
        "-o extended_l2=on",
        "-o extended_l2=on,cluster_size=16k",
        "-o extended_l2=on,cluster_size=2M",
        "-o preallocation=metadata",
        "-o preallocation=falloc",
        "-c",
        "-c -o compat=0.10",
        "-c -o cluster_size=512",
        "-c -o cluster_size=2M",
        "-c -o compression_type=zstd",
        "-c -o compression_type=zstd,cluster_size=4k",
        "-c -o compression_type=zstd,cluster_size=2M",
        "-c -o extended_l2=on",
    ];
    for variant in variants {
        place.qemu_img(&format!("convert -f raw -O qcow2 {variant} raw image"));
        let image = open(&place.path("image"), true);
        let bytes = all(&image);
        assert_same(&bytes, &expected, variant);
        check_extents(&image, &bytes);
        let report = image.check(Repair::None).unwrap();
        assert!(report.is_clean(), "{variant}: {report:?}");
        std::fs::remove_file(place.path("image")).unwrap();
    }
}

#[test]
fn zeros_and_holes_of_qemu_are_read() {
    if !has_qemu() {
        return;
    }
    for options in ["cluster_size=64k", "extended_l2=on", "cluster_size=4k"] {
        let place = Place::new();
        place.qemu_img(&format!("create -f qcow2 -o {options} image 8M"));
        let commands = [
            "write -P 1 0 1M",
            "write -z 64k 128k",
            "write -P 2 80k 4k",
            "discard 512k 256k",
            "write -z -u 1M 1M",
            "write -P 3 3M 512",
            "write -P 4 5000k 300k",
            "write -z 5001k 6k",
        ];
        place.qemu_io("image", &commands);
        place.qemu_img("convert -O raw image raw");
        let image = open(&place.path("image"), true);
        let bytes = all(&image);
        assert_same(&bytes, &std::fs::read(place.path("raw")).unwrap(), options);
        check_extents(&image, &bytes);
    }
}

#[test]
fn snapshots_keep_what_they_have() {
    if !has_qemu() {
        return;
    }
    for options in ["compat=0.10", "compat=1.1,cluster_size=4k", "extended_l2=on"] {
        let place = Place::new();
        place.qemu_img(&format!("create -f qcow2 -o {options} image 8M"));
        place.qemu_io("image", &["write -P 1 0 3M", "write -P 2 4M 1M"]);
        place.qemu_img("snapshot -c first image");
        place.qemu_io("image", &["write -P 3 1M 64k"]);
        place.qemu_img("snapshot -c second image");
        let before = place.snapshot_contents(&["first", "second"]);
        let image = open(&place.path("image"), false);
        assert_eq!(image.info().unwrap().snapshots, ["first", "second"]);
        write(&image, 512, &[9; 1024]);
        write(&image, (1 << 20) - 4096, &[8; 200 << 10]);
        image.discard(4 << 20, 512 << 10).unwrap();
        image.write_zeroes(2 << 20, 300 << 10, true).unwrap();
        let report = image.check(Repair::None).unwrap();
        assert!(report.is_clean(), "{options}: {report:?}");
        let bytes = read(&image, 0, 8 << 20);
        drop(image);
        place.qemu_img("check image");
        place.qemu_img("convert -O raw image raw");
        assert_same(&bytes, &std::fs::read(place.path("raw")).unwrap(), options);
        assert!(before == place.snapshot_contents(&["first", "second"]), "{options}");
        let image = open(&place.path("image"), false);
        if options == "compat=0.10" {
            assert_eq!(image.resize(16 << 20).is_ok(), image.snapshots[0].length.is_some());
        } else {
            image.resize(2 << 20).unwrap();
            image.resize(9 << 20).unwrap();
            assert_same(&read(&image, 0, 2 << 20), &bytes[..2 << 20], options);
            assert!(read(&image, 2 << 20, 7 << 20).iter().all(|byte| *byte == 0));
            drop(image);
            place.qemu_img("check image");
            assert!(before == place.snapshot_contents(&["first", "second"]), "{options}");
        }
    }
}

impl Place {
    fn snapshot_contents(&self, names: &[&str]) -> Vec<Vec<u8>> {
        let contents = |name: &&str| {
            self.qemu_img(&format!("convert -O raw -l snapshot.name={name} image snapshot.raw"));
            let mut bytes = std::fs::read(self.path("snapshot.raw")).unwrap();
            // QEMU gives a snapshot the length that the disk has now.
            bytes.truncate(8 << 20);
            bytes
        };
        names.iter().map(contents).collect()
    }
}

#[test]
fn compressed_clusters_are_written_anew() {
    if !has_qemu() {
        return;
    }
    for options in ["compression_type=zstd", "compression_type=zlib", "extended_l2=on", "cluster_size=4k"] {
        let place = Place::new();
        let mut expected = contents(4 << 20);
        std::fs::write(place.path("raw"), &expected).unwrap();
        place.qemu_img(&format!("convert -f raw -O qcow2 -c -o {options} raw image"));
        let image = open(&place.path("image"), false);
        for (offset, length) in [(1024, 512), (65536 * 3 + 512, 200_192), (2 << 20, 65536)] {
            write(&image, offset as u64, &vec![0xa5; length]);
            expected[offset..offset + length].fill(0xa5);
        }
        image.write_zeroes(3 << 20, 70_144, true).unwrap();
        expected[3 << 20..][..70_144].fill(0);
        image.discard(65536 * 20, 65536).unwrap();
        expected[65536 * 20..][..65536].fill(0);
        assert_same(&all(&image), &expected, options);
        drop(image);
        place.qemu_img("check image");
        std::fs::write(place.path("raw"), &expected).unwrap();
        place.qemu_img("compare image raw");
    }
}

#[test]
fn lazy_refcounts_are_counted_anew() {
    if !has_qemu() {
        return;
    }
    let place = Place::new();
    place.qemu_img("create -f qcow2 -o lazy_refcounts=on image 8M");
    // QEMU dies with the dirty bit set.
    let _ = place
        .run("qemu-io", &["-f", "qcow2", "-c", "write -P 5 1M 2M", "-c", "flush", "-c", "abort", "image"]);
    let image = open(&place.path("image"), true);
    assert!(image.header.incompatible & 1 != 0, "QEMU has left the image clean");
    assert_eq!(read(&image, 1 << 20, 512), [5; 512]);
    drop(image);
    let image = open(&place.path("image"), false);
    write(&image, 0, &[6; 4096]);
    drop(image);
    let image = open(&place.path("image"), true);
    assert_eq!(image.header.incompatible & 1, 0);
    drop(image);
    place.qemu_img("check image");
    place.qemu_io("image", &["read -P 6 0 4096", "read -P 5 1M 2M"]);
}

#[test]
fn bitmaps_are_counted_and_given_up() {
    if !has_qemu() {
        return;
    }
    let place = Place::new();
    place.qemu_img("create -f qcow2 image 64M");
    place.qemu_img("bitmap --add image changed");
    place.qemu_io("image", &["write -P 1 1M 1M"]);
    let image = open(&place.path("image"), true);
    let report = image.check(Repair::None).unwrap();
    assert!(image.header.bitmaps.is_some() && report.is_clean(), "{report:?}");
    drop(image);
    // Whoever writes and does not keep them up to date has to say so.
    let image = open(&place.path("image"), false);
    write(&image, 0, &[2; 512]);
    let report = image.check(Repair::Leaks).unwrap();
    assert!(report.corruption_count == 0 && report.mended == report.leaks, "{report:?}");
    drop(image);
    place.qemu_img("check image");
}
