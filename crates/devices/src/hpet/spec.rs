//! Registers of the HPET (§2.3).

/// Timers in the block.
pub const COMPARATORS: usize = 3;
/// Length of one count: 10 ns, so 100 MHz.
pub const PERIOD_NS: u64 = 10;
/// Shortest distance of two interrupts: a guest must not be able to make the host do nothing else.
pub const SHORTEST_PERIOD_NS: u64 = 20_000;

/// General capabilities and identification: period in femtoseconds, Intel, legacy replacement, 64-bit counter, three
/// timers, revision 1.
pub const CAPABILITIES: u64 = (PERIOD_NS * 1_000_000) << 32 | 0x8086_a201;
/// Offset of the capabilities.
pub const OFFSET_CAPABILITIES: u64 = 0x000;
/// Offset of the general configuration.
pub const OFFSET_CONFIGURATION: u64 = 0x010;
/// Offset of the interrupt status.
pub const OFFSET_STATUS: u64 = 0x020;
/// Offset of the main counter.
pub const OFFSET_COUNTER: u64 = 0x0f0;
/// Offset of the first timer.
pub const OFFSET_TIMERS: u64 = 0x100;
/// Distance of two timers.
pub const TIMER_STRIDE: u64 = 0x20;
/// Offset of configuration and capabilities in a timer.
pub const TIMER_CONFIGURATION: u64 = 0x00;
/// Offset of the comparator in a timer.
pub const TIMER_COMPARATOR: u64 = 0x08;

/// General configuration: the counter runs and timers interrupt.
pub const ENABLE: u64 = 1 << 0;
/// General configuration: timers 0 and 1 take the places of 8254 and RTC.
pub const LEGACY: u64 = 1 << 1;

/// Timer configuration.
pub mod timer {
    /// Level triggered.
    pub const LEVEL: u64 = 1 << 1;
    /// Interrupts are on.
    pub const ENABLE: u64 = 1 << 2;
    /// Periodic.
    pub const PERIODIC: u64 = 1 << 3;
    /// Can be periodic.
    pub const PERIODIC_CAPABLE: u64 = 1 << 4;
    /// Has 64 bits.
    pub const SIZE_64: u64 = 1 << 5;
    /// The next write sets the accumulator of a periodic timer.
    pub const SET_VALUE: u64 = 1 << 6;
    /// Counts with 32 bits.
    pub const MODE_32: u64 = 1 << 8;
    /// Where the I/O APIC input is chosen.
    pub const ROUTE_SHIFT: u32 = 9;
    /// I/O APIC inputs that can be chosen: 20 to 23.
    pub const ROUTES: u32 = 0x00f0_0000;
    /// What can be written.
    pub const WRITABLE: u64 = LEVEL | ENABLE | PERIODIC | SET_VALUE | MODE_32 | 0x1f << ROUTE_SHIFT;
    /// What every timer can do.
    pub const CAPABILITIES: u64 = PERIODIC_CAPABLE | SIZE_64 | (ROUTES as u64) << 32;
}
