//! What a machine tells an engine, and why an engine cannot be had.
pub use crate::mmu::spaces::WindowPolicy;
use platform::RestoreError;

/// The guest's time-stamp counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TscModel {
    /// Ticks a second; the host's own rate.
    pub frequency_hz: u64,
    /// What is added to the host's counter.
    pub offset: u64,
}

/// How much memory translated code may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CodeRoom {
    /// Bytes that it may take in any case, and at most. Its description takes half of that again.
    pub least: usize,
    /// See [`CodeRoom::least`].
    pub most: usize,
    /// Between the two, as many as there are left of so many for the whole process, guest RAM apart; if nothing is said, the
    /// most.
    pub process: Option<u64>,
}

impl From<usize> for CodeRoom {
    fn from(bytes: usize) -> Self {
        Self { least: bytes, most: bytes, process: None }
    }
}

/// What a virtual CPU is made of.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// Memory for translated code.
    pub code_room: CodeRoom,
    /// The time-stamp counter.
    pub tsc: TscModel,
    /// Number of this CPU, which is also its APIC id.
    pub cpu_index: u32,
    /// How many CPUs the machine has.
    pub cpu_count: u32,
    /// When address spaces get windows.
    pub windows: WindowPolicy,
    /// How often 64-bit code begins to run at a place before it is translated, [`crate::light::seen::MOST`] at most, or
    /// [`crate::light::seen::ALWAYS`]: the light interpreter executes it so long.
    pub new_code: u8,
    /// Interpret everything; the translator's oracle.
    pub interpret_only: bool,
    /// Keep a map of translated code for `perf`.
    pub perf_map: bool,
    /// Measure where time goes, for statistics.
    pub timed: bool,
}

/// No virtual CPU could be made.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// No memory for the register file and tables.
    #[error("no memory for a virtual CPU")]
    Memory(#[source] std::io::Error),
    /// No executable memory.
    #[error("no executable memory for translated code (does a security policy forbid it?)")]
    CodeCache(#[source] std::io::Error),
    /// No signal handlers.
    #[error("host exceptions cannot be caught")]
    Signals(#[source] std::io::Error),
    /// No file for the map of translated code.
    #[error("the map of translated code for perf cannot be written")]
    PerfMap(#[source] std::io::Error),
    /// The first state was refused.
    #[error("the power-up state was refused")]
    Restore(#[source] RestoreError),
    /// Guest RAM has as many CPUs as it can have.
    #[error("too many virtual CPUs for one memory")]
    TooManyCpus,
    /// The host CPU lacks something.
    #[error("this host lacks {0}, which binary translation needs")]
    HostCpu(&'static str),
}
