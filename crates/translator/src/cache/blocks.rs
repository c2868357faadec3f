//! Translated blocks: found by guest-physical address, linked to one another, and unlinked when their bytes change.
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hash, Hasher};

use crate::legacy::Legacy;

/// Number of a block since the last time everything was thrown away.
pub type BlockId = u32;

/// Number of a direct jump since the last time everything was thrown away.
pub type LinkId = u32;

/// What code may assume about the CPU it runs on; part of a block's identity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct CodeMode {
    /// CPL 3 rather than CPL 0.
    pub user: bool,
    /// SYSCALL and SYSRET do not fault (EFER.SCE).
    pub syscall: bool,
    /// RDTSC does not fault (CR4.TSD).
    pub time_stamp: bool,
    /// RDFSBASE and friends do not fault (CR4.FSGSBASE).
    pub bases: bool,
    /// Memory is reached through windows (of the address space, or of supervisor code), rather than by look-ups.
    pub windows: bool,
    /// User code is translated for one address space, with its addresses built in; with windows only.
    pub settled: bool,
    /// x87, SSE and AVX instructions do not fault (CR0.EM, CR0.TS, CR4.OSFXSR, CR4.OSXSAVE, XCR0).
    pub vectors: bool,
    /// It is not 64-bit code.
    pub legacy: Option<Legacy>,
}

impl CodeMode {
    /// Whether code is translated for one place in one address space, rather than for wherever its frame is mapped.
    pub fn is_pinned(self) -> bool {
        !self.user || self.settled || self.legacy.is_some_and(|legacy| !legacy.has_flat_code())
    }
    /// Whether it is pinned in the user part of one address space.
    pub fn is_of_space(self) -> bool {
        self.user && self.is_pinned()
    }
}

/// What a block is found by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    /// Guest-physical address of the first byte.
    pub gpa: u64,
    /// Linear address of the page, for code that has it built in (of supervisors, and of settled address spaces);
    /// [`ANY_PAGE`] for position-independent code.
    pub page: u64,
    /// The address space that settled user code belongs to, else 0.
    pub space: u32,
    /// The mode.
    pub mode: CodeMode,
}

/// The page of position-independent blocks.
pub const ANY_PAGE: u64 = u64::MAX;

impl std::hash::Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let mode = self.mode;
        let mode = [mode.user, mode.vectors, mode.syscall, mode.time_stamp, mode.bases, mode.windows];
        let mode = mode.iter().chain([&self.mode.settled]).fold(0, |bits, flag| bits << 1 | u64::from(*flag));
        let space = u64::from(self.space).rotate_left(40);
        state.write_u64(self.gpa ^ self.page.rotate_left(20) ^ mode << 57 ^ space);
        if let Some(legacy) = self.mode.legacy {
            state.write_u64(u64::from(legacy.base) << 32 ^ u64::from(legacy.limit));
        }
    }
}

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

/// A direct jump out of a block.
#[derive(Clone, Copy, Debug)]
pub struct Link {
    /// Address of the jump's displacement.
    pub place: u64,
    /// Where the jump leads while it is not linked.
    pub stub: u64,
    /// The target: an offset from the page of the block.
    pub target: i64,
    /// The jump goes back: it has to look for attention.
    pub backward: bool,
}

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
const NOBODY: u32 = u32::MAX;

/// Where the status flags are at some point of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlagPlace {
    /// In EFLAGS (or dead).
    Eflags,
    /// In [`Cpu::spilled_flags`](crate::cpu::Cpu::spilled_flags).
    Spilled,
}

/// What RDI and RSI hold at some point of a block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pointers {
    /// The guest's values.
    #[default]
    Guest,
    /// RDI is a host address: [`Cpu::string_deltas`](crate::cpu::Cpu::string_deltas) was added to it.
    HostTarget,
    /// RDI and RSI are.
    HostBoth,
}

/// What host code belongs to from some place on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Offset in the block's host code.
    pub host: u16,
    /// Offset of the instruction from the guest page (may be negative or beyond it for the page-crossing).
    pub guest: i16,
    /// Where the status flags are.
    pub flags: FlagPlace,
    /// What RDI and RSI hold.
    pub pointers: Pointers,
}

/// The guest-physical bytes that a block was made from, or that were looked at: one range, or two.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sources {
    first: u64,
    second: u64,
    lengths: [u16; 2],
}

impl Sources {
    /// One range.
    pub fn new(start: u64, length: u16) -> Self {
        Self { first: start, second: 0, lengths: [length, 0] }
    }
    /// The same and one in another frame, of which the block needs `length` bytes.
    pub fn and(self, start: u64, length: u16) -> Self {
        Self { second: start, lengths: [self.lengths[0], length], ..self }
    }
    /// The second range, as start and length.
    pub fn second(&self) -> Option<(u64, u64)> {
        (self.lengths[1] > 0).then_some((self.second, u64::from(self.lengths[1])))
    }
    /// The first range.
    pub fn first(&self) -> (u64, u64) {
        (self.first, u64::from(self.lengths[0]))
    }
    fn ranges(self) -> impl Iterator<Item = (u64, u64)> {
        std::iter::once(self.first()).chain(self.second())
    }
    fn overlap(self, gpa: u64, length: u64) -> bool {
        self.ranges().any(|(start, size)| gpa < start + size && start < gpa + length)
    }
    fn frames(self) -> impl Iterator<Item = u64> {
        let mut last = None;
        let frames = self.ranges().flat_map(|(start, size)| start >> 12..=(start + size.max(1) - 1) >> 12);
        frames.filter(move |frame| last.replace(*frame) != Some(*frame))
    }
}

/// Where a block's host code begins, by way of entry: offsets from [`Block::checked`].
#[derive(Clone, Copy, Debug)]
pub struct Entries {
    /// Where linked jumps go that have to look for attention.
    pub attention: u32,
    /// Where other linked jumps go: the body, or, for a position-independent block across a page end, a way through the
    /// jump table, which knows whether the second page is still the same.
    pub linked: u32,
    /// The entry that does neither.
    pub body: u32,
    /// One past the last host byte.
    pub end: u32,
}

/// One translated block.
#[derive(Debug)]
pub struct Block {
    /// What it is found by.
    pub key: Key,
    /// First address of its host code: the entry for jumps through the table.
    pub checked: u64,
    /// The other entries.
    pub entries: Entries,
    /// What it was made from.
    pub sources: Sources,
    /// Guest instructions.
    pub instructions: u32,
    /// First and number of its instruction starts, by host offset, and of its direct jumps out.
    marks: (u32, u16),
    links: (u32, u16),
    /// The first of the links that lead to it, or [`NOBODY`].
    incoming: u32,
    /// The next block whose key has the same hash, or [`NOBODY`].
    beside: BlockId,
    /// Not thrown away yet.
    alive: bool,
}

impl Block {
    /// A block that nobody keeps yet.
    pub fn new(key: Key, checked: u64, entries: Entries, sources: Sources, instructions: u32) -> Self {
        Self {
            key,
            checked,
            entries,
            sources,
            instructions,
            marks: (0, 0),
            links: (0, 0),
            incoming: NOBODY,
            beside: NOBODY,
            alive: true,
        }
    }
    /// Address of the entry without any question.
    pub fn body(&self) -> u64 {
        self.checked + u64::from(self.entries.body)
    }
    /// One past its last host byte.
    pub fn end(&self) -> u64 {
        self.checked + u64::from(self.entries.end)
    }
    fn links(&self) -> std::ops::Range<usize> {
        self.links.0 as usize..self.links.0 as usize + usize::from(self.links.1)
    }
}

/// The code of one guest frame.
#[derive(Default)]
struct Frame {
    blocks: Vec<BlockId>,
    /// Slow writes since the last translation that hit no code.
    missed_writes: u32,
}

/// All blocks.
pub struct Blocks {
    all: Vec<Block>,
    /// Of all blocks, one after the other.
    marks: Vec<Mark>,
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
            marks: Vec::with_capacity(code_bytes / LEAST_INSTRUCTION),
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
            if block.key == *key {
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
        let bucket = self.bucket(&self.get(id).key);
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
    /// A block by number.
    pub fn get(&self, id: BlockId) -> &Block {
        &self.all[id as usize]
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
    pub fn add(&mut self, mut block: Block, marks: &[Mark], links: &[Link]) -> (BlockId, Vec<u64>) {
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
        let bucket = self.bucket(&block.key);
        block.beside = std::mem::replace(&mut self.index[bucket], id);
        block.marks = (self.marks.len() as u32, marks.len() as u16);
        self.marks.extend_from_slice(marks);
        block.links = (self.links.len() as u32, links.len() as u16);
        let base = self.base;
        self.links.extend(links.iter().map(|link| Linked::new(link, base)));
        self.all.push(block);
        let granules = self.granule(self.all[id as usize].end() - 1).map_or(0, |last| last + 1);
        self.granules.resize(granules, id);
        (id, fresh)
    }

    fn granule(&self, host: u64) -> Option<usize> {
        Some((host.checked_sub(self.base)? >> GRANULE_SHIFT) as usize)
    }

    /// The live or dead block whose host code holds an address. Blocks lie in the order in which they were made.
    pub fn at(&self, host: u64) -> Option<BlockId> {
        let first = *self.granules.get(self.granule(host)?)? as usize;
        let later = self.all[first + 1..].iter().take_while(|block| block.checked <= host).count();
        let id = first + later;
        let block = &self.all[id];
        (block.checked..block.end()).contains(&host).then_some(id as BlockId)
    }

    /// What a host address inside a block belongs to.
    pub fn mark_at(&self, id: BlockId, host: u64) -> Mark {
        let block = self.get(id);
        let offset = host - block.checked;
        let first = block.marks.0 as usize;
        let marks = &self.marks[first..first + usize::from(block.marks.1)];
        let next = marks.partition_point(|mark| u64::from(mark.host) <= offset);
        marks[next.saturating_sub(1)]
    }

    /// The link of a block whose displacement is at `place`, and its target as an offset from the page of the block.
    pub fn link_at(&self, id: BlockId, place: u64) -> Option<(LinkId, i64)> {
        let is_there = |index: &usize| self.base + u64::from(self.links[*index].place) == place;
        let index = self.get(id).links().find(is_there)?;
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
        let entry = if linked.backward { target.entries.attention } else { target.entries.linked };
        Some((self.base + u64::from(linked.place), target.checked + u64::from(entry)))
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
            .filter(|id| self.all[*id as usize].sources.overlap(gpa, length))
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
        let frames = block.sources.frames();
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
        let (index, _) = blocks.link_at(from, blocks.get(from).checked + LINK).unwrap();
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
