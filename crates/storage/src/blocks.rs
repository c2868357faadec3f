//! Disks in blocks of one length: a table says where in a file each block is, if it is anywhere.
//!
//! What VDI, VMDK, VHD and VHDX share. A block that got a place keeps it: discarded bytes become holes in the host's
//! file. So a place that was looked up stays good without a lock, and data moves outside of all locks.
use platform::{DiskError, Span};

use crate::file::HostFile;
use crate::image::{Extent, ExtentKind};

/// Blocks that are looked at together.
const BLOCKS_PER_RUN: usize = 1024;

/// A disk in blocks. All methods may be called from many threads at once.
pub trait BlockStore {
    /// The file that blocks are in.
    fn file(&self) -> &HostFile;
    /// Bytes of the disk; its last block may go beyond that.
    fn length(&self) -> u64;
    /// Bytes of a block.
    fn block_bytes(&self) -> u64;
    /// Where in the file a block begins that is on the disk; `None` if it is nowhere, which is zeros.
    fn find(&self, block: u64) -> Result<Option<u64>, DiskError>;
    /// Gives a place to a block that had none a moment ago, and puts `from` there, `within` bytes from the block's
    /// beginning. The table names the place only once the bytes are in the file.
    fn place(&self, block: u64, within: u64, from: Span<'_>) -> Result<(), DiskError>;
    /// Fills a span with what is at a place in the file.
    fn read_place(&self, at: u64, into: Span<'_>) -> Result<(), DiskError> {
        self.file().read_span(at, into)
    }
    /// Called before bytes are put into a block that has a place.
    fn touch(&self, _block: u64) -> Result<(), DiskError> {
        Ok(())
    }
}

/// Bytes that follow one another both on the disk and in the file, or that are all nowhere.
struct Run {
    at: Option<u64>,
    length: u64,
}

/// The run that begins at an offset, up to `length` bytes of it.
fn run(store: &impl BlockStore, offset: u64, length: u64) -> Result<Run, DiskError> {
    if length == 0 {
        return Ok(Run { at: None, length });
    }
    let block_bytes = store.block_bytes();
    let (block, within) = (offset / block_bytes, offset % block_bytes);
    let at = store.find(block)?.map(|place| place + within);
    let mut done = (block_bytes - within).min(length);
    for block in (block + 1..).take(BLOCKS_PER_RUN) {
        // What is wrong with a later block is told to whoever reaches it.
        let Ok(place) = (if done < length { store.find(block) } else { break }) else { break };
        if place != at.map(|at| at + done) {
            break;
        }
        done = (done + block_bytes).min(length);
    }
    Ok(Run { at, length: done })
}

/// All of `length` bytes at `offset`, run by run: `each` gets a run and its offset from the first byte.
fn each_run(
    store: &impl BlockStore,
    offset: u64,
    length: u64,
    mut each: impl FnMut(Run, u64) -> Result<(), DiskError>,
) -> Result<(), DiskError> {
    let mut done = 0;
    while done < length {
        let run = run(store, offset + done, length - done)?;
        let bytes = run.length;
        each(run, done)?;
        done += bytes;
    }
    Ok(())
}

/// Checks a range against the disk's end.
pub fn check(store: &impl BlockStore, offset: u64, length: u64) -> Result<(), DiskError> {
    match offset.checked_add(length) {
        Some(end) if end <= store.length() => Ok(()),
        _ => Err(DiskError::OutOfRange { offset, length }),
    }
}

/// The same for a range that will be changed.
pub fn check_write(store: &impl BlockStore, offset: u64, length: u64) -> Result<(), DiskError> {
    check(store, offset, length)?;
    if store.file().is_read_only() { Err(DiskError::ReadOnly) } else { Ok(()) }
}

/// Fills a span that is all on the disk.
pub fn read(store: &impl BlockStore, offset: u64, into: Span<'_>) -> Result<(), DiskError> {
    each_run(store, offset, into.len() as u64, |run, start| {
        let part = into.part(start as usize..(start + run.length) as usize);
        match run.at {
            Some(at) => store.read_place(at, part),
            None => {
                part.fill(0);
                Ok(())
            }
        }
    })
}

/// Writes a span that is all on the disk. Zeros take no room where there is none yet.
pub fn write(store: &impl BlockStore, offset: u64, from: Span<'_>) -> Result<(), DiskError> {
    each_run(store, offset, from.len() as u64, |run, start| {
        let part = from.part(start as usize..(start + run.length) as usize);
        let pieces = pieces(offset + start, run.length, store.block_bytes());
        let Some(at) = run.at else {
            return place_all(store, pieces, part);
        };
        for piece in pieces {
            store.touch(piece.block)?;
        }
        store.file().write_span(at, part)
    })
}

fn place_all(
    store: &impl BlockStore,
    pieces: impl Iterator<Item = Piece>,
    from: Span<'_>,
) -> Result<(), DiskError> {
    for piece in pieces {
        let part = from.part(piece.start as usize..(piece.start + piece.length) as usize);
        if !part.is_zero() {
            store.place(piece.block, piece.within, part)?;
        }
    }
    Ok(())
}

/// Makes a range that is all on the disk zeros.
pub fn zero(store: &impl BlockStore, offset: u64, length: u64, free: bool) -> Result<(), DiskError> {
    each_run(store, offset, length, |run, _| match run.at {
        Some(at) if free => store.file().punch_hole(at, run.length),
        Some(at) => store.file().write_zeroes(at, run.length),
        None => Ok(()),
    })
}

/// What is at an offset, as [`crate::Image::extent`] tells it.
pub fn extent(store: &impl BlockStore, offset: u64) -> Result<Extent, DiskError> {
    let run = run(store, offset, store.length().saturating_sub(offset))?;
    match run.at {
        Some(at) => {
            let found = store.file().extent(at, at + run.length)?;
            let kind = if found.is_hole { ExtentKind::Zero } else { ExtentKind::Data };
            Ok(Extent { length: found.length, kind })
        }
        None => Ok(Extent { length: run.length, kind: ExtentKind::Zero }),
    }
}

/// The part of a range that is in one block.
pub struct Piece {
    /// Which block.
    pub block: u64,
    /// Bytes from the block's beginning.
    pub within: u64,
    /// Bytes from the range's beginning.
    pub start: u64,
    /// Bytes.
    pub length: u64,
}

/// A range, block by block.
pub fn pieces(offset: u64, length: u64, block_bytes: u64) -> impl Iterator<Item = Piece> {
    let mut start = 0;
    std::iter::from_fn(move || {
        let (block, within) = ((offset + start) / block_bytes, (offset + start) % block_bytes);
        let piece = Piece { block, within, start, length: (block_bytes - within).min(length - start) };
        start += piece.length;
        (piece.length > 0).then_some(piece)
    })
}

/// Makes a range of a file zeros that nothing uses yet, and the file long enough for it.
pub fn make_room(file: &HostFile, at: u64, length: u64) -> Result<(), DiskError> {
    let (end, file_length) = (at.saturating_add(length), file.length()?);
    if at < file_length {
        // Bytes that were on their way here when a program was killed, or when the host's file system was full.
        file.punch_hole(at, file_length.min(end) - at)?;
    }
    if file_length < end {
        file.set_length(end)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_fall_into_blocks() {
        let found: Vec<_> =
            pieces(1536, 3072, 2048).map(|p| (p.block, p.within, p.start, p.length)).collect();
        assert_eq!(found, [(0, 1536, 0, 512), (1, 0, 512, 2048), (2, 0, 2560, 512)]);
        assert_eq!(pieces(4096, 0, 2048).count(), 0);
    }

    #[test]
    fn room_is_zeros() {
        let directory = tempfile::tempdir().unwrap();
        let file = HostFile::create(&directory.path().join("disk")).unwrap();
        file.write(0, &[7; 1024]).unwrap();
        make_room(&file, 512, 4096).unwrap();
        assert_eq!(file.length().unwrap(), 4608);
        assert_eq!(file.read_some(511, 3).unwrap(), [7, 0, 0]);
    }
}
