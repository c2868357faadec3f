//! What the engine counts, and where its time goes.
use std::time::Instant;

use crate::cache::shared::CodeCache;
use crate::mmu::Mmu;
use crate::runtime::thunks::{EXITS, Exit};

/// What the thread is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Running translated code.
    Translated = 0,
    /// Translating.
    Translating = 1,
    /// Interpreting, of either kind, device accesses included.
    Interpreting = 2,
    /// Serving exits.
    Runtime = 3,
}

const PHASES: usize = 4;

/// Counters.
#[derive(Default)]
pub struct Statistics {
    /// Measure where time goes; costs some twenty nanoseconds at each exit.
    pub timed: bool,
    /// Exits by reason.
    pub exits: [u64; EXITS.len()],
    /// Instructions interpreted.
    pub interpreted: u64,
    /// Instructions that the light interpreter executed.
    pub light: u64,
    /// External interrupts delivered.
    pub interrupts: u64,
    /// Exceptions delivered.
    pub exceptions: u64,
    /// Times that the code buffer was full.
    pub evictions: u64,
    /// Blocks killed by writes and mapping changes.
    pub killed: u64,
    /// Writes to frames with translated code.
    pub code_writes: u64,
    /// The same by other CPUs and by devices.
    pub foreign_code_writes: u64,
    /// Frames that began to hold translated code, so that other CPUs had to be asked to write them with care.
    pub protections: u64,
    /// Times that the host's CPU was given away in a loop of PAUSEs.
    pub yields: u64,
    /// When the last ration of PAUSEs was used up, by the host's time-stamp counter.
    pub last_spin: u64,
    /// The instruction whose look-up missed last, and how many times it has done so again.
    pub misses_in_a_row: (u64, u32),
    /// Jumps to new targets up to the last question for them.
    targets: u64,
    blocks: u64,
    instructions: u64,
    recalled: u64,
    ticks: [u64; PHASES],
    since: u64,
    phase: usize,
    started: Option<(Instant, u64)>,
}

fn tsc() -> u64 {
    crate::runtime::host_tsc()
}

impl Statistics {
    /// Nothing counted yet; `timed` as in [`crate::Config`].
    pub fn new(timed: bool) -> Self {
        Self { timed, ..Self::default() }
    }

    /// Jumps that the runtime had to follow since the last time that somebody asked.
    pub fn new_targets(&mut self) -> u64 {
        let followed = [Exit::Link, Exit::Jump, Exit::Target].map(|exit| self.exits[exit as usize]);
        let now = followed.iter().sum();
        now - std::mem::replace(&mut self.targets, now)
    }

    /// A block was made: taken from the store or translated.
    pub fn made(&mut self, instructions: u32, is_stored: bool) {
        if is_stored {
            self.recalled += 1;
        } else {
            self.blocks += 1;
            self.instructions += u64::from(instructions);
        }
    }

    /// The run loop begins.
    pub fn start(&mut self) {
        self.since = tsc();
        self.phase = Phase::Runtime as usize;
        self.started.get_or_insert_with(|| (Instant::now(), tsc()));
    }
    /// The run loop ends.
    pub fn stop(&mut self) {
        self.enter(Phase::Runtime);
    }
    /// Another phase begins.
    pub fn enter(&mut self, phase: Phase) {
        if !self.timed {
            return;
        }
        let now = tsc();
        self.ticks[self.phase] += now.wrapping_sub(self.since);
        self.since = now;
        self.phase = phase as usize;
    }

    fn microseconds(&self, phase: Phase) -> u64 {
        let Some((instant, ticks)) = self.started else { return 0 };
        let (elapsed_us, elapsed_ticks) =
            (instant.elapsed().as_micros(), u128::from(tsc().wrapping_sub(ticks)).max(1));
        (u128::from(self.ticks[phase as usize]) * elapsed_us / elapsed_ticks) as u64
    }

    /// Rows to print.
    pub fn rows(&self, mmu: &Mmu, code: &CodeCache) -> Vec<(&'static str, u64)> {
        let (counters, (blocks, code_bytes)) = (mmu.counters(), code.size());
        let mut rows = vec![
            ("blocks translated", self.blocks),
            ("instructions translated", self.instructions),
            ("blocks taken from the store", self.recalled),
            ("blocks in cache", blocks as u64),
            ("code cache bytes", code_bytes as u64),
            ("code cache evictions", self.evictions),
            ("blocks killed", self.killed),
            ("writes to code pages", self.code_writes),
            ("writes to code pages by others", self.foreign_code_writes),
            ("instructions interpreted", self.interpreted),
            ("instructions of new code", self.light),
            ("interrupts", self.interrupts),
            ("exceptions", self.exceptions),
            ("frames protected", self.protections),
            ("waiting loops that gave way", self.yields),
            ("exits: link", self.exits[0]),
            ("exits: jump table miss", self.exits[1] + self.exits[7]),
            ("exits: attention", self.exits[2]),
            ("exits: interpret", self.exits[3]),
            ("exits: read miss", self.exits[4]),
            ("exits: write miss", self.exits[5]),
            ("exits: host fault", self.exits[6]),
            ("page walks", counters.walks),
            ("page flushes", counters.page_flushes),
            ("flushes", counters.flushes),
            ("address space switches", counters.switches),
            ("address spaces with windows", counters.spaces_opened),
            ("address spaces settled", counters.spaces_settled),
            ("pages shown in windows", counters.window_faults),
            ("pages in windows", mmu.window_pages() as u64),
        ];
        let times = [
            ("time in translated code, us", self.microseconds(Phase::Translated)),
            ("time translating, us", self.microseconds(Phase::Translating)),
            ("time interpreting, us", self.microseconds(Phase::Interpreting)),
            ("time serving exits, us", self.microseconds(Phase::Runtime)),
        ];
        if self.timed {
            rows.extend(times);
        }
        rows
    }
}
