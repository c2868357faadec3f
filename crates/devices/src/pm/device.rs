//! The block.
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use platform::{Clock, Device, IrqLine, Region, SavedError, SavedState, Timer};
use serde::{Deserialize, Serialize};

use super::spec;
use crate::reset_control::BoardSignal;

const VERSION: u32 = 1;

/// The block's ports, its only region.
pub struct Pm {
    state: State,
    clock: Arc<dyn Clock>,
    timer: Timer,
    sci: IrqLine,
    soft_off_type: u8,
    power_off: BoardSignal,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct State {
    status: u16,
    enable: u16,
    control: u16,
    gpe_status: [u8; spec::GPE0_HALF as usize],
    gpe_enable: [u8; spec::GPE0_HALF as usize],
    /// How often bit 31 of the timer had changed when that was last looked at.
    changes_seen: u64,
}

impl Pm {
    /// A block whose SLP_TYP `soft_off_type` (the DSDT's `\_S5`) calls `power_off`.
    pub fn new(
        clock: Arc<dyn Clock>,
        sci: IrqLine,
        soft_off_type: u8,
        power_off: BoardSignal,
    ) -> Arc<Mutex<Self>> {
        Arc::new_cyclic(|pm: &Weak<Mutex<Self>>| {
            let pm = Weak::clone(pm);
            let timer = clock.timer(Arc::new(move || {
                if let Some(pm) = pm.upgrade() {
                    pm.lock().update();
                }
            }));
            Mutex::new(Self { state: State::default(), clock, timer, sci, soft_off_type, power_off })
        })
    }
    /// Somebody presses the power button for a moment.
    pub fn press_power_button(&mut self) {
        self.state.status |= spec::EVENT_POWER_BUTTON;
        self.update();
    }
    /// Raises general-purpose event `number`, 0 to 63.
    pub fn raise_event(&mut self, number: u8) {
        if let Some(byte) = self.state.gpe_status.get_mut(usize::from(number / 8)) {
            *byte |= 1 << (number % 8);
        }
        self.update();
    }

    fn ticks(&self) -> u64 {
        (u128::from(self.clock.now_ns()) * u128::from(spec::TIMER_HZ) / 1_000_000_000) as u64
    }
    /// Brings the timer's event up to date and drives the SCI.
    fn update(&mut self) {
        let changes = self.ticks() >> 31;
        if changes != self.state.changes_seen {
            self.state.changes_seen = changes;
            self.state.status |= spec::EVENT_TIMER;
        }
        let waits = self.state.enable & !self.state.status & spec::EVENT_TIMER != 0;
        self.timer.set(waits.then(|| {
            let next = u128::from((changes + 1) << 31) * 1_000_000_000;
            u64::try_from(next.div_ceil(u128::from(spec::TIMER_HZ))).unwrap_or(u64::MAX)
        }));
        let gpes = self.state.gpe_status.iter().zip(&self.state.gpe_enable);
        let gpe = gpes.fold(0, |any, (status, enable)| any | status & enable) != 0;
        self.sci.set(gpe || self.state.status & self.state.enable != 0);
    }
    fn read_byte(&self, offset: u64) -> u8 {
        let state = &self.state;
        let byte = |register: u16, first: u64| register.to_le_bytes()[(offset - first) as usize];
        match offset {
            spec::PM1_STATUS..spec::PM1_ENABLE => byte(state.status, spec::PM1_STATUS),
            spec::PM1_ENABLE..spec::PM1_CONTROL => byte(state.enable, spec::PM1_ENABLE),
            0x04..0x06 => byte(state.control | spec::CONTROL_SCI, spec::PM1_CONTROL),
            spec::GPE0..0x28 => state.gpe_status[(offset - spec::GPE0) as usize],
            0x28..spec::END => state.gpe_enable[(offset - spec::GPE0 - spec::GPE0_HALF) as usize],
            _ => 0,
        }
    }
    fn write_byte(&mut self, offset: u64, value: u8) {
        let state = &mut self.state;
        let wide = |first: u64| u16::from(value) << ((offset - first) * 8);
        let kept = |register: u16, first: u64| register & !(0xff << ((offset - first) * 8));
        match offset {
            // Ones clear.
            spec::PM1_STATUS..spec::PM1_ENABLE => state.status &= !wide(spec::PM1_STATUS),
            spec::PM1_ENABLE..spec::PM1_CONTROL => {
                state.enable = (kept(state.enable, 2) | wide(2)) & spec::ENABLES;
            }
            0x04..0x06 => {
                let written = kept(state.control, 4) | wide(4);
                state.control = written & spec::CONTROL_WRITABLE;
                let kind = (written >> spec::CONTROL_SLEEP_TYPE_SHIFT & 7) as u8;
                if written & spec::CONTROL_SLEEP != 0 && kind == self.soft_off_type {
                    (self.power_off)();
                }
            }
            spec::GPE0..0x28 => state.gpe_status[(offset - spec::GPE0) as usize] &= !value,
            0x28..spec::END => {
                state.gpe_enable[(offset - spec::GPE0 - spec::GPE0_HALF) as usize] = value;
            }
            _ => {}
        }
        state.status &= spec::EVENTS;
    }
}

impl Device for Pm {
    fn name(&self) -> &'static str {
        "pm"
    }
    fn reset(&mut self) {
        self.state = State { changes_seen: self.ticks() >> 31, ..State::default() };
        self.update();
    }
    fn read(&mut self, _region: Region, offset: u64, data: &mut [u8]) {
        // The timer is read often, and whole.
        if (spec::TIMER..spec::TIMER + 4).contains(&offset) {
            let value = u64::from(self.ticks() as u32) >> ((offset - spec::TIMER) * 8);
            return platform::device::put_register(data, value);
        }
        self.update();
        for (offset, byte) in (offset..).zip(data) {
            *byte = self.read_byte(offset);
        }
    }
    fn write(&mut self, _region: Region, offset: u64, data: &[u8]) {
        self.update();
        for (offset, byte) in (offset..).zip(data) {
            self.write_byte(offset, *byte);
        }
        self.update();
    }
    fn save(&self) -> SavedState {
        let Self { state, clock: _, timer: _, sci: _, soft_off_type: _, power_off: _ } = self;
        SavedState::new(VERSION, state)
    }
    fn restore(&mut self, saved: &SavedState) -> Result<(), SavedError> {
        self.state = saved.take(VERSION)?;
        self.update();
        Ok(())
    }
}
