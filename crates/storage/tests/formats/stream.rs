//! Stream-optimized VMDK images that we export.
use storage::{CreateOptions, Format, OpenOptions, Repair};

use crate::models::{self, assert_same};
use crate::qemu;

#[test]
fn exports_are_read() {
    for (seed, length) in [(1, 512), (2, (40 << 20) + 7 * 512), (3, 64 << 20), (4, 0)] {
        let directory = tempfile::tempdir().unwrap();
        let (raw, path) = (directory.path().join("disk.raw"), directory.path().join("disk.vmdk"));
        let mut disk = vec![0; length];
        if length > 0 {
            // Of 32 MiB, one grain table's worth, some have nothing in them.
            let filled = length / 4 + 1;
            disk[..filled].copy_from_slice(&models::sparse_disk(&mut models::numbers(seed), filled));
        }
        std::fs::write(&raw, &disk).unwrap();
        let source = models::open(&raw);
        let mut last = (0, 0);
        storage::export_stream(&*source, &path, &mut |done, all| last = (done, all)).unwrap();
        assert_eq!(last, if length == 0 { (0, 0) } else { (length as u64, length as u64) });
        drop(source);
        let image = storage::open(&path, OpenOptions::writable()).unwrap();
        assert!(image.shape().read_only);
        assert_eq!(image.info().unwrap().variant.as_deref(), Some("streamOptimized"));
        assert_same(&models::contents(&*image), &disk, "exported");
        assert_same(&models::contents_by_extents(&*image), &disk, "exported, by extents");
        assert!(image.check(Repair::None).unwrap().is_clean());
        drop(image);
        if length > 0 && qemu::is_here("exports_are_read") {
            qemu::same_and_sound(&raw, &path, "vmdk");
        }
    }
}

#[test]
fn a_failed_export_leaves_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let options = CreateOptions { format: Format::Raw, length: 1 << 50, backing: None };
    let raw = directory.path().join("disk.raw");
    let Ok(source) = storage::create(&raw, &options).or_else(|_| {
        // Some file systems have no files as long.
        storage::create(&raw, &CreateOptions { length: 3 << 40, ..options })
    }) else {
        return;
    };
    let path = directory.path().join("disk.vmdk");
    assert!(storage::export_stream(&*source, &path, &mut |_, _| {}).is_err());
    assert!(!path.exists());
}
