//! Writes sound images, frames and messages into `corpus/TARGET`, so that the fuzzer begins beyond the magic numbers.
//!
//! Formats come from our own `storage::create` and, for what it cannot make, from `qemu-img`; file systems from the
//! tests of `inspect`. What needs a tool that is not installed is left out, and said.
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use fatfs::FatType;
use gasang_fuzz::{Act, BASE_NAME, Input};
use platform::Buffers;
use storage::{CreateOptions, Format, OpenOptions};

mod frames;

/// The images that the tests of `inspect` make.
#[allow(
    dead_code,
    unused_imports,
    reason = "only the images of these tests are used; `expect` does not see all of it"
)]
#[path = "../../../crates/inspect/tests/inspect"]
mod images {
    pub mod disk;
    pub mod ext;
    pub mod fat;
    pub mod iso;
    pub mod ntfs;
    pub mod partitions;
    pub mod tools;
}

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// Bytes of a disk.
const LENGTH: u64 = 8 << 20;

/// What `qemu-img` makes: our format, its name, options.
const QEMU: &[(Format, &str, &str)] = &[
    (Format::Qcow2, "qcow2", "compat=0.10,cluster_size=4k"),
    (Format::Qcow2, "qcow2", "extended_l2=on,cluster_size=16k"),
    (Format::Qcow2, "qcow2", "lazy_refcounts=on,cluster_size=512,refcount_bits=1"),
    (Format::Vdi, "vdi", "static=on"),
    (Format::Vmdk, "vmdk", "subformat=monolithicSparse"),
    (Format::Vmdk, "vmdk", "subformat=streamOptimized"),
    (Format::Vhd, "vpc", "subformat=fixed"),
    (Format::Vhd, "vpc", "subformat=dynamic"),
    (Format::Vhdx, "vhdx", "subformat=dynamic,block_size=1M"),
    (Format::Vhdx, "vhdx", "subformat=fixed"),
];

fn main() -> Outcome<()> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    for format in Format::ALL.into_iter().filter(|format| *format != Format::Vhdx) {
        write(&corpus, format.name(), "created", created(format)?)?;
    }
    write(&corpus, "qcow2", "backed", backed()?)?;
    for (number, (format, name, options)) in QEMU.iter().enumerate() {
        match by_qemu(name, options)? {
            Some(bytes) => write(&corpus, format.name(), &format!("qemu-{number}"), bytes)?,
            None => eprintln!("skipped: {format} with {options}: there is no qemu-img"),
        }
    }
    let made = [
        ("mbr", Some(images::partitions::mbr())),
        ("gpt", Some(images::partitions::gpt())),
        ("fat12", Some(images::fat::image(1 << 20, FatType::Fat12))),
        ("fat16", Some(images::fat::image(4 << 20, FatType::Fat16))),
        ("iso", Some(images::iso::image(true))),
        ("ext2", images::ext::image("ext2")),
        ("ext4", images::ext::image("ext4")),
        ("ntfs", images::ntfs::image()),
    ];
    for (name, bytes) in made {
        if let Some(bytes) = bytes {
            write(&corpus, "inspect", name, bytes)?;
        }
    }
    for (target, name, bytes) in frames::all() {
        std::fs::create_dir_all(corpus.join(target))?;
        std::fs::write(corpus.join(target).join(name), bytes)?;
    }
    Ok(())
}

/// Writes a seed: an image, and a bit of everything that can be done with it.
fn write(corpus: &Path, target: &str, name: &str, file: Vec<u8>) -> Outcome<()> {
    let acts = [(1, 1, 0), (2, 40, 2048), (4, 3, 9), (6, 200, 0), (7, 0, 0), (0, 9, 2040)];
    let rest = [(10, 0, 30_000), (9, 0, 0), (12, 0, 0), (3, 20, 16_300), (8, 0, 0), (5, 33, 4096)];
    let acts = acts.into_iter().chain(rest).map(|(kind, length, sector)| Act { kind, length, sector });
    let directory = corpus.join(target);
    std::fs::create_dir_all(&directory)?;
    std::fs::write(directory.join(name), Input::of_file(&file, acts.collect()).encode())?;
    Ok(())
}

/// A new image with data in a few places.
fn created(format: Format) -> Outcome<Vec<u8>> {
    let place = tempfile::tempdir()?;
    fill(place.path().join("image"), &CreateOptions { format, length: LENGTH, backing: None })
}

fn backed() -> Outcome<Vec<u8>> {
    let place = tempfile::tempdir()?;
    std::fs::write(place.path().join(BASE_NAME), [3; 4096])?;
    let backing = Some((PathBuf::from(BASE_NAME), Format::Raw));
    fill(place.path().join("image"), &CreateOptions { format: Format::Qcow2, length: LENGTH, backing })
}

fn fill(path: PathBuf, options: &CreateOptions) -> Outcome<Vec<u8>> {
    let image = storage::create(&path, options)?;
    for block in [3, 0, 6] {
        image.write(block << 20, Buffers::of_bytes(vec![7; 512]).all())?;
    }
    image.flush()?;
    drop(image);
    storage::open(&path, OpenOptions::read_only())?;
    Ok(std::fs::read(path)?)
}

fn by_qemu(name: &str, options: &str) -> Outcome<Option<Vec<u8>>> {
    let place = tempfile::tempdir()?;
    let (raw, image) = (place.path().join("raw"), place.path().join("image"));
    let mut disk = vec![0; LENGTH as usize];
    disk[3 << 20..][..512].fill(7);
    std::fs::write(&raw, disk)?;
    let mut command = Command::new("qemu-img");
    command.args(["convert", "-f", "raw", "-O", name, "-o", options]).args([&raw, &image]);
    match command.stdout(Stdio::null()).status() {
        Ok(status) if status.success() => Ok(Some(std::fs::read(image)?)),
        Ok(status) => Err(format!("qemu-img failed for {name}: {status}").into()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}
