//! Translated blocks: found by guest-physical address, linked to one another, and unlinked when their bytes change.
use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

use x86::address::PAGE_OFFSET;

use super::ages::Ages;
pub use super::block::{
    ANY_PAGE, Block, CodeMode, Entries, FlagPlace, Key, Link, Made, Mark, Pointers, Sources,
};
use super::directory::Directory;
use super::links::{Linked, Links};
use super::marks::Marks;
use super::record::{Details, Modes, Record};

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

/// In place of the number of a block or a link.
pub(super) const NOBODY: u32 = u32::MAX;

/// The code of one guest frame.
#[derive(Default)]
struct Frame {
    blocks: Vec<BlockId>,
    /// Slow writes since the last translation that hit no code.
    missed_writes: u32,
}

/// Parts of the room for code; one's blocks go when there is no room left.
pub const SEGMENTS: usize = 32;
/// A number of a block or link has that of its segment above these bits.
const SEGMENT_SHIFT: u32 = 27;

pub(super) fn segment_of(number: u32) -> usize {
    (number >> SEGMENT_SHIFT) as usize
}
pub(super) fn index_of(number: u32) -> usize {
    (number & ((1 << SEGMENT_SHIFT) - 1)) as usize
}
fn number(segment: usize, index: usize) -> u32 {
    (segment as u32) << SEGMENT_SHIFT | index as u32
}

/// The blocks of one segment, in the order in which they were made.
struct Segment {
    number: usize,
    directory: Arc<Directory>,
    /// How many there are.
    count: usize,
    /// Of all blocks, one after the other.
    marks: Marks,
    links: Links,
    /// For each granule of host code, from the first block on, the block that its first byte lies in.
    granules: Vec<u32>,
}

/// All blocks.
pub struct Blocks {
    segments: [Segment; SEGMENTS],
    ages: Ages,
    modes: Modes,
    directory: Arc<Directory>,
    frames: WordMap<u64, Frame>,
}

/// Bytes of host code that a block, and one instruction of it, takes at least, but for rare ones.
const LEAST_BLOCK: usize = 128;
const LEAST_INSTRUCTION: usize = 8;
/// Bytes of host code that a block takes mostly.
const USUAL_BLOCK: usize = 256;
/// A segment has room for the records of as many blocks as have so many bytes of host code each.
const SMALLEST_BLOCK: usize = 64;
/// log2 of the bytes of a granule.
const GRANULE_SHIFT: u32 = 8;

/// Frames that are known to hold code, or to have held some, before the latter are forgotten.
const FRAMES_MANY: usize = 1 << 14;

/// Blocks that are made to go while others wait.
const RETIRED_TOGETHER: usize = 64;

/// Modes that blocks may be of before all go.
const MODES_MOST: usize = 4096;

/// A jump that has to be changed: the address of its displacement and where it shall lead.
pub type Patch = (u64, u64);

/// Writes to a frame that hit no code before the frame's code goes anyway, so that the writes become fast again.
const MISSED_WRITES: u32 = 32;

impl Segment {
    /// No blocks yet, with room for those of so many bytes of host code. The host gives memory as it is touched; room that
    /// grew would be copied, and be there twice for a moment.
    fn with_room_for(code_bytes: usize, number: usize, directory: &Arc<Directory>) -> Self {
        Self {
            number,
            directory: Arc::clone(directory),
            count: 0,
            marks: Marks::with_capacity(code_bytes / LEAST_INSTRUCTION),
            links: Links::with_capacity(code_bytes / LEAST_BLOCK * 2),
            granules: Vec::with_capacity(code_bytes >> GRANULE_SHIFT),
        }
    }
    fn base(&self) -> u64 {
        self.directory.base(self.number)
    }
    fn get(&self, index: usize) -> Option<&Record> {
        (index < self.count).then(|| self.directory.get(number(self.number, index)))
    }
    fn details(&self, index: usize) -> Option<&Details> {
        (index < self.count).then(|| self.directory.details(number(self.number, index)))
    }
    fn marks_of(&self, index: usize) -> std::ops::Range<u32> {
        let begin = |index| self.details(index).map_or(self.marks.end(), Details::marks);
        begin(index)..begin(index + 1)
    }
    fn links_of(&self, index: usize) -> std::ops::Range<usize> {
        let begin = |index| self.details(index).map_or(self.links.len(), |block| block.links() as usize);
        begin(index)..begin(index + 1)
    }
    fn granule(&self, host: u64) -> Option<usize> {
        Some((host.checked_sub(self.base())? >> GRANULE_SHIFT) as usize)
    }
    /// The block whose host code holds an address.
    fn at(&self, host: u64) -> Option<usize> {
        let first = *self.granules.get(self.granule(host)?)? as usize;
        let offset = host - self.base();
        let begins = |index: &usize| self.get(*index).is_some_and(|block| u64::from(block.code()) <= offset);
        let index = first + (first + 1..).take_while(begins).count();
        let block = self.get(index)?;
        let start = u64::from(block.code());
        (start..start + u64::from(block.entries().end)).contains(&offset).then_some(index)
    }
    fn clear(&mut self) {
        self.count = 0;
        self.marks.clear();
        self.links.clear();
        self.granules.clear();
    }
    /// The same, and the memory goes back.
    fn give_back(&mut self) {
        self.clear();
        self.marks.give_back();
        self.links.give_back();
        self.directory.give_back(self.number);
    }
}

impl Blocks {
    /// No blocks yet, with room for those of so many bytes of host code.
    pub fn with_room_for(code_bytes: usize) -> std::io::Result<Self> {
        let (segment, hashes) = (code_bytes / SEGMENTS, code_bytes / USUAL_BLOCK);
        let directory = Arc::new(Directory::with_room_for(segment / SMALLEST_BLOCK, hashes)?);
        Ok(Self {
            segments: std::array::from_fn(|number| Segment::with_room_for(segment, number, &directory)),
            ages: Ages::default(),
            modes: Modes::default(),
            directory,
            frames: WordMap::default(),
        })
    }

    /// Where blocks are found without a lock.
    pub fn directory(&self) -> Arc<Directory> {
        Arc::clone(&self.directory)
    }
    /// The number of a mode, if blocks were made for it; good until everything is forgotten.
    pub fn mode(&self, mode: CodeMode) -> Option<u32> {
        self.modes.find(mode)
    }
    /// The block of a key.
    pub fn find(&self, key: &Key) -> Option<BlockId> {
        self.directory.find(key, self.modes.find(key.mode)?)
    }
    fn get(&self, id: BlockId) -> &Record {
        self.directory.get(id)
    }
    fn base(&self, id: u32) -> u64 {
        self.directory.base(segment_of(id))
    }
    /// Whether there is room for another block, beside that for its code.
    pub fn has_room(&self) -> bool {
        self.segments[self.ages.filling()].count < self.directory.room()
    }
    /// What a block is found by.
    pub fn key(&self, id: BlockId) -> Key {
        self.get(id).key(&self.modes)
    }
    /// What a block was made from.
    pub fn sources(&self, id: BlockId) -> Sources {
        self.directory.sources(id)
    }
    /// First address of a block's host code: the entry for jumps through the table.
    pub fn checked(&self, id: BlockId) -> u64 {
        self.directory.checked(id)
    }
    /// Whether a block can still be found.
    #[cfg(test)]
    fn is_alive(&self, id: BlockId) -> bool {
        self.get(id).is_alive()
    }
    /// Address of a block's entry without any question.
    pub fn body(&self, id: BlockId) -> u64 {
        self.checked(id) + u64::from(self.get(id).entries().body)
    }
    /// Offset of a block's first byte in its page.
    fn start(&self, id: BlockId) -> i16 {
        (self.get(id).gpa() & PAGE_OFFSET) as i16
    }
    /// Number of blocks, dead ones included.
    pub fn count(&self) -> usize {
        self.segments.iter().map(|segment| segment.count).sum()
    }

    /// Adds a block that lies at an address, which is behind that of the last one of the segment that is being filled.
    pub fn add(&mut self, made: &Made<'_>, checked: u64) -> BlockId {
        let (id, block) =
            (number(self.ages.filling(), self.segments[self.ages.filling()].count), &made.block);
        for frame in block.sources.frames() {
            let entry = self.frames.entry(frame).or_default();
            entry.blocks.push(id);
            entry.missed_writes = 0;
        }
        let mode = self.modes.number(block.key.mode);
        let segment = &mut self.segments[self.ages.filling()];
        if segment.count == 0 {
            self.directory.set_base(self.ages.filling(), checked);
        }
        let code = (checked - segment.base()) as u32;
        self.directory.get(id).become_block(block, mode, code);
        self.directory.details(id).become_block(block, segment.marks.end(), segment.links.len() as u32);
        segment.marks.add(made.marks);
        segment.links.add(made.links, code);
        segment.count += 1;
        let last = checked + u64::from(block.entries.end) - 1;
        let granules = segment.granule(last).map_or(0, |last| last + 1);
        segment.granules.resize(granules, index_of(id) as u32);
        self.directory.show(id, &block.key);
        id
    }

    /// The live or dead block whose host code holds an address.
    pub fn at(&self, host: u64) -> Option<BlockId> {
        let segments = self.segments.iter().enumerate();
        segments.into_iter().find_map(|(segment, blocks)| Some(number(segment, blocks.at(host)?)))
    }

    /// What a host address inside a block belongs to.
    pub fn mark_at(&self, id: BlockId, host: u64) -> Mark {
        let segment = &self.segments[segment_of(id)];
        segment.marks.find(segment.marks_of(index_of(id)), self.start(id), host - self.checked(id))
    }

    /// Whether a block has an entry that looks for attention.
    pub fn looks(&self, id: BlockId) -> bool {
        self.get(id).entries().attention.is_some()
    }

    /// The link of a block whose displacement is at `place`.
    pub fn link_at(&self, id: BlockId, place: u64) -> Option<(LinkId, &Linked)> {
        let segment = &self.segments[segment_of(id)];
        let is_there = |index: &usize| segment.base() + segment.links.get(*index).place() == place;
        let index = segment.links_of(index_of(id)).find(is_there)?;
        Some((number(segment_of(id), index), segment.links.get(index)))
    }

    fn linked(&mut self, link: LinkId) -> &mut Linked {
        self.segments[segment_of(link)].links.get_mut(index_of(link))
    }

    /// Links a jump of a block to another and says how to change it. Dead blocks stay as they are, and jumps back that would
    /// not look for attention.
    pub fn link(&mut self, from: BlockId, index: LinkId, to: BlockId) -> Option<Patch> {
        if !self.get(from).is_alive() || !self.get(to).is_alive() || self.linked(index).to != NOBODY {
            return None;
        }
        let (code, entries) = (self.checked(to), self.get(to).entries());
        let entry = if self.linked(index).is_backward() { entries.attention? } else { entries.linked };
        let next = self.directory.details(to).replace_incoming(index);
        let base = self.base(index);
        let linked = self.linked(index);
        (linked.to, linked.next) = (to, next);
        Some((base + linked.place(), code + u64::from(entry)))
    }

    /// Whether any live block lies in a frame, or did lately.
    pub fn has_code(&self, frame: u64) -> bool {
        self.frames.contains_key(&frame)
    }
    /// The live blocks that lie in a frame at all.
    pub fn in_frame(&self, frame: u64) -> Vec<BlockId> {
        self.frames.get(&frame).map(|frame| frame.blocks.clone()).unwrap_or_default()
    }

    /// The blocks that a write kills. Every so often a write that hits none kills the whole frame, so that its data can
    /// be written fast again. A frame that holds no code any more is added to `bare`.
    pub fn hit_by_write(&mut self, gpa: u64, length: u64, bare: &mut Vec<u64>) -> Vec<BlockId> {
        let directory = &self.directory;
        let Some(frame) = self.frames.get_mut(&(gpa >> 12)) else { return Vec::new() };
        if frame.blocks.is_empty() {
            self.frames.remove(&(gpa >> 12));
            bare.push(gpa >> 12);
            return Vec::new();
        }
        let sources = |id: BlockId| directory.sources(id);
        let hits: Vec<_> =
            frame.blocks.iter().copied().filter(|id| sources(*id).overlap(gpa, length)).collect();
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
        if !self.unhook(id, patches) {
            return;
        }
        self.leave_frames(id, true, bare);
    }

    /// A block's frames do not know it any more. Those that hold no code any more go, if they shall, and are added to `bare`.
    fn leave_frames(&mut self, id: BlockId, shall_go: bool, bare: &mut Vec<u64>) {
        for frame in self.sources(id).frames() {
            let Some(entry) = self.frames.get_mut(&frame) else { continue };
            entry.blocks.retain(|other| *other != id);
            if shall_go && entry.blocks.is_empty() {
                self.frames.remove(&frame);
                bare.push(frame);
            }
        }
    }

    /// Nobody finds a block or jumps to it any more; its frames still know it. Whether it was alive.
    fn unhook(&mut self, id: BlockId, patches: &mut Vec<Patch>) -> bool {
        let block = self.get(id);
        if !block.die() {
            return false;
        }
        let mut incoming = self.directory.details(id).replace_incoming(NOBODY);
        self.directory.hide(id, &self.key(id));
        while incoming != NOBODY {
            let segment = &mut self.segments[segment_of(incoming)];
            let base = segment.base();
            let stub = base + segment.links.stub(index_of(incoming));
            let linked = segment.links.get_mut(index_of(incoming));
            linked.to = NOBODY;
            patches.push((base + linked.place(), stub));
            incoming = std::mem::replace(&mut linked.next, NOBODY);
        }
        true
    }

    /// Which segments go next.
    pub fn ages(&self) -> &Ages {
        &self.ages
    }
    /// Some blocks of a segment that goes, from an index on: nobody finds them or jumps to them any more, but who runs one still
    /// learns what it runs. Adds to `patches` and `bare` as [`Blocks::kill`] does, but frames that hold no code any more are
    /// bare only when there are many: most will hold some again soon. Where to go on, if there are more.
    pub fn retire(
        &mut self,
        gone: usize,
        from: usize,
        patches: &mut Vec<Patch>,
        bare: &mut Vec<u64>,
    ) -> Option<usize> {
        let all = self.segments[gone].count;
        let next = all.min(from + RETIRED_TOGETHER);
        let many = self.frames.len() > FRAMES_MANY;
        for index in from..next {
            let id = number(gone, index);
            if self.unhook(id, patches) {
                self.leave_frames(id, many, bare);
            }
            for link in self.segments[gone].links_of(index) {
                let to = self.segments[gone].links.get(link).to;
                if to != NOBODY {
                    self.forget_incoming(to, gone);
                }
            }
        }
        (next < all).then_some(next)
    }
    /// Nobody runs blocks of a segment any more that has retired: new ones go there.
    pub fn fill(&mut self, segment: usize) {
        self.segments[segment].clear();
        self.ages.fill(segment);
    }

    /// Nobody runs blocks of a segment any more that has retired: its memory goes back.
    pub fn give_back(&mut self, segment: usize) {
        self.segments[segment].give_back();
        self.ages.give_back(segment);
    }

    /// Takes the links of a segment out of those that lead to a block.
    fn forget_incoming(&mut self, to: BlockId, segment: usize) {
        let mut incoming = self.directory.details(to).replace_incoming(NOBODY);
        while incoming != NOBODY {
            let link = incoming;
            incoming = self.linked(link).next;
            if segment_of(link) == segment {
                self.linked(link).to = NOBODY;
            } else {
                let next = self.directory.details(to).replace_incoming(link);
                self.linked(link).next = next;
            }
        }
    }

    /// Whether the blocks are of so many modes that it is better to begin anew.
    pub fn has_many_modes(&self) -> bool {
        self.modes.len() > MODES_MOST
    }

    /// All blocks go, as [`Blocks::retire`] does with some. Those that remain only to say what they are are forgotten by
    /// [`Blocks::clear`].
    pub fn retire_all(&mut self, patches: &mut Vec<Patch>, bare: &mut Vec<u64>) {
        for segment in 0..SEGMENTS {
            for index in 0..self.segments[segment].count {
                self.unhook(number(segment, index), patches);
            }
        }
        bare.extend(self.frames.drain().map(|(frame, _)| frame));
    }
    /// Forgets everything; nobody runs a block any more.
    pub fn clear(&mut self) {
        self.segments.iter_mut().for_each(Segment::give_back);
        self.ages = Ages::default();
        self.modes.clear();
        self.directory.clear();
    }
}

#[cfg(test)]
mod tests;
