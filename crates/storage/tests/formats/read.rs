//! Images that QEMU made.
use std::path::{Path, PathBuf};

use storage::{CreateOptions, Format, ImageError, OpenOptions};

use crate::checksums::seal_vhd;
use crate::models::{self, assert_same};
use crate::qemu;

/// Every kind that QEMU makes: format, options.
const KINDS: [(&str, &str); 19] = [
    ("vdi", "static=off"),
    ("vdi", "static=on"),
    ("vmdk", "subformat=monolithicSparse"),
    ("vmdk", "subformat=monolithicSparse,zeroed_grain=on"),
    ("vmdk", "subformat=monolithicSparse,compat6=on"),
    ("vmdk", "subformat=monolithicSparse,adapter_type=lsilogic"),
    ("vmdk", "subformat=monolithicFlat"),
    ("vmdk", "subformat=twoGbMaxExtentSparse"),
    ("vmdk", "subformat=twoGbMaxExtentFlat"),
    ("vmdk", "subformat=streamOptimized"),
    ("vpc", "subformat=dynamic"),
    ("vpc", "subformat=fixed"),
    ("vpc", "subformat=dynamic,force_size=on"),
    ("vpc", "subformat=fixed,force_size=on"),
    ("vhdx", "subformat=dynamic"),
    ("vhdx", "subformat=fixed"),
    ("vhdx", "subformat=dynamic,block_size=1M"),
    ("vhdx", "subformat=dynamic,block_size=2M,block_state_zero=on"),
    ("vhdx", "subformat=dynamic,log_size=2M"),
];

/// Makes an image from a disk; the disk may become longer, up to whole cylinders.
fn convert(directory: &Path, disk: &[u8], format: &str, options: &str) -> PathBuf {
    let (raw, image) = (directory.join("disk.raw"), directory.join(format!("disk.{format}")));
    std::fs::write(&raw, disk).unwrap();
    qemu::succeed(&[
        "convert",
        "-f",
        "raw",
        "-O",
        format,
        "-o",
        options,
        qemu::path(&raw),
        qemu::path(&image),
    ]);
    image
}

#[test]
fn all_kinds_are_read() {
    if !qemu::is_here("all_kinds_are_read") {
        return;
    }
    for (seed, (format, options)) in KINDS.into_iter().enumerate() {
        let directory = tempfile::tempdir().unwrap();
        let mut disk = models::sparse_disk(&mut models::numbers(seed as u64), (10 << 20) + 7 * 512);
        let path = convert(directory.path(), &disk, format, options);
        let image = storage::open(&path, OpenOptions::read_only()).unwrap();
        let what = format!("{format} with {options}");
        let longer = image.shape().length as usize;
        assert!(longer == disk.len() || format == "vpc" && longer > disk.len(), "{what}: {longer}");
        disk.resize(longer, 0);
        assert_same(&models::contents(&*image), &disk, &what);
        assert_same(&models::contents_by_extents(&*image), &disk, &what);
        assert!(image.check(storage::Repair::None).unwrap().is_clean(), "{what}");
        assert_eq!(image.info().unwrap().length, longer as u64, "{what}");
        assert!(image.write(0, platform::Buffers::of_bytes(vec![0; 512]).all()).is_err());
    }
}

#[test]
fn lengths_are_those_that_qemu_sees() {
    if !qemu::is_here("lengths_are_those_that_qemu_sees") {
        return;
    }
    for megabytes in [1, 33, 500, 503, 130_000] {
        for options in ["subformat=dynamic", "subformat=dynamic,force_size=on"] {
            let directory = tempfile::tempdir().unwrap();
            let (image, size) = (directory.path().join("disk.vhd"), format!("{megabytes}M"));
            qemu::succeed(&["create", "-q", "-f", "vpc", "-o", options, qemu::path(&image), &size]);
            let ours = models::open(&image).shape().length;
            assert_eq!(qemu::length(&image, "vpc"), ours, "{megabytes} {options}");
        }
    }
}

#[test]
fn geometries_are_those_that_qemu_computes() {
    if !qemu::is_here("geometries_are_those_that_qemu_computes") {
        return;
    }
    for megabytes in [1, 33, 127, 128, 260, 504, 505, 8000, 32_000, 100_000] {
        let directory = tempfile::tempdir().unwrap();
        let (theirs, ours) = (directory.path().join("theirs.vhd"), directory.path().join("ours.vhd"));
        qemu::succeed(&["create", "-q", "-f", "vpc", qemu::path(&theirs), &format!("{megabytes}M")]);
        let length = models::open(&theirs).shape().length;
        let options = CreateOptions { format: Format::Vhd, length, backing: None };
        drop(storage::create(&ours, &options).unwrap());
        let (theirs, ours) = (std::fs::read(&theirs).unwrap(), std::fs::read(&ours).unwrap());
        // Current Size and Disk Geometry.
        assert_eq!(theirs[48..60], ours[48..60], "{megabytes}");
    }
}

#[test]
fn several_extents_are_one_disk() {
    if !qemu::is_here("several_extents_are_one_disk") {
        return;
    }
    for options in ["subformat=twoGbMaxExtentSparse", "subformat=twoGbMaxExtentFlat"] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("disk.vmdk");
        qemu::succeed(&["create", "-q", "-f", "vmdk", "-o", options, qemu::path(&path), "5G"]);
        let image = models::open(&path);
        let bytes = platform::Buffers::of_bytes((0..1 << 20).map(|at| at as u8 | 1).collect());
        let at = (2 << 30) - (512 << 10);
        image.write(at, bytes.all()).unwrap();
        let back = platform::Buffers::of_bytes(vec![0; 1 << 20]);
        image.read(at, back.all()).unwrap();
        assert_same(&bytes.into_bytes(), &back.into_bytes(), options);
        drop(image);
        let raw = directory.path().join("disk.raw");
        let file = storage::file::HostFile::create(&raw).unwrap();
        file.set_length(5 << 30).unwrap();
        file.write(at, &(0..1 << 20).map(|at| at as u8 | 1).collect::<Vec<_>>()).unwrap();
        drop(file);
        qemu::same_and_sound(&raw, &path, "vmdk");
    }
}

#[test]
fn children_are_refused() {
    if !qemu::is_here("children_are_refused") {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let (parent, child) = (directory.path().join("parent.vmdk"), directory.path().join("child.vmdk"));
    qemu::succeed(&["create", "-q", "-f", "vmdk", qemu::path(&parent), "10M"]);
    let backing = ["create", "-q", "-f", "vmdk", "-F", "vmdk", "-b", qemu::path(&parent), qemu::path(&child)];
    qemu::succeed(&backing);
    let refused = models::refusal(&child);
    assert!(matches!(&refused, ImageError::Unsupported { feature, .. } if feature == "a parent image"));
}

/// Marks an image as the child of another by hand.
fn make_child(bytes: &mut [u8], format: Format) {
    match format {
        // `uuidLinkage`.
        Format::Vdi => bytes[0x1a8..0x1b8].fill(7),
        Format::Vhd => {
            let tail = bytes.len() - 512;
            for footer in [0, tail] {
                // Disk Type.
                bytes[footer + 63] = 4;
                seal_vhd(&mut bytes[footer..footer + 512], 64);
            }
        }
        _ => {
            // `HasParent` of the File Parameters, which are the first item in the metadata.
            let table = bytes.windows(8).position(|bytes| bytes == b"metadata").unwrap();
            bytes[table + (64 << 10) + 4] |= 2;
        }
    }
}

#[test]
fn children_of_other_formats_are_refused() {
    if !qemu::is_here("children_of_other_formats_are_refused") {
        return;
    }
    for (format, name) in [(Format::Vdi, "vdi"), (Format::Vhd, "vpc"), (Format::Vhdx, "vhdx")] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("child");
        qemu::succeed(&["create", "-q", "-f", name, qemu::path(&path), "10M"]);
        let mut bytes = std::fs::read(&path).unwrap();
        make_child(&mut bytes, format);
        std::fs::write(&path, bytes).unwrap();
        let refused = models::refusal(&path);
        let is_clear =
            matches!(&refused, ImageError::Unsupported { feature, .. } if feature == "a parent image");
        assert!(is_clear, "{format}: {refused:?}");
    }
}

#[test]
fn extents_elsewhere_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("disk.vmdk");
    for name in ["/etc/passwd", "../disk", "a/b", ".."] {
        let head =
            "# Disk DescriptorFile\nversion=1\nCID=1\nparentCID=ffffffff\ncreateType=\"monolithicFlat\"";
        std::fs::write(&path, format!("{head}\nRW 1 FLAT \"{name}\" 0\n")).unwrap();
        assert!(matches!(models::refusal(&path), ImageError::Malformed { .. }), "{name}");
    }
}
