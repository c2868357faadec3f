//! The chip: time from the machine's clock, alarm and periodic interrupts, CMOS bytes.
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use platform::{Clock, Device, IrqLine, Region, SavedError, SavedState, Timer};
use serde::{Deserialize, Serialize};

use super::calendar::Date;
use super::spec::{self, memory, register};

const VERSION: u32 = 1;
const SECOND_NS: u64 = 1_000_000_000;
/// More seconds than an alarm can be away.
const ALARM_HORIZON_S: u64 = 86_400;

/// What a chip starts with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RtcConfig {
    /// Nanoseconds from 1970 to the machine clock's 0, in UTC.
    pub unix_start_ns: u64,
    /// Bytes of RAM below 4 GiB.
    pub low_ram_bytes: u64,
    /// Bytes of RAM above 4 GiB.
    pub high_ram_bytes: u64,
}

/// A real-time clock on its two ports, its only region.
pub struct Rtc {
    state: State,
    config: RtcConfig,
    clock: Arc<dyn Clock>,
    timer: Timer,
    irq: IrqLine,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct State {
    index: u8,
    /// All bytes; those of the time only while they are being set.
    cmos: Vec<u8>,
    /// Seconds from 1970 to the machine clock's 0, as the guest has set the time; in all the years that its digits can
    /// say, nanoseconds would not fit.
    epoch_s: i64,
    /// The fraction of a second after that.
    epoch_fraction_ns: u32,
    /// Interrupt flags of register C.
    flags: u8,
    /// Until when events have been turned into flags.
    seen_ns: u64,
}

impl Rtc {
    /// A clock that shows the host's time.
    pub fn new(config: RtcConfig, clock: Arc<dyn Clock>, irq: IrqLine) -> Arc<Mutex<Self>> {
        Arc::new_cyclic(|rtc: &Weak<Mutex<Self>>| {
            let rtc = Weak::clone(rtc);
            let timer = clock.timer(Arc::new(move || {
                if let Some(rtc) = rtc.upgrade() {
                    rtc.lock().update();
                }
            }));
            Mutex::new(Self { state: State::new(&config), config, clock, timer, irq })
        })
    }

    fn b(&self) -> u8 {
        self.state.cmos[usize::from(register::B)]
    }
    /// Whether the time stands still: being set, or the divider held in reset.
    fn is_set_mode(&self) -> bool {
        self.b() & spec::B_SET != 0
    }
    /// Nanoseconds since 1970 on this clock.
    fn unix_ns(&self, now_ns: u64) -> i128 {
        i128::from(self.state.epoch_s) * i128::from(SECOND_NS)
            + i128::from(self.state.epoch_fraction_ns)
            + i128::from(now_ns)
    }
    fn unix_seconds(&self, now_ns: u64) -> i64 {
        self.unix_ns(now_ns).div_euclid(i128::from(SECOND_NS)) as i64
    }
    /// When the current second began, on the machine's clock; before the machine's start counts as 0.
    fn ns_into_second(&self, now_ns: u64) -> u64 {
        self.unix_ns(now_ns).rem_euclid(i128::from(SECOND_NS)) as u64
    }
    fn period_ns(&self) -> Option<u64> {
        // Rates 1 and 2 are those of 8 and 9 (data sheet, table 5).
        let rate = match self.state.cmos[usize::from(register::A)] & 0xf {
            0 => return None,
            rate @ 1..=2 => rate + 7,
            rate => rate,
        };
        Some((SECOND_NS << (rate - 1)) / spec::CRYSTAL_HZ)
    }

    /// Turns what happened since the last look into flags, drives the line and arms the timer for what comes next.
    fn update(&mut self) {
        let (now_ns, seen_ns) = (self.clock.now_ns(), self.state.seen_ns);
        if let Some(period_ns) = self.period_ns()
            && now_ns / period_ns > seen_ns / period_ns
        {
            self.state.flags |= spec::B_PERIODIC;
        }
        let (then_s, now_s) = (self.unix_seconds(seen_ns), self.unix_seconds(now_ns));
        if now_s > then_s && !self.is_set_mode() {
            self.state.flags |= spec::B_UPDATE;
            if self.next_alarm(then_s).is_some_and(|alarm_s| alarm_s <= now_s) {
                self.state.flags |= spec::B_ALARM;
            }
        }
        self.state.seen_ns = now_ns;
        self.irq.set(self.state.flags & self.b() & spec::C_FLAGS != 0);
        self.arm(now_ns, now_s);
    }
    fn arm(&self, now_ns: u64, now_s: i64) {
        // A flag that is set already cannot be set again.
        let wanted = self.b() & !self.state.flags & spec::C_FLAGS;
        let second_ends_ns = now_ns + SECOND_NS - self.ns_into_second(now_ns);
        let mut next_ns = None::<u64>;
        let mut want = |ns: u64| next_ns = Some(next_ns.map_or(ns, |next_ns| next_ns.min(ns)));
        if wanted & spec::B_PERIODIC != 0
            && let Some(period_ns) = self.period_ns()
        {
            want((now_ns / period_ns + 1) * period_ns);
        }
        if wanted & spec::B_UPDATE != 0 && !self.is_set_mode() {
            want(second_ends_ns);
        }
        if wanted & spec::B_ALARM != 0
            && !self.is_set_mode()
            && let Some(alarm_s) = self.next_alarm(now_s)
        {
            want(second_ends_ns + (alarm_s - now_s - 1).max(0) as u64 * SECOND_NS);
        }
        self.timer.set(next_ns);
    }
    /// The first second after `after_s` that the alarm bytes match.
    fn next_alarm(&self, after_s: i64) -> Option<i64> {
        let field = |index: u8, hours: bool| {
            let byte = self.state.cmos[usize::from(index)];
            let value = if hours { self.decode_hours(byte) } else { self.decode(byte) };
            (byte < spec::ALARM_ANY).then_some(i64::from(value))
        };
        let seconds = field(register::SECONDS_ALARM, false);
        let minutes = field(register::MINUTES_ALARM, false);
        let hours = field(register::HOURS_ALARM, true);
        let matches = |value: i64, wanted: Option<i64>| wanted.is_none_or(|wanted| wanted == value);
        if seconds.is_some_and(|seconds| seconds > 59) {
            return None;
        }
        let mut at_s = after_s + 1;
        let end_s = after_s + ALARM_HORIZON_S as i64;
        // Steps of hours and minutes where those do not match: some hundred steps at most.
        while at_s <= end_s {
            if !matches(at_s.rem_euclid(86_400) / 3_600, hours) {
                at_s += 3_600 - at_s.rem_euclid(3_600);
            } else if !matches(at_s.rem_euclid(3_600) / 60, minutes) {
                at_s += 60 - at_s.rem_euclid(60);
            } else if !matches(at_s.rem_euclid(60), seconds) {
                at_s += 1;
            } else {
                return Some(at_s);
            }
        }
        None
    }

    fn encode(&self, value: u8) -> u8 {
        if self.b() & spec::B_BINARY != 0 { value } else { ((value / 10) << 4) | (value % 10) }
    }
    fn decode(&self, byte: u8) -> u8 {
        if self.b() & spec::B_BINARY != 0 { byte } else { (byte >> 4) * 10 + (byte & 0xf) }
    }
    fn encode_hours(&self, hours: u8) -> u8 {
        if self.b() & spec::B_24_HOURS != 0 {
            return self.encode(hours);
        }
        let afternoon = if hours >= 12 { spec::HOURS_PM } else { 0 };
        self.encode((hours + 11) % 12 + 1) | afternoon
    }
    fn decode_hours(&self, byte: u8) -> u8 {
        if self.b() & spec::B_24_HOURS != 0 {
            return self.decode(byte);
        }
        self.decode(byte & !spec::HOURS_PM) % 12 + if byte & spec::HOURS_PM != 0 { 12 } else { 0 }
    }
    /// The time's registers and what they show.
    fn time_registers(&self, now_ns: u64) -> [(u8, u8); 8] {
        let date = Date::from_unix(self.unix_seconds(now_ns));
        let century = date.year.div_euclid(100).rem_euclid(100) as u8;
        [
            (register::SECONDS, self.encode(date.seconds)),
            (register::MINUTES, self.encode(date.minutes)),
            (register::HOURS, self.encode_hours(date.hours)),
            (register::WEEKDAY, self.encode(date.weekday)),
            (register::DAY, self.encode(date.day)),
            (register::MONTH, self.encode(date.month)),
            (register::YEAR, self.encode(date.year.rem_euclid(100) as u8)),
            (register::CENTURY, self.encode(century)),
        ]
    }
    /// Copies the time into its bytes, so that they can be set one by one.
    fn freeze(&mut self, now_ns: u64) {
        for (index, value) in self.time_registers(now_ns) {
            self.state.cmos[usize::from(index)] = value;
        }
    }
    /// Makes the time what its bytes say. The fraction of the second is kept.
    fn thaw(&mut self, now_ns: u64) {
        let byte = |index: u8| self.state.cmos[usize::from(index)];
        let date = Date {
            year: i64::from(self.decode(byte(register::CENTURY))) * 100
                + i64::from(self.decode(byte(register::YEAR))),
            month: self.decode(byte(register::MONTH)),
            day: self.decode(byte(register::DAY)),
            weekday: 1,
            hours: self.decode_hours(byte(register::HOURS)),
            minutes: self.decode(byte(register::MINUTES)),
            seconds: self.decode(byte(register::SECONDS)),
        };
        let change_s = date.to_unix() - self.unix_seconds(now_ns);
        self.state.epoch_s = self.state.epoch_s.saturating_add(change_s);
    }

    fn read_indexed(&mut self) -> u8 {
        let now_ns = self.clock.now_ns();
        let index = self.state.index;
        let stored = self.state.cmos[usize::from(index)];
        match index {
            register::A => {
                let ends_soon = self.ns_into_second(now_ns) >= SECOND_NS - spec::UPDATE_WARNING_NS;
                stored | if ends_soon && !self.is_set_mode() { spec::A_UPDATING } else { 0 }
            }
            register::C => {
                self.update();
                let flags = std::mem::take(&mut self.state.flags);
                let asks = flags & self.b() & spec::C_FLAGS != 0;
                self.update();
                flags | if asks { spec::C_INTERRUPT } else { 0 }
            }
            register::D => spec::D_VALID,
            _ if self.is_set_mode() => stored,
            _ => {
                let time = self.time_registers(now_ns);
                time.iter().find(|(register, _)| *register == index).map_or(stored, |(_, value)| *value)
            }
        }
    }
    fn write_indexed(&mut self, value: u8) {
        self.update();
        let now_ns = self.clock.now_ns();
        let index = self.state.index;
        let is_time = self.time_registers(now_ns).iter().any(|(register, _)| *register == index);
        match index {
            register::A => self.state.cmos[usize::from(index)] = value & !spec::A_UPDATING,
            register::B => self.write_b(value, now_ns),
            register::C | register::D => {}
            _ if is_time && !self.is_set_mode() => {
                self.freeze(now_ns);
                self.state.cmos[usize::from(index)] = value;
                self.thaw(now_ns);
            }
            _ => self.state.cmos[usize::from(index)] = value,
        }
        self.update();
    }
    fn write_b(&mut self, value: u8, now_ns: u64) {
        let (was_set, sets) = (self.is_set_mode(), value & spec::B_SET != 0);
        if !was_set && sets {
            self.freeze(now_ns);
        }
        // Setting the time ends update interrupts (data sheet, "SET").
        let value = if sets { value & !spec::B_UPDATE } else { value };
        self.state.cmos[usize::from(register::B)] = value;
        if was_set && !sets {
            self.thaw(now_ns);
        }
    }
}

impl State {
    fn new(config: &RtcConfig) -> Self {
        let mut cmos = vec![0; spec::REGISTERS];
        cmos[usize::from(register::A)] = spec::A_DEFAULT;
        cmos[usize::from(register::B)] = spec::B_24_HOURS;
        let mut put = |at: usize, value: u64, bytes: usize| {
            let limit = (1 << (8 * bytes)) - 1;
            cmos[at..at + bytes].copy_from_slice(&value.min(limit).to_le_bytes()[..bytes]);
        };
        put(memory::BASE_KIB, 640, 2);
        for at in memory::EXTENDED_KIB {
            put(at, (config.low_ram_bytes / 1024).saturating_sub(1024), 2);
        }
        put(memory::ABOVE_16M, config.low_ram_bytes.saturating_sub(16 << 20) >> 16, 2);
        put(memory::ABOVE_4G, config.high_ram_bytes >> 16, 3);
        Self {
            index: 0,
            cmos,
            epoch_s: (config.unix_start_ns / SECOND_NS) as i64,
            epoch_fraction_ns: (config.unix_start_ns % SECOND_NS) as u32,
            flags: 0,
            seen_ns: 0,
        }
    }
}

impl Device for Rtc {
    fn name(&self) -> &'static str {
        "rtc"
    }
    fn reset(&mut self) {
        // A battery keeps time and memory; reset clears the interrupts (data sheet, "RESET").
        let b = self.b() & !(spec::B_PERIODIC | spec::B_ALARM | spec::B_UPDATE);
        let State { epoch_s, epoch_fraction_ns, .. } = self.state;
        let cmos = std::mem::take(&mut self.state.cmos);
        let seen_ns = self.clock.now_ns();
        self.state = State { epoch_s, epoch_fraction_ns, seen_ns, cmos, ..State::new(&self.config) };
        self.state.cmos[usize::from(register::B)] = b & !spec::B_SET | spec::B_24_HOURS;
        self.update();
    }
    fn read(&mut self, _region: Region, offset: u64, data: &mut [u8]) {
        for (offset, byte) in (offset..).zip(data) {
            *byte = if offset == 1 { self.read_indexed() } else { self.state.index };
        }
    }
    fn write(&mut self, _region: Region, offset: u64, data: &[u8]) {
        for (offset, byte) in (offset..).zip(data) {
            match offset {
                // Bit 7 of the index port is the NMI mask, which has nothing to mask here.
                0 => self.state.index = byte & 0x7f,
                _ => self.write_indexed(*byte),
            }
        }
    }
    fn save(&self) -> SavedState {
        let Self { state, config: _, clock: _, timer: _, irq: _ } = self;
        SavedState::new(VERSION, state)
    }
    fn restore(&mut self, saved: &SavedState) -> Result<(), SavedError> {
        let state: State = saved.take(VERSION)?;
        if state.cmos.len() != spec::REGISTERS || usize::from(state.index) >= spec::REGISTERS {
            return Err(SavedError::Impossible("CMOS of another size"));
        }
        // What a guest can set, and what a clock of 64 bits can add to it.
        if state.epoch_s.unsigned_abs() > 1 << 40 || u64::from(state.epoch_fraction_ns) >= SECOND_NS {
            return Err(SavedError::Impossible("time out of all calendars"));
        }
        self.state = state;
        self.update();
        Ok(())
    }
}
