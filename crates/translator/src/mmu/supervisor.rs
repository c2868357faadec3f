//! Windows of supervisor code. There is one set for all address spaces: it shows only what is mapped globally in the upper
//! half, which is most of what kernels touch, and never a page that user mode may touch, because the right to do so comes
//! and goes with SMAP and EFLAGS.AC.
use super::spaces::{Refused, WindowPolicy, show};
use super::table::Ring;
use super::walk::Translation;
use super::window::{self, AddressSpace, Half, Shown};
use super::{Access, Filled, MappingChange, Mmu, Privilege};
use crate::cpu::Cpu;
use x86::Gva;
use x86::control::{CR0_WP, CR4_PGE};

/// The windows of supervisor code.
#[derive(Default)]
pub(super) struct Supervisor {
    space: Option<AddressSpace>,
    /// Sizes of what it shows.
    shown: Filled,
    /// The host had no room.
    refused: bool,
}

impl Supervisor {
    pub(super) fn len(&self) -> usize {
        self.space.as_ref().map_or(0, AddressSpace::len)
    }
    pub(super) fn protect(&mut self, frame: u64) {
        if let Some(space) = &mut self.space {
            space.protect(frame);
        }
    }
    /// Hides one page, or all of a large one.
    pub(super) fn hide_page(&mut self, address: Gva) {
        let large = self.shown.take_large(address);
        match &mut self.space {
            Some(space) if let Some(shift) = large => space.unmap_region(address, shift),
            Some(space) => space.unmap(address),
            None => {}
        }
    }
}

/// Whether a page of this kind may be shown.
fn may_show(translation: &Translation) -> bool {
    translation.global && !translation.user
}

impl Mmu {
    /// Whether supervisor code reaches memory through windows.
    pub fn has_supervisor_windows(&self) -> bool {
        self.supervisor.space.is_some()
    }

    /// Supervisor code runs: from the first moment on that pages may be global it gets windows.
    pub fn enter_supervisor(&mut self, cpu: &Cpu) {
        let global = cpu.is_paging() && cpu.cr4 & CR4_PGE != 0 && cpu.cr0 & CR0_WP != 0;
        let upper = Half::Upper.has(Gva(cpu.rip));
        let wanted = self.policy != WindowPolicy::Never && !self.supervisor.refused;
        if !global || !upper || !wanted || self.supervisor.space.is_some() {
            return;
        }
        self.supervisor.space = Some(AddressSpace::new(Half::Upper));
        self.changes.push(MappingChange::SupervisorWindows);
        self.open_supervisor_window(Gva(cpu.rip));
        self.open_supervisor_window(Gva(cpu.gpr[x86::reg::RSP]));
    }

    /// The window of one address is there from now on, if there can be one.
    pub(super) fn open_supervisor_window(&mut self, address: Gva) {
        let Some(space) = &mut self.supervisor.space else { return };
        if let Some((number, delta)) = space.open(address) {
            self.views.windows(0, Ring::Supervisor)[number] = delta;
        }
    }

    fn close_supervisor_windows(&mut self) {
        if self.supervisor.space.take().is_some() {
            self.supervisor.shown = Filled::default();
            window::close_all(self.views.windows(0, Ring::Supervisor));
            self.changes.push(MappingChange::SupervisorWindows);
        }
    }

    /// As [`Mmu::serve_window_fault`].
    pub(super) fn serve_supervisor_fault(&mut self, cpu: &Cpu, host: u64, write: bool) -> bool {
        let space = self.supervisor.space.as_ref();
        let Some(address) = space.and_then(|space| space.guest_address(host)) else { return false };
        let access = if write { Access::Write } else { Access::Read };
        let Ok(translation) = self.walk(cpu, address, access, Privilege::Supervisor) else { return false };
        if !may_show(&translation) {
            return false;
        }
        let Some(space) = &mut self.supervisor.space else { return false };
        let mut shown = show(&self.ram, space, address, &translation, write);
        if shown.is_err() && !space.is_empty() {
            space.clear();
            shown = show(&self.ram, space, address, &translation, write);
        }
        match shown {
            Ok(shown) => {
                self.supervisor.shown.note_size(address, translation.page_shift);
                self.counters.window_faults += u64::from(shown);
                shown
            }
            Err(Refused) => {
                self.close_supervisor_windows();
                self.supervisor.refused = true;
                false
            }
        }
    }

    /// After a flush of everything: what is shown to supervisor code stays if it is still so.
    pub fn review_supervisor_windows(&mut self, cpu: &Cpu) {
        if !cpu.is_paging() || cpu.cr4 & CR4_PGE == 0 {
            return self.close_supervisor_windows();
        }
        let Some(mut space) = self.supervisor.space.take() else { return };
        let leads = |address| {
            let translation = self.walk(cpu, address, Access::Read, Privilege::Supervisor).ok()?;
            may_show(&translation).then_some(Shown {
                gpa: translation.gpa,
                page_shift: translation.page_shift,
                writable: translation.writable && translation.dirty,
            })
        };
        space.review(leads, |frame| self.ram.watch().is_code(frame));
        self.supervisor.space = Some(space);
    }
}
