//! The rate of the host's time-stamp counter, from which the guest's is made.
#![expect(unsafe_code, reason = "reads the monotonic clock that the standard library does not offer")]
use std::arch::x86_64::{__cpuid, __cpuid_count, _rdtsc};

/// How long the counter is watched, in nanoseconds.
const WINDOW_NS: u64 = 8_000_000;
/// Readings of the clock at each end of the window, of which the tightest counts.
const READINGS: usize = 32;
/// CPUID leaf of the ratio of the TSC to the core crystal clock (SDM 2A, CPUID).
const LEAF_TSC: u32 = 0x15;
/// Stated and measured rate agree if they differ by at most one part in this many.
const AGREEMENT: u64 = 2_000;

/// The guest's time-stamp counter in terms of the host's: `guest = host + offset` (wrapping).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GuestTsc {
    /// Ticks a second, the same for host and guest.
    pub frequency_hz: u64,
    /// What is added to the host's counter.
    pub offset: u64,
}

impl GuestTsc {
    /// A counter that starts at zero now and runs at the host's rate.
    pub fn starting_now() -> Self {
        Self::starting_at(host_ticks(), frequency_hz())
    }
    /// A counter that is zero when the host's is `host_ticks`.
    pub const fn starting_at(host_ticks: u64, frequency_hz: u64) -> Self {
        Self { frequency_hz, offset: 0_u64.wrapping_sub(host_ticks) }
    }
}

/// The host's time-stamp counter.
pub fn host_ticks() -> u64 {
    // SAFETY: RDTSC has no preconditions; every x86-64 CPU has it.
    unsafe { _rdtsc() }
}

/// Ticks a second of the host's counter: measured in [`WINDOW_NS`], or as CPUID says where that agrees. CPUID alone is
/// not to be trusted: a virtual host may have moved to another machine.
pub fn frequency_hz() -> u64 {
    agreed(from_cpuid(), measure())
}

/// The stated rate, if it is within [`AGREEMENT`] of the measured one.
fn agreed(stated: Option<u64>, measured: u64) -> u64 {
    stated.filter(|stated| stated.abs_diff(measured) <= measured / AGREEMENT).unwrap_or(measured)
}

fn from_cpuid() -> Option<u64> {
    if __cpuid(0).eax < LEAF_TSC {
        return None;
    }
    let leaf = __cpuid_count(LEAF_TSC, 0);
    from_ratio(leaf.eax, leaf.ebx, leaf.ecx)
}

/// Leaf 15H: `crystal * ebx / eax`. `None` where a part is missing.
fn from_ratio(denominator: u32, numerator: u32, crystal_hz: u32) -> Option<u64> {
    if numerator == 0 || crystal_hz == 0 {
        return None;
    }
    (u64::from(crystal_hz) * u64::from(numerator)).checked_div(u64::from(denominator))
}

/// One moment on both clocks.
#[derive(Clone, Copy)]
struct Moment {
    ticks: u64,
    clock_ns: u64,
}

fn measure() -> u64 {
    let start = moment();
    while clock_ns() < start.clock_ns + WINDOW_NS {
        std::hint::spin_loop();
    }
    rate(start, moment())
}

fn rate(start: Moment, end: Moment) -> u64 {
    let ticks = u128::from(end.ticks.wrapping_sub(start.ticks));
    let elapsed_ns = u128::from(end.clock_ns.saturating_sub(start.clock_ns).max(1));
    u64::try_from(ticks * 1_000_000_000 / elapsed_ns).unwrap_or(u64::MAX)
}

/// Reads the clock between two readings of the counter, several times, and keeps the reading with the closest two:
/// an interrupt in between shows up as a wide bracket.
fn moment() -> Moment {
    let bracket = || {
        let before = host_ticks();
        let clock_ns = clock_ns();
        let width = host_ticks().wrapping_sub(before);
        (width, Moment { ticks: before.wrapping_add(width / 2), clock_ns })
    };
    let mut best = bracket();
    for _ in 1..READINGS {
        let next = bracket();
        if next.0 < best.0 {
            best = next;
        }
    }
    best.1
}

/// The clock that guest time is judged by: monotonic, steered to true seconds as the host's wall clock is.
fn clock_ns() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a valid timespec; CLOCK_MONOTONIC always exists.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpuid_ratio_needs_all_three_parts() {
        assert_eq!(from_ratio(2, 200, 24_000_000), Some(2_400_000_000));
        assert_eq!(from_ratio(0, 200, 24_000_000), None);
        assert_eq!(from_ratio(2, 0, 24_000_000), None);
        assert_eq!(from_ratio(2, 200, 0), None);
    }

    #[test]
    fn a_stated_rate_counts_only_if_it_is_measured_too() {
        assert_eq!(agreed(Some(2_400_000_000), 2_400_300_000), 2_400_000_000);
        assert_eq!(agreed(Some(2_000_000_000), 2_400_300_000), 2_400_300_000);
        assert_eq!(agreed(None, 2_400_300_000), 2_400_300_000);
    }

    #[test]
    fn rate_is_ticks_over_time_even_across_a_wrap() {
        let start = Moment { ticks: u64::MAX - 9, clock_ns: 1_000 };
        let end = Moment { ticks: 23_999_990, clock_ns: 10_001_000 };
        assert_eq!(rate(start, end), 2_400_000_000);
    }

    #[test]
    fn a_measured_frequency_is_that_of_a_real_cpu() {
        let measured = measure();
        assert!((100_000_000..20_000_000_000).contains(&measured), "{measured}");
    }

    #[test]
    fn the_guest_counter_starts_at_zero() {
        let tsc = GuestTsc::starting_at(12_345, 1_000_000_000);
        assert_eq!(12_345_u64.wrapping_add(tsc.offset), 0);
        assert_eq!(12_445_u64.wrapping_add(tsc.offset), 100);
    }
}
