//! Translated blocks: found by guest-physical address, linked to one another, and unlinked when their bytes change.
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use crate::legacy::Legacy;

/// Number of a block since the last time everything was thrown away.
pub type BlockId = u32;

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
    /// The block it is linked to.
    pub to: Option<BlockId>,
}

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
#[derive(Clone, Copy, Debug)]
pub struct Mark {
    /// Offset in the block's host code.
    pub host: u32,
    /// Offset of the instruction from the guest page (may be negative or beyond it for the page-crossing).
    pub guest: i32,
    /// Where the status flags are.
    pub flags: FlagPlace,
    /// What RDI and RSI hold.
    pub pointers: Pointers,
}

/// One translated block.
#[derive(Debug)]
pub struct Block {
    /// What it is found by.
    pub key: Key,
    /// First address of its host code: the entry for jumps through the table.
    pub checked: u64,
    /// Where linked jumps go that have to look for attention.
    pub attention: u64,
    /// Where other linked jumps go: the body, or, for a position-independent block across a page end, a way through the
    /// jump table, which knows whether the second page is still the same.
    pub linked: u64,
    /// The entry that does neither.
    pub body: u64,
    /// One past its last host byte.
    pub end: u64,
    /// Guest-physical ranges that it was made from, as start and length.
    pub sources: Vec<(u64, u32)>,
    /// Instruction starts, by host offset.
    pub marks: Vec<Mark>,
    /// Direct jumps out.
    pub links: Vec<Link>,
    /// Who is linked to it: block and index of the link.
    pub incoming: Vec<(BlockId, u16)>,
    /// Guest instructions.
    pub instructions: u32,
    /// Not thrown away yet.
    pub alive: bool,
}

/// The code of one guest frame.
#[derive(Default)]
struct Frame {
    blocks: Vec<BlockId>,
    /// Slow writes since the last translation that hit no code.
    missed_writes: u32,
}

/// All blocks.
#[derive(Default)]
pub struct Blocks {
    all: Vec<Block>,
    index: WordMap<Key, BlockId>,
    frames: WordMap<u64, Frame>,
    /// For each granule of host code, from the first block on, the block that its first byte lies in.
    granules: Vec<BlockId>,
}

/// log2 of the bytes of a granule.
const GRANULE_SHIFT: u32 = 8;

/// A jump that has to be changed: the address of its displacement and where it shall lead.
pub type Patch = (u64, u64);

/// Writes to a frame that hit no code before the frame's code goes anyway, so that the writes become fast again.
const MISSED_WRITES: u32 = 32;

impl Blocks {
    /// The block of a key.
    pub fn find(&self, key: &Key) -> Option<BlockId> {
        self.index.get(key).copied()
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
    pub fn add(&mut self, block: Block) -> (BlockId, Vec<u64>) {
        let id = self.all.len() as BlockId;
        let mut fresh = Vec::new();
        for frame in frames_of(&block.sources) {
            let entry = self.frames.entry(frame).or_insert_with(|| {
                fresh.push(frame);
                Frame::default()
            });
            entry.blocks.push(id);
            entry.missed_writes = 0;
        }
        self.index.insert(block.key, id);
        self.all.push(block);
        let granules = self.granule(self.all[id as usize].end - 1).map_or(0, |last| last + 1);
        self.granules.resize(granules, id);
        (id, fresh)
    }

    fn granule(&self, host: u64) -> Option<usize> {
        let base = self.all.first()?.checked;
        Some((host.checked_sub(base)? >> GRANULE_SHIFT) as usize)
    }

    /// The live or dead block whose host code holds an address. Blocks lie in the order in which they were made.
    pub fn at(&self, host: u64) -> Option<BlockId> {
        let first = *self.granules.get(self.granule(host)?)? as usize;
        let later = self.all[first + 1..].iter().take_while(|block| block.checked <= host).count();
        let id = first + later;
        let block = &self.all[id];
        (block.checked..block.end).contains(&host).then_some(id as BlockId)
    }

    /// What a host address inside a block belongs to.
    pub fn mark_at(&self, id: BlockId, host: u64) -> Mark {
        let block = self.get(id);
        let offset = (host - block.checked) as u32;
        let next = block.marks.partition_point(|mark| mark.host <= offset);
        block.marks[next.saturating_sub(1)]
    }

    /// The link whose displacement is at `place`.
    pub fn link_at(&self, id: BlockId, place: u64) -> Option<u16> {
        self.get(id).links.iter().position(|link| link.place == place).map(|index| index as u16)
    }

    /// Links a jump to a block and says how to change it. Dead blocks stay as they are.
    pub fn link(&mut self, from: BlockId, index: u16, to: BlockId) -> Option<Patch> {
        if !self.get(from).alive || !self.get(to).alive {
            return None;
        }
        let target = self.get(to);
        let (attention, linked) = (target.attention, target.linked);
        let link = &mut self.all[from as usize].links[usize::from(index)];
        link.to = Some(to);
        let patch = (link.place, if link.backward { attention } else { linked });
        self.all[to as usize].incoming.push((from, index));
        Some(patch)
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
            .filter(|id| {
                let sources = &self.all[*id as usize].sources;
                sources.iter().any(|(start, size)| gpa < start + u64::from(*size) && *start < gpa + length)
            })
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
        self.index.remove(&block.key);
        let incoming = std::mem::take(&mut block.incoming);
        let frames: Vec<_> = frames_of(&block.sources).collect();
        for (from, index) in incoming {
            let link = &mut self.all[from as usize].links[usize::from(index)];
            if link.to == Some(id) {
                link.to = None;
                patches.push((link.place, link.stub));
            }
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
        self.granules.clear();
        self.index.clear();
        self.frames.drain().map(|(frame, _)| frame).collect()
    }
}

fn frames_of(sources: &[(u64, u32)]) -> impl Iterator<Item = u64> {
    let mut frames: Vec<u64> = sources
        .iter()
        .flat_map(|(start, size)| (start >> 12)..=((start + u64::from(*size).max(1) - 1) >> 12))
        .collect();
    frames.sort_unstable();
    frames.dedup();
    frames.into_iter()
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

    fn mark(host: u32, guest: i32) -> Mark {
        Mark { host, guest, flags: FlagPlace::Eflags, pointers: Pointers::Guest }
    }

    fn block(gpa: u64, host: u64) -> Block {
        let link = Link { place: host + 20, stub: host + 30, target: 0, backward: false, to: None };
        Block {
            key: Key { gpa, page: ANY_PAGE, space: 0, mode: MODE },
            checked: host,
            attention: host + 4,
            linked: host + 8,
            body: host + 8,
            end: host + 40,
            sources: vec![(gpa, 16)],
            marks: vec![mark(8, 0), mark(12, 3)],
            links: vec![link],
            incoming: Vec::new(),
            instructions: 2,
            alive: true,
        }
    }

    #[test]
    fn a_write_kills_what_it_hits_and_unlinks_it() {
        let mut blocks = Blocks::default();
        let (first, fresh) = blocks.add(block(0x1000, 0x8000));
        assert_eq!(fresh, [1]);
        let (second, fresh) = blocks.add(block(0x1100, 0x8040));
        assert!(fresh.is_empty());
        assert_eq!(blocks.link(first, 0, second), Some((0x8014, 0x8048)));
        assert!(blocks.hit_by_write(0x10f8, 8).is_empty());
        assert_eq!(blocks.hit_by_write(0x10f9, 8), [second]);
        let (mut patches, mut bare) = (Vec::new(), Vec::new());
        blocks.kill(second, &mut patches, &mut bare);
        assert_eq!(patches, [(0x8014, 0x801e)]);
        assert!(bare.is_empty());
        assert!(blocks.find(&Key { gpa: 0x1100, page: ANY_PAGE, space: 0, mode: MODE }).is_none());
        blocks.kill(first, &mut patches, &mut bare);
        assert_eq!(bare, [1]);
    }

    #[test]
    fn host_addresses_lead_back_to_guest_instructions() {
        let mut blocks = Blocks::default();
        let (first, _) = blocks.add(block(0x1000, 0x8000));
        let (second, _) = blocks.add(block(0x2000, 0x8040));
        assert_eq!(blocks.at(0x8027), Some(first));
        assert_eq!(blocks.at(0x8040), Some(second));
        assert_eq!(blocks.at(0x8068), None);
        assert_eq!(blocks.at(0x7fff), None);
        let (far, _) = blocks.add(block(0x3000, 0x8500));
        assert_eq!(
            [0x84ff, 0x8500, 0x8527, 0x8528].map(|host| blocks.at(host)),
            [None, Some(far), Some(far), None]
        );
        assert_eq!(blocks.at(0x8067), Some(second));
        assert_eq!(blocks.mark_at(first, 0x800b).guest, 0);
        assert_eq!(blocks.mark_at(first, 0x800c).guest, 3);
        assert_eq!(blocks.link_at(second, 0x8054), Some(0));
    }

    #[test]
    fn data_beside_code_becomes_fast_again() {
        let mut blocks = Blocks::default();
        let (only, _) = blocks.add(block(0x1000, 0x8000));
        let kills = (0..100).find(|_| blocks.hit_by_write(0x1800, 8) == [only]);
        assert_eq!(kills, Some(MISSED_WRITES as i32));
    }
}
