//! One CPU's way to the stored blocks: the chunks that it used lately, and the block that it found last.
use std::sync::Arc;

use super::Store;
use super::chunk::{self, CHUNK_BYTES, Chunk, Place};
use super::entry::{Entry, Translated, Wanted};
use super::identity::tag;
use super::index::Index;
use crate::cache::block::{Block, Entries, Link, Made};
use crate::emit::fixups::{Fixup, set_down};

/// Chunks that a CPU remembers: half a MiB.
const REMEMBERED: usize = 32;

/// Bytes that are read of a chunk that was there before, for one block of it.
const PIECE: usize = 1 << 10;

/// The chunks that a CPU has looked at lately.
struct Memory {
    chunks: Vec<Remembered>,
    /// Counts what was asked for.
    now: u64,
    piece: [u8; PIECE],
    /// The last chunk that was asked for and not remembered.
    piece_of: Option<u32>,
}

impl Default for Memory {
    fn default() -> Self {
        Self { chunks: Vec::new(), now: 0, piece: [0; PIECE], piece_of: None }
    }
}

/// A CPU's own.
pub struct Reader {
    store: Arc<Store>,
    /// The index and its number ([`Store::renew`]).
    index: (u64, Arc<Index>),
    memory: Memory,
    /// Behind the block that was found last.
    next: Option<Place>,
    found: Found,
    written: Vec<u8>,
}

struct Remembered {
    number: u32,
    /// When it was asked for last.
    asked: u64,
    /// Bytes that were there when it was read.
    length: usize,
    chunk: Box<Chunk>,
}

/// A block that was found, ready to be put into a code buffer.
#[derive(Default)]
pub struct Found {
    /// Its host code.
    pub code: Vec<u8>,
    /// Its entries.
    pub entries: Entries,
    /// Guest instructions.
    pub instructions: u32,
    /// Bytes of the guest's code that it was made from.
    pub looked_at: usize,
    marks: Vec<u8>,
    links: Vec<Link>,
    fixups: Vec<Fixup>,
}

impl Reader {
    /// A CPU's own way to a store.
    pub fn new(store: Arc<Store>) -> Self {
        Self {
            index: store.index_of(),
            store,
            memory: Memory::default(),
            next: None,
            found: Found::default(),
            written: Vec::new(),
        }
    }

    /// The block that somebody wants.
    pub fn find(&mut self, wanted: &Wanted<'_>) -> Option<&Found> {
        // Blocks are mostly wanted in the order in which they were made.
        let next = self.next.take();
        if !next.is_some_and(|next| self.look(next, wanted)) {
            self.store.renew(&mut self.index);
            let mut places = self.index.1.find(tag(&wanted.identity, wanted.bytes));
            places.find(|place| self.look(*place, wanted))?;
        }
        Some(&self.found)
    }

    /// Whether the wanted block is at a place, ready in [`Reader::found`].
    fn look(&mut self, place: Place, wanted: &Wanted<'_>) -> bool {
        let Some(entry) = self.memory.entry(&self.store, place) else { return false };
        if !entry.is(wanted) || self.found.take(&entry, wanted.page).is_none() {
            return false;
        }
        self.next = Some(place.after(entry.size));
        true
    }

    /// The block that was found last, as a whole.
    pub fn made(&self, block: Block) -> Made<'_> {
        let Found { code, fixups, marks, links, .. } = &self.found;
        Made { block, code, fixups, marks, links }
    }

    /// Stores the block of code that begins with these bytes for others, and for later.
    pub fn add(&mut self, translated: &Translated<'_>, bytes: &[u8]) {
        self.written.clear();
        if translated.write(&mut self.written).is_some() {
            self.store.add(tag(&translated.identity, bytes), &self.written);
        }
    }
}

impl Memory {
    /// The block at a place.
    fn entry(&mut self, store: &Store, place: Place) -> Option<Entry<'_>> {
        self.now += 1;
        let at = match self.chunks.iter().position(|chunk| chunk.number == place.chunk) {
            Some(at) if self.chunks[at].length > place.offset => at,
            // More of it is there by now.
            Some(at) => {
                self.chunks[at].length = 0;
                self.chunks[at].length = store.read(place.chunk, &mut self.chunks[at].chunk)?;
                at
            }
            None => match self.read_piece(store, place) {
                Some(length) => return Entry::parse(&self.piece[..length]),
                None => self.read(store, place.chunk)?,
            },
        };
        let Remembered { asked, length, chunk, .. } = &mut self.chunks[at];
        *asked = self.now;
        Entry::parse(chunk.get(place.offset..*length)?)
    }

    /// Reads one block of a chunk that was there before: code that was evicted is wanted again in another order. Two
    /// blocks one after the other are worth the chunk, and so are large ones.
    fn read_piece(&mut self, store: &Store, place: Place) -> Option<usize> {
        if self.piece_of.replace(place.chunk) == Some(place.chunk) {
            return None;
        }
        let length = store.read_piece(place, &mut self.piece)?;
        Entry::parse(&self.piece[..length]).map(|_| length)
    }

    /// Reads a chunk in the place of the one that nobody has asked for for the longest time, and says where it is.
    fn read(&mut self, store: &Store, number: u32) -> Option<usize> {
        let oldest = (0..self.chunks.len()).min_by_key(|at| self.chunks[*at].asked);
        let at = match oldest.filter(|_| self.chunks.len() == REMEMBERED) {
            Some(at) => at,
            None => {
                self.chunks.push(Remembered { number, asked: 0, length: 0, chunk: chunk::empty() });
                self.chunks.len() - 1
            }
        };
        let chunk = &mut self.chunks[at];
        (chunk.number, chunk.length) = (number, 0);
        chunk.length = store.read(number, &mut chunk.chunk)?;
        Some(at)
    }
}

impl Found {
    /// Becomes a stored block. `None` if it does not fit guest code in that page, or makes no sense.
    fn take(&mut self, entry: &Entry<'_>, page: u64) -> Option<()> {
        self.code.clear();
        self.code.extend_from_slice(entry.code);
        self.fixups.clear();
        self.fixups.extend(entry.fixups());
        set_down(&mut self.code, &self.fixups, page)?;
        (self.entries, self.instructions, self.looked_at) =
            (entry.entries, entry.instructions, entry.source.len());
        self.marks.clear();
        self.marks.extend_from_slice(entry.marks);
        self.links.clear();
        self.links.extend(entry.links());
        self.is_sound().then_some(())
    }

    /// Whether what may be patched or entered lies in the code.
    fn is_sound(&self) -> bool {
        let length = self.code.len();
        let Entries { attention, linked, body, .. } = self.entries;
        let is_inside = |link: &Link| {
            let (place, stub) = (usize::from(link.place), usize::from(link.stub));
            crate::cache::code::may_be_patched(place) && (place + 4..length).contains(&stub)
        };
        [attention.unwrap_or(0), linked, body].iter().all(|entry| (*entry as usize) < length)
            && length >= crate::cache::code::WORD
            && !self.marks.is_empty()
            && self.links.iter().all(is_inside)
    }
}

const _: () = assert!(CHUNK_BYTES <= u16::MAX as usize);

#[cfg(test)]
mod tests {
    use super::super::entry::tests::{translated, wanted};
    use super::*;

    /// More blocks than fit the chunks that a CPU remembers.
    const BLOCKS: u32 = 3 * (REMEMBERED as u32 + 8);

    fn find(reader: &mut Reader, source: &[u8]) -> Option<Vec<u8>> {
        reader.find(&wanted(source)).map(|found| found.code.clone())
    }

    /// Adds so many blocks of `code_bytes` each and finds them again in several orders.
    fn find_all(blocks: u32, code_bytes: usize) -> Memory {
        let store = Arc::new(Store::open(None).unwrap());
        let (mut writer, mut reader) = (Reader::new(Arc::clone(&store)), Reader::new(store));
        let block = |number: u32| (number.to_le_bytes(), vec![number as u8; code_bytes]);
        for number in 0..blocks {
            let (source, code) = block(number);
            assert!(find(&mut reader, &source).is_none(), "{number}");
            writer.add(&translated(&source, &code), &source);
            assert!(find(&mut reader, &source).is_some(), "{number}");
        }
        let apart = (0..blocks).map(|number| (u64::from(number) * 1009 % u64::from(blocks)) as u32);
        for number in (0..blocks).rev().chain(apart) {
            let (source, code) = block(number);
            let found = find(&mut reader, &source).unwrap();
            assert_eq!(found[40..], code[40..], "{number}");
        }
        reader.memory
    }

    #[test]
    fn blocks_are_found_in_whatever_order_and_while_their_chunk_grows() {
        let memory = find_all(BLOCKS, 5000);
        assert!(memory.chunks.len() == REMEMBERED);
    }

    #[test]
    fn small_blocks_of_chunks_that_are_not_remembered_are_read_alone() {
        let memory = find_all(6000, 100);
        let last = memory.piece_of.unwrap();
        assert!(memory.chunks.len() == REMEMBERED && memory.chunks.iter().all(|chunk| chunk.number != last));
    }
}
