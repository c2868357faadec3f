//! Several CPUs over one memory: code that one has translated and another writes, or wants the room of, and loops that wait
//! for another CPU.
//!
//! The protocol of the code watch is in `docs/decisions/0006-code-watch.md`.
use platform::ram::watch::{Serve, Watcher};

use super::BtVcpu;
use super::jumps::JumpTables;
use crate::cache::shared::{ALL, CodeCache, Retired};
use crate::mmu::Mmu;

/// PAUSE instructions that translated code executes before the runtime looks how long they took.
pub(super) const PAUSES: u32 = 256;
/// So many PAUSEs within this time are a loop that waits, in ticks of the host's counter: half a millisecond or less.
const SPIN_TICKS: u64 = 1_000_000;

/// What a CPU has of its own that others may want to change.
struct Own<'a> {
    mmu: &'a mut Mmu,
    jumps: &'a mut JumpTables,
    code: &'a CodeCache,
    code_is_gone: &'a mut bool,
}

impl Serve for Own<'_> {
    fn protect(&mut self, frame: u64) {
        self.mmu.protect_frame(frame);
    }
    fn protect_all(&mut self) {
        self.mmu.flush_all();
    }
    fn forget(&mut self, segments: u32) {
        *self.code_is_gone = true;
        if segments == ALL {
            self.jumps.forget(self.mmu);
            return;
        }
        for range in self.code.ranges(segments) {
            self.jumps.forget_code(self.mmu, range);
        }
    }
}

impl BtVcpu {
    /// What is needed to serve others, and the way to them.
    fn own(&mut self) -> (&Watcher, Own<'_>) {
        let Self { watcher, mmu, jumps, code, code_is_gone, .. } = self;
        (watcher, Own { mmu, jumps, code, code_is_gone })
    }

    /// Marks a frame as one that this CPU has translated from; a block is compared with its bytes after that, and kept.
    pub(super) fn mark_frame(&mut self, frame: u64) {
        let (watcher, mut own) = self.own();
        if watcher.mark(frame, &mut own) {
            self.statistics.protections += 1;
        }
    }

    /// Does what other CPUs and devices made necessary.
    pub(super) fn follow_others(&mut self) {
        if !self.watcher.has_news() {
            return;
        }
        let (watcher, mut own) = self.own();
        watcher.serve_news(&mut own);
        let (written, dead) = self.code.follow_news();
        self.statistics.foreign_code_writes += written as u64;
        self.statistics.killed += dead as u64;
        if self.code.is_closed() {
            self.make_room(0);
        }
    }

    /// Makes room for a block of so many bytes: some go, or all if they have to. Other CPUs leave that code first.
    pub(super) fn make_room(&mut self, bytes: usize) {
        let (watcher, mut own) = self.own();
        let alone = watcher.alone(&mut own);
        let code = own.code;
        let retired = code.retire(bytes);
        if retired == Retired::Nothing {
            // Another CPU has made room meanwhile.
            return;
        }
        own.forget(retired.segments());
        alone.forget(retired.segments());
        code.fill(retired);
        drop(alone);
        self.statistics.evictions += 1;
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
