//! Several CPUs over one memory: code that one has translated and another writes, and loops that wait for another CPU.
//!
//! The protocol of the code watch is in `docs/decisions/0006-code-watch.md`.
use platform::ram::watch::Protect;

use x86::address::PAGE_SHIFT;

use super::BtVcpu;
use crate::cache::blocks::Block;
use crate::mmu::Mmu;

/// PAUSE instructions that translated code executes before the runtime looks how long they took.
pub(super) const PAUSES: u32 = 256;
/// So many PAUSEs within this time are a loop that waits, in ticks of the host's counter: half a millisecond or less.
const SPIN_TICKS: u64 = 1_000_000;

impl Protect for Mmu {
    fn protect(&mut self, frame: u64) {
        self.protect_frame(frame);
    }
    fn protect_all(&mut self) {
        self.flush_all();
    }
}

impl BtVcpu {
    /// Marks a frame as one that this CPU translates from; its bytes may be read then.
    pub(super) fn mark_frame(&mut self, frame: u64) {
        if self.watcher.mark(frame, &mut self.mmu) {
            self.statistics.protections += 1;
        }
    }

    /// Takes the mark off a frame that turned out to give no block.
    pub(super) fn unmark_bare(&mut self, frame: u64) {
        if !self.blocks.has_code(frame) {
            self.watcher.unmark(frame);
        }
    }

    /// Whether the bytes that a block was made from are in memory now that all of its frames are marked. The frame that
    /// it begins in was marked before it was read, but a frame that it only reaches into was not: most blocks near the
    /// end of a page do not reach beyond it.
    pub(super) fn still_holds(&mut self, block: &Block, bytes: &[u8]) -> bool {
        let (begin, first) = block.sources.first();
        let Some((second, length)) = block.sources.second() else { return true };
        self.mark_frame(second >> PAGE_SHIFT);
        let (first, mut now) = (first as usize, [0; 16]);
        let now = &mut now[..(length as usize).min(16)];
        let is_read = self.mmu.ram().read(x86::Gpa(second), now).is_some();
        let holds = is_read && bytes[first..first + now.len()] == *now;
        if !holds && second >> PAGE_SHIFT != begin >> PAGE_SHIFT {
            self.unmark_bare(second >> PAGE_SHIFT);
        }
        holds
    }

    /// Does what other CPUs and devices made necessary.
    pub(super) fn follow_others(&mut self) {
        if !self.watcher.has_news() {
            return;
        }
        let news = self.watcher.take_news(&mut self.mmu);
        if news.all_written {
            self.forget_all();
        }
        for (address, length) in news.written {
            self.kill_written(address, length);
            self.statistics.foreign_code_writes += 1;
        }
    }

    /// Looks whether translated code has executed its ration of PAUSEs. A CPU that waits for another one that
    /// does not run because this one does would wait for ever so long: it gives the host's CPU away.
    pub(super) fn rest_if_spinning(&mut self) {
        if self.cpu().pauses_left != 0 {
            return;
        }
        self.cpu().pauses_left = PAUSES;
        let now = crate::runtime::host_tsc();
        if now.wrapping_sub(std::mem::replace(&mut self.statistics.last_spin, now)) < SPIN_TICKS {
            self.statistics.yields += 1;
            std::thread::yield_now();
        }
    }
}
