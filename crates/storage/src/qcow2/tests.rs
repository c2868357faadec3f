//! Tests against the host's `qemu-img` and `qemu-io`, and against ourselves.
use std::path::{Path, PathBuf};
use std::process::Command;

use platform::{Buffers, DiskBackend};

use super::{Layout, Qcow2Image};
use crate::file::HostFile;
use crate::{BackingPolicy, Format, Image, ImageError, OpenOptions};

mod chain;
mod hostile;
mod kill;
mod limits;
mod oracle;
mod random;
mod threads;

/// A few layouts that differ in everything that matters.
const LAYOUTS: [Layout; 5] = [
    Layout { cluster_bits: 16, extended: false, refcount_order: 4 },
    Layout { cluster_bits: 9, extended: false, refcount_order: 6 },
    Layout { cluster_bits: 12, extended: false, refcount_order: 0 },
    Layout { cluster_bits: 16, extended: true, refcount_order: 4 },
    Layout { cluster_bits: 21, extended: true, refcount_order: 1 },
];

/// Numbers that look random and come again.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: u64) -> u64 {
        // xorshift64*
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % below
    }
}

/// A directory that goes away.
struct Place(tempfile::TempDir);

impl Place {
    /// In memory where the host has such a place: flushes cost little there.
    fn new() -> Self {
        Self(tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap())
    }
    fn on_disk() -> Self {
        Self(tempfile::tempdir().unwrap())
    }
    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
    fn create(&self, name: &str, length: u64, layout: Layout) -> Qcow2Image {
        Qcow2Image::create(HostFile::create(&self.path(name)).unwrap(), length, None, layout).unwrap()
    }
    /// Runs one of QEMU's tools here.
    fn run(&self, program: &str, arguments: &[&str]) -> Result<String, String> {
        let output = Command::new(program).current_dir(self.0.path()).args(arguments).output().unwrap();
        let text =
            [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
        if output.status.success() { Ok(text) } else { Err(text) }
    }
    fn qemu_img(&self, arguments: &str) -> String {
        let arguments: Vec<_> = arguments.split_whitespace().collect();
        self.run("qemu-img", &arguments).unwrap_or_else(|text| panic!("qemu-img {arguments:?}: {text}"))
    }
    /// Writes through QEMU.
    fn qemu_io(&self, name: &str, commands: &[&str]) {
        let mut arguments = vec!["-f", "qcow2"];
        commands.iter().for_each(|command| arguments.extend(["-c", command]));
        arguments.push(name);
        self.run("qemu-io", &arguments).unwrap();
    }
}

/// Whether QEMU's tools are here; says so if not.
fn has_qemu() -> bool {
    let is_there = |program| Command::new(program).arg("--version").output().is_ok();
    let all = is_there("qemu-img") && is_there("qemu-io");
    if !all {
        eprintln!("skipped: qemu-img and qemu-io are not installed");
    }
    all
}

fn open(path: &Path, read_only: bool) -> Qcow2Image {
    let backing = BackingPolicy::SameDirectory;
    let options = OpenOptions { read_only, format: Some(Format::Qcow2), backing };
    patiently(|| Qcow2Image::open(HostFile::open(path, read_only)?, options, 0)).unwrap()
}

/// Tries again while a file is in use: programs that other tests start have a copy of every lock for a moment.
fn patiently<T>(mut attempt: impl FnMut() -> Result<T, ImageError>) -> Result<T, ImageError> {
    for _ in 0..200 {
        match attempt() {
            Err(ImageError::InUse(_)) => std::thread::sleep(std::time::Duration::from_millis(10)),
            done => return done,
        }
    }
    attempt()
}

fn read(image: &dyn Image, offset: u64, length: usize) -> Vec<u8> {
    let buffers = Buffers::of_bytes(vec![0xee; length]);
    image.read(offset, buffers.all()).unwrap();
    buffers.into_bytes()
}

fn write(image: &dyn Image, offset: u64, bytes: &[u8]) {
    image.write(offset, Buffers::of_bytes(bytes.to_vec()).all()).unwrap();
}

/// Says where two byte strings differ, without printing them.
fn assert_same(ours: &[u8], theirs: &[u8], what: &str) {
    assert_eq!(ours.len(), theirs.len(), "{what}");
    let differs = ours.iter().zip(theirs).position(|(one, other)| one != other);
    assert_eq!(differs, None, "{what}");
}
