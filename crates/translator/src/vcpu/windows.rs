//! Faults of code that reaches memory through windows, which nothing in a window can answer.
use platform::CpuIo;

use super::{BtVcpu, Next};
use x86::address::PAGE_OFFSET;

impl BtVcpu {
    /// Whether the block that was left reaches memory through windows: then any fault may be the guest's own.
    pub(super) fn left_by_window(&mut self) -> bool {
        let resume = self.cpu().resume;
        self.code.spot(resume).is_some_and(|spot| spot.key.mode.windows)
    }

    /// The interpreter makes the access, or finds out which fault it is for the guest. It opens the windows that it misses;
    /// an instruction that is allowed what windows do not show goes by look-up in future.
    pub(super) fn interpret_beside_windows(&mut self, io: &dyn CpuIo) -> Next {
        let rip = crate::legacy::linear_rip(self.cpu());
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
}
