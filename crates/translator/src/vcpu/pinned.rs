//! Code of address spaces with windows is translated for the one address space that it runs in, with its addresses built
//! in and linked across pages, on the strength of mappings that are remembered here. Supervisor code is, too, for the one CPU
//! whose mappings those are.
use std::collections::HashMap;

use crate::cache::shared::CodeCache;
use crate::mmu::view;

/// The pages of code in the address space of each view.
pub struct PinnedSpaces {
    views: Vec<Space>,
    /// The same as [`Space::id`] for supervisor code, whose pages are the jump tables' business.
    supervisor: u32,
}

/// One address space, as far as it was translated.
#[derive(Default)]
struct Space {
    /// Part of the key of its blocks; never used again once it is given up.
    id: u32,
    /// Linear pages of code and their frames (as addresses).
    pages: HashMap<u64, u64>,
}

/// Pages that are noted before all translations go.
const PAGES_MOST: usize = 1 << 16;

impl PinnedSpaces {
    pub(super) fn new(code: &CodeCache) -> Self {
        let space = |_| Space { id: code.next_space(), ..Space::default() };
        Self { views: (0..view::VIEWS).map(space).collect(), supervisor: code.next_space() }
    }

    /// What tells the blocks of a view's address space from all others.
    pub(super) fn id(&self, view: usize) -> u32 {
        self.views[view].id
    }
    /// What tells supervisor code of this CPU from that of others.
    pub(super) fn supervisor(&self) -> u32 {
        self.supervisor
    }

    /// Code of a page is being translated.
    pub(super) fn note(&mut self, view: usize, page: u64, frame: u64) {
        self.views[view].pages.insert(page, frame);
    }

    /// The pages of a view whose code was translated, and their frames.
    pub(super) fn pages(&self, view: usize) -> Vec<(u64, u64)> {
        self.views[view].pages.iter().map(|(page, frame)| (*page, *frame)).collect()
    }

    /// The frame of a page of a view, if its code was translated.
    pub(super) fn frame(&self, view: usize, page: u64) -> Option<u64> {
        self.views[view].pages.get(&page).copied()
    }

    /// Whether so many pages are noted that it is better to begin anew.
    pub(super) fn knows_many_pages(&self) -> bool {
        self.views.iter().map(|space| space.pages.len()).sum::<usize>() > PAGES_MOST
    }

    /// Forgets one page.
    pub(super) fn forget(&mut self, view: usize, page: u64) {
        self.views[view].pages.remove(&page);
    }

    /// Gives an address space up: nobody finds its blocks any more.
    pub(super) fn retire(&mut self, view: usize, code: &CodeCache) {
        if !self.views[view].pages.is_empty() {
            self.views[view] = Space { id: code.next_space(), ..Space::default() };
        }
    }
    /// Gives all of them up, and supervisor code with them.
    pub(super) fn retire_all(&mut self, code: &CodeCache) {
        (0..view::VIEWS).for_each(|view| self.retire(view, code));
        self.supervisor = code.next_space();
    }
}
