//! Where blocks are found by what they are found by: any CPU looks without a lock while one that has it adds and removes some.
//!
//! A block is written before it can be found. One that is removed stays as it was, and goes on leading to those behind it, until
//! every CPU has been asked to forget its segment ([`Serve::forget`](platform::ram::watch::Serve::forget)): none is
//! looking then.
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use super::block::{Key, Sources};
use super::blocks::{BlockId, NOBODY, SEGMENTS, WordHasher, index_of, segment_of};
use super::record::{Details, Record};
use super::records::Records;

/// All blocks that can be found, and those of each segment.
pub struct Directory {
    /// The first block of each hash of a key; a power of two.
    index: Box<[AtomicU32]>,
    /// Those of a segment one after the other, and all segments.
    records: Records<Record>,
    details: Records<Details>,
    /// How many blocks a segment has room for.
    room: usize,
    /// Where the host code of the first block of each segment begins.
    bases: [AtomicU64; SEGMENTS],
}

impl Directory {
    /// No blocks yet, with room for so many in each segment.
    pub fn with_room_for(room: usize, hashes: usize) -> std::io::Result<Self> {
        let index = (0..hashes.next_power_of_two()).map(|_| AtomicU32::new(NOBODY)).collect();
        let bases = [0; SEGMENTS].map(AtomicU64::new);
        let (records, details) = (Records::new(room * SEGMENTS)?, Records::new(room * SEGMENTS)?);
        Ok(Self { index, records, details, room, bases })
    }

    /// The block of a key whose mode has this number.
    pub fn find(&self, key: &Key, mode: u32) -> Option<BlockId> {
        let mut id = self.bucket(key).load(Ordering::Acquire);
        while id != NOBODY {
            let block = self.get(id);
            if block.is(key, mode) {
                return Some(id);
            }
            id = block.beside();
        }
        None
    }
    fn bucket(&self, key: &Key) -> &AtomicU32 {
        &self.index[key.place(&mut WordHasher::default()) as usize & (self.index.len() - 1)]
    }
    fn number_of(&self, id: BlockId) -> usize {
        segment_of(id) * self.room + index_of(id)
    }
    /// One block.
    pub fn get(&self, id: BlockId) -> &Record {
        &self.records[self.number_of(id)]
    }
    /// The rest of what is known of it.
    pub fn details(&self, id: BlockId) -> &Details {
        &self.details[self.number_of(id)]
    }
    /// What it was made from.
    pub fn sources(&self, id: BlockId) -> Sources {
        self.details(id).sources(self.get(id))
    }
    /// How many blocks a segment has room for.
    pub fn room(&self) -> usize {
        self.room
    }
    /// The room for the blocks of a segment takes no memory for now: it has none, and nobody looks for them.
    pub fn give_back(&self, segment: usize) {
        let range = segment * self.room..(segment + 1) * self.room;
        self.records.give_back(range.clone());
        self.details.give_back(range);
    }
    /// Where the host code of a segment's first block begins.
    pub fn base(&self, segment: usize) -> u64 {
        self.bases[segment].load(Ordering::Relaxed)
    }
    /// It begins there from now on.
    pub fn set_base(&self, segment: usize, base: u64) {
        self.bases[segment].store(base, Ordering::Relaxed);
    }
    /// First address of a block's host code: the entry for jumps through the table.
    pub fn checked(&self, id: BlockId) -> u64 {
        self.base(segment_of(id)) + u64::from(self.get(id).code())
    }

    /// A block that is written is found from now on. One CPU at a time.
    pub fn show(&self, id: BlockId, key: &Key) {
        let bucket = self.bucket(key);
        self.get(id).set_beside(bucket.load(Ordering::Relaxed));
        bucket.store(id, Ordering::Release);
    }
    /// Nobody finds a block any more, but who is just looking. One CPU at a time.
    pub fn hide(&self, id: BlockId, key: &Key) {
        let bucket = self.bucket(key);
        let beside = self.get(id).beside();
        let mut before = bucket.load(Ordering::Relaxed);
        if before == id {
            bucket.store(beside, Ordering::Release);
            return;
        }
        while before != NOBODY {
            let block = self.get(before);
            before = block.beside();
            if before == id {
                block.set_beside(beside);
                return;
            }
        }
    }
    /// Nobody finds anything any more.
    pub fn clear(&self) {
        self.index.iter().for_each(|first| first.store(NOBODY, Ordering::Relaxed));
    }
}
