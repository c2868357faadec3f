//! The guest's time-stamp counter, as far as its deadline timer needs it.
#![expect(unsafe_code, reason = "reads the host's time-stamp counter")]
use std::arch::x86_64::_rdtsc;

/// Reads the guest's time-stamp counter.
pub trait GuestTsc: Send + Sync {
    /// Its value now.
    fn now(&self) -> u64;
    /// Ticks a second; not 0.
    fn frequency_hz(&self) -> u64;
}

/// A guest counter that is the host's plus an offset (wrapping).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostTsc {
    /// Ticks a second of the host's counter.
    pub frequency_hz: u64,
    /// Guest counter minus host counter.
    pub offset: u64,
}

impl GuestTsc for HostTsc {
    fn now(&self) -> u64 {
        // SAFETY: RDTSC has no preconditions; every x86-64 CPU has it.
        unsafe { _rdtsc() }.wrapping_add(self.offset)
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
