//! Bytes that are kept until the other side has them, in the pieces in which they came.
use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::IoSlice;
use std::rc::Rc;

use smallvec::SmallVec;

use super::Budget;

/// Bytes of a large piece: what fits into a frame.
pub const CHUNK_BYTES: usize = 64 << 10;
/// Pieces up to this size are kept in a buffer of their own size.
const SMALL: usize = 8 << 10;
/// Large pieces that wait for reuse.
const SPARE_MAX: usize = 64;

/// Large pieces of memory, used again and again. Clones share them.
#[derive(Clone, Default)]
pub struct Pool {
    spare: Rc<RefCell<Vec<Box<[u8]>>>>,
}

/// A piece of bytes.
pub struct Chunk {
    bytes: Box<[u8]>,
    start: usize,
    end: usize,
    /// What the budget has given for it.
    charged: usize,
}

impl Pool {
    /// A piece of [`CHUNK_BYTES`], with any contents.
    pub fn take(&self) -> Box<[u8]> {
        self.spare.borrow_mut().pop().unwrap_or_else(|| vec![0; CHUNK_BYTES].into_boxed_slice())
    }
    /// A piece that is not needed any more.
    pub fn give(&self, bytes: Box<[u8]>) {
        let mut spare = self.spare.borrow_mut();
        if bytes.len() == CHUNK_BYTES && spare.len() < SPARE_MAX {
            spare.push(bytes);
        }
    }
    /// The first `count` bytes of a large piece; few bytes get a buffer of their own, and the large piece can be used again.
    pub fn chunk(&self, bytes: Box<[u8]>, count: usize) -> Chunk {
        if count > SMALL {
            return Chunk { bytes, start: 0, end: count, charged: 0 };
        }
        let own: Box<[u8]> = bytes[..count].into();
        self.give(bytes);
        Chunk { bytes: own, start: 0, end: count, charged: 0 }
    }
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Pool of {}", self.spare.borrow().len())
    }
}

impl std::fmt::Debug for Chunk {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Chunk {}..{}", self.start, self.end)
    }
}

/// A run of bytes, in pieces.
#[derive(Debug)]
pub struct Retained {
    chunks: VecDeque<Chunk>,
    length: usize,
    pool: Pool,
    budget: Budget,
}

/// Pieces of one frame or of one system call at most.
pub const SLICES_MAX: usize = 16;

impl Retained {
    /// No bytes.
    pub fn new(pool: Pool, budget: Budget) -> Self {
        Self { chunks: VecDeque::new(), length: 0, pool, budget }
    }
    /// Bytes.
    pub fn len(&self) -> usize {
        self.length
    }
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }
    /// Adds a piece at the end. It is kept even if the budget is used up: whoever adds it asks before it is made.
    pub fn push(&mut self, mut chunk: Chunk) {
        // What it takes, not what it has: a large piece with few bytes is a large piece.
        if self.budget.take(chunk.bytes.len()) {
            chunk.charged = chunk.bytes.len();
        }
        self.length += chunk.end - chunk.start;
        self.chunks.push_back(chunk);
    }
    /// Adds a copy of bytes at the end; false if the budget is used up.
    #[must_use]
    pub fn extend(&mut self, bytes: &[u8]) -> bool {
        if bytes.is_empty() {
            return true;
        }
        // Many small pieces are gathered.
        if let Some(last) = self.chunks.back_mut()
            && last.bytes.len() - last.end >= bytes.len()
        {
            last.bytes[last.end..last.end + bytes.len()].copy_from_slice(bytes);
            last.end += bytes.len();
            self.length += bytes.len();
            return true;
        }
        if self.budget.free() < bytes.len().next_multiple_of(CHUNK_BYTES) {
            return false;
        }
        for part in bytes.chunks(CHUNK_BYTES) {
            let mut own = self.pool.take();
            own[..part.len()].copy_from_slice(part);
            self.push(Chunk { bytes: own, start: 0, end: part.len(), charged: 0 });
        }
        true
    }
    /// Drops bytes at the front.
    pub fn drop_front(&mut self, mut count: usize) {
        count = count.min(self.length);
        self.length -= count;
        while let Some(first) = self.chunks.front_mut() {
            let have = first.end - first.start;
            if count < have {
                first.start += count;
                return;
            }
            count -= have;
            if let Some(done) = self.chunks.pop_front() {
                self.budget.give(done.charged);
                self.pool.give(done.bytes);
            }
        }
    }
    /// A part, cut off where it would take too many pieces.
    pub fn slices(&self, mut offset: usize, length: usize) -> (SmallVec<[IoSlice<'_>; SLICES_MAX]>, usize) {
        let (mut slices, mut left) = (SmallVec::new(), length);
        for chunk in &self.chunks {
            if left == 0 || slices.len() == SLICES_MAX {
                break;
            }
            let have = chunk.end - chunk.start;
            if offset >= have {
                offset -= have;
                continue;
            }
            let count = left.min(have - offset);
            slices.push(IoSlice::new(&chunk.bytes[chunk.start + offset..chunk.start + offset + count]));
            (offset, left) = (0, left - count);
        }
        (slices, length - left)
    }
}

impl Drop for Retained {
    fn drop(&mut self) {
        self.drop_front(self.length);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(retained: &Retained, offset: usize, length: usize) -> Vec<u8> {
        let (slices, count) = retained.slices(offset, length);
        let bytes: Vec<u8> = slices.iter().flat_map(|slice| slice.iter().copied()).collect();
        assert_eq!(bytes.len(), count);
        bytes
    }

    #[test]
    fn bytes_come_out_as_they_went_in() {
        let budget = Budget::new(1 << 20);
        let pool = Pool::default();
        let mut retained = Retained::new(pool.clone(), budget.clone());
        assert!(retained.extend(b"hello ") && retained.extend(b"world"));
        let mut large = pool.take();
        large[..4].copy_from_slice(b"s of");
        retained.push(pool.chunk(large, 4));
        assert_eq!(text(&retained, 0, 100), b"hello worlds of");
        assert_eq!(text(&retained, 4, 8), b"o worlds");
        retained.drop_front(12);
        assert_eq!((text(&retained, 0, 9), retained.len()), (b" of".to_vec(), 3));
        retained.drop_front(9);
        assert!(retained.is_empty());
        assert_eq!(budget.free(), 1 << 20);
    }

    #[test]
    fn the_budget_holds() {
        let budget = Budget::new(2 * CHUNK_BYTES);
        let mut retained = Retained::new(Pool::default(), budget.clone());
        assert!(retained.extend(&vec![1; 2 * CHUNK_BYTES]));
        assert!(!retained.extend(&[1]));
        drop(retained);
        assert_eq!(budget.free(), 2 * CHUNK_BYTES);
    }
}
