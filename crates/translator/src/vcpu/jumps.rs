//! Keeping jump tables and the mappings of linked supervisor code true.
use std::ops::Range;

use crate::cache::blocks::{CodeMode, WordMap, WordSet};
use crate::legacy::{Legacy, TAG};
use crate::mmu::table::{JUMP_PAIRS, Jump, Ring, empty_target, jump_index};
use crate::mmu::{Mmu, view};
use x86::address::{PAGE_OFFSET, PAGE_SHIFT};

/// What is known beside the tables themselves.
pub struct JumpTables {
    /// Supervisor code's table, which all views share.
    supervisor_table: Targets,
    /// User code's tables, by view.
    user_tables: Vec<Targets>,
    /// Targets of position-independent code by linear page (odd for code with windows), frame and kind: when an address
    /// space comes to run a page again
    /// after a flush, or another one has the same frame at the same place, they need not be found one by one.
    known: WordMap<(u64, u64, Option<Legacy>), Vec<Known>>,
    /// What the places of host code are counted from.
    code: u64,
    /// Linear pages of supervisor code that was translated: the frame, and whether the mapping is global.
    supervisor: WordMap<u64, (u64, bool)>,
    non_global: usize,
    /// What legacy targets in supervisor code's table, and in user code's by view, assume.
    legacy: [Option<CodeMode>; 1 + view::VIEWS],
}

/// A target in a page.
struct Known {
    /// From the beginning of the page.
    offset: u16,
    /// Its code, from [`JumpTables::code`].
    code: u32,
}

impl Known {
    fn jump(&self, page: u64, code: u64) -> Jump {
        Jump { target: page | u64::from(self.offset), code: code + u64::from(self.code) }
    }
}

/// What is in one jump table.
struct Targets {
    /// A bit for each pair of entries: in use.
    filled: Box<[u64; JUMP_PAIRS / 64]>,
    /// Linear pages (cut to 16 bits) that targets lie in, or lay in once.
    pages: WordSet<u16>,
    /// Pages whose known targets were entered since the table was emptied.
    recalled: WordSet<u64>,
}

/// Targets that are known of one page at most.
const KNOWN: usize = 48;
/// Pages of which targets are known at most, before all are forgotten.
const KNOWN_PAGES: usize = 2048;

/// Supervisor pages that are noted before all translations go.
const PAGES_MOST: usize = 1 << 16;

impl Default for Targets {
    fn default() -> Self {
        Self { filled: Box::new([0; _]), pages: WordSet::default(), recalled: WordSet::default() }
    }
}

impl Targets {
    fn fill(&mut self, table: &mut [Jump], jump: Jump) {
        let index = jump_index(jump.target);
        if table[index].target != jump.target {
            table[index + 1] = table[index];
        }
        table[index] = jump;
        self.pages.insert((jump.target >> PAGE_SHIFT) as u16);
        let pair = index / 2;
        self.filled[pair / 64] |= 1 << (pair % 64);
    }

    /// The entries in use, by index.
    fn entries(&self) -> impl Iterator<Item = usize> {
        let words = self.filled.iter().enumerate().filter(|(_, word)| **word != 0);
        let pairs = words.flat_map(|(at, word)| {
            let mut left = *word;
            std::iter::from_fn(move || {
                let bit = (left != 0).then(|| left.trailing_zeros() as usize)?;
                left &= left - 1;
                Some(64 * at + bit)
            })
        });
        pairs.flat_map(|pair| [2 * pair, 2 * pair + 1])
    }

    fn clear(&mut self, table: &mut [Jump]) {
        self.entries().for_each(|index| table[index].target = empty_target(index));
        self.filled.fill(0);
        self.pages.clear();
        self.recalled.clear();
    }

    /// Takes out what leads to host code that is gone.
    fn clear_code(&mut self, table: &mut [Jump], gone: &Range<u64>) {
        for index in self.entries() {
            if gone.contains(&table[index].code) {
                table[index].target = empty_target(index);
            }
        }
    }

    fn clear_page(&mut self, table: &mut [Jump], page: u64) {
        self.recalled.remove(&page);
        self.recalled.remove(&(page | TAG));
        if !self.pages.remove(&((page >> PAGE_SHIFT) as u16)) {
            return;
        }
        for index in self.entries() {
            if (table[index].target ^ page) >> PAGE_SHIFT & 0xffff == 0 {
                table[index].target = empty_target(index);
            }
        }
    }
}

impl JumpTables {
    /// Empty ones, of code that lies behind an address.
    pub(super) fn new(code: u64) -> Self {
        let user_tables = (0..view::VIEWS).map(|_| Targets::default()).collect();
        Self {
            supervisor_table: Targets::default(),
            user_tables,
            known: WordMap::default(),
            code,
            supervisor: WordMap::default(),
            non_global: 0,
            legacy: [None; 1 + view::VIEWS],
        }
    }

    /// Empties every table, and forgets supervisor code.
    pub(super) fn reset(&mut self, mmu: &mut Mmu) {
        self.forget(mmu);
        self.supervisor.clear();
        self.non_global = 0;
    }

    /// Legacy code of a mode is about to run: unless it was the last to do so, its ring's table is emptied.
    pub(super) fn enter_legacy(&mut self, mmu: &mut Mmu, mode: CodeMode) {
        let view = mmu.current_view();
        let slot = if mode.user { 1 + view } else { 0 };
        if self.legacy[slot] == Some(mode) {
            return;
        }
        self.clear_ring(mmu, mode.user);
        self.legacy[slot] = Some(mode);
    }

    /// 64-bit code is about to run: it may look for any number, the targets of legacy code among them.
    pub(super) fn leave_legacy(&mut self, mmu: &mut Mmu, user: bool) {
        let slot = if user { 1 + mmu.current_view() } else { 0 };
        if self.legacy[slot].take().is_some() {
            self.clear_ring(mmu, user);
        }
    }

    fn clear_ring(&mut self, mmu: &mut Mmu, user: bool) {
        match user {
            true => self.clear_user(mmu, mmu.current_view()),
            false => self.clear_supervisor(mmu),
        }
    }

    /// Whether there may be legacy targets in the table of user code in one view.
    pub(super) fn has_legacy(&self, view: usize) -> bool {
        self.legacy[1 + view].is_some()
    }

    /// Enters a jump target of the running address space.
    pub(super) fn fill(&mut self, mmu: &mut Mmu, user: bool, target: u64, code: u64) {
        let view = mmu.current_view();
        let jump = Jump { target, code };
        if user {
            self.user_tables[view].fill(mmu.views_mut().jumps(view, Ring::User), jump);
        } else {
            self.supervisor_table.fill(mmu.views_mut().jumps(view, Ring::Supervisor), jump);
        }
    }

    /// Enters a jump target of position-independent code in a frame, together with what else is known of its page.
    pub(super) fn fill_known(&mut self, mmu: &mut Mmu, mode: CodeMode, target: u64, frame: u64, code: u64) {
        let (view, page) = (mmu.current_view(), target & !PAGE_OFFSET);
        if self.known.len() >= KNOWN_PAGES {
            self.known.clear();
        }
        let known = self.known.entry((page | u64::from(mode.windows), frame, mode.legacy)).or_default();
        let (offset, place) = ((target & PAGE_OFFSET) as u16, (code - self.code) as u32);
        let room = known.len() < KNOWN;
        match known.iter_mut().find(|known| known.offset == offset) {
            Some(known) => known.code = place,
            None if room => known.push(Known { offset, code: place }),
            None => {}
        }
        let table = mmu.views_mut().jumps(view, Ring::User);
        let targets = &mut self.user_tables[view];
        if targets.recalled.insert(page) {
            for known in known.iter().filter(|known| known.offset != offset) {
                targets.fill(table, known.jump(page, self.code));
            }
        }
        targets.fill(table, Jump { target, code });
    }

    /// How many pages the targets of user code in one view lie in.
    pub(super) fn user_pages(&self, view: usize) -> usize {
        self.user_tables[view].pages.len()
    }

    /// Remembers that supervisor code was translated under a mapping.
    pub(super) fn note_supervisor_page(&mut self, page: u64, frame: u64, global: bool) {
        if let Some((_, was_global)) = self.supervisor.insert(page, (frame, global)) {
            self.non_global -= usize::from(!was_global);
        }
        self.non_global += usize::from(!global);
    }

    /// Whether supervisor code runs under mappings that go with the address space.
    pub(super) fn has_non_global(&self) -> bool {
        self.non_global != 0
    }

    /// The supervisor pages to check again after a flush of everything or of what is not global.
    pub(super) fn supervisor_pages(&self, globals_too: bool) -> Vec<(u64, u64)> {
        let matters = |(_, (_, global)): &(&u64, &(u64, bool))| globals_too || !global;
        self.supervisor.iter().filter(matters).map(|(page, (frame, _))| (*page, *frame)).collect()
    }

    /// The frame of one supervisor page, if code was translated there.
    pub(super) fn supervisor_frame(&self, page: u64) -> Option<u64> {
        self.supervisor.get(&page).map(|(frame, _)| *frame)
    }

    /// Forgets a supervisor page.
    pub(super) fn forget_supervisor_page(&mut self, page: u64) {
        if let Some((_, global)) = self.supervisor.remove(&page) {
            self.non_global -= usize::from(!global);
        }
    }

    /// Empties the table of user code in one view.
    pub(super) fn clear_user(&mut self, mmu: &mut Mmu, view: usize) {
        self.legacy[1 + view] = None;
        self.user_tables[view].clear(mmu.views_mut().jumps(view, Ring::User));
    }

    /// Empties the table of supervisor code.
    pub(super) fn clear_supervisor(&mut self, mmu: &mut Mmu) {
        self.legacy[0] = None;
        self.supervisor_table.clear(mmu.views_mut().jumps(0, Ring::Supervisor));
    }

    /// Takes out what leads to host code that is gone.
    pub(super) fn forget_code(&mut self, mmu: &mut Mmu, gone: &Range<u64>) {
        self.supervisor_table.clear_code(mmu.views_mut().jumps(0, Ring::Supervisor), gone);
        for (view, targets) in self.user_tables.iter_mut().enumerate() {
            targets.clear_code(mmu.views_mut().jumps(view, Ring::User), gone);
        }
        let code = self.code;
        self.known.retain(|_, known| {
            known.retain(|known| !gone.contains(&(code + u64::from(known.code))));
            !known.is_empty()
        });
    }

    /// Whether so many pages were noted that it is better to begin anew.
    pub(super) fn knows_many_pages(&self) -> bool {
        self.supervisor.len() > PAGES_MOST
    }

    /// Empties every table; nothing is known any more.
    pub(super) fn forget(&mut self, mmu: &mut Mmu) {
        self.clear_all(mmu);
        self.known.clear();
    }

    /// Empties every table.
    pub(super) fn clear_all(&mut self, mmu: &mut Mmu) {
        self.clear_supervisor(mmu);
        for view in 0..view::VIEWS {
            self.clear_user(mmu, view);
        }
    }

    /// Empties the entries of one linear page in every address space.
    pub(super) fn clear_page(&mut self, mmu: &mut Mmu, page: u64) {
        self.supervisor_table.clear_page(mmu.views_mut().jumps(0, Ring::Supervisor), page);
        for (view, targets) in self.user_tables.iter_mut().enumerate() {
            targets.clear_page(mmu.views_mut().jumps(view, Ring::User), page);
        }
    }
}
