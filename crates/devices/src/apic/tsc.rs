//! The guest's time-stamp counter, as far as its deadline timer needs it.
#![expect(unsafe_code, reason = "reads the host's time-stamp counter")]
use std::arch::x86_64::_rdtsc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Reads the guest's time-stamp counter.
pub trait GuestTsc: Send + Sync {
    /// Its value now.
    fn now(&self) -> u64;
    /// Ticks a second; not 0.
    fn frequency_hz(&self) -> u64;
}

/// A guest counter that is the host's plus an offset (wrapping).
#[derive(Debug)]
pub struct HostTsc {
    frequency_hz: u64,
    offset: AtomicU64,
}

impl HostTsc {
    /// A counter from the ticks a second of the host's, and guest counter minus host counter.
    pub fn new(frequency_hz: u64, offset: u64) -> Self {
        Self { frequency_hz, offset: AtomicU64::new(offset) }
    }
    /// Guest counter minus host counter.
    pub fn offset(&self) -> u64 {
        self.offset.load(Ordering::SeqCst)
    }
    /// Sets the counter back by some ticks: those of a time that the guest shall not notice.
    pub fn set_back(&self, ticks: u64) {
        self.offset.fetch_sub(ticks, Ordering::SeqCst);
    }
}

impl GuestTsc for HostTsc {
    fn now(&self) -> u64 {
        // SAFETY: RDTSC has no preconditions; every x86-64 CPU has it.
        unsafe { _rdtsc() }.wrapping_add(self.offset())
    }
    fn frequency_hz(&self) -> u64 {
        self.frequency_hz
    }
}

/// How long until the counter reaches `deadline`, rounded up; 0 if it has.
pub(super) fn ns_until(tsc: &dyn GuestTsc, deadline: u64) -> u64 {
    let ticks = deadline.saturating_sub(tsc.now());
    let ns = (u128::from(ticks) * 1_000_000_000).div_ceil(u128::from(tsc.frequency_hz().max(1)));
    u64::try_from(ns).unwrap_or(u64::MAX)
}
