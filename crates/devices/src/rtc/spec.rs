//! Registers of the MC146818, and the CMOS bytes that a PC's firmware defines.

/// Registers behind the index port.
pub const REGISTERS: usize = 128;

/// Registers.
pub mod register {
    /// Seconds; the alarm's are at the next index, and so on for minutes and hours.
    pub const SECONDS: u8 = 0x00;
    /// Seconds of the alarm.
    pub const SECONDS_ALARM: u8 = 0x01;
    /// Minutes.
    pub const MINUTES: u8 = 0x02;
    /// Minutes of the alarm.
    pub const MINUTES_ALARM: u8 = 0x03;
    /// Hours.
    pub const HOURS: u8 = 0x04;
    /// Hours of the alarm.
    pub const HOURS_ALARM: u8 = 0x05;
    /// Day of the week, 1 is Sunday.
    pub const WEEKDAY: u8 = 0x06;
    /// Day of the month.
    pub const DAY: u8 = 0x07;
    /// Month.
    pub const MONTH: u8 = 0x08;
    /// Year of the century.
    pub const YEAR: u8 = 0x09;
    /// Rates and update in progress.
    pub const A: u8 = 0x0a;
    /// Modes and interrupt enables.
    pub const B: u8 = 0x0b;
    /// Interrupt flags; reading clears them.
    pub const C: u8 = 0x0c;
    /// Valid RAM and time.
    pub const D: u8 = 0x0d;
    /// Century, as the FADT says.
    pub const CENTURY: u8 = 0x32;
}

/// CMOS bytes that say how much memory there is.
pub mod memory {
    /// KiB below 1 MiB, two bytes.
    pub const BASE_KIB: usize = 0x15;
    /// KiB above 1 MiB, two bytes, and again at 0x30.
    pub const EXTENDED_KIB: [usize; 2] = [0x17, 0x30];
    /// 64 KiB blocks above 16 MiB, two bytes.
    pub const ABOVE_16M: usize = 0x34;
    /// 64 KiB blocks above 4 GiB, three bytes.
    pub const ABOVE_4G: usize = 0x5b;
}

/// Register A: an update is about to happen.
pub const A_UPDATING: u8 = 1 << 7;
/// Register A after power-on: 32,768 Hz crystal, periodic rate 1,024 Hz.
pub const A_DEFAULT: u8 = 0x26;
/// Register B: updates stop while software sets the time.
pub const B_SET: u8 = 1 << 7;
/// Register B: periodic interrupt.
pub const B_PERIODIC: u8 = 1 << 6;
/// Register B: alarm interrupt.
pub const B_ALARM: u8 = 1 << 5;
/// Register B: interrupt after each update.
pub const B_UPDATE: u8 = 1 << 4;
/// Register B: binary rather than decimal digits.
pub const B_BINARY: u8 = 1 << 2;
/// Register B: hours from 0 to 23.
pub const B_24_HOURS: u8 = 1 << 1;
/// Register C: some enabled flag is set.
pub const C_INTERRUPT: u8 = 1 << 7;
/// Register C: the three flags, at the places of their enables.
pub const C_FLAGS: u8 = B_PERIODIC | B_ALARM | B_UPDATE;
/// Register D: all is valid.
pub const D_VALID: u8 = 1 << 7;
/// Alarm bytes from here on match anything.
pub const ALARM_ANY: u8 = 0xc0;
/// Hours: afternoon, in 12-hour mode.
pub const HOURS_PM: u8 = 0x80;

/// How long before an update the updating bit is set.
pub const UPDATE_WARNING_NS: u64 = 244_000;
/// Ticks of the crystal a second.
pub const CRYSTAL_HZ: u64 = 32_768;
