//! Damaged images: whatever is in a file, nothing panics, and no more memory is asked for than the file is worth.
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use platform::Buffers;
use rand::RngExt;
use rand::rngs::SmallRng;
use storage::{CreateOptions, Format, Image, OpenOptions, Repair};

use crate::checksums::{seal_vhd, seal_vhdx};
use crate::models;
use crate::qemu;
use crate::vhdx_log;

/// Damages of an image that is the only one of its kind here.
const CASES: u64 = 2000;
/// Damages of one that has relatives.
const FEWER_CASES: u64 = 600;
/// Bytes at the beginning of a file that are damaged.
const FRONT: usize = 4 << 20;
/// The most memory that the whole process may take meanwhile, in KiB.
const MEMORY_MAX_KIB: u64 = 1 << 20;

/// A sound image, to be damaged.
struct Victim {
    _directory: tempfile::TempDir,
    path: PathBuf,
    format: Format,
    sound: Vec<u8>,
    /// Where bytes are that say something.
    places: Vec<usize>,
}

impl Victim {
    /// One that we make ourselves, with a few blocks.
    fn created(format: Format) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("disk.image");
        let options = CreateOptions { format, length: 8 << 20, backing: None };
        let image = storage::create(&path, &options).unwrap();
        for block in [3, 0, 6] {
            image.write(block << 20, Buffers::of_bytes(vec![0; 1024]).all()).unwrap();
            image.write(block << 20, Buffers::of_bytes(vec![block as u8 | 8; 1024]).all()).unwrap();
        }
        drop(image);
        Self::of(directory, path, format)
    }
    /// One that QEMU makes.
    fn converted(format: Format, name: &str, options: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (raw, path) = (directory.path().join("disk.raw"), directory.path().join("disk.image"));
        let mut disk = vec![0; 8 << 20];
        disk[3 << 20..(3 << 20) + 8192].fill(7);
        disk[7 << 20..(7 << 20) + 8192].fill(9);
        std::fs::write(&raw, disk).unwrap();
        let (from, to) = (qemu::path(&raw), qemu::path(&path));
        qemu::succeed(&["convert", "-f", "raw", "-O", name, "-o", options, from, to]);
        Self::of(directory, path, format)
    }
    fn of(directory: tempfile::TempDir, path: PathBuf, format: Format) -> Self {
        let sound = std::fs::read(&path).unwrap();
        let end = sound.len().saturating_sub(2048);
        let says = |at: &usize| sound[*at] != 0 && sound[*at] != 7 && sound[*at] != 9;
        let mut places: Vec<_> =
            (0..sound.len()).filter(|at| *at < FRONT || *at >= end).filter(says).take(4096).collect();
        // Zeros in headers say something, too.
        places.extend(0..256.min(sound.len()));
        Self { _directory: directory, path, format, sound, places }
    }

    /// Damages the file, lets `act` see it, and puts it right again. `act` tells whether it may have changed the file.
    fn damage(&self, numbers: &mut SmallRng, act: impl FnOnce(&Path) -> bool) {
        let mut damaged = self.sound.clone();
        for _ in 0..numbers.random_range(1..5) {
            let at = self.places[numbers.random_range(0..self.places.len())];
            match numbers.random_range(0..4) {
                0 => damaged[at] ^= 1 << numbers.random_range(0..8),
                1 => damaged[at] = numbers.random(),
                2 => {
                    let end = (at + numbers.random_range(1..9)).min(damaged.len());
                    damaged[at..end].fill(numbers.random_range(0..2) * 0xff);
                }
                _ => damaged[at] = damaged[at].wrapping_add(numbers.random_range(0..3)).wrapping_sub(1),
            }
        }
        if numbers.random_ratio(3, 4) {
            seal(&mut damaged, self.format);
        }
        if numbers.random_ratio(1, 16) {
            damaged.truncate(numbers.random_range(0..self.sound.len()));
        }
        let file = std::fs::File::options().write(true).open(&self.path).unwrap();
        let differs = |from: &usize| {
            let end = (*from + 4096).min(self.sound.len());
            damaged.get(*from..end) != Some(&self.sound[*from..end])
        };
        let pages: Vec<_> = (0..self.sound.len()).step_by(4096).filter(differs).collect();
        put_pages(&file, &damaged, &pages);
        if act(&self.path) {
            std::fs::write(&self.path, &self.sound).unwrap();
        } else {
            put_pages(&file, &self.sound, &pages);
        }
    }
}

/// Puts some pages of a file into it, and makes it as long.
fn put_pages(file: &std::fs::File, bytes: &[u8], pages: &[usize]) {
    for from in pages.iter().copied().filter(|from| *from < bytes.len()) {
        file.write_all_at(&bytes[from..(from + 4096).min(bytes.len())], from as u64).unwrap();
    }
    file.set_len(bytes.len() as u64).unwrap();
}

/// Makes all checksums right again.
fn seal(bytes: &mut [u8], format: Format) {
    let length = bytes.len();
    match format {
        Format::Vhd => {
            seal_vhd(&mut bytes[..512], 64);
            seal_vhd(&mut bytes[length - 512..], 64);
            seal_vhd(&mut bytes[512..1536], 36);
        }
        Format::Vhdx => {
            for start in [64 << 10, 128 << 10] {
                seal_vhdx(&mut bytes[start..start + 4096]);
            }
            for start in [192 << 10, 256 << 10] {
                seal_vhdx(&mut bytes[start..start + (64 << 10)]);
            }
            vhdx_log::seal_entries(bytes);
        }
        _ => {}
    }
}

/// Does what can be done with an image, whatever comes of it.
fn use_up(image: &dyn Image, numbers: &mut SmallRng) {
    let length = image.shape().length;
    let sectors = (length / 512).max(1);
    let offsets = [0, 3 << 20, 6 << 20, 7 << 20, length.saturating_sub(8192) / 512 * 512, length];
    let random = (0..3).map(|_| numbers.random_range(0..sectors) * 512).collect::<Vec<_>>();
    for offset in offsets.into_iter().chain(random) {
        let bytes = Buffers::of_bytes(vec![5; 8192]);
        let _ = image.read(offset, bytes.all());
        let _ = image.extent(offset);
        let _ = image.write(offset, bytes.all());
        let _ = image.write_zeroes(offset, 4096, numbers.random());
        let _ = image.discard(offset, 1 << 20);
    }
    let _ = image.info();
    let _ = image.check(Repair::None);
    let _ = image.check(Repair::All);
    let _ = image.resize(length.saturating_add(200 << 20));
    let _ = image.read(0, Buffers::of_bytes(vec![5; 8192]).all());
    let _ = image.flush();
}

fn torment(victim: &Victim, seed: u64, cases: u64) {
    let mut numbers = models::numbers(seed);
    let mut opened = 0;
    for case in 0..cases {
        // Nothing writes VHDX.
        let read_only = case % 4 != 0 || victim.format == Format::Vhdx;
        let options = OpenOptions { read_only, format: Some(victim.format), ..OpenOptions::read_only() };
        let mut more = models::numbers(seed << 32 | case);
        victim.damage(&mut numbers, |path| {
            if let Ok(image) = storage::open(path, options) {
                use_up(&*image, &mut more);
                opened += 1;
            }
            !read_only
        });
    }
    // Otherwise the cases would be worth nothing.
    assert!(opened > cases / 20, "{}: {opened} could be opened", victim.format);
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let peak: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
    assert!(peak < MEMORY_MAX_KIB, "{peak} KiB of memory were taken");
}

#[test]
fn damaged_vdi() {
    torment(&Victim::created(Format::Vdi), 1, CASES);
}

#[test]
fn damaged_vmdk() {
    torment(&Victim::created(Format::Vmdk), 2, CASES);
}

#[test]
fn damaged_vhd() {
    torment(&Victim::created(Format::Vhd), 3, CASES);
}

#[test]
fn damaged_foreign_images() {
    if !qemu::is_here("damaged_foreign_images") {
        return;
    }
    torment(&Victim::converted(Format::Vmdk, "vmdk", "subformat=streamOptimized"), 4, FEWER_CASES);
    torment(&Victim::converted(Format::Vmdk, "vmdk", "subformat=twoGbMaxExtentFlat"), 5, FEWER_CASES);
    torment(&Victim::converted(Format::Vhd, "vpc", "subformat=fixed,force_size=on"), 6, FEWER_CASES);
    torment(&Victim::converted(Format::Vdi, "vdi", "static=on"), 7, FEWER_CASES);
}

#[test]
fn damaged_vhdx() {
    if !qemu::is_here("damaged_vhdx") {
        return;
    }
    torment(&Victim::converted(Format::Vhdx, "vhdx", "block_size=1M"), 8, CASES);
    let victim = Victim::converted(Format::Vhdx, "vhdx", "block_size=1M");
    vhdx_log::leave_open(&victim.path, 5);
    let Victim { _directory, path, format, .. } = victim;
    torment(&Victim::of(_directory, path, format), 9, FEWER_CASES);
}
