//! Forgetting translations: address-space switches, INVLPG, INVPCID, and frames that begin to hold translated code.
use super::table::{Lookup, Ring, Table, empty_tag, index};
use super::{Filled, Kept, MappingChange, Mmu, Written};
use crate::cpu::Cpu;
use x86::Gva;
use x86::address::PAGE_SHIFT;
use x86::control::{CR3_PCID, CR4_PCIDE};

/// The PCID that is in force (0 without CR4.PCIDE).
fn pcid_of(cpu: &Cpu) -> u16 {
    if cpu.cr4 & CR4_PCIDE != 0 { (cpu.cr3 & CR3_PCID) as u16 } else { 0 }
}

/// Entries that [`Filled`] remembers before it looks for repetitions.
const INDICES: usize = 1 << 13;

impl Filled {
    /// An entry was filled.
    pub(super) fn note(&mut self, index: usize, address: Gva, page_shift: u32) {
        self.note_size(address, page_shift);
        self.indices.push(index as u16);
        if self.indices.len() > INDICES {
            self.indices.sort_unstable();
            self.indices.dedup();
        }
    }

    /// A page of this size is known.
    pub(super) fn note_size(&mut self, address: Gva, page_shift: u32) {
        if (13..32).contains(&page_shift) {
            self.large.insert((page_shift, address.0 >> page_shift));
        }
    }

    fn is_empty(&self) -> bool {
        self.indices.is_empty() && self.large.is_empty()
    }

    /// Empties the entries that go.
    fn clear(&mut self, table: &mut Table<'_>, goes: impl Fn(&Lookup) -> bool) {
        self.indices.retain(|index| table.clear(usize::from(*index), &goes));
    }

    /// The size of the large page that an address lies in, if it does; forgotten by this.
    pub(super) fn take_large(&mut self, address: Gva) -> Option<u32> {
        [22, 21, 30].into_iter().filter(|shift| self.large.remove(&(*shift, address.0 >> shift))).max()
    }

    /// Forgets one page, or all of a large one.
    fn clear_page(&mut self, table: &mut Table<'_>, ring: Ring, address: Gva, large: Option<u32>) {
        if let Some(shift) = large {
            self.clear(table, |entry| entry.read >> shift == address.0 >> shift);
            return;
        }
        let index = index(ring, address);
        table.clear(index, |entry| entry.can_read(address));
    }
}

impl Kept {
    /// Forgets one page; everything, if that may be part of a large one.
    fn forget_page(&mut self, address: Gva) {
        if self.large.is_empty() {
            self.entries.retain(|(_, entry)| !entry.can_read(address));
        } else {
            self.entries.clear();
            self.large.clear();
        }
    }
}

impl Mmu {
    /// Forgets everything, globals too (changes of CR0.PG or WP, CR4.PGE, PSE, PAE, SMEP, SMAP or PCIDE, EFER.NXE; INVPCID
    /// type 2). Before translated code runs again, [`Mmu::review_supervisor_windows`] has to follow.
    pub fn flush_all(&mut self) {
        self.counters.flushes += 1;
        self.clear_supervisor(true);
        for view in 0..self.slots.len() {
            self.slots[view].kept = Kept::default();
            self.clear_user(view, |_| true);
            self.flush_windows(view);
        }
        self.changes.push(MappingChange::All);
    }

    /// Follows a change of CR3: `cpu.cr3` is the new value (without the no-flush bit); with `flush` the translations of
    /// its PCID are forgotten, but for globals.
    pub fn switch_address_space(&mut self, cpu: &Cpu, flush: bool) {
        self.counters.switches += 1;
        self.clock += 1;
        self.put_aside();
        let pcid = pcid_of(cpu);
        match self.slots.iter().position(|slot| slot.pcid == Some(pcid)) {
            Some(view) => {
                self.current = view;
                if flush {
                    self.flush_view(view);
                }
            }
            None => {
                let oldest = |(_, slot): &(usize, &super::Slot)| (slot.pcid.is_some(), slot.last_used);
                let view = self.slots.iter().enumerate().min_by_key(oldest).map_or(0, |(view, _)| view);
                self.current = view;
                self.slots[view].pcid = Some(pcid);
                self.flush_view(view);
                self.forget_windows(view);
            }
        }
        self.take_back();
        self.slots[self.current].last_used = self.clock;
        self.changes.push(MappingChange::Switch);
    }

    /// Supervisor code's table keeps only what holds in every address space; the rest waits for this one to come back.
    fn put_aside(&mut self) {
        let mut table = self.views.lookups(0, Ring::Supervisor);
        let kept = &mut self.slots[self.current].kept;
        kept.entries.clear();
        for index in self.local.indices.drain(..).map(usize::from) {
            let local = |entry: &Lookup| !entry.is_global();
            let entries = table.at(index).filter(|entry| local(entry));
            kept.entries.extend(entries.map(|entry| (index as u16, *entry)));
            table.clear(index, local);
        }
        kept.large = std::mem::take(&mut self.local.large);
    }

    fn take_back(&mut self) {
        let mut table = self.views.lookups(0, Ring::Supervisor);
        let kept = &mut self.slots[self.current].kept;
        for (index, entry) in kept.entries.drain(..) {
            table.insert(usize::from(index), entry);
            self.local.indices.push(index);
        }
        self.local.large = std::mem::take(&mut kept.large);
    }

    /// Forgets what is not global in the current address space.
    pub fn flush_non_global(&mut self, cpu: &Cpu) {
        self.switch_address_space(cpu, true);
    }

    /// INVPCID type 1: forgets what is not global of one PCID.
    pub fn flush_pcid(&mut self, pcid: u16) {
        if let Some(view) = self.slots.iter().position(|slot| slot.pcid == Some(pcid)) {
            self.flush_view(view);
        }
    }

    /// INVPCID type 3: forgets what is not global, of every PCID.
    pub fn flush_all_non_global(&mut self) {
        for view in 0..self.slots.len() {
            self.flush_view(view);
        }
    }

    /// INVLPG, and INVPCID type 0 for any PCID: forgets one page in every address space, globals too; a page that is part
    /// of a large one goes with the whole of it.
    pub fn flush_page(&mut self, address: Gva) {
        self.counters.page_flushes += 1;
        let mut table = self.views.lookups(0, Ring::Supervisor);
        for filled in [&mut self.global, &mut self.local] {
            let large = filled.take_large(address);
            filled.clear_page(&mut table, Ring::Supervisor, address, large);
        }
        self.supervisor.hide_page(address);
        for view in 0..self.slots.len() {
            let slot = &mut self.slots[view];
            slot.kept.forget_page(address);
            if slot.user.is_empty() && slot.heat.is_empty() {
                continue;
            }
            let large = slot.user.take_large(address);
            slot.user.clear_page(&mut self.views.lookups(view, Ring::User), Ring::User, address, large);
            self.flush_window_page(view, address, large);
        }
        self.changes.push(MappingChange::Page(address));
    }

    /// Takes the right to write in line from every mapping of a frame, because it is about to hold translated code. Others
    /// of its [`Written::group`] may lose it, too, and get it back when they are written next.
    pub fn protect_frame(&mut self, frame: u64) {
        let group = Written::group(frame);
        self.protect_windows(frame);
        self.supervisor.protect(frame);
        if !self.written.take_group(frame) {
            return;
        }
        let protect = |mut table: Table<'_>, filled: &Filled| {
            for index in filled.indices.iter().map(|index| usize::from(*index)) {
                table.protect(index, group);
            }
        };
        protect(self.views.lookups(0, Ring::Supervisor), &self.global);
        protect(self.views.lookups(0, Ring::Supervisor), &self.local);
        for (view, slot) in self.slots.iter_mut().enumerate() {
            for (index, entry) in slot
                .kept
                .entries
                .iter_mut()
                .filter(|(_, entry)| Written::group(entry.gpa() >> PAGE_SHIFT) == group)
            {
                entry.write = empty_tag(usize::from(*index));
            }
            protect(self.views.lookups(view, Ring::User), &slot.user);
        }
    }

    fn flush_view(&mut self, view: usize) {
        self.counters.flushes += 1;
        self.clear_supervisor(false);
        self.slots[view].kept = Kept::default();
        self.clear_user(view, |entry| !entry.is_global());
        self.flush_windows(view);
        self.changes.push(MappingChange::NonGlobal { view });
    }

    /// Empties the look-up table of supervisor code, but for what holds in every address space unless `globals_too`.
    fn clear_supervisor(&mut self, globals_too: bool) {
        let mut table = self.views.lookups(0, Ring::Supervisor);
        self.local.clear(&mut table, |entry| !entry.is_global());
        self.local.indices.clear();
        self.local.large.clear();
        if globals_too {
            self.global.clear(&mut table, |_| true);
            self.global.large.clear();
        }
    }

    fn clear_user(&mut self, view: usize, goes: impl Fn(&Lookup) -> bool) {
        let slot = &mut self.slots[view];
        slot.user.clear(&mut self.views.lookups(view, Ring::User), goes);
        if slot.user.indices.is_empty() && slot.heat.is_empty() {
            slot.user.large.clear();
        }
    }
}
