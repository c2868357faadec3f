//! Keeping jump tables and the mappings of linked supervisor code true.
use std::collections::HashMap;

use crate::mmu::table::{JUMPS, RINGS, Ring, jump_index};
use crate::mmu::{Mmu, view};

/// What is known beside the tables themselves.
pub struct JumpTables {
    /// What an empty entry leads to.
    empty: u64,
    /// Entries in use, by view and ring; may repeat.
    filled: Vec<[Vec<u16>; 2]>,
    /// Linear pages of supervisor code that was translated: the frame, and whether the mapping is global.
    supervisor: HashMap<u64, (u64, bool)>,
    non_global: usize,
}

impl JumpTables {
    pub(super) fn new(empty: u64) -> Self {
        let filled = (0..view::VIEWS).map(|_| [Vec::new(), Vec::new()]).collect();
        Self { empty, filled, supervisor: HashMap::new(), non_global: 0 }
    }

    /// Empties every table, whatever is in it.
    pub(super) fn reset(&mut self, mmu: &mut Mmu) {
        for view in 0..view::VIEWS {
            for ring in RINGS {
                let table = mmu.views_mut().jumps(view, ring);
                table.code = [self.empty; JUMPS];
                table.target = [u64::MAX; JUMPS];
                self.filled[view][ring as usize].clear();
            }
        }
        self.supervisor.clear();
        self.non_global = 0;
    }

    /// Enters a jump target of the running address space.
    pub(super) fn fill(&mut self, mmu: &mut Mmu, user: bool, target: u64, code: u64) {
        let (view, ring) = (mmu.current_view(), if user { Ring::User } else { Ring::Supervisor });
        let index = jump_index(target);
        let table = mmu.views_mut().jumps(view, ring);
        table.code[index] = code;
        table.target[index] = target;
        let filled = &mut self.filled[view][ring as usize];
        filled.push(index as u16);
        if filled.len() > 4 * JUMPS {
            filled.sort_unstable();
            filled.dedup();
        }
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

    /// Empties the entries of one ring of one view that `goes` says.
    pub(super) fn clear(&mut self, mmu: &mut Mmu, view: usize, ring: Ring, goes: impl Fn(u64, u64) -> bool) {
        let mut filled = std::mem::take(&mut self.filled[view][ring as usize]);
        let table = mmu.views_mut().jumps(view, ring);
        let empty = self.empty;
        filled.retain(|index| {
            let index = usize::from(*index);
            let gone = table.code[index] == empty || goes(table.target[index], table.code[index]);
            if gone {
                table.code[index] = empty;
                table.target[index] = u64::MAX;
            }
            !gone
        });
        self.filled[view][ring as usize] = filled;
    }

    /// Empties every entry in use.
    pub(super) fn clear_all(&mut self, mmu: &mut Mmu) {
        for view in 0..view::VIEWS {
            for ring in RINGS {
                self.clear(mmu, view, ring, |_, _| true);
            }
        }
    }

    /// Empties the entries that lead to `code`, the checked entry of a block whose first byte has this page offset.
    pub(super) fn forget_code(&mut self, mmu: &mut Mmu, ring: Ring, page_offset: u64, code: u64) {
        let index = jump_index(page_offset);
        for view in 0..view::VIEWS {
            let table = mmu.views_mut().jumps(view, ring);
            if table.code[index] == code {
                table.code[index] = self.empty;
                table.target[index] = u64::MAX;
            }
        }
    }
}
