//! A range of a disk as a reader that can seek.
use std::io::{self, Read, Seek, SeekFrom};
use std::sync::Arc;

use platform::disk::SECTOR_BYTES;
use platform::{Buffers, DiskBackend};

use crate::budget::Budget;

/// Bytes that are read from the disk at once.
const CHUNK: u64 = 32 << 10;
/// Chunks that are kept.
const CHUNKS: usize = 64;

/// A range of a disk. Reads go through a small cache, so they may be short and anywhere.
pub struct DiskView {
    disk: Arc<dyn DiskBackend>,
    start: u64,
    length: u64,
    position: u64,
    /// What was read last; a chunk has one place where it can be.
    chunks: Vec<Option<Chunk>>,
    budget: Budget,
}

struct Chunk {
    number: u64,
    bytes: Vec<u8>,
}

impl DiskView {
    /// A range, cut off at the disk's end and down to whole sectors.
    pub fn new(disk: &Arc<dyn DiskBackend>, start: u64, length: u64) -> Self {
        let whole = disk.shape().length;
        let start = start.next_multiple_of(SECTOR_BYTES).min(whole);
        let length = length.min(whole - start) / SECTOR_BYTES * SECTOR_BYTES;
        let chunks = (0..CHUNKS).map(|_| None).collect();
        Self { disk: disk.clone(), start, length, position: 0, chunks, budget: Budget::new() }
    }
    /// All of a disk.
    pub fn whole(disk: &Arc<dyn DiskBackend>) -> Self {
        Self::new(disk, 0, u64::MAX)
    }
    /// Bytes of the range.
    pub fn length(&self) -> u64 {
        self.length
    }
    /// What may still be read.
    pub(crate) fn budget(&self) -> Budget {
        self.budget.clone()
    }

    /// Fills `into` with what is at `at`.
    pub fn read_at(&mut self, at: u64, into: &mut [u8]) -> io::Result<()> {
        self.budget.spend(into.len())?;
        let mut done = 0;
        while done < into.len() {
            let at = at.checked_add(done as u64).filter(|at| *at < self.length);
            let at = at.ok_or(io::ErrorKind::UnexpectedEof)?;
            let chunk = self.chunk(at / CHUNK)?;
            let bytes = chunk.get((at % CHUNK) as usize..).unwrap_or(&[]);
            let count = bytes.len().min(into.len() - done);
            if count == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            into[done..done + count].copy_from_slice(&bytes[..count]);
            done += count;
        }
        Ok(())
    }
    /// The bytes at `at`.
    pub fn array_at<const N: usize>(&mut self, at: u64) -> io::Result<[u8; N]> {
        let mut array = [0; N];
        self.read_at(at, &mut array)?;
        Ok(array)
    }
    /// The same if the range has them, else zeros.
    pub fn array_or_zeros<const N: usize>(&mut self, at: u64) -> io::Result<[u8; N]> {
        match self.array_at(at) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok([0; N]),
            result => result,
        }
    }

    fn chunk(&mut self, number: u64) -> io::Result<&[u8]> {
        let place = (number % CHUNKS as u64) as usize;
        let kept = self.chunks[place].take().filter(|chunk| chunk.number == number);
        let chunk = match kept {
            Some(chunk) => chunk,
            None => {
                let offset = number * CHUNK;
                let buffers = Buffers::of_bytes(vec![0; (self.length - offset).min(CHUNK) as usize]);
                self.disk.read(self.start + offset, buffers.all()).map_err(io::Error::other)?;
                Chunk { number, bytes: buffers.into_bytes() }
            }
        };
        Ok(&self.chunks[place].insert(chunk).bytes)
    }
}

impl Read for DiskView {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let rest = self.length.saturating_sub(self.position);
        let count = rest.min(into.len() as u64) as usize;
        self.read_at(self.position, &mut into[..count])?;
        self.position += count as u64;
        Ok(count)
    }
}

impl Seek for DiskView {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let position = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::Current(by) => self.position.checked_add_signed(by),
            SeekFrom::End(by) => self.length.checked_add_signed(by),
        };
        self.position = position.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.position)
    }
}
