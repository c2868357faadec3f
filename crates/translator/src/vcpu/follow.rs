//! Following the guest: writes to code, and changes of address spaces.
use platform::CpuIo;
use x86::Gva;
use x86::address::{PAGE_OFFSET, PAGE_SHIFT, PAGE_SIZE};

use super::BtVcpu;
use crate::cache::blocks::BlockId;
use crate::mmu::walk::Translation;
use crate::mmu::{Access, MappingChange, Privilege, view};
use crate::runtime::thunks::Exit;

impl BtVcpu {
    /// Whether [`BtVcpu::follow_changes`] has something to do.
    pub(super) fn has_news(&self) -> bool {
        self.mmu.has_news() || self.watcher.has_news()
    }

    /// Drops what is not true any more.
    pub(super) fn follow_changes(&mut self, _io: &dyn CpuIo) {
        for (gpa, length) in self.mmu.take_code_writes() {
            self.kill_written(gpa.0, length);
            self.statistics.code_writes += 1;
            self.watcher.tell(gpa.0, length);
        }
        self.follow_others();
        for change in self.mmu.take_changes() {
            match change {
                MappingChange::Page(address) => self.follow_page(address),
                MappingChange::NonGlobal { view } => self.follow_non_global(view),
                MappingChange::All => self.follow_all(),
                MappingChange::Switch => self.follow_supervisor_change(),
                MappingChange::SupervisorWindows => {
                    self.fetches.clear();
                    self.jumps.clear_supervisor(&mut self.mmu);
                }
                // The same targets lead to other blocks now.
                MappingChange::Windows { view } => {
                    self.fetches.clear();
                    self.pinned.retire(view);
                    self.jumps.clear_user(&mut self.mmu, view);
                }
            }
        }
    }

    /// Kills what a write has hit.
    pub(super) fn kill_written(&mut self, gpa: u64, length: u64) {
        let mut bare = Vec::new();
        let dead = self.blocks.hit_by_write(gpa, length, &mut bare);
        self.kill_blocks(&dead);
        for frame in bare {
            self.watcher.unmark(frame);
        }
    }

    pub(super) fn kill_blocks(&mut self, dead: &[BlockId]) {
        let (mut patches, mut bare) = (Vec::new(), Vec::new());
        for id in dead {
            self.blocks.kill(*id, &mut patches, &mut bare);
            // Jump tables may still lead there: it goes on to the runtime.
            let checked = self.blocks.checked(*id);
            self.buffer.patch_jump(checked, self.thunks.exit(Exit::Jump));
        }
        for (place, target) in patches {
            self.buffer.patch_relative(place, target);
        }
        for frame in bare {
            self.watcher.unmark(frame);
        }
        self.statistics.killed += dead.len() as u64;
    }

    fn follow_page(&mut self, address: Gva) {
        self.fetches.clear();
        let page = address.page_start().0;
        // A block across a page end belongs to the page before, too.
        let before = page.wrapping_sub(PAGE_SIZE);
        for page in [page, before] {
            self.jumps.clear_page(&mut self.mmu, page);
        }
        if let Some(frame) = self.jumps.supervisor_frame(page) {
            self.check_supervisor_page(page, frame);
        }
        for view in 0..view::VIEWS {
            if let Some(frame) = self.pinned.frame(view, page) {
                self.check_pinned(view, &[(page, frame)]);
            }
        }
    }

    /// Code with windows is linked across pages on the strength of the mappings of its address space: if one changed, its
    /// blocks go. Those of an address space that does not run cannot be looked at.
    fn check_pinned(&mut self, view: usize, pages: &[(u64, u64)]) {
        if view != self.mmu.current_view() {
            self.pinned.retire(view);
            self.jumps.clear_user(&mut self.mmu, view);
            return;
        }
        let space = self.pinned.id(view);
        for (page, frame) in pages.iter().copied() {
            if self.still_leads_to(page, frame, Privilege::User).is_some() {
                continue;
            }
            self.pinned.forget(view, page);
            self.kill_page(page, frame, space);
        }
    }

    /// How a page leads to a frame now, if it does.
    fn still_leads_to(&mut self, page: u64, frame: u64, privilege: Privilege) -> Option<Translation> {
        let cpu = crate::runtime::cpu_apart(&self.mmu);
        let now = self.mmu.walk(cpu, Gva(page), Access::Execute, privilege);
        now.ok().filter(|translation| translation.gpa.0 & !PAGE_OFFSET == frame)
    }

    /// Kills the pinned blocks that lie in a page, or reach into it from the one before.
    fn kill_page(&mut self, page: u64, frame: u64, space: u32) {
        let mut dead = self.blocks.in_frame(frame >> PAGE_SHIFT);
        dead.retain(|id| {
            let key = self.blocks.key(*id);
            key.space == space && (key.page == page || key.page == page.wrapping_sub(PAGE_SIZE))
        });
        self.kill_blocks(&dead);
    }

    fn follow_non_global(&mut self, view: usize) {
        self.fetches.clear();
        let pages = self.pinned.pages(view);
        // Beside pinned code there may be some that is not: without windows, in a segment or not.
        if pages.is_empty() || self.jumps.has_legacy(view) {
            self.jumps.clear_user(&mut self.mmu, view);
        }
        if !pages.is_empty() {
            self.check_pinned(view, &pages);
        }
        self.follow_supervisor_change();
    }

    /// Supervisor code that is not mapped globally may be something else now.
    fn follow_supervisor_change(&mut self) {
        if self.jumps.has_non_global() {
            self.jumps.clear_supervisor(&mut self.mmu);
            for (page, frame) in self.jumps.supervisor_pages(false) {
                self.check_supervisor_page(page, frame);
            }
        }
    }

    fn follow_all(&mut self) {
        self.fetches.clear();
        self.mmu.review_supervisor_windows(crate::runtime::cpu_apart(&self.mmu));
        self.jumps.clear_all(&mut self.mmu);
        for view in 0..view::VIEWS {
            self.pinned.retire(view);
        }
        for (page, frame) in self.jumps.supervisor_pages(true) {
            self.check_supervisor_page(page, frame);
        }
    }

    /// Supervisor code is linked across pages on the strength of its mappings: if one changed, its blocks go. What was not
    /// mapped globally when it ran first may be now.
    fn check_supervisor_page(&mut self, page: u64, frame: u64) {
        match self.still_leads_to(page, frame, Privilege::Supervisor) {
            Some(now) => self.jumps.note_supervisor_page(page, frame, now.global),
            None => {
                self.jumps.forget_supervisor_page(page);
                self.kill_page(page, frame, 0);
            }
        }
    }

    /// Makes room for new blocks: the oldest ones go.
    pub(super) fn evict(&mut self) {
        if self.blocks.has_many_modes() || self.jumps.knows_many_pages() || self.pinned.knows_many_pages() {
            self.forget_all();
            return;
        }
        let gone = self.buffer.next_segment();
        let (mut patches, mut bare) = (Vec::new(), Vec::new());
        if !self.blocks.evict(&mut patches, &mut bare) {
            return;
        }
        for (place, target) in patches.into_iter().filter(|(place, _)| !gone.contains(place)) {
            self.buffer.patch_relative(place, target);
        }
        for frame in bare {
            self.watcher.unmark(frame);
        }
        self.jumps.forget_code(&mut self.mmu, &gone);
        self.statistics.evictions += 1;
        self.statistics.epoch += 1;
    }

    /// Throws all translations away.
    pub(super) fn forget_all(&mut self) {
        for frame in self.blocks.clear() {
            self.watcher.unmark(frame);
        }
        self.buffer.clear();
        self.jumps.reset(&mut self.mmu);
        for view in 0..view::VIEWS {
            self.pinned.retire(view);
        }
        self.fetches.clear();
        self.statistics.epoch += 1;
    }
}
