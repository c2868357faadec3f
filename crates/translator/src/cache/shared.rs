//! The translated code that the CPUs of a machine share: blocks of user code for all of them, blocks that are linked on the
//! strength of mappings for the CPU whose mappings those are.
//!
//! Blocks are found without a lock. One lock guards the rest; it is held while a finished block is appended, linked or killed,
//! and nobody waits for another CPU meanwhile. Code goes away in two steps ([`CodeCache::retire`], [`CodeCache::fill`]), between which every CPU leaves it.
//! See `docs/decisions/0011-shared-code.md`.
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use parking_lot::{Mutex, MutexGuard, RwLock, RwLockReadGuard};
use platform::ram::watch::{Keeper, Watcher};
use platform::{Attention, GuestRam};
use x86::address::{PAGE_OFFSET, PAGE_SHIFT, PAGE_SIZE};

use super::blocks::{BlockId, Blocks, Key, Made, Mark, Patch, SEGMENTS};
use super::code::CodeBuffer;
use super::directory::Directory;
use super::finder::Finder;
use super::gauge::Gauge;
use crate::config::{CodeRoom, SetupError};
use crate::light::seen::Counts;
use crate::lower::sites::Sites;
use crate::runtime::fault::FaultGuard;
use crate::runtime::thunks::{Exit, Thunks};

/// The translated code of one machine.
pub struct CodeCache {
    state: Mutex<State>,
    /// Where blocks are found without the lock.
    directory: Arc<Directory>,
    /// Grows whenever all blocks and the numbers of their modes were forgotten: new ones are asked for then.
    beginnings: AtomicU64,
    /// Instructions that windows do not serve.
    sites: RwLock<Sites>,
    /// Grows with each change of them.
    site_changes: AtomicU64,
    /// A bit for each frame that some are in, or another frame with the same number here: most have none.
    site_frames: Vec<AtomicU64>,
    keeper: Keeper,
    gauge: Gauge,
    thunks: Thunks,
    /// The executable addresses of each segment.
    segments: [Range<u64>; SEGMENTS],
    spaces: AtomicU32,
    seen: Arc<Counts>,
    _faults: FaultGuard,
}

struct State {
    buffer: CodeBuffer,
    blocks: Blocks,
    /// Where jumps to dead blocks lead.
    dead: u64,
    /// All code goes: until it has gone, none is added.
    is_closed: bool,
}

/// Frames that are told apart by [`CodeCache::sites_in`].
const SITE_FRAMES: usize = 1 << 14;

fn site_frame(frame: u64) -> (usize, u64) {
    let number = frame as usize % SITE_FRAMES;
    (number / 64, 1 << (number % 64))
}

/// How often a CPU looks whether another one is done before it sleeps.
const LOOKS: u32 = 300;

/// All segments, in place of a bit for each.
pub const ALL: u32 = u32::MAX;

/// Blocks that nobody finds any more ([`CodeCache::retire`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retired {
    /// None: there is room.
    Nothing,
    /// Those of one segment or two.
    Some {
        /// The one where new blocks will go.
        filled: usize,
        /// The one whose memory will go.
        given_back: Option<usize>,
    },
    /// All.
    All,
}

impl Retired {
    /// A bit for each segment, or [`ALL`].
    pub fn segments(self) -> u32 {
        match self {
            Self::Nothing => 0,
            Self::Some { filled, given_back } => 1 << filled | given_back.map_or(0, |segment| 1 << segment),
            Self::All => ALL,
        }
    }
}

/// A block, and where it is. Good until the CPU that asked for it serves others
/// ([`Serve::forget`](platform::ram::watch::Serve::forget)).
#[derive(Clone, Copy, Debug)]
pub struct Place {
    id: BlockId,
    /// What it is found by.
    pub key: Key,
    /// The entry for jumps through the table.
    pub checked: u64,
    /// The entry without any question.
    pub body: u64,
    /// Where its bytes beyond the end of its page come from.
    pub second: Option<u64>,
    /// It has an entry that looks for attention.
    pub looks: bool,
}

/// What an address in host code belongs to.
#[derive(Clone, Copy, Debug)]
pub struct Spot {
    /// What the block is found by, or was.
    pub key: Key,
    /// The guest instruction.
    pub mark: Mark,
}

/// A direct jump.
#[derive(Clone, Copy, Debug)]
pub struct Jump {
    /// What its block is found by, or was.
    pub key: Key,
    /// Where it leads, from the block's page.
    pub target: i64,
    /// It goes back.
    pub backward: bool,
    /// The body of the block there, if that serves and needs no more questions.
    pub body: Option<u64>,
}

/// What became of a block.
pub enum Added {
    /// It is there; perhaps another CPU was faster.
    Kept(Place),
    /// There is no room for it.
    Full,
    /// Memory does not hold what it was made from any more.
    Stale,
}

impl CodeCache {
    /// Room for the code of one memory.
    pub fn new(ram: &GuestRam, room: impl Into<CodeRoom>) -> Result<Self, SetupError> {
        let room = room.into();
        let bytes = room.most.max(room.least);
        let mut buffer = CodeBuffer::new(bytes, SEGMENTS).map_err(SetupError::CodeCache)?;
        let thunks = Thunks::build(&mut buffer);
        let faults = FaultGuard::new(buffer.range(), thunks.end, thunks.exit(Exit::Fault));
        let faults = faults.map_err(SetupError::Signals)?;
        let blocks = Blocks::with_room_for(bytes).map_err(SetupError::CodeCache)?;
        Ok(Self {
            directory: blocks.directory(),
            beginnings: AtomicU64::new(0),
            sites: RwLock::default(),
            site_changes: AtomicU64::new(0),
            site_frames: (0..SITE_FRAMES / 64).map(|_| AtomicU64::new(0)).collect(),
            keeper: ram.watch().keeper(),
            gauge: Gauge::new(room),
            thunks,
            segments: std::array::from_fn(|segment| buffer.segment(segment)),
            spaces: AtomicU32::new(0),
            seen: Arc::default(),
            state: Mutex::new(State { buffer, blocks, dead: thunks.dead, is_closed: false }),
            _faults: faults,
        })
    }

    /// How often code has begun to run before anything was made of it.
    pub fn seen(&self) -> Arc<Counts> {
        Arc::clone(&self.seen)
    }

    /// A CPU is going to run this code; `None` if too many do.
    pub fn join(&self, attention: Arc<dyn Attention>) -> Option<Watcher> {
        self.keeper.join(attention)
    }
    /// The way into translated code and the ways out.
    pub fn thunks(&self) -> Thunks {
        self.thunks
    }
    /// The executable addresses of the code that goes away with these segments.
    pub fn ranges(&self, segments: u32) -> impl Iterator<Item = &Range<u64>> {
        let numbered = self.segments.iter().enumerate();
        numbered.filter(move |(number, _)| segments & 1 << number != 0).map(|(_, range)| range)
    }
    /// A number that tells pinned blocks from all others ([`Key::space`]).
    pub fn next_space(&self) -> u32 {
        self.spaces.fetch_add(1, Ordering::Relaxed).wrapping_add(1)
    }
    /// It is locked for less than a microsecond mostly: looking again is cheaper than to sleep.
    fn lock(&self) -> MutexGuard<'_, State> {
        for _ in 0..LOOKS {
            if let Some(state) = self.state.try_lock() {
                return state;
            }
            std::hint::spin_loop();
        }
        self.state.lock()
    }
    /// Number of blocks, dead ones included, and bytes of host code.
    pub fn size(&self) -> (usize, usize) {
        let state = self.lock();
        (state.blocks.count(), state.buffer.used())
    }

    /// Instructions in a frame that windows do not serve, if there are any. Not to be held while another CPU is waited for.
    pub fn sites_in(&self, frame: u64) -> Option<RwLockReadGuard<'_, Sites>> {
        let (word, bit) = site_frame(frame);
        let some = self.site_frames[word].load(Ordering::Acquire) & bit != 0;
        some.then(|| self.sites.read())
    }
    /// Another number after each change of those.
    pub fn site_changes(&self) -> u64 {
        self.site_changes.load(Ordering::Acquire)
    }
    /// An access of the instruction at a guest-physical address could not be made by window, but was allowed. Its blocks
    /// are made anew if it goes by look-up from now on; how many went.
    pub fn note_site(&self, gpa: u64) -> usize {
        let is_new = {
            let mut sites = self.sites.write();
            let (word, bit) = site_frame(gpa >> PAGE_SHIFT);
            self.site_frames[word].fetch_or(bit, Ordering::AcqRel);
            self.site_changes.fetch_add(1, Ordering::AcqRel);
            sites.note(gpa)
        };
        if is_new { self.written(gpa, 1) } else { 0 }
    }

    /// The block of a key. Nobody waits for it.
    pub fn find(&self, key: &Key, finder: &mut Finder) -> Option<Place> {
        let beginning = self.beginnings.load(Ordering::Acquire);
        let mode = finder.number(key.mode, beginning, || self.lock().blocks.mode(key.mode))?;
        let id = self.directory.find(key, mode)?;
        Some(Place::of(id, key, &self.directory))
    }
    /// What an address in host code belongs to.
    pub fn spot(&self, host: u64) -> Option<Spot> {
        let state = self.lock();
        let id = state.blocks.at(host)?;
        Some(Spot { key: state.blocks.key(id), mark: state.blocks.mark_at(id, host) })
    }
    /// The direct jump whose displacement is at a place. If it leads to a block that is there and lies in the same page as
    /// a whole, it is made to lead there at once.
    pub fn jump_at(&self, place: u64) -> Option<Jump> {
        let state = &mut *self.lock();
        let from = state.blocks.at(place)?;
        let (link, linked) = state.blocks.link_at(from, place)?;
        let (target, backward) = (linked.target(), linked.is_backward());
        let key = state.blocks.key(from);
        let near = (0..PAGE_SIZE as i64).contains(&target) && !key.mode.is_pinned();
        let near = near.then_some(Key { gpa: key.gpa & !PAGE_OFFSET | target as u64, ..key });
        let near = near.and_then(|key| state.blocks.find(&key));
        let serves = |to: &BlockId| {
            state.blocks.sources(*to).second().is_none() && (!backward || state.blocks.looks(*to))
        };
        let near = near.filter(serves);
        if let Some((place, code)) = near.and_then(|to| state.blocks.link(from, link, to)) {
            state.buffer.patch_relative(place, code);
        }
        Some(Jump { key, target, backward, body: near.map(|to| state.blocks.body(to)) })
    }
    /// Makes that jump lead to a block, unless one of the two is dead.
    pub fn link(&self, place: u64, to: &Place) {
        self.lock().link_from(Some(place), to.id);
    }

    /// Keeps a block, if memory `holds` what it was made from: its frames are marked, and have been since its bytes were
    /// read or have the same bytes again. What is written from now on is killed by whoever writes it.
    /// The direct jump whose displacement is at `from` is made to lead to it at once.
    pub fn add(&self, made: &Made<'_>, from: Option<u64>, holds: impl FnOnce() -> bool) -> Added {
        let state = &mut *self.lock();
        if state.is_closed || !state.has_room(made.code.len()) {
            return Added::Full;
        }
        if !holds() {
            return Added::Stale;
        }
        if let Some(id) = state.blocks.find(&made.block.key) {
            let looks = state.blocks.looks(id) || made.block.entries.attention.is_none();
            if looks && state.blocks.sources(id) == made.block.sources {
                state.link_from(from, id);
                return Added::Kept(Place::of(id, &made.block.key, &self.directory));
            }
            state.kill(&[id], &self.keeper);
        }
        let Some(checked) = state.buffer.append(made.code, made.fixups) else { return Added::Stale };
        let id = state.blocks.add(made, checked);
        state.link_from(from, id);
        Added::Kept(Place::of(id, &made.block.key, &self.directory))
    }

    /// Kills what a write has hit; how many blocks.
    pub fn written(&self, gpa: u64, length: u64) -> usize {
        self.lock().written(gpa, length, &self.keeper)
    }
    /// Does what others have written, if they have: how many writes and dead blocks; all code is going if that was
    /// everything ([`CodeCache::retire`]).
    pub fn follow_news(&self) -> (usize, usize) {
        let state = &mut *self.lock();
        // Under the lock: whoever comes next finds it done.
        let news = self.keeper.take_news();
        if news.all_written {
            state.retire_all(&self.keeper);
        }
        let dead = news.written.iter().map(|(gpa, length)| state.written(*gpa, *length, &self.keeper)).sum();
        (news.written.len(), dead)
    }
    /// Whether all code is going, and somebody has to see to it ([`CodeCache::retire`]).
    pub fn is_closed(&self) -> bool {
        self.lock().is_closed
    }
    /// Kills one block.
    pub fn kill(&self, place: &Place) {
        self.lock().kill(&[place.id], &self.keeper);
    }
    /// Kills the blocks pinned in a space that lie in a page, or reach into it from the one before; how many.
    pub fn kill_page(&self, page: u64, frame: u64, space: u32) -> usize {
        let state = &mut *self.lock();
        let mut dead = state.blocks.in_frame(frame >> PAGE_SHIFT);
        dead.retain(|id| {
            let key = state.blocks.key(*id);
            key.space == space && (key.page == page || key.page == page.wrapping_sub(PAGE_SIZE))
        });
        state.kill(&dead, &self.keeper);
        dead.len()
    }
    /// Takes the marks off a frame if there is no code of it.
    pub fn unmark_bare(&self, frame: u64) {
        let state = self.lock();
        if !state.blocks.has_code(frame) {
            self.keeper.unmark(frame);
        }
    }

    /// Some blocks go, if there is no room for one of so many bytes, or all if they have to. Other CPUs may still run their
    /// code until they are asked to forget it. One CPU at a time.
    pub fn retire(&self, bytes: usize) -> Retired {
        let (filled, given_back) = {
            let state = &mut *self.lock();
            if !state.is_closed && !state.blocks.has_many_modes() && state.has_room(bytes) {
                return Retired::Nothing;
            }
            let turn = self.gauge.turn(state.buffer.used(), state.buffer.segment_bytes());
            let next = state.blocks.ages().next_to_fill(turn);
            (next, state.blocks.ages().next_to_give_back(next, turn))
        };
        for segment in [Some(filled), given_back].into_iter().flatten() {
            let mut rest = Some(0);
            while let Some(from) = rest {
                // Piece by piece: other CPUs need not wait for all of it.
                let state = &mut *self.lock();
                if state.is_closed || state.blocks.has_many_modes() {
                    state.retire_all(&self.keeper);
                    return Retired::All;
                }
                let (mut patches, mut bare) = (Vec::new(), Vec::new());
                rest = state.blocks.retire(segment, from, &mut patches, &mut bare);
                state.change(patches, bare, &self.keeper);
            }
        }
        Retired::Some { filled, given_back }
    }
    /// Nobody runs code of these segments any more: there is room for new one.
    pub fn fill(&self, retired: Retired) {
        let state = &mut *self.lock();
        match retired {
            Retired::Nothing => {}
            Retired::All => {
                state.blocks.clear();
                state.buffer.clear();
                state.is_closed = false;
                self.beginnings.fetch_add(1, Ordering::Release);
            }
            Retired::Some { filled, given_back } => {
                state.blocks.fill(filled);
                state.buffer.go_on(filled);
                if let Some(segment) = given_back {
                    state.blocks.give_back(segment);
                    state.buffer.give_back(segment);
                }
            }
        }
    }
}

impl Place {
    fn of(id: BlockId, key: &Key, directory: &Directory) -> Self {
        let (block, checked) = (directory.get(id), directory.checked(id));
        let (second, entries) = (directory.sources(id).second().map(|(start, _)| start), block.entries());
        let looks = entries.attention.is_some();
        Self { id, key: *key, checked, body: checked + u64::from(entries.body), second, looks }
    }
}

impl State {
    fn has_room(&self, bytes: usize) -> bool {
        bytes <= self.buffer.room() && self.blocks.has_room()
    }

    fn link_from(&mut self, place: Option<u64>, to: BlockId) {
        let Some(place) = place else { return };
        let Some(from) = self.blocks.at(place) else { return };
        let Some((link, _)) = self.blocks.link_at(from, place) else { return };
        if let Some((place, code)) = self.blocks.link(from, link, to) {
            self.buffer.patch_relative(place, code);
        }
    }

    fn written(&mut self, gpa: u64, length: u64, keeper: &Keeper) -> usize {
        let mut bare = Vec::new();
        let dead = self.blocks.hit_by_write(gpa, length, &mut bare);
        self.kill(&dead, keeper);
        bare.into_iter().for_each(|frame| keeper.unmark(frame));
        dead.len()
    }

    fn kill(&mut self, dead: &[BlockId], keeper: &Keeper) {
        let (mut patches, mut bare) = (Vec::new(), Vec::new());
        for id in dead {
            self.blocks.kill(*id, &mut patches, &mut bare);
            // Jump tables may still lead there: whoever comes that way goes on to the runtime.
            self.buffer.patch_jump(self.blocks.checked(*id), self.dead);
        }
        self.change(patches, bare, keeper);
    }

    fn change(&mut self, patches: Vec<Patch>, bare: Vec<u64>, keeper: &Keeper) {
        patches.into_iter().for_each(|(place, target)| self.buffer.patch_relative(place, target));
        bare.into_iter().for_each(|frame| keeper.unmark(frame));
    }

    fn retire_all(&mut self, keeper: &Keeper) {
        let (mut patches, mut bare) = (Vec::new(), Vec::new());
        self.blocks.retire_all(&mut patches, &mut bare);
        self.change(patches, bare, keeper);
        self.is_closed = true;
    }
}

impl Drop for CodeCache {
    fn drop(&mut self) {
        self.state.get_mut().retire_all(&self.keeper);
    }
}

#[cfg(test)]
mod tests;
