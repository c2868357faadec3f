//! Damaged images give errors, and soon.
use std::io::{self, Write};

use fatfs::FatType;
use gasang_inspect::{EntryKind, Files, InspectError};

use super::disk::disk;
use super::{ext, fat, iso, ntfs, partitions};

/// Directories and files that are looked at in one image.
const STEPS: usize = 60;

/// Takes some bytes, and then no more.
struct Little(usize);

impl Write for Little {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 = self.0.checked_sub(bytes.len()).ok_or(io::ErrorKind::StorageFull)?;
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A generator of numbers that are the same in every run (xorshift).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % below as u64) as usize
    }
}

/// Looks at whatever can be found; the errors on the way.
fn look_at(bytes: Vec<u8>) -> Vec<InspectError> {
    let disk = disk(bytes);
    let mut errors = Vec::new();
    let survey = match gasang_inspect::survey(&disk) {
        Ok(survey) => survey,
        Err(error) => return vec![error],
    };
    for partition in survey.readable().take(3) {
        match Files::open(&disk, partition) {
            Ok(files) => walk(files, &mut errors),
            Err(error) => errors.push(error),
        }
    }
    errors
}

fn walk(mut files: Files, errors: &mut Vec<InspectError>) {
    let mut ahead = vec![Vec::new()];
    for _ in 0..STEPS {
        let Some(path) = ahead.pop() else { break };
        let entries = match files.list(&path) {
            Ok(entries) => entries,
            Err(error) => {
                errors.push(error);
                continue;
            }
        };
        for entry in entries.into_iter().take(STEPS) {
            let inner = [path.as_slice(), &entry.name].join(&b'/');
            match entry.kind {
                EntryKind::Directory => ahead.push(inner),
                _ => errors.extend(files.read(&inner, &mut Little(1 << 20)).err()),
            }
        }
    }
}

/// Flips bits in the bytes that matter: those that are not zero, and their neighbours.
fn flip(image: &[u8], rounds: u64) -> Vec<InspectError> {
    let matters: Vec<usize> =
        (0..image.len()).filter(|at| image[at & !15..][..16].iter().any(|b| *b != 0)).collect();
    let mut errors = Vec::new();
    for seed in 1..=rounds {
        let mut numbers = Numbers(seed * 0x9e37_79b9_7f4a_7c15);
        let mut damaged = image.to_vec();
        for _ in 0..1 + numbers.next(12) {
            // Tables come first, so half of the flips go there.
            let area = if numbers.next(2) == 0 { matters.len() } else { matters.len().min(4096) };
            let at = matters[numbers.next(area)];
            damaged[at] = match numbers.next(3) {
                0 => 0xff,
                1 => damaged[at] ^ 1 << numbers.next(8),
                _ => numbers.next(256) as u8,
            };
        }
        errors.extend(look_at(damaged));
    }
    errors
}

#[test]
fn tables_of_partitions() {
    flip(&partitions::mbr(), 150);
    flip(&partitions::gpt(), 50);
}

#[test]
fn fat() {
    flip(&fat::image(1 << 20, FatType::Fat12), 150);
    flip(&fat::image(4 << 20, FatType::Fat16), 50);
}

#[test]
fn iso() {
    for is_unix in [false, true] {
        for error in flip(&iso::image(is_unix), 600) {
            // This reader is our own.
            assert!(!error.to_string().contains("gave up"), "{error}");
        }
    }
}

#[test]
fn ext() {
    for kind in ["ext2", "ext4"] {
        let Some(image) = ext::image(kind) else { return };
        flip(&image, 60);
    }
}

#[test]
fn ntfs() {
    let Some(image) = ntfs::image() else { return };
    flip(&image, 100);
}

#[test]
fn images_that_are_cut_off() {
    let image = fat::image(1 << 20, FatType::Fat12);
    for length in [1, 511, 512, 513, 1024, 2048, 40_000, 200_000] {
        look_at(image[..length].to_vec());
        look_at(iso::image(true)[..length.min(65_536)].to_vec());
    }
}
