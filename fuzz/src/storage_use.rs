//! Using a damaged image like a machine and like a user would.
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use platform::Buffers;
use storage::{Format, Image, OpenOptions, Repair};

use crate::{Act, Input};

/// The file beside the image that it may have as its backing file or as an extent.
pub const BASE_NAME: &str = "base.raw";
const BASE_BYTES: usize = 4 << 10;

const SECTOR: u64 = 512;
/// Images may be resized to this many bytes.
const RESIZE_MAX: u64 = 1 << 30;
/// Runs of bytes that are looked at in one go.
const EXTENTS: usize = 50;

/// Does with an image what the bytes say. Errors are welcome; panics, endless loops and huge allocations are not.
pub fn use_image(format: Format, bytes: &[u8]) {
    let Some(input) = Input::decode(bytes) else { return };
    let place = tempfile::tempdir_in("/dev/shm").expect("there is room in memory");
    let path = place.path().join("image");
    write(&path, &input).expect("there is room in memory");
    std::fs::write(place.path().join(BASE_NAME), [3; BASE_BYTES]).expect("there is room in memory");
    let read_only = OpenOptions { format: Some(format), ..OpenOptions::read_only() };
    if let Some(image) = open(&path, read_only) {
        look_at(image.as_ref());
    }
    let writable = OpenOptions { read_only: false, ..read_only };
    let Some(mut image) = open(&path, writable) else { return };
    for act in input.acts {
        if act.kind & 0x7f == 12 {
            drop(image);
            let Some(again) = open(&path, writable) else { return };
            image = again;
        }
        perform(image.as_ref(), act);
    }
    look_at(image.as_ref());
}

/// Writes an image with holes where it has zeros.
fn write(path: &Path, input: &Input) -> std::io::Result<()> {
    let file = File::create(path)?;
    file.set_len(input.length)?;
    input.pieces().try_for_each(|(start, piece)| file.write_all_at(piece, start))
}

fn open(path: &Path, options: OpenOptions) -> Option<Box<dyn Image>> {
    match storage::open(path, options) {
        Ok(image) => Some(image),
        Err(error) => {
            // What users see of it must be made without a panic, too.
            let _ = error.to_string();
            None
        }
    }
}

/// Everything that changes nothing.
fn look_at(image: &dyn Image) {
    let _ = image.info();
    let _ = image.check(Repair::None);
    let length = image.shape().length;
    let mut at = 0;
    for _ in 0..EXTENTS {
        if at >= length {
            break;
        }
        let Ok(extent) = image.extent(at) else { break };
        assert!(extent.length > 0 && extent.length <= length - at, "{extent:?} at {at} of {length}");
        read(image, at / SECTOR * SECTOR, SECTOR.min(length));
        at += extent.length;
    }
    read(image, 0, length.min(64 << 10));
    read(image, length.saturating_sub(64 << 10), length.min(64 << 10));
}

fn read(image: &dyn Image, at: u64, length: u64) {
    let bytes = Buffers::of_bytes(vec![0; length as usize]);
    let _ = image.read(at, bytes.all());
}

fn perform(image: &dyn Image, act: Act) {
    let sectors = image.shape().length / SECTOR;
    let sector = u64::from(act.sector) % sectors.max(1);
    let at = SECTOR * if act.kind & 0x80 == 0 { sector } else { sectors.saturating_sub(sector) };
    let length = u64::from(act.length) * 8 * SECTOR;
    match act.kind & 0x7f {
        0 => read(image, at, length),
        1..=3 => {
            let bytes = Buffers::of_bytes(vec![act.kind; length as usize]);
            let _ = image.write(at, bytes.all());
        }
        4 => drop(image.write_zeroes(at, length, true)),
        5 => drop(image.write_zeroes(at, length, false)),
        6 => drop(image.discard(at, length)),
        7 => drop(image.flush()),
        8 => drop(image.check(Repair::Leaks)),
        9 => drop(image.check(Repair::All)),
        10 => drop(image.resize(u64::from(act.sector) * SECTOR % RESIZE_MAX)),
        11 => look_at(image),
        _ => {}
    }
}
