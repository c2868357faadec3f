//! Counter and comparators as numbers; no wires.
use serde::{Deserialize, Serialize};

use super::spec::{self, timer};

/// The registers, as they are saved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct State {
    pub(super) configuration: u64,
    pub(super) status: u64,
    /// What the counter held when it was stopped or written.
    counter_base: u64,
    /// When it began to run from there.
    base_ns: u64,
    pub(super) timers: [Comparator; spec::COMPARATORS],
}

/// One timer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Comparator {
    pub(super) configuration: u64,
    pub(super) comparator: u64,
    pub(super) period: u64,
    /// The counter passed the comparator since it was set; a one-shot does not fire again before it wraps.
    pub(super) fired: bool,
}

impl State {
    pub(super) fn new() -> Self {
        Self { configuration: 0, status: 0, counter_base: 0, base_ns: 0, timers: Default::default() }
    }
    pub(super) fn is_running(&self) -> bool {
        self.configuration & spec::ENABLE != 0
    }
    pub(super) fn counter(&self, now_ns: u64) -> u64 {
        if !self.is_running() {
            return self.counter_base;
        }
        self.counter_base.wrapping_add(now_ns.saturating_sub(self.base_ns) / spec::PERIOD_NS)
    }
    pub(super) fn set_counter(&mut self, value: u64, now_ns: u64) {
        self.counter_base = value;
        self.base_ns = now_ns;
    }
    /// Replaces the general configuration; the counter keeps its value.
    pub(super) fn configure(&mut self, value: u64, now_ns: u64) {
        let counter = self.counter(now_ns);
        self.configuration = value & (spec::ENABLE | spec::LEGACY);
        self.set_counter(counter, now_ns);
    }
    /// Time until a timer's comparator matches, at least one count.
    pub(super) fn ns_to_match(&self, index: usize, now_ns: u64) -> Option<u64> {
        let timer = &self.timers[index];
        if !self.is_running() || timer.configuration & timer::ENABLE == 0 || timer.fired {
            return None;
        }
        let counts = timer.distance(self.counter(now_ns));
        Some(counts.max(1).saturating_mul(spec::PERIOD_NS))
    }
}

impl Comparator {
    pub(super) fn mask(&self) -> u64 {
        if self.configuration & timer::MODE_32 != 0 { 0xffff_ffff } else { u64::MAX }
    }
    pub(super) fn is_periodic(&self) -> bool {
        self.configuration & timer::PERIODIC != 0
    }
    pub(super) fn is_level(&self) -> bool {
        self.configuration & timer::LEVEL != 0
    }
    pub(super) fn route(&self) -> u32 {
        (self.configuration >> timer::ROUTE_SHIFT & 0x1f) as u32
    }
    /// Counts until the counter, now at `counter`, equals the comparator.
    pub(super) fn distance(&self, counter: u64) -> u64 {
        self.comparator.wrapping_sub(counter) & self.mask()
    }
    /// A write to the comparator register; `value` has the width of the whole register (§2.3.9.2.2).
    pub(super) fn set_comparator(&mut self, value: u64) {
        let value = value & self.mask();
        self.fired = false;
        if !self.is_periodic() || self.configuration & timer::SET_VALUE != 0 {
            self.comparator = value;
        }
        if self.is_periodic() {
            self.period = value;
        }
        self.configuration &= !timer::SET_VALUE;
    }
    /// After a match: on to the first multiple of the period beyond `counter`; at least `shortest` counts on.
    pub(super) fn matched(&mut self, counter: u64, shortest: u64) {
        let period = self.period & self.mask();
        if !self.is_periodic() || period == 0 {
            self.fired = true;
            return;
        }
        let passed = counter.wrapping_sub(self.comparator) & self.mask();
        let periods = (passed.saturating_add(shortest) / period).saturating_add(1);
        self.comparator = self.comparator.wrapping_add(periods.wrapping_mul(period)) & self.mask();
    }
}
