//! Chunks: stored blocks are written and read in pieces of one size, each with a checksum; no block lies in two.
use std::fs::File;
use std::os::unix::fs::FileExt;

use super::checksum;

/// Bytes of a chunk.
pub const CHUNK_BYTES: usize = 16 << 10;
/// Bytes in front of the first block of a chunk: the checksum of what follows.
pub const CHUNK_HEADER: usize = 8;
/// Blocks begin on multiples of this.
pub const ALIGNMENT: usize = 8;

/// A chunk.
pub type Chunk = [u8; CHUNK_BYTES];

/// An empty one.
pub fn empty() -> Box<Chunk> {
    Box::new([0; CHUNK_BYTES])
}

/// Where a block is: a chunk and an offset in it, in 32 bits; never 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Number of the chunk.
    pub chunk: u32,
    /// Offset in it, a multiple of [`ALIGNMENT`] beyond the header.
    pub offset: usize,
}

const OFFSET_BITS: u32 = (CHUNK_BYTES / ALIGNMENT).trailing_zeros();
/// One past the largest number of a chunk.
pub const CHUNKS_MOST: u32 = 1 << (32 - OFFSET_BITS);

impl Place {
    /// As one number.
    pub fn pack(self) -> u32 {
        self.chunk << OFFSET_BITS | (self.offset / ALIGNMENT) as u32
    }
    /// Where the next block may be after one of `size` bytes: behind it, or at the beginning of the next chunk.
    pub fn after(self, size: usize) -> Self {
        let offset = self.offset + size;
        match offset {
            CHUNK_BYTES.. => Self { chunk: self.chunk + 1, offset: CHUNK_HEADER },
            _ => Self { offset, ..self },
        }
    }
    /// From one number.
    pub fn unpack(packed: u32) -> Self {
        let offset = (packed & ((1 << OFFSET_BITS) - 1)) as usize * ALIGNMENT;
        Self { chunk: packed >> OFFSET_BITS, offset }
    }
}

/// Makes a chunk fit to be written.
pub fn seal(chunk: &mut Chunk) {
    let sum = checksum::of(&chunk[CHUNK_HEADER..]);
    chunk[..CHUNK_HEADER].copy_from_slice(&sum.to_le_bytes());
}

/// Reads a chunk; `false` if it is not there or damaged.
pub fn read(file: &File, offset: u64, chunk: &mut Chunk) -> bool {
    file.read_exact_at(chunk, offset).is_ok()
        && chunk[..CHUNK_HEADER] == checksum::of(&chunk[CHUNK_HEADER..]).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_packed_and_unpacked() {
        for place in [
            Place { chunk: 0, offset: CHUNK_HEADER },
            Place { chunk: 7, offset: CHUNK_BYTES - ALIGNMENT },
            Place { chunk: CHUNKS_MOST - 1, offset: 0x1238 },
        ] {
            assert_ne!(place.pack(), 0);
            assert_eq!(Place::unpack(place.pack()), place);
        }
    }

    #[test]
    fn a_damaged_chunk_is_not_read() {
        let file = tempfile::tempfile().unwrap();
        let mut chunk = empty();
        chunk[100] = 1;
        seal(&mut chunk);
        file.write_all_at(&chunk[..], 0).unwrap();
        let mut read_back = empty();
        assert!(read(&file, 0, &mut read_back) && read_back == chunk);
        assert!(!read(&file, 16, &mut read_back));
        file.write_all_at(&[2], 5000).unwrap();
        assert!(!read(&file, 0, &mut read_back));
    }
}
