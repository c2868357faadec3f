//! Which address spaces have windows, and faults of code that reaches memory through them that nothing in a window can
//! answer.
use platform::CpuIo;

use super::{BtVcpu, Next};
use crate::legacy;
use crate::mmu::{Access, Privilege};
use x86::address::PAGE_OFFSET;
use x86::reg::RSP;
use x86::{Gpa, Gva};

/// Jumps to new targets between two interrupts below which a program stays in the code that it has.
const CALM_TARGETS: u64 = 32;

impl BtVcpu {
    /// Whether the block that was left reaches memory through windows: then any fault may be the guest's own.
    pub(super) fn left_by_window(&mut self) -> bool {
        let resume = self.cpu().resume;
        self.code.spot(resume).is_some_and(|spot| spot.key.mode.windows)
    }

    /// The interpreter makes the access, or finds out which fault it is for the guest. It opens the windows that it misses;
    /// an instruction that is allowed what windows do not show goes by look-up in future.
    pub(super) fn interpret_beside_windows(&mut self, io: &dyn CpuIo) -> Next {
        let rip = legacy::linear_rip(self.cpu());
        let (resume, exceptions) = (self.cpu().resume, self.statistics.exceptions);
        let site = self.code.spot(resume).map(|spot| spot.key.gpa & !PAGE_OFFSET | rip & PAGE_OFFSET);
        self.mmu.learn_windows(true);
        let next = self.interpret(io);
        self.mmu.learn_windows(false);
        if self.statistics.exceptions == exceptions
            && let Some(gpa) = site
        {
            self.statistics.killed += self.code.note_site(gpa) as u64;
        }
        next
    }

    /// User code is about to run in a page that it was not known to run in.
    pub(super) fn enter_user_page(&mut self, page: u64, frame: u64) {
        let stack = Gva(self.cpu().gpr[RSP]);
        self.mmu.enter_user_page(Gva(page), Gpa(frame), stack);
    }

    /// An interrupt found user code running.
    pub(super) fn count_user_tick(&mut self) {
        let (code, stack) = (Gva(legacy::linear_rip(self.cpu())), Gva(self.cpu().gpr[RSP]));
        let calm = self.statistics.new_targets() < CALM_TARGETS;
        let pages = self.jumps.user_pages(self.mmu.current_view());
        self.mmu.count_user_tick(code, stack, calm, pages);
        if !self.mmu.has_windows() {
            return;
        }
        let cpu = crate::runtime::cpu_apart(&self.mmu);
        if let Ok(translation) = self.mmu.walk(cpu, code, Access::Execute, Privilege::User) {
            self.mmu.note_long(translation.gpa);
        }
    }
}
