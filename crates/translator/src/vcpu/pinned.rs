//! Code of address spaces with windows is translated for the one address space that it runs in, with its addresses built
//! in and linked across pages, on the strength of mappings that are remembered here (as supervisor code is).
use std::collections::HashMap;

use crate::mmu::view;

/// The pages of code in the address space of each view.
pub struct PinnedSpaces {
    views: Vec<Space>,
    last: u32,
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
    pub(super) fn new() -> Self {
        let mut spaces = Self { views: Vec::new(), last: 0 };
        for _ in 0..view::VIEWS {
            let id = spaces.next();
            spaces.views.push(Space { id, ..Space::default() });
        }
        spaces
    }

    fn next(&mut self) -> u32 {
        self.last = self.last.wrapping_add(1);
        self.last
    }

    /// What tells the blocks of a view's address space from all others.
    pub(super) fn id(&self, view: usize) -> u32 {
        self.views[view].id
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
    pub(super) fn retire(&mut self, view: usize) {
        if !self.views[view].pages.is_empty() {
            self.views[view] = Space { id: self.next(), ..Space::default() };
        }
    }
}
