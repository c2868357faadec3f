//! Translated blocks beyond the life of one code cache: what one CPU has translated, the others need not, nor this one
//! again after its code cache was full, nor the next run.
//!
//! A stored block is found by the guest's bytes and by everything else that its host code was made from
//! ([`identity`]); it is lifted out of its place ([`crate::emit::fixups`]) and set down wherever it is wanted. Blocks lie
//! one after the other in [`chunk`]s in a file without a name, so that they cost the host no memory that it cannot take
//! back; a CPU reads them chunk by chunk ([`reader`]). With a directory, they are kept there when the machine has ended
//! ([`kept`]). See `docs/decisions/0008-stored-translations.md`.

mod checksum;
mod chunk;
mod engine;
mod entry;
mod identity;
mod index;
mod kept;
mod reader;

use std::cmp;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use parking_lot::Mutex;

use chunk::{ALIGNMENT, CHUNK_BYTES, CHUNK_HEADER, Chunk, Place};
pub use entry::{Translated, Wanted};
pub use identity::Identity;
use index::{CANDIDATES, Index};
use kept::Kept;
pub use reader::{Found, Reader};

/// Chunks that one run may add: 512 MiB.
const ADDED_MOST: u32 = 32768;
/// Chunks that a kept file may have: 192 MiB. A Debian that boots to its login prompt has 110 MiB of blocks.
const KEPT_MOST: u32 = 12288;
/// A kept file is replaced if a run has added one block for so many that it holds. A run always adds some that no other will
/// want: of modules and programs that chance has put elsewhere.
const WORTH_KEEPING: usize = 16;

/// The stored blocks of one machine.
pub struct Store {
    /// What says that blocks were made by this very engine.
    engine: u64,
    /// Locked by who adds; who looks has it for its own until it is replaced ([`Store::renew`]).
    index: Mutex<Arc<Index>>,
    /// Grows when the index is replaced.
    indices: AtomicU64,
    kept: Option<Kept>,
    /// Blocks in the kept file.
    kept_blocks: usize,
    directory: Option<PathBuf>,
    file: File,
    added: Mutex<Added>,
    /// The same as [`Added::written`].
    written: AtomicU32,
}

/// Where a chunk that this run has added is in the file.
fn offset_of(own: u32) -> u64 {
    u64::from(own) * CHUNK_BYTES as u64
}

/// Chunks that are written to the file at once.
const BATCH: usize = 8;

/// What this run has added.
struct Added {
    /// Chunks that were written to the file.
    written: u32,
    /// Those behind them.
    batch: Vec<Chunk>,
    /// How many of the batch are full, and how much is used of the next.
    full: usize,
    used: usize,
    /// The file takes no more.
    is_over: bool,
}

impl Store {
    /// A store whose blocks are kept in a directory, if there is one, and begin with those kept there.
    pub fn open(directory: Option<PathBuf>) -> io::Result<Self> {
        let engine = engine::identity()?;
        let found = directory.as_deref().and_then(|directory| Kept::open(directory, engine));
        let (kept, index) = found.map_or_else(Default::default, |(kept, index)| (Some(kept), index));
        let batch = vec![[0; CHUNK_BYTES]; BATCH];
        let added = Added { written: 0, batch, full: 0, used: CHUNK_HEADER, is_over: false };
        Ok(Self {
            engine,
            kept,
            kept_blocks: index.blocks(),
            index: Mutex::new(Arc::new(index)),
            indices: AtomicU64::new(1),
            directory,
            file: tempfile::tempfile()?,
            added: Mutex::new(added),
            written: AtomicU32::new(0),
        })
    }

    fn kept_chunks(&self) -> u32 {
        self.kept.as_ref().map_or(0, Kept::chunks)
    }

    /// Where blocks are, and the number of that index.
    fn index_of(&self) -> (u64, Arc<Index>) {
        let index = self.index.lock();
        (self.indices.load(Ordering::Acquire), Arc::clone(&index))
    }
    /// Takes the present index instead of one that was replaced meanwhile.
    fn renew(&self, own: &mut (u64, Arc<Index>)) {
        if own.0 != self.indices.load(Ordering::Acquire) {
            *own = self.index_of();
        }
    }

    /// Reads a chunk and says how much of it is there.
    fn read(&self, number: u32, into: &mut Chunk) -> Option<usize> {
        let Some(own) = number.checked_sub(self.kept_chunks()) else {
            return self.kept.as_ref()?.read(number, into).then_some(CHUNK_BYTES);
        };
        if own < self.written.load(Ordering::Acquire) {
            return self.file.read_exact_at(into, offset_of(own)).ok().map(|()| CHUNK_BYTES);
        }
        let added = self.added.lock();
        if let Some(place) = own.checked_sub(added.written) {
            let place = place as usize;
            let length = match place.cmp(&added.full) {
                cmp::Ordering::Less => CHUNK_BYTES,
                cmp::Ordering::Equal => added.used,
                cmp::Ordering::Greater => return None,
            };
            into[..length].copy_from_slice(&added.batch.get(place)?[..length]);
            return Some(length);
        }
        drop(added);
        // Nobody else can write this file.
        self.file.read_exact_at(into, offset_of(own)).ok().map(|()| CHUNK_BYTES)
    }

    /// Reads what begins at a place and ends in the same chunk, and says how much that is. `None` if only the whole chunk
    /// can be read.
    fn read_piece(&self, place: Place, into: &mut [u8]) -> Option<usize> {
        let length = into.len().min(CHUNK_BYTES - place.offset);
        let piece = &mut into[..length];
        match place.chunk.checked_sub(self.kept_chunks()) {
            None => self.kept.as_ref()?.read_piece(place.chunk, place.offset, piece)?,
            Some(own) if own < self.written.load(Ordering::Acquire) => {
                self.file.read_exact_at(piece, offset_of(own) + place.offset as u64).ok()?;
            }
            Some(_) => return None,
        }
        Some(length)
    }

    /// Adds a block that was made into an entry.
    fn add(&self, tag: u32, entry: &[u8]) {
        debug_assert!(entry.len().is_multiple_of(ALIGNMENT));
        let mut index = self.index.lock();
        if index.find(tag).count() == CANDIDATES {
            return;
        }
        let mut added = self.added.lock();
        if added.used + entry.len() > CHUNK_BYTES && !added.is_over {
            self.begin_chunk(&mut added);
        }
        if added.is_over {
            return;
        }
        let (full, offset) = (added.full, added.used);
        added.batch[full][offset..offset + entry.len()].copy_from_slice(entry);
        added.used += entry.len();
        let chunk = self.kept_chunks() + added.written + full as u32;
        drop(added);
        if let Some(larger) = index.grown() {
            *index = Arc::new(larger);
            self.indices.fetch_add(1, Ordering::AcqRel);
        }
        index.insert(tag, Place { chunk, offset });
    }

    /// The chunk that is being filled is full.
    fn begin_chunk(&self, added: &mut Added) {
        if added.full + 1 == BATCH {
            let written = self.file.write_all_at(added.batch.as_flattened(), offset_of(added.written));
            added.is_over = written.is_err() || added.written + BATCH as u32 >= ADDED_MOST;
            if let Err(error) = written {
                tracing::warn!(%error, "no more translations are stored");
            }
            if added.is_over {
                return;
            }
            added.written += BATCH as u32;
            self.written.store(added.written, Ordering::Release);
            added.batch.as_flattened_mut().fill(0);
            added.full = 0;
        } else {
            added.full += 1;
        }
        added.used = CHUNK_HEADER;
    }

    /// Keeps the blocks for the next run, if that is worth it: those that this run has used or added first, the others as
    /// long as there is room.
    pub fn keep(&self) -> io::Result<()> {
        let Some(directory) = self.directory.as_deref() else { return Ok(()) };
        let index = self.index.lock();
        let fresh = index.blocks() - self.kept_blocks;
        if fresh == 0 || fresh * WORTH_KEEPING < self.kept_blocks {
            return Ok(());
        }
        let order = self.worth_keeping();
        let mut new_number = vec![None; (self.kept_chunks() + ADDED_MOST) as usize + 1];
        for (new, old) in order.iter().enumerate() {
            new_number[*old as usize] = Some(new as u32);
        }
        let moved = index.moved(|place| {
            Some(Place { chunk: (*new_number.get(place.chunk as usize)?)?, offset: place.offset })
        });
        let read = |number: u32, chunk: &mut Chunk| self.read_whole(order[number as usize], chunk);
        kept::write(directory, self.engine, &moved, order.len() as u32, read)
    }

    /// Reads a chunk to be written elsewhere.
    fn read_whole(&self, number: u32, chunk: &mut Chunk) -> bool {
        chunk.fill(0);
        let is_there = self.read(number, chunk).is_some();
        if number >= self.kept_chunks() {
            chunk::seal(chunk);
        }
        is_there
    }

    /// The chunks to keep, in order.
    fn worth_keeping(&self) -> Vec<u32> {
        let is_used = |number: &u32| self.kept.as_ref().is_some_and(|kept| kept.is_used(*number));
        let (used, unused): (Vec<_>, Vec<_>) = (0..self.kept_chunks()).partition(is_used);
        let added = self.added.lock();
        let first = self.kept_chunks();
        let filling = u32::from(added.used > CHUNK_HEADER);
        let last = first + added.written + added.full as u32 + filling;
        let all = used.into_iter().chain(first..last).chain(unused);
        all.take(KEPT_MOST as usize).collect()
    }
}
