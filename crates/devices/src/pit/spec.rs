//! Names of the 8254 data sheet and of port 0x61 (ICH9 §13.7.1).

/// The input clock of every channel, in Hz.
pub const INPUT_HZ: u64 = 1_193_182;
/// Shortest distance of two interrupts: a guest must not be able to make the host do nothing else.
pub const SHORTEST_PERIOD_NS: u64 = 20_000;

/// Offset of the control word register.
pub const CONTROL: u64 = 3;
/// Control word, bits 7:6: read back rather than a channel.
pub const READ_BACK: u8 = 3;
/// Read back: do not latch counts.
pub const READ_BACK_NO_COUNT: u8 = 1 << 5;
/// Read back: do not latch status.
pub const READ_BACK_NO_STATUS: u8 = 1 << 4;
/// Control word, bit 0: count in decimal digits.
pub const BCD: u8 = 1 << 0;
/// Status: level of the output.
pub const STATUS_OUTPUT: u8 = 1 << 7;
/// Status: the count written last has not been loaded.
pub const STATUS_NULL_COUNT: u8 = 1 << 6;

/// Port 0x61: gate of channel 2.
pub const GATE2: u8 = 1 << 0;
/// Port 0x61: what can be written.
pub const PORT_B_WRITABLE: u8 = 0x0f;
/// Port 0x61: toggles with each memory refresh.
pub const REFRESH: u8 = 1 << 4;
/// Port 0x61: output of channel 2.
pub const OUTPUT2: u8 = 1 << 5;
/// Distance of two refreshes.
pub const REFRESH_NS: u64 = 15_085;
