//! What disks should have in them.
use std::path::Path;

use platform::Buffers;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use storage::{Image, ImageError, OpenOptions};

/// A source of numbers that are the same in every run.
pub fn numbers(seed: u64) -> SmallRng {
    SmallRng::seed_from_u64(seed)
}

/// A disk with runs of data in it, and zeros between them.
pub fn sparse_disk(numbers: &mut SmallRng, length: usize) -> Vec<u8> {
    let mut disk = vec![0; length];
    for _ in 0..24 {
        let start = numbers.random_range(0..length);
        let bytes = numbers.random_range(1..=(256 << 10)).min(length - start);
        numbers.fill(&mut disk[start..start + bytes]);
    }
    disk
}

/// All of a disk.
pub fn contents(image: &dyn Image) -> Vec<u8> {
    let bytes = Buffers::of_bytes(vec![0xa5; image.shape().length as usize]);
    image.read(0, bytes.all()).expect("sound images can be read");
    bytes.into_bytes()
}

/// A disk, read extent by extent: what is said to be zeros is not read.
pub fn contents_by_extents(image: &dyn Image) -> Vec<u8> {
    let mut disk = vec![0; image.shape().length as usize];
    let mut at = 0;
    while at < disk.len() {
        let extent = image.extent(at as u64).expect("sound images have extents");
        let end = at + extent.length as usize;
        assert!(extent.length > 0 && end <= disk.len(), "{extent:?} at {at}");
        if extent.kind == storage::ExtentKind::Data {
            // Extents may begin anywhere, sectors may not.
            let (start, whole) = (at / 512 * 512, end.next_multiple_of(512).min(disk.len()));
            let bytes = Buffers::of_bytes(vec![0; whole - start]);
            image.read(start as u64, bytes.all()).expect("sound images can be read");
            disk[start..whole].copy_from_slice(&bytes.into_bytes());
        }
        at = end;
    }
    disk
}

/// Compares without printing megabytes.
pub fn assert_same(left: &[u8], right: &[u8], what: &str) {
    assert_eq!(left.len(), right.len(), "{what}");
    if let Some(at) = left.iter().zip(right).position(|(left, right)| left != right) {
        panic!("{what}: the first difference is at {at:#x}");
    }
}

/// Opens an image for writing.
pub fn open(path: &Path) -> Box<dyn Image> {
    storage::open(path, OpenOptions::writable()).expect("the image is sound")
}

/// Opens an image that nobody should be able to open, and says why nobody can.
pub fn refusal(path: &Path) -> ImageError {
    match storage::open(path, OpenOptions::read_only()) {
        Ok(_) => panic!("{} should be refused", path.display()),
        Err(error) => error,
    }
}
