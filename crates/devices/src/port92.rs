//! System control port A, port 0x92 (ICH9 §13.7.3): the A20 gate and a fast reset.
//!
//! The board has no A20 gate, as no PC of this century: address bit 20 always counts, and the gate only reads back.
use platform::{Device, Region, SavedError, SavedState};
use serde::{Deserialize, Serialize};

use crate::reset_control::BoardSignal;

/// A change from zero to one resets the CPU, here the machine.
const INIT_NOW: u8 = 1 << 0;
/// Address bit 20 counts.
const ALT_A20_GATE: u8 = 1 << 1;
const VERSION: u32 = 1;

/// System control port A.
pub struct Port92 {
    state: State,
    reset: BoardSignal,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct State {
    value: u8,
}

impl Default for State {
    fn default() -> Self {
        Self { value: ALT_A20_GATE }
    }
}

impl Port92 {
    /// A port that resets the machine by `reset`.
    pub fn new(reset: BoardSignal) -> Self {
        Self { state: State::default(), reset }
    }
}

impl Device for Port92 {
    fn name(&self) -> &'static str {
        "port92"
    }
    fn reset(&mut self) {
        self.state = State::default();
    }
    fn read(&mut self, _region: Region, _offset: u64, data: &mut [u8]) {
        platform::device::put_register(data, self.state.value.into());
    }
    fn write(&mut self, _region: Region, _offset: u64, data: &[u8]) {
        let Some(value) = data.first() else { return };
        let rises = value & !self.state.value & INIT_NOW != 0;
        self.state.value = value & (INIT_NOW | ALT_A20_GATE);
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
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[test]
    fn opening_the_a20_gate_does_not_reset_and_bit_0_does() {
        let resets = Arc::new(AtomicU32::new(0));
        let count = Arc::clone(&resets);
        let mut port = Port92::new(Arc::new(move || {
            count.fetch_add(1, Ordering::SeqCst);
        }));
        let mut data = [0];
        port.read(Region(0), 0, &mut data);
        assert_eq!(data, [2]);
        port.write(Region(0), 0, &[0xfe]);
        assert_eq!(resets.load(Ordering::SeqCst), 0);
        port.write(Region(0), 0, &[3]);
        port.write(Region(0), 0, &[3]);
        assert_eq!(resets.load(Ordering::SeqCst), 1);
        port.read(Region(0), 0, &mut data);
        assert_eq!(data, [3]);
    }
}
