//! The chip on its bus: three counters, their control word, interrupt 0, and port 0x61.
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use platform::{Clock, Device, IrqLine, Region, SavedError, SavedState, Timer};
use serde::{Deserialize, Serialize};

use super::channel::Channel;
use super::spec;

/// Ports 0x40 to 0x43.
pub const PIT_REGION: Region = Region(0);
/// Port 0x61.
pub const PIT_PORT_B_REGION: Region = Region(1);
const VERSION: u32 = 1;

/// An 8254 whose channel 0 drives an interrupt line.
pub struct Pit {
    state: State,
    clock: Arc<dyn Clock>,
    timer: Timer,
    irq: IrqLine,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct State {
    channels: [Channel; 3],
    port_b: u8,
    /// When channel 0 interrupts next.
    rise_ns: Option<u64>,
}

impl State {
    fn new() -> Self {
        let channels = [Channel::new(true), Channel::new(true), Channel::new(false)];
        Self { channels, port_b: 0, rise_ns: None }
    }
}

impl Pit {
    /// A timer after power-on, not counting.
    pub fn new(clock: Arc<dyn Clock>, irq: IrqLine) -> Arc<Mutex<Self>> {
        Arc::new_cyclic(|pit: &Weak<Mutex<Self>>| {
            let pit = Weak::clone(pit);
            let timer = clock.timer(Arc::new(move || {
                if let Some(pit) = pit.upgrade() {
                    pit.lock().timer_fired();
                }
            }));
            Mutex::new(Self { state: State::new(), clock, timer, irq })
        })
    }

    fn timer_fired(&mut self) {
        let now_ns = self.clock.now_ns();
        if self.state.rise_ns.is_none_or(|rise_ns| rise_ns > now_ns) {
            return;
        }
        self.irq.rise();
        self.schedule(now_ns);
    }
    /// Arms for the next rise of channel 0's output. Rises that went by unnoticed are lost, as with a masked interrupt.
    fn schedule(&mut self, now_ns: u64) {
        let channel = &self.state.channels[0];
        let mut rise_ns = channel.next_rise_ns(now_ns);
        if channel.is_periodic() {
            rise_ns = rise_ns.map(|rise_ns| rise_ns.max(now_ns + spec::SHORTEST_PERIOD_NS / 2));
        }
        self.state.rise_ns = rise_ns;
        self.timer.set(rise_ns);
    }
    /// Channel 0 was set up anew.
    fn restart(&mut self, now_ns: u64) {
        self.irq.set(self.state.channels[0].output(now_ns));
        self.schedule(now_ns);
    }

    fn read_byte(&mut self, region: Region, offset: u64) -> u8 {
        let now_ns = self.clock.now_ns();
        match (region, offset) {
            (PIT_PORT_B_REGION, _) => self.read_port_b(now_ns),
            (_, 0..spec::CONTROL) => self.state.channels[offset as usize].read(now_ns),
            _ => 0xff,
        }
    }
    fn read_port_b(&self, now_ns: u64) -> u8 {
        let refresh = if now_ns / spec::REFRESH_NS % 2 == 1 { spec::REFRESH } else { 0 };
        let output = if self.state.channels[2].output(now_ns) { spec::OUTPUT2 } else { 0 };
        self.state.port_b | refresh | output
    }
    fn write_byte(&mut self, region: Region, offset: u64, value: u8) {
        let now_ns = self.clock.now_ns();
        match (region, offset) {
            (PIT_PORT_B_REGION, _) => {
                self.state.port_b = value & spec::PORT_B_WRITABLE;
                let gate = value & spec::GATE2 != 0;
                if gate != self.state.channels[2].gate() {
                    self.state.channels[2].set_gate(gate, now_ns);
                }
            }
            (_, spec::CONTROL) => self.write_control(value, now_ns),
            (_, 0..spec::CONTROL) => {
                self.state.channels[offset as usize].write(value, now_ns);
                if offset == 0 {
                    self.restart(now_ns);
                }
            }
            _ => {}
        }
    }
    fn write_control(&mut self, word: u8, now_ns: u64) {
        let select = word >> 6;
        if select != spec::READ_BACK {
            self.state.channels[usize::from(select)].control(word, now_ns);
            let latches = word & 0x30 == 0;
            if select == 0 && !latches {
                self.restart(now_ns);
            }
            return;
        }
        for (index, channel) in self.state.channels.iter_mut().enumerate() {
            if word & 2 << index != 0 {
                if word & spec::READ_BACK_NO_COUNT == 0 {
                    channel.latch_count(now_ns);
                }
                if word & spec::READ_BACK_NO_STATUS == 0 {
                    channel.latch_status(now_ns);
                }
            }
        }
    }
}

impl Device for Pit {
    fn name(&self) -> &'static str {
        "pit"
    }
    fn reset(&mut self) {
        self.state = State::new();
        self.timer.disarm();
        self.irq.set(false);
    }
    fn read(&mut self, region: Region, offset: u64, data: &mut [u8]) {
        for (offset, byte) in (offset..).zip(data) {
            *byte = self.read_byte(region, offset);
        }
    }
    fn write(&mut self, region: Region, offset: u64, data: &[u8]) {
        for (offset, byte) in (offset..).zip(data) {
            self.write_byte(region, offset, *byte);
        }
    }
    fn save(&self) -> SavedState {
        let Self { state, clock: _, timer: _, irq: _ } = self;
        SavedState::new(VERSION, state)
    }
    fn restore(&mut self, saved: &SavedState) -> Result<(), SavedError> {
        let state: State = saved.take(VERSION)?;
        if !state.channels.iter().all(Channel::is_possible) {
            return Err(SavedError::Impossible("8254 counter"));
        }
        self.state = state;
        self.timer.set(self.state.rise_ns);
        Ok(())
    }
}
