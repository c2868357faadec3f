//! Translated blocks: found by guest-physical address, linked to one another, and unlinked when their bytes change.
use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hash, Hasher};

use x86::address::PAGE_OFFSET;

pub use super::block::{ANY_PAGE, Block, CodeMode, Entries, FlagPlace, Key, Link, Mark, Pointers, Sources};
use super::marks::Marks;
use super::record::{Modes, Record};

/// Number of a block since the last time everything was thrown away.
pub type BlockId = u32;

/// Number of a direct jump since the last time everything was thrown away.
pub type LinkId = u32;

/// A multiplicative hash of one word.
#[derive(Default)]
pub struct WordHasher(u64);

impl Hasher for WordHasher {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }
    fn write_u64(&mut self, value: u64) {
        let mixed = (self.0 ^ value).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = mixed ^ mixed >> 29;
    }
}

/// A map whose keys need no protection from collisions: those would cost the guest its own time.
pub type WordMap<K, V> = HashMap<K, V, BuildHasherDefault<WordHasher>>;

/// A set of such keys.
pub type WordSet<K> = HashSet<K, BuildHasherDefault<WordHasher>>;

/// A link of a block that is kept; there are hundreds of thousands.
struct Linked {
    target: i64,
    /// The place, from [`Blocks::base`].
    place: u32,
    /// The block it leads to, or [`NOBODY`].
    to: BlockId,
    /// The next one of those that lead there, or [`NOBODY`].
    next: u32,
    /// The stub, from the place.
    stub: u16,
    backward: bool,
}

impl Linked {
    fn new(link: &Link, base: u64) -> Self {
        let (place, stub) = ((link.place - base) as u32, (link.stub - link.place) as u16);
        Self { target: link.target, place, to: NOBODY, next: NOBODY, stub, backward: link.backward }
    }
}

/// In place of the number of a block or a link.
pub(super) const NOBODY: u32 = u32::MAX;

/// The code of one guest frame.
#[derive(Default)]
struct Frame {
    blocks: Vec<BlockId>,
    /// Slow writes since the last translation that hit no code.
    missed_writes: u32,
}

/// All blocks.
pub struct Blocks {
    all: Vec<Record>,
    modes: Modes,
    /// Of all blocks, one after the other.
    marks: Marks,
    links: Vec<Linked>,
    /// The first block of each hash of a key; a power of two.
    index: Vec<BlockId>,
    /// Where the host code of the first block begins.
    base: u64,
    frames: WordMap<u64, Frame>,
    /// For each granule of host code, from the first block on, the block that its first byte lies in.
    granules: Vec<BlockId>,
}

/// Bytes of host code that a block, and one instruction of it, takes at least, but for rare ones.
const LEAST_BLOCK: usize = 128;
const LEAST_INSTRUCTION: usize = 8;
/// log2 of the bytes of a granule.
const GRANULE_SHIFT: u32 = 8;

/// A jump that has to be changed: the address of its displacement and where it shall lead.
pub type Patch = (u64, u64);

/// Writes to a frame that hit no code before the frame's code goes anyway, so that the writes become fast again.
const MISSED_WRITES: u32 = 32;

impl Blocks {
    /// No blocks yet, with room for those of so many bytes of host code. The host gives memory as it is touched; room that
    /// grew would be copied, and be there twice for a moment.
    pub fn with_room_for(code_bytes: usize) -> Self {
        Self {
            all: Vec::with_capacity(code_bytes / LEAST_BLOCK),
            modes: Modes::default(),
            marks: Marks::with_capacity(code_bytes / LEAST_INSTRUCTION),
            links: Vec::with_capacity(code_bytes / LEAST_BLOCK * 2),
            granules: Vec::with_capacity(code_bytes >> GRANULE_SHIFT),
            index: vec![NOBODY; (code_bytes / LEAST_BLOCK).next_power_of_two()],
            base: 0,
            frames: WordMap::default(),
        }
    }

    /// The block of a key.
    pub fn find(&self, key: &Key) -> Option<BlockId> {
        let mut id = self.index[self.bucket(key)];
        while id != NOBODY {
            let block = self.get(id);
            if block.is(key, &self.modes) {
                return Some(id);
            }
            id = block.beside;
        }
        None
    }
    fn bucket(&self, key: &Key) -> usize {
        let mut hasher = WordHasher::default();
        key.hash(&mut hasher);
        hasher.finish() as usize & (self.index.len() - 1)
    }
    /// Nobody finds a block any more.
    fn hide(&mut self, id: BlockId) {
        let bucket = self.bucket(&self.key(id));
        let beside = self.get(id).beside;
        if self.index[bucket] == id {
            self.index[bucket] = beside;
            return;
        }
        let mut before = self.index[bucket];
        while before != NOBODY {
            let block = &mut self.all[before as usize];
            if block.beside == id {
                block.beside = beside;
                return;
            }
            before = block.beside;
        }
    }
    fn get(&self, id: BlockId) -> &Record {
        &self.all[id as usize]
    }
    /// What a block is found by.
    pub fn key(&self, id: BlockId) -> Key {
        self.get(id).key(&self.modes)
    }
    /// What a block was made from.
    pub fn sources(&self, id: BlockId) -> Sources {
        self.get(id).sources()
    }
    /// First address of a block's host code: the entry for jumps through the table.
    pub fn checked(&self, id: BlockId) -> u64 {
        self.base + u64::from(self.get(id).code)
    }
    /// Address of a block's entry without any question.
    pub fn body(&self, id: BlockId) -> u64 {
        self.checked(id) + u64::from(self.get(id).entries().body)
    }
    fn end(&self, id: BlockId) -> u64 {
        self.checked(id) + u64::from(self.get(id).entries().end)
    }
    /// Offset of a block's first byte in its page.
    fn start(&self, id: BlockId) -> i16 {
        (self.get(id).gpa() & PAGE_OFFSET) as i16
    }
    fn marks_of(&self, id: BlockId) -> std::ops::Range<u32> {
        let end = self.all.get(id as usize + 1).map_or(self.marks.end(), |next| next.marks);
        self.get(id).marks..end
    }
    fn links_of(&self, id: BlockId) -> std::ops::Range<usize> {
        let end = self.all.get(id as usize + 1).map_or(self.links.len(), |next| next.links as usize);
        self.get(id).links as usize..end
    }
    /// Number of blocks, dead ones included.
    pub fn len(&self) -> usize {
        self.all.len()
    }
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Adds a block; returns its number and the frames that begin to hold code with it.
    pub fn add(&mut self, block: Block, marks: &[Mark], links: &[Link]) -> (BlockId, Vec<u64>) {
        let id = self.all.len() as BlockId;
        let mut fresh = Vec::new();
        for frame in block.sources.frames() {
            let entry = self.frames.entry(frame).or_insert_with(|| {
                fresh.push(frame);
                Frame::default()
            });
            entry.blocks.push(id);
            entry.missed_writes = 0;
        }
        if id == 0 {
            self.base = block.checked;
        }
        let base = self.base;
        let mode = self.modes.number(block.key.mode);
        let code = (block.checked - base) as u32;
        let mut record = Record::new(&block, mode, code, self.marks.end(), self.links.len() as u32);
        let bucket = self.bucket(&block.key);
        record.beside = std::mem::replace(&mut self.index[bucket], id);
        self.marks.add((block.key.gpa & PAGE_OFFSET) as i16, marks);
        self.links.extend(links.iter().map(|link| Linked::new(link, base)));
        self.all.push(record);
        let granules = self.granule(block.end() - 1).map_or(0, |last| last + 1);
        self.granules.resize(granules, id);
        (id, fresh)
    }

    fn granule(&self, host: u64) -> Option<usize> {
        Some((host.checked_sub(self.base)? >> GRANULE_SHIFT) as usize)
    }

    /// The live or dead block whose host code holds an address. Blocks lie in the order in which they were made.
    pub fn at(&self, host: u64) -> Option<BlockId> {
        let first = *self.granules.get(self.granule(host)?)? as usize;
        let offset = host - self.base;
        let later = self.all[first + 1..].iter().take_while(|block| u64::from(block.code) <= offset).count();
        let id = (first + later) as BlockId;
        (self.checked(id)..self.end(id)).contains(&host).then_some(id)
    }

    /// What a host address inside a block belongs to.
    pub fn mark_at(&self, id: BlockId, host: u64) -> Mark {
        self.marks.find(self.marks_of(id), self.start(id), host - self.checked(id))
    }

    /// The link of a block whose displacement is at `place`, and its target as an offset from the page of the block.
    pub fn link_at(&self, id: BlockId, place: u64) -> Option<(LinkId, i64)> {
        let is_there = |index: &usize| self.base + u64::from(self.links[*index].place) == place;
        let index = self.links_of(id).find(is_there)?;
        Some((index as LinkId, self.links[index].target))
    }

    /// Links a jump of a block to another and says how to change it. Dead blocks stay as they are.
    pub fn link(&mut self, from: BlockId, index: LinkId, to: BlockId) -> Option<Patch> {
        if !self.get(from).alive || !self.get(to).alive || self.links[index as usize].to != NOBODY {
            return None;
        }
        let target = &mut self.all[to as usize];
        let linked = &mut self.links[index as usize];
        linked.to = to;
        linked.next = std::mem::replace(&mut target.incoming, index);
        let entries = target.entries();
        let entry = if linked.backward { entries.attention } else { entries.linked };
        let code = self.base + u64::from(target.code);
        Some((self.base + u64::from(linked.place), code + u64::from(entry)))
    }

    /// Whether any live block lies in a frame.
    pub fn has_code(&self, frame: u64) -> bool {
        self.frames.contains_key(&frame)
    }
    /// The live blocks that lie in a frame at all.
    pub fn in_frame(&self, frame: u64) -> Vec<BlockId> {
        self.frames.get(&frame).map(|frame| frame.blocks.clone()).unwrap_or_default()
    }

    /// The blocks that a write kills. Every so often a write that hits none kills the whole frame, so that its data can
    /// be written fast again.
    pub fn hit_by_write(&mut self, gpa: u64, length: u64) -> Vec<BlockId> {
        let Some(frame) = self.frames.get_mut(&(gpa >> 12)) else { return Vec::new() };
        let hits: Vec<_> = frame
            .blocks
            .iter()
            .copied()
            .filter(|id| self.all[*id as usize].sources().overlap(gpa, length))
            .collect();
        if hits.is_empty() {
            frame.missed_writes += 1;
            if frame.missed_writes > MISSED_WRITES {
                return frame.blocks.clone();
            }
        }
        hits
    }

    /// Kills a block: nobody finds it or jumps to it any more. Adds the jumps to change to `patches` and the frames that
    /// hold no code any more to `bare`.
    pub fn kill(&mut self, id: BlockId, patches: &mut Vec<Patch>, bare: &mut Vec<u64>) {
        let block = &mut self.all[id as usize];
        if !std::mem::replace(&mut block.alive, false) {
            return;
        }
        let frames = block.sources().frames();
        let mut incoming = std::mem::replace(&mut block.incoming, NOBODY);
        self.hide(id);
        while incoming != NOBODY {
            let linked = &mut self.links[incoming as usize];
            linked.to = NOBODY;
            let place = self.base + u64::from(linked.place);
            patches.push((place, place + u64::from(linked.stub)));
            incoming = std::mem::replace(&mut linked.next, NOBODY);
        }
        for frame in frames {
            let Some(entry) = self.frames.get_mut(&frame) else { continue };
            entry.blocks.retain(|other| *other != id);
            if entry.blocks.is_empty() {
                self.frames.remove(&frame);
                bare.push(frame);
            }
        }
    }

    /// Forgets everything; returns the frames that held code.
    pub fn clear(&mut self) -> Vec<u64> {
        self.all.clear();
        self.modes.clear();
        self.marks.clear();
        self.links.clear();
        self.granules.clear();
        self.index.fill(NOBODY);
        self.frames.drain().map(|(frame, _)| frame).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MODE: CodeMode = CodeMode {
        user: true,
        vectors: true,
        syscall: true,
        time_stamp: true,
        bases: false,
        windows: false,
        legacy: None,
        settled: false,
    };

    fn mark(host: u16, guest: i16) -> Mark {
        Mark { host, guest, flags: FlagPlace::Eflags, pointers: Pointers::Guest }
    }

    const LINK: u64 = 20;

    fn add(blocks: &mut Blocks, gpa: u64, host: u64) -> (BlockId, Vec<u64>) {
        let key = Key { gpa, page: ANY_PAGE, space: 0, mode: MODE };
        let entries = Entries { attention: 4, linked: 8, body: 8, end: 40 };
        let block = Block::new(key, host, entries, Sources::new(gpa, 16), 2);
        let link = Link { place: host + LINK, stub: host + 30, target: 0, backward: false };
        blocks.add(block, &[mark(8, 0), mark(12, 3)], &[link])
    }

    fn link(blocks: &mut Blocks, from: BlockId, to: BlockId) -> Option<Patch> {
        let (index, _) = blocks.link_at(from, blocks.checked(from) + LINK).unwrap();
        blocks.link(from, index, to)
    }

    #[test]
    fn a_write_kills_what_it_hits_and_unlinks_it() {
        let mut blocks = Blocks::with_room_for(1 << 16);
        let (first, fresh) = add(&mut blocks, 0x1000, 0x8000);
        assert_eq!(fresh, [1]);
        let (second, fresh) = add(&mut blocks, 0x1100, 0x8040);
        assert!(fresh.is_empty());
        assert_eq!(link(&mut blocks, first, second), Some((0x8014, 0x8048)));
        assert!(blocks.hit_by_write(0x10f8, 8).is_empty());
        assert_eq!(blocks.hit_by_write(0x10f9, 8), [second]);
        let (mut patches, mut bare) = (Vec::new(), Vec::new());
        blocks.kill(second, &mut patches, &mut bare);
        assert_eq!(patches, [(0x8014, 0x801e)]);
        assert_eq!(link(&mut blocks, first, second), None);
        assert!(bare.is_empty());
        assert!(blocks.find(&Key { gpa: 0x1100, page: ANY_PAGE, space: 0, mode: MODE }).is_none());
        blocks.kill(first, &mut patches, &mut bare);
        assert_eq!(bare, [1]);
    }

    #[test]
    fn host_addresses_lead_back_to_guest_instructions() {
        let mut blocks = Blocks::with_room_for(1 << 16);
        let (first, _) = add(&mut blocks, 0x1000, 0x8000);
        let (second, _) = add(&mut blocks, 0x2000, 0x8040);
        assert_eq!(blocks.at(0x8027), Some(first));
        assert_eq!(blocks.at(0x8040), Some(second));
        assert_eq!(blocks.at(0x8068), None);
        assert_eq!(blocks.at(0x7fff), None);
        let (far, _) = add(&mut blocks, 0x3000, 0x8500);
        assert_eq!(
            [0x84ff, 0x8500, 0x8527, 0x8528].map(|host| blocks.at(host)),
            [None, Some(far), Some(far), None]
        );
        assert_eq!(blocks.at(0x8067), Some(second));
        assert_eq!(blocks.mark_at(first, 0x800b).guest, 0);
        assert_eq!(blocks.mark_at(first, 0x800c).guest, 3);
        assert!(blocks.link_at(second, 0x8054).is_some() && blocks.link_at(second, 0x8055).is_none());
    }

    #[test]
    fn data_beside_code_becomes_fast_again() {
        let mut blocks = Blocks::with_room_for(1 << 16);
        let (only, _) = add(&mut blocks, 0x1000, 0x8000);
        let kills = (0..100).find(|_| blocks.hit_by_write(0x1800, 8) == [only]);
        assert_eq!(kills, Some(MISSED_WRITES as i32));
    }
}
