//! Registers of the block, at the offsets that the board's FADT gives them.

/// The timer's clock, in Hz.
pub const TIMER_HZ: u64 = 3_579_545;

/// Offset of PM1 status, two bytes.
pub const PM1_STATUS: u64 = 0x00;
/// Offset of PM1 enable, two bytes.
pub const PM1_ENABLE: u64 = 0x02;
/// Offset of PM1 control, two bytes.
pub const PM1_CONTROL: u64 = 0x04;
/// Offset of the timer, four bytes.
pub const TIMER: u64 = 0x08;
/// Offset of general-purpose event block 0: status, then enable.
pub const GPE0: u64 = 0x20;
/// Bytes of its status, and of its enable.
pub const GPE0_HALF: u64 = 8;
/// One past the last offset with a register.
pub const END: u64 = GPE0 + 2 * GPE0_HALF;

/// PM1 event: bit 31 of the timer changed.
pub const EVENT_TIMER: u16 = 1 << 0;
/// PM1 event: the power button was pressed.
pub const EVENT_POWER_BUTTON: u16 = 1 << 8;
/// PM1 events that exist: timer, bus master, global lock, both buttons, RTC, wake.
pub const EVENTS: u16 = 0x8731;
/// PM1 enables that exist.
pub const ENABLES: u16 = 0x0721;

/// PM1 control: ACPI mode, always on.
pub const CONTROL_SCI: u16 = 1 << 0;
/// PM1 control: the kind of sleep.
pub const CONTROL_SLEEP_TYPE_SHIFT: u16 = 10;
/// PM1 control: sleep now; reads as 0.
pub const CONTROL_SLEEP: u16 = 1 << 13;
/// PM1 control: what is kept of a write.
pub const CONTROL_WRITABLE: u16 = 0x1c02;
