//! One counter. It is not stepped: everything follows from when it was loaded and what time it is.
use serde::{Deserialize, Serialize};

use super::spec;

/// One of the three counters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Channel {
    /// 0 to 5.
    mode: u8,
    /// 1: low byte, 2: high byte, 3: both.
    access: u8,
    bcd: bool,
    gate: bool,
    /// Counts of a full cycle, 1 to 65536 (10000 in decimal).
    reload: u32,
    /// When counting began; `None` while it waits for a count or a trigger.
    started_ns: Option<u64>,
    /// Input clocks that had been counted when the gate stopped the counter.
    stopped_at: Option<u64>,
    write_low: Option<u8>,
    read_high_next: bool,
    /// Latched count, and how many of its bytes have been read.
    latched_count: Option<u16>,
    latched_status: Option<u8>,
}

impl Channel {
    /// A counter after power-on, its gate at `gate`.
    pub(super) fn new(gate: bool) -> Self {
        Self {
            mode: 3,
            access: 3,
            bcd: false,
            gate,
            reload: 0x1_0000,
            started_ns: None,
            stopped_at: None,
            write_low: None,
            read_high_next: false,
            latched_count: None,
            latched_status: None,
        }
    }
    /// Whether a guest can have led the channel here.
    pub(super) fn is_possible(&self) -> bool {
        self.mode <= 5 && (1..=3).contains(&self.access) && (1..=0x1_0000).contains(&self.reload)
    }

    /// A control word for this channel.
    pub(super) fn control(&mut self, word: u8, now_ns: u64) {
        let access = word >> 4 & 3;
        if access == 0 {
            return self.latch_count(now_ns);
        }
        let mode = word >> 1 & 7;
        // Modes 6 and 7 are 2 and 3 (data sheet, figure 7).
        *self = Self {
            mode: if mode > 5 { mode & 3 } else { mode },
            access,
            bcd: word & spec::BCD != 0,
            reload: self.reload,
            ..Self::new(self.gate)
        };
    }
    pub(super) fn latch_count(&mut self, now_ns: u64) {
        if self.latched_count.is_none() {
            self.latched_count = Some(self.count(now_ns));
        }
    }
    pub(super) fn latch_status(&mut self, now_ns: u64) {
        if self.latched_status.is_none() {
            let output = if self.output(now_ns) { spec::STATUS_OUTPUT } else { 0 };
            let null = if self.started_ns.is_none() { spec::STATUS_NULL_COUNT } else { 0 };
            self.latched_status =
                Some(output | null | self.access << 4 | self.mode << 1 | u8::from(self.bcd));
        }
    }
    pub(super) fn write(&mut self, byte: u8, now_ns: u64) {
        match (self.access, self.write_low) {
            (1, _) => self.load(byte.into(), now_ns),
            (2, _) => self.load(u16::from(byte) << 8, now_ns),
            (_, None) => {
                self.write_low = Some(byte);
                if self.mode == 0 {
                    // The first byte stops a mode 0 counter (data sheet, "Mode 0").
                    self.started_ns = None;
                }
            }
            (_, Some(low)) => {
                self.write_low = None;
                self.load(u16::from(byte) << 8 | u16::from(low), now_ns);
            }
        }
    }
    fn load(&mut self, value: u16, now_ns: u64) {
        let count = if self.bcd { from_bcd(value) } else { value.into() };
        self.reload = if count != 0 {
            count
        } else if self.bcd {
            10_000
        } else {
            0x1_0000
        };
        // Modes 1 and 5 wait for the gate; 2 and 3, once running, take the count at the end of their cycle on real
        // chips, and at once here.
        if !matches!(self.mode, 1 | 5) {
            self.started_ns = Some(now_ns);
            self.stopped_at = (!self.gate).then_some(0);
        }
    }
    pub(super) fn read(&mut self, now_ns: u64) -> u8 {
        if let Some(status) = self.latched_status.take() {
            return status;
        }
        let count = self.latched_count.unwrap_or_else(|| self.count(now_ns));
        match self.access {
            1 => self.latched_count = None,
            2 => {
                self.latched_count = None;
                return (count >> 8) as u8;
            }
            _ if self.read_high_next => {
                self.read_high_next = false;
                self.latched_count = None;
                return (count >> 8) as u8;
            }
            _ => self.read_high_next = true,
        }
        count as u8
    }
    /// Drives the gate (data sheet, figure 21).
    pub(super) fn set_gate(&mut self, high: bool, now_ns: u64) {
        let rises = high && !self.gate;
        let falls = !high && self.gate;
        match self.mode {
            1 | 5 if rises => self.started_ns = Some(now_ns),
            2 | 3 if rises && self.started_ns.is_some() => {
                self.started_ns = Some(now_ns);
                self.stopped_at = None;
            }
            0 | 4 if rises => {
                if let Some(elapsed) = self.stopped_at.take() {
                    self.started_ns = Some(now_ns.saturating_sub(ns_of(elapsed)));
                }
            }
            0 | 2 | 3 | 4 if falls && self.started_ns.is_some() => {
                self.stopped_at = Some(self.elapsed(now_ns).unwrap_or(0));
            }
            _ => {}
        }
        self.gate = high;
    }
    pub(super) fn gate(&self) -> bool {
        self.gate
    }

    /// Input clocks since counting began.
    fn elapsed(&self, now_ns: u64) -> Option<u64> {
        let started_ns = self.started_ns?;
        Some(self.stopped_at.unwrap_or_else(|| ticks_of(now_ns.saturating_sub(started_ns))))
    }
    fn count(&self, now_ns: u64) -> u16 {
        let reload = u64::from(self.reload);
        let Some(elapsed) = self.elapsed(now_ns) else { return self.as_read(reload) };
        let modulus = if self.bcd { 10_000 } else { 0x1_0000 };
        let value = match self.mode {
            2 => reload - elapsed % reload,
            3 => (reload - elapsed * 2 % reload) & !1,
            // Past zero it goes on from the top.
            _ => (reload + modulus - elapsed % modulus) % modulus,
        };
        self.as_read(value)
    }
    fn as_read(&self, value: u64) -> u16 {
        if self.bcd { to_bcd(value % 10_000) } else { value as u16 }
    }
    /// Level of the output.
    pub(super) fn output(&self, now_ns: u64) -> bool {
        let Some(elapsed) = self.elapsed(now_ns) else { return self.mode != 0 };
        let reload = u64::from(self.reload);
        match self.mode {
            0 => elapsed >= reload,
            1 => elapsed >= reload,
            2 => self.stopped_at.is_some() || elapsed % reload != reload - 1 || reload == 1,
            3 => self.stopped_at.is_some() || elapsed % reload < reload.div_ceil(2),
            _ => elapsed != reload,
        }
    }
    /// When the output rises next, after `now_ns`; `None` if it does not by itself.
    pub(super) fn next_rise_ns(&self, now_ns: u64) -> Option<u64> {
        if self.stopped_at.is_some() {
            return None;
        }
        let (started_ns, reload) = (self.started_ns?, u64::from(self.reload));
        let elapsed = self.elapsed(now_ns)?;
        let tick = match self.mode {
            2 | 3 => (elapsed / reload + 1) * reload,
            0 | 1 if elapsed < reload => reload,
            4 | 5 if elapsed < reload + 1 => reload + 1,
            _ => return None,
        };
        Some(started_ns.saturating_add(ns_of(tick)))
    }
    /// Whether it interrupts again and again.
    pub(super) fn is_periodic(&self) -> bool {
        matches!(self.mode, 2 | 3)
    }
}

/// Input clocks in a time, rounded down.
fn ticks_of(ns: u64) -> u64 {
    (u128::from(ns) * u128::from(spec::INPUT_HZ) / 1_000_000_000) as u64
}

/// The time by which so many input clocks have passed, rounded up.
fn ns_of(ticks: u64) -> u64 {
    let ns = (u128::from(ticks) * 1_000_000_000).div_ceil(u128::from(spec::INPUT_HZ));
    u64::try_from(ns).unwrap_or(u64::MAX)
}

fn from_bcd(value: u16) -> u32 {
    [12, 8, 4, 0].iter().fold(0, |number, shift| number * 10 + u32::from(value >> shift & 0xf).min(9))
}

fn to_bcd(value: u64) -> u16 {
    let digits = [value / 1_000 % 10, value / 100 % 10, value / 10 % 10, value % 10];
    digits.iter().fold(0, |bcd, digit| bcd << 4 | *digit as u16)
}
