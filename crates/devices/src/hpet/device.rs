//! The register block and its interrupts.
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use platform::{Clock, Device, IrqLine, Region, SavedError, SavedState, Timer, device};

use super::legacy::LegacyLine;
use super::spec::{self, COMPARATORS, timer};
use super::state::State;

const VERSION: u32 = 1;

/// Where the timers' interrupts go.
pub struct HpetLines {
    /// IRQ 0, shared with the 8254.
    pub irq0: Arc<LegacyLine>,
    /// IRQ 8, shared with the RTC.
    pub irq8: Arc<LegacyLine>,
    /// Inputs of the I/O APIC from [`HpetLines::FIRST_GSI`] on.
    pub gsis: [IrqLine; 4],
}

impl HpetLines {
    /// The first of the I/O APIC inputs that timers can choose.
    pub const FIRST_GSI: u32 = timer::ROUTES.trailing_zeros();
}

/// The block; its registers are its only region, of 1 KiB.
pub struct Hpet {
    state: State,
    clock: Arc<dyn Clock>,
    timers: [Timer; COMPARATORS],
    lines: HpetLines,
}

impl Hpet {
    /// A block after power-on, stopped at 0.
    pub fn new(clock: Arc<dyn Clock>, lines: HpetLines) -> Arc<Mutex<Self>> {
        Arc::new_cyclic(|hpet: &Weak<Mutex<Self>>| {
            let timers = std::array::from_fn(|index| {
                let hpet = Weak::clone(hpet);
                clock.timer(Arc::new(move || {
                    if let Some(hpet) = hpet.upgrade() {
                        hpet.lock().timer_fired(index);
                    }
                }))
            });
            Mutex::new(Self { state: State::new(), clock, timers, lines })
        })
    }

    fn timer_fired(&mut self, index: usize) {
        let now_ns = self.clock.now_ns();
        let counter = self.state.counter(now_ns);
        let shortest = spec::SHORTEST_PERIOD_NS / spec::PERIOD_NS;
        if !self.state.is_running() {
            return;
        }
        let timer = &mut self.state.timers[index];
        // A distance of almost the whole range means that the counter is past the comparator.
        let passed = counter.wrapping_sub(timer.comparator) & timer.mask();
        if timer.fired || timer.configuration & timer::ENABLE == 0 || passed > timer.mask() / 2 {
            return self.arm(index, now_ns);
        }
        timer.matched(counter, shortest);
        if timer.is_level() {
            self.state.status |= 1 << index;
            self.drive(index, true);
        } else {
            self.drive(index, false);
            self.drive(index, true);
            self.drive(index, false);
        }
        self.arm(index, now_ns);
    }
    fn arm(&self, index: usize, now_ns: u64) {
        let wait_ns = self.state.ns_to_match(index, now_ns);
        self.timers[index].set(wait_ns.map(|wait_ns| now_ns.saturating_add(wait_ns)));
    }
    fn arm_all(&self) {
        let now_ns = self.clock.now_ns();
        (0..COMPARATORS).for_each(|index| self.arm(index, now_ns));
    }
    fn drive(&self, index: usize, high: bool) {
        match (self.state.configuration & spec::LEGACY != 0, index) {
            (true, 0) => self.lines.irq0.set_hpet(high),
            (true, 1) => self.lines.irq8.set_hpet(high),
            _ => {
                let input = self.state.timers[index].route().checked_sub(HpetLines::FIRST_GSI);
                if let Some(line) = input.and_then(|input| self.lines.gsis.get(input as usize)) {
                    line.set(high);
                }
            }
        }
    }
    fn select_legacy(&self) {
        let legacy = self.state.configuration & spec::LEGACY != 0;
        self.lines.irq0.select(legacy);
        self.lines.irq8.select(legacy);
    }

    fn read_register(&self, offset: u64) -> u64 {
        match offset {
            spec::OFFSET_CAPABILITIES => spec::CAPABILITIES,
            spec::OFFSET_CONFIGURATION => self.state.configuration,
            spec::OFFSET_STATUS => self.state.status,
            spec::OFFSET_COUNTER => self.state.counter(self.clock.now_ns()),
            _ => match timer_register(offset) {
                Some((index, spec::TIMER_CONFIGURATION)) => {
                    self.state.timers[index].configuration | timer::CAPABILITIES
                }
                Some((index, spec::TIMER_COMPARATOR)) => self.state.timers[index].comparator,
                _ => 0,
            },
        }
    }
    fn write_register(&mut self, offset: u64, value: u64) {
        let now_ns = self.clock.now_ns();
        match offset {
            spec::OFFSET_CONFIGURATION => {
                self.state.configure(value, now_ns);
                self.select_legacy();
                self.arm_all();
            }
            spec::OFFSET_STATUS => self.clear_status(value),
            // Only while it stands (§2.3.7); a running one takes it too here.
            spec::OFFSET_COUNTER => {
                self.state.set_counter(value, now_ns);
                self.state.timers.iter_mut().for_each(|timer| timer.fired = false);
                self.arm_all();
            }
            _ => match timer_register(offset) {
                Some((index, spec::TIMER_CONFIGURATION)) => self.configure_timer(index, value),
                Some((index, spec::TIMER_COMPARATOR)) => {
                    self.state.timers[index].set_comparator(value);
                    self.arm(index, now_ns);
                }
                _ => {}
            },
        }
    }
    fn configure_timer(&mut self, index: usize, value: u64) {
        let was_level = self.state.timers[index].is_level();
        if was_level && self.state.status & 1 << index != 0 && value & timer::LEVEL == 0 {
            self.clear_status(1 << index);
        }
        let timer = &mut self.state.timers[index];
        let newly_enabled = value & !timer.configuration & timer::ENABLE != 0;
        timer.configuration = value & timer::WRITABLE;
        timer.comparator &= timer.mask();
        timer.fired &= !newly_enabled;
        self.arm(index, self.clock.now_ns());
    }
    fn clear_status(&mut self, bits: u64) {
        for index in 0..COMPARATORS {
            if self.state.status & bits & 1 << index != 0 {
                self.drive(index, false);
            }
        }
        self.state.status &= !bits;
    }
}

/// The timer that an offset belongs to, and the offset in it.
fn timer_register(offset: u64) -> Option<(usize, u64)> {
    let offset = offset.checked_sub(spec::OFFSET_TIMERS)?;
    let index = (offset / spec::TIMER_STRIDE) as usize;
    (index < COMPARATORS).then_some((index, offset % spec::TIMER_STRIDE))
}

impl Device for Hpet {
    fn name(&self) -> &'static str {
        "hpet"
    }
    fn reset(&mut self) {
        (0..COMPARATORS).for_each(|index| self.drive(index, false));
        self.state = State::new();
        self.select_legacy();
        self.arm_all();
    }
    fn read(&mut self, _region: Region, offset: u64, data: &mut [u8]) {
        let value = self.read_register(offset & !7) >> ((offset & 7) * 8);
        device::put_register(data, value);
    }
    fn write(&mut self, _region: Region, offset: u64, data: &[u8]) {
        let value = device::get_register(data);
        let (register, half) = (offset & !7, offset & 7);
        match (half, data.len()) {
            (0, 8..) => self.write_register(register, value),
            (0, 4) | (4, 4) => {
                let shift = half * 8;
                // Status bits are cleared by ones: nothing of the other half may be written back. A periodic timer in
                // 32-bit mode takes the low half as its whole value.
                let keep = if register == spec::OFFSET_STATUS { 0 } else { self.read_register(register) };
                let is_timer = timer_register(register).is_some_and(|(_, at)| at == spec::TIMER_COMPARATOR);
                if is_timer && half == 4 && self.high_half_is_dead(register) {
                    return;
                }
                self.write_register(register, keep & !(0xffff_ffff << shift) | value << shift);
            }
            _ => tracing::debug!("hpet: {} bytes written to {offset:#x}", data.len()),
        }
    }
    fn save(&self) -> SavedState {
        let Self { state, clock: _, timers: _, lines: _ } = self;
        SavedState::new(VERSION, state)
    }
    fn restore(&mut self, saved: &SavedState) -> Result<(), SavedError> {
        self.state = saved.take(VERSION)?;
        self.select_legacy();
        for index in 0..COMPARATORS {
            if self.state.status & 1 << index != 0 {
                self.drive(index, true);
            }
        }
        self.arm_all();
        Ok(())
    }
}

impl Hpet {
    /// Whether the timer of a comparator register counts with 32 bits.
    fn high_half_is_dead(&self, register: u64) -> bool {
        timer_register(register)
            .is_some_and(|(index, _)| self.state.timers[index].configuration & timer::MODE_32 != 0)
    }
}
