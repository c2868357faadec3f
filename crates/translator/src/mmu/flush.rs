//! Forgetting translations: address-space switches, INVLPG, INVPCID, and frames that begin to hold translated code.
use super::table::{Lookup, RINGS, empty_tag};
use super::{MappingChange, Mmu};
use crate::cpu::Cpu;
use x86::Gva;
use x86::address::PAGE_SHIFT;
use x86::control::{CR3_PCID, CR4_PCIDE};

/// The PCID that is in force (0 without CR4.PCIDE).
fn pcid_of(cpu: &Cpu) -> u16 {
    if cpu.cr4 & CR4_PCIDE != 0 { (cpu.cr3 & CR3_PCID) as u16 } else { 0 }
}

impl Mmu {
    /// Forgets everything, globals too (changes of CR0.PG or WP, CR4.PGE, PSE, PAE, SMEP, SMAP or PCIDE, EFER.NXE; INVPCID
    /// type 2).
    pub fn flush_all(&mut self) {
        self.counters.flushes += 1;
        for view in 0..self.slots.len() {
            self.clear_view(view, |_| true);
            self.flush_windows(view);
        }
        self.changes.push(MappingChange::All);
    }

    /// Follows a change of CR3: `cpu.cr3` is the new value (without the no-flush bit); with `flush` the translations of
    /// its PCID are forgotten, but for globals.
    pub fn switch_address_space(&mut self, cpu: &Cpu, flush: bool) {
        self.counters.switches += 1;
        self.clock += 1;
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
        self.slots[self.current].last_used = self.clock;
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
        for view in 0..self.slots.len() {
            let slot = &mut self.slots[view];
            if slot.filled.iter().all(Vec::is_empty) && slot.heat.is_empty() {
                continue;
            }
            let large = [22, 21, 30]
                .into_iter()
                .filter(|shift| slot.large.remove(&(*shift, address.0 >> shift)))
                .max();
            self.flush_window_page(view, address, large);
            if let Some(shift) = large {
                self.clear_view(view, |entry| entry.read >> shift == address.0 >> shift);
            } else {
                self.clear_page(view, address);
            }
        }
        self.changes.push(MappingChange::Page(address));
    }

    /// Takes the right to write in line from every mapping of a frame, because it is about to hold translated code.
    pub fn protect_frame(&mut self, frame: u64) {
        let gpa = frame << PAGE_SHIFT;
        self.protect_windows(frame);
        for view in 0..self.slots.len() {
            for ring in RINGS {
                let filled = std::mem::take(&mut self.slots[view].filled[ring as usize]);
                let table = self.views.lookups(view, ring);
                for index in filled.iter().map(|index| usize::from(*index)) {
                    if table[index].gpa() == gpa && !table[index].is_empty(index) {
                        table[index].write = empty_tag(index);
                    }
                }
                self.slots[view].filled[ring as usize] = filled;
            }
        }
    }

    fn flush_view(&mut self, view: usize) {
        self.counters.flushes += 1;
        self.clear_view(view, |entry| !entry.is_global());
        self.flush_windows(view);
        self.changes.push(MappingChange::NonGlobal { view });
    }

    fn clear_page(&mut self, view: usize, address: Gva) {
        let index = super::table::index(address);
        for ring in RINGS {
            let entry = &mut self.views.lookups(view, ring)[index];
            if entry.can_read(address) {
                *entry = Lookup::empty(index);
            }
        }
    }

    fn clear_view(&mut self, view: usize, goes: impl Fn(&Lookup) -> bool) {
        let mut keeps_some = false;
        for ring in RINGS {
            let mut filled = std::mem::take(&mut self.slots[view].filled[ring as usize]);
            let table = self.views.lookups(view, ring);
            filled.retain(|index| {
                let index = usize::from(*index);
                if table[index].is_empty(index) {
                    return false;
                }
                let gone = goes(&table[index]);
                if gone {
                    table[index] = Lookup::empty(index);
                }
                !gone
            });
            keeps_some |= !filled.is_empty();
            self.slots[view].filled[ring as usize] = filled;
        }
        if !keeps_some && self.slots[view].heat.is_empty() {
            self.slots[view].large.clear();
        }
    }
}
