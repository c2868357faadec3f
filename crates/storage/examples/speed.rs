//! How fast images are, without a guest: `cargo run --release -p gasang-storage --example speed -- DIRECTORY`.
//!
//! For each format that can be made: 4 KiB writes a second where nothing was before, where something was, and reads.
use std::path::PathBuf;
use std::time::Instant;

use gasang_storage::{self as storage, CreateOptions, Format, Image};
use platform::{Buffers, DiskError};

const COUNT: u64 = 20_000;
const LENGTH: u64 = 4 << 30;
/// Places that are written to, each once: a permutation of the disk's pieces of 64 KiB.
const PLACES: u64 = LENGTH >> 16;

fn place(index: u64) -> u64 {
    (index * 77_773 % PLACES) << 16
}

fn measure(
    what: &str,
    offset: impl Fn(u64) -> u64,
    mut one: impl FnMut(u64) -> Result<(), DiskError>,
) -> Result<(), DiskError> {
    let start = Instant::now();
    (0..COUNT).try_for_each(|index| one(offset(index)))?;
    println!("  {what}: {:.0} a second", COUNT as f64 / start.elapsed().as_secs_f64());
    Ok(())
}

fn run(image: &dyn Image) -> Result<(), DiskError> {
    let data = Buffers::of_bytes(vec![7; 4096]);
    measure("writes into nothing", place, |offset| image.write(offset, data.all()))?;
    image.flush()?;
    let again = |index| place(index * 91_193 % COUNT);
    measure("writes over something", again, |offset| image.write(offset, data.all()))?;
    measure("reads", place, |offset| image.read(offset, data.all()))?;
    let start = Instant::now();
    image.flush()?;
    println!("  flush: {:?}", start.elapsed());
    Ok(())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let directory = PathBuf::from(std::env::args().nth(1).ok_or("where? give a directory")?);
    for format in [Format::Raw, Format::Qcow2, Format::Vdi, Format::Vmdk, Format::Vhd] {
        let path = directory.join(format!("speed-{}.{format}", std::process::id()));
        let image = storage::create(&path, &CreateOptions { format, length: LENGTH, backing: None })?;
        println!("{format}");
        let measured = run(image.as_ref());
        drop(image);
        std::fs::remove_file(&path)?;
        measured?;
    }
    Ok(())
}
