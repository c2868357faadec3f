//! Following the guest: writes to code, and changes of address spaces.
use x86::Gva;
use x86::address::{PAGE_OFFSET, PAGE_SIZE};

use super::BtVcpu;
use crate::mmu::walk::Translation;
use crate::mmu::{Access, MappingChange, Privilege, view};

impl BtVcpu {
    /// Whether [`BtVcpu::follow_changes`] has something to do.
    pub(super) fn has_news(&self) -> bool {
        self.mmu.has_news() || self.watcher.has_news()
    }

    /// Drops what is not true any more.
    pub(super) fn follow_changes(&mut self) {
        for (gpa, length) in self.mmu.take_code_writes() {
            self.statistics.killed += self.code.written(gpa.0, length) as u64;
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
                    self.pinned.retire(view, &self.code);
                    self.jumps.clear_user(&mut self.mmu, view);
                }
            }
        }
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
            self.pinned.retire(view, &self.code);
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

    /// Kills the pinned blocks of a space that lie in a page.
    fn kill_page(&mut self, page: u64, frame: u64, space: u32) {
        self.statistics.killed += self.code.kill_page(page, frame, space) as u64;
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
            self.pinned.retire(view, &self.code);
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
                self.kill_page(page, frame, self.pinned.supervisor());
            }
        }
    }

    /// Forgets all that is known of mappings of code: nobody finds the blocks that were pinned by them any more.
    pub(super) fn begin_anew(&mut self) {
        self.jumps.reset(&mut self.mmu);
        self.pinned.retire_all(&self.code);
        self.fetches.clear();
    }
}
