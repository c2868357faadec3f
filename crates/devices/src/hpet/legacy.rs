//! Interrupt lines that the HPET takes over in legacy replacement (§2.3.8): IRQ 0 from the 8254, IRQ 8 from the RTC.
use std::sync::Arc;

use parking_lot::Mutex;
use platform::{IrqLine, IrqSink};

/// A line with two drivers of which one counts.
pub struct LegacyLine {
    line: IrqLine,
    state: Mutex<Drivers>,
}

#[derive(Default)]
struct Drivers {
    hpet_counts: bool,
    legacy_high: bool,
    hpet_high: bool,
}

const LEGACY: u32 = 0;
const HPET: u32 = 1;

impl LegacyLine {
    /// Stands before `line`; the legacy chip counts at first.
    pub fn new(line: IrqLine) -> Arc<Self> {
        Arc::new(Self { line, state: Mutex::default() })
    }
    /// The end for the legacy chip.
    pub fn legacy_end(self: &Arc<Self>) -> IrqLine {
        IrqLine::new(LEGACY, Arc::<Self>::clone(self))
    }
    pub(super) fn set_hpet(&self, high: bool) {
        self.set_level(HPET, high);
    }
    pub(super) fn select(&self, hpet_counts: bool) {
        self.change(|drivers| drivers.hpet_counts = hpet_counts);
    }
    fn change(&self, change: impl FnOnce(&mut Drivers)) {
        let mut drivers = self.state.lock();
        change(&mut drivers);
        // Under the lock, so that levels arrive in order.
        self.line.set(if drivers.hpet_counts { drivers.hpet_high } else { drivers.legacy_high });
    }
}

impl IrqSink for LegacyLine {
    fn set_level(&self, end: u32, high: bool) {
        self.change(|drivers| match end {
            HPET => drivers.hpet_high = high,
            _ => drivers.legacy_high = high,
        });
    }
}
