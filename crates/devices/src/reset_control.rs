//! The reset control register, port 0xcf9 (ICH9 §13.7.5), which ACPI's fixed table names as the reset register.
use std::sync::Arc;

use platform::{Device, Region, SavedError, SavedState};
use serde::{Deserialize, Serialize};

/// A wire from a chip to the board: reset, power off. Called with the chip's lock held: it must neither wait nor lock
/// devices.
pub type BoardSignal = Arc<dyn Fn() + Send + Sync>;

/// A full reset rather than one of the CPU; the board has one kind of reset.
const SYSTEM_RESET: u8 = 1 << 1;
/// A change from zero to one resets.
const RESET_CPU: u8 = 1 << 2;
/// Power is cycled too.
const FULL_RESET: u8 = 1 << 3;
const VERSION: u32 = 1;

/// The reset control register.
pub struct ResetControl {
    state: State,
    reset: BoardSignal,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct State {
    value: u8,
}

impl ResetControl {
    /// A register that resets the machine by `reset`.
    pub fn new(reset: BoardSignal) -> Self {
        Self { state: State::default(), reset }
    }
}

impl Device for ResetControl {
    fn name(&self) -> &'static str {
        "reset-control"
    }
    fn reset(&mut self) {
        self.state = State::default();
    }
    fn read(&mut self, _region: Region, _offset: u64, data: &mut [u8]) {
        platform::device::put_register(data, self.state.value.into());
    }
    fn write(&mut self, _region: Region, _offset: u64, data: &[u8]) {
        let Some(value) = data.first() else { return };
        let rises = value & !self.state.value & RESET_CPU != 0;
        self.state.value = value & (SYSTEM_RESET | RESET_CPU | FULL_RESET);
        if rises {
            (self.reset)();
        }
    }
    fn save(&self) -> SavedState {
        let Self { state, reset: _ } = self;
        SavedState::new(VERSION, state)
    }
    fn restore(&mut self, saved: &SavedState) -> Result<(), SavedError> {
        self.state = saved.take(VERSION)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[test]
    fn only_a_rising_reset_bit_resets() {
        let resets = Arc::new(AtomicU32::new(0));
        let count = Arc::clone(&resets);
        let mut register = ResetControl::new(Arc::new(move || {
            count.fetch_add(1, Ordering::SeqCst);
        }));
        register.write(Region(0), 0, &[0x02]);
        assert_eq!(resets.load(Ordering::SeqCst), 0);
        register.write(Region(0), 0, &[0x06]);
        register.write(Region(0), 0, &[0x0e]);
        assert_eq!(resets.load(Ordering::SeqCst), 1);
        let mut data = [0xff];
        register.read(Region(0), 0, &mut data);
        assert_eq!(data, [0x0e]);
        register.reset();
        register.write(Region(0), 0, &[0x06]);
        assert_eq!(resets.load(Ordering::SeqCst), 2);
    }
}
