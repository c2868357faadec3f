//! New code: executed a few times before anything is made of it.
use std::sync::atomic::Ordering;

use platform::CpuIo;
use x86::address::PAGE_OFFSET;
use x86::{Gpa, Gva};

use super::statistics::Phase;
use super::{BtVcpu, Next};
use crate::cache::blocks::CodeMode;
use crate::light::{End, Light};
use crate::mmu::table::Ring;

/// How many of the last blocks that were wanted came from the store: an average that forgets.
#[derive(Clone, Copy, Default)]
pub struct Supply(u16);

impl Supply {
    /// All of them.
    pub const GOOD: Self = Self(1 << 12);

    /// Another one was wanted.
    pub const fn note(&mut self, is_stored: bool) {
        self.0 -= self.0 / 16;
        if is_stored {
            self.0 += Self::GOOD.0 / 16;
        }
    }
    /// Whether it is worth while to ask before code has run often.
    const fn is_good(self) -> bool {
        self.0 > Self::GOOD.0 / 8
    }
}

/// Bytes of the longest instruction.
const LONGEST: u64 = 15;

impl BtVcpu {
    /// Executes code at RIP, which is new, and what it leads to and is new, too. `mode` is that of now. A block may begin at
    /// RIP if `is_head`.
    pub(super) fn run_new(&mut self, mode: CodeMode, mut is_head: bool, io: &dyn CpuIo) -> Next {
        self.statistics.enter(Phase::Interpreting);
        let ring = if mode.user { Ring::User } else { Ring::Supervisor };
        let mut known = None;
        loop {
            let rip = self.cpu().rip;
            let Some(page) = self.code_page(rip, mode, known) else { return Next::Look };
            known = Some(page);
            if is_head {
                self.seen.begins(page.frame | rip & PAGE_OFFSET);
            }
            let cpu = crate::runtime::cpu_apart(&self.mmu);
            let mut light = Light { cpu, mmu: &mut self.mmu, ring, executed: 0 };
            let end = light.run(Gpa(page.frame)).unwrap_or(End::Interpret);
            self.statistics.light += light.executed;
            let stopped_at = self.cpu().rip;
            is_head = match end {
                End::Jump => true,
                End::Translate if self.seen.has_been(page.frame | stopped_at & PAGE_OFFSET) => {
                    return Next::Look;
                }
                End::Translate | End::Interpret => {
                    match self.interpret(io) {
                        Next::Look => {}
                        other => return other,
                    }
                    if self.code_mode() != Some(mode) {
                        return Next::Look;
                    }
                    self.cpu().rip.wrapping_sub(stopped_at) > LONGEST
                }
            };
            let is_disturbed = self.cpu().attention.load(Ordering::Relaxed) != 0 || self.has_news();
            if is_disturbed || is_head && !self.goes_on(mode, known) {
                return Next::Look;
            }
        }
    }

    /// Whether code at RIP is new, and nobody need be asked for a block of it.
    fn goes_on(&mut self, mode: CodeMode, last: Option<CodePage>) -> bool {
        let rip = self.cpu().rip;
        let Some(page) = self.code_page(rip, mode, last) else { return false };
        let gpa = page.frame | rip & PAGE_OFFSET;
        self.seen.is_new(gpa) && !self.asks_for(gpa)
    }

    /// Whether the store is asked for new code there: once, and only while it often has what it is asked for.
    pub(super) fn asks_for(&self, gpa: u64) -> bool {
        self.supply.is_good() && self.seen.is_unseen(gpa)
    }

    /// The page that code at RIP lies in, which is likely the last one.
    fn code_page(&mut self, rip: u64, mode: CodeMode, last: Option<CodePage>) -> Option<CodePage> {
        let address = rip & !PAGE_OFFSET;
        if last.is_some_and(|page| page.address == address) {
            return last;
        }
        if !Gva(rip).is_canonical() {
            return None;
        }
        let frame = self.fetch_page(address, mode).ok()?;
        Some(CodePage { address, frame })
    }
}

/// A page of code, and the frame that it leads to.
#[derive(Clone, Copy)]
struct CodePage {
    address: u64,
    frame: u64,
}
