//! One case, and what runs it.
use crate::layout::{CODE, Image, PAGE, Region};
use crate::state::{Outcome, UserState};

/// HLT: privileged, hence `#GP(0)` at the end of each case, and all over the rest of its code pages.
pub const END: u8 = 0xf4;
/// Pages that a case's code and its surroundings take.
pub const CODE_WINDOW: usize = 2;

/// One case: code, registers and memory.
#[derive(Clone)]
pub struct Case {
    /// The code, without its [`END`].
    pub code: Vec<u8>,
    /// Registers at the start; RIP is where the code lies, inside [`CODE`].
    pub state: UserState,
    /// Data at the start.
    pub memory: Image,
    /// Flags left undefined at the end.
    pub undefined_flags: u64,
}

impl Case {
    /// Where a case goes to its normal end.
    pub fn end(&self) -> u64 {
        self.state.rip + self.code.len() as u64
    }
    /// First page of the window of code pages that the case owns (rewritten before it, compared after it).
    pub fn window(&self) -> Region {
        let last = CODE.end() - (CODE_WINDOW * PAGE) as u64;
        let base = (self.state.rip & !(PAGE as u64 - 1)).clamp(CODE.base, last);
        Region { base, pages: CODE_WINDOW, ..CODE }
    }
    /// The window's contents: the code, and [`END`] everywhere else. Code past the window is cut off.
    pub fn fill_window(&self, window: &mut [u8; CODE_WINDOW * PAGE]) {
        window.fill(END);
        let start = (self.state.rip.wrapping_sub(self.window().base) as usize).min(window.len());
        let length = self.code.len().min(window.len() - start);
        window[start..start + length].copy_from_slice(&self.code[..length]);
    }
}

/// Something that executes cases: an engine, or the CPU itself.
pub trait Runner {
    /// The name in reports.
    fn name(&self) -> &'static str;
    /// Runs a case from its start to its end; memory is left for [`Runner::memory`].
    fn run(&mut self, case: &Case, outcome: &mut Outcome);
    /// The bytes of a region as the last case left them.
    fn memory(&self, region: Region) -> &[u8];
    /// Whether flags that nobody reads any more may be wrong when an instruction faults.
    fn forgets_dead_flags(&self) -> bool {
        false
    }
    /// Forgets what may have been learnt from earlier cases (translated code, look-up tables).
    fn forget(&mut self) {}
    /// Fills all of [`CODE`] with [`END`], whatever a case has left there beyond its window.
    fn clear_code(&mut self);
}
