//! The controller.
use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;
use platform::{Device, IrqLine, Region, SavedError, SavedState};
use serde::{Deserialize, Serialize};

use super::keyboard::Keyboard;
use super::spec::{self, command, config, status};
use crate::reset_control::BoardSignal;

/// Port 0x60.
pub const I8042_DATA_REGION: Region = Region(0);
/// Port 0x64.
pub const I8042_COMMAND_REGION: Region = Region(1);
const VERSION: u32 = 1;
/// Bytes that wait for the CPU at most; a keyboard has room for 16.
const WAITING_LIMIT: usize = 16;

/// A controller with a keyboard and no auxiliary device.
pub struct I8042 {
    state: State,
    irq: IrqLine,
    reset: BoardSignal,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct State {
    config: u8,
    ram: [u8; 32],
    a20: bool,
    /// The command whose argument the data port takes next.
    argument_of: Option<u8>,
    last_was_command: bool,
    /// Bytes for the CPU, and whether each is the auxiliary device's.
    waiting: VecDeque<(u8, bool)>,
    keyboard: Keyboard,
}

impl State {
    fn new() -> Self {
        Self {
            // As firmware leaves it.
            config: config::KEYBOARD_INTERRUPT
                | config::SYSTEM
                | config::TRANSLATE
                | config::AUXILIARY_DISABLED,
            ram: [0; 32],
            a20: true,
            argument_of: None,
            last_was_command: false,
            waiting: VecDeque::new(),
            keyboard: Keyboard::new(),
        }
    }
}

impl I8042 {
    /// A controller as firmware leaves it, with A20 open.
    pub fn new(irq: IrqLine, reset: BoardSignal) -> Arc<Mutex<Self>> {
        Arc::new(Mutex::new(Self { state: State::new(), irq, reset }))
    }
    /// Whether address line 20 is open. The machine keeps it open whatever this says, as PCs without real-mode pasts do.
    pub fn a20(&self) -> bool {
        self.state.a20
    }

    fn queue(&mut self, byte: u8, auxiliary: bool) {
        if self.state.waiting.len() < WAITING_LIMIT {
            self.state.waiting.push_back((byte, auxiliary));
        }
    }
    fn status(&self) -> u8 {
        let state = &self.state;
        let mut status = status::UNLOCKED;
        if state.config & config::SYSTEM != 0 {
            status |= status::SYSTEM;
        }
        if state.last_was_command {
            status |= status::COMMAND;
        }
        match state.waiting.front() {
            Some((_, true)) => status | status::OUTPUT_FULL | status::AUXILIARY,
            Some((_, false)) => status | status::OUTPUT_FULL,
            None => status,
        }
    }
    fn read_data(&mut self) -> u8 {
        let byte = self.state.waiting.pop_front().map_or(0, |(byte, _)| byte);
        // An edge for each byte that waits.
        self.irq.set(false);
        self.update_irq();
        byte
    }
    fn update_irq(&self) {
        let asks = matches!(self.state.waiting.front(), Some((_, false)));
        self.irq.set(asks && self.state.config & config::KEYBOARD_INTERRUPT != 0);
    }
    fn write_command(&mut self, value: u8) {
        self.state.last_was_command = true;
        self.state.argument_of = None;
        match value {
            command::READ_RAM => self.queue(self.state.config, false),
            0x21..=0x3f => self.queue(self.state.ram[usize::from(value & 0x1f)], false),
            command::WRITE_RAM..=0x7f
            | command::WRITE_OUTPUT_PORT
            | command::ECHO_KEYBOARD
            | command::ECHO_AUXILIARY
            | command::WRITE_AUXILIARY => self.state.argument_of = Some(value),
            command::DISABLE_AUXILIARY => self.state.config |= config::AUXILIARY_DISABLED,
            // There is nothing to enable: the bit stays, and Linux sees that there is no such port.
            command::ENABLE_AUXILIARY => {}
            command::TEST_AUXILIARY => self.queue(spec::PORT_TEST_CLOCK_STUCK, false),
            command::SELF_TEST => {
                self.state.waiting.clear();
                self.state.config |= config::SYSTEM;
                self.queue(spec::SELF_TEST_PASSED, false);
            }
            command::TEST_KEYBOARD => self.queue(spec::PORT_TEST_PASSED, false),
            command::DISABLE_KEYBOARD => self.state.config |= config::KEYBOARD_DISABLED,
            command::ENABLE_KEYBOARD => self.state.config &= !config::KEYBOARD_DISABLED,
            command::READ_INPUT_PORT => self.queue(spec::INPUT_PORT, false),
            command::READ_OUTPUT_PORT => {
                let a20 = if self.state.a20 { spec::OUTPUT_A20 } else { 0 };
                self.queue(0xcc | spec::OUTPUT_NOT_RESET | a20, false);
            }
            command::PULSE.. if value & 1 == 0 => (self.reset)(),
            _ => tracing::debug!("i8042: unknown command {value:#x}"),
        }
        self.update_irq();
    }
    fn write_data(&mut self, value: u8) {
        self.state.last_was_command = false;
        match self.state.argument_of.take() {
            Some(command::WRITE_RAM) => self.state.config = value | config::AUXILIARY_DISABLED,
            Some(at @ 0x61..=0x7f) => self.state.ram[usize::from(at & 0x1f)] = value,
            Some(command::WRITE_OUTPUT_PORT) => {
                self.state.a20 = value & spec::OUTPUT_A20 != 0;
                if value & spec::OUTPUT_NOT_RESET == 0 {
                    (self.reset)();
                }
            }
            Some(command::ECHO_KEYBOARD) => self.queue(value, false),
            // Nobody is there: nothing answers, as a missing mouse does not.
            Some(command::ECHO_AUXILIARY | command::WRITE_AUXILIARY) => {}
            _ => {
                // Writing to the keyboard opens its clock.
                self.state.config &= !config::KEYBOARD_DISABLED;
                let translated = self.state.config & config::TRANSLATE != 0;
                for byte in self.state.keyboard.write(value, translated) {
                    self.queue(byte, false);
                }
            }
        }
        self.update_irq();
    }
}

impl Device for I8042 {
    fn name(&self) -> &'static str {
        "i8042"
    }
    fn reset(&mut self) {
        self.state = State::new();
        self.irq.set(false);
    }
    fn read(&mut self, region: Region, _offset: u64, data: &mut [u8]) {
        let Some(byte) = data.first_mut() else { return };
        *byte = match region {
            I8042_DATA_REGION => self.read_data(),
            I8042_COMMAND_REGION => self.status(),
            _ => 0xff,
        };
    }
    fn write(&mut self, region: Region, _offset: u64, data: &[u8]) {
        let Some(value) = data.first() else { return };
        match region {
            I8042_DATA_REGION => self.write_data(*value),
            I8042_COMMAND_REGION => self.write_command(*value),
            _ => {}
        }
    }
    fn save(&self) -> SavedState {
        let Self { state, irq: _, reset: _ } = self;
        SavedState::new(VERSION, state)
    }
    fn restore(&mut self, saved: &SavedState) -> Result<(), SavedError> {
        let state: State = saved.take(VERSION)?;
        if state.waiting.len() > WAITING_LIMIT {
            return Err(SavedError::Impossible("more bytes wait than can"));
        }
        self.state = state;
        self.update_irq();
        Ok(())
    }
}
