//! The registers.
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use platform::{Clock, Device, IrqLine, Region, SavedError, SavedState, Timer, TimerCallback};

use super::backend::SerialOutput;
use super::spec::{LCR_DLAB, fcr, ier, iir, lsr, mcr, msr, register};
use super::state::UartState;
use super::transfer::INPUT_LIMIT;

const VERSION: u32 = 1;

/// A 16550A. Its eight ports are its only region.
pub struct Uart {
    pub(super) state: UartState,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) timeout: Timer,
    pub(super) output: Box<dyn SerialOutput>,
    pub(super) on_room: TimerCallback,
    /// The back end was refused input and waits for room.
    pub(super) room_wanted: bool,
    irq: IrqLine,
    irq_high: bool,
}

impl Uart {
    /// A port that sends to `output`. `on_room` is called, with the port locked, when a back end whose input was refused
    /// may [`Uart::feed`] again; all it may do is wake a thread.
    pub fn new(
        clock: Arc<dyn Clock>,
        irq: IrqLine,
        output: Box<dyn SerialOutput>,
        on_room: TimerCallback,
    ) -> Arc<Mutex<Self>> {
        Arc::new_cyclic(|uart: &Weak<Mutex<Self>>| {
            let uart = Weak::clone(uart);
            let timeout = clock.timer(Arc::new(move || {
                if let Some(uart) = uart.upgrade() {
                    uart.lock().timeout_fired();
                }
            }));
            let state = UartState::default();
            let (room_wanted, irq_high) = (false, false);
            Mutex::new(Self { state, clock, timeout, output, on_room, room_wanted, irq, irq_high })
        })
    }

    fn timeout_fired(&mut self) {
        if self.state.timeout_ns.is_some_and(|timeout_ns| timeout_ns <= self.clock.now_ns()) {
            self.state.timeout_ns = None;
            self.state.timed_out = !self.state.received.is_empty();
            self.update_irq();
        }
    }
    pub(super) fn update_irq(&mut self) {
        let high = self.state.interrupt() != iir::NONE;
        if high != self.irq_high {
            self.irq_high = high;
            self.irq.set(high);
        }
    }

    fn read_register(&mut self, offset: u64) -> u8 {
        if offset != register::LSR {
            self.state.idle_polls = 0;
        }
        let divisor_access = self.state.lcr & LCR_DLAB != 0;
        match offset {
            register::DATA if divisor_access => self.state.divisor as u8,
            register::IER if divisor_access => (self.state.divisor >> 8) as u8,
            register::DATA => self.read_received(),
            register::IER => self.state.ier,
            register::IIR_FCR => self.read_identification(),
            register::LCR => self.state.lcr,
            register::MCR => self.state.mcr,
            register::LSR => self.read_line_status(),
            register::MSR => {
                let value = self.state.msr;
                self.state.msr &= !msr::DELTAS;
                value
            }
            register::SCR => self.state.scratch,
            _ => 0xff,
        }
    }
    fn read_identification(&mut self) -> u8 {
        let pending = self.state.interrupt();
        if pending == iir::TRANSMITTER {
            self.state.sent = false;
        }
        pending | if self.state.has_fifos() { iir::FIFOS } else { 0 }
    }
    fn read_line_status(&mut self) -> u8 {
        let status = self.state.line_status();
        self.state.overrun = false;
        if status & (lsr::DATA_READY | lsr::HOLDING_EMPTY) == lsr::HOLDING_EMPTY {
            self.idle_poll();
        }
        status
    }

    fn write_register(&mut self, offset: u64, value: u8) {
        self.state.idle_polls = 0;
        let divisor_access = self.state.lcr & LCR_DLAB != 0;
        match offset {
            register::DATA if divisor_access => {
                self.state.divisor = self.state.divisor & 0xff00 | u16::from(value);
            }
            register::IER if divisor_access => {
                self.state.divisor = self.state.divisor & 0xff | u16::from(value) << 8;
            }
            register::DATA => self.send(value),
            register::IER => self.write_enable(value & ier::WRITABLE),
            register::IIR_FCR => self.write_fifo_control(value),
            register::LCR => self.state.lcr = value,
            register::MCR => {
                self.state.mcr = value & mcr::WRITABLE;
                self.state.update_modem_lines();
                self.receive_input();
            }
            register::SCR => self.state.scratch = value,
            _ => {}
        }
    }
    fn write_enable(&mut self, value: u8) {
        let newly = value & !self.state.ier;
        self.state.ier = value;
        // Enabling it while the register is empty interrupts at once; Linux tests for that.
        if newly & ier::TRANSMITTER != 0 && self.state.to_send.is_empty() {
            self.state.sent = true;
        }
        self.receive_input();
    }
    fn write_fifo_control(&mut self, value: u8) {
        let switched = (value ^ self.state.fcr) & fcr::ENABLE != 0;
        if switched || value & fcr::CLEAR_RECEIVER != 0 {
            self.take_back_received();
            self.state.timed_out = false;
            self.state.timeout_ns = None;
        }
        if switched || value & fcr::CLEAR_TRANSMITTER != 0 {
            self.drop_unsent();
        }
        self.state.fcr = value & (fcr::ENABLE | 0xc0);
        self.receive_input();
    }
}

impl Device for Uart {
    fn name(&self) -> &'static str {
        "uart"
    }
    fn reset(&mut self) {
        // What a user typed is not the guest's to lose.
        let input = std::mem::take(&mut self.state.input);
        self.flush_output();
        self.state = UartState { input, ..UartState::default() };
        self.timeout.disarm();
        self.update_irq();
    }
    fn read(&mut self, _region: Region, offset: u64, data: &mut [u8]) {
        for (offset, byte) in (offset..).zip(data) {
            *byte = self.read_register(offset);
        }
        self.update_irq();
    }
    fn write(&mut self, _region: Region, offset: u64, data: &[u8]) {
        for (offset, byte) in (offset..).zip(data) {
            self.write_register(offset, *byte);
        }
        self.update_irq();
    }
    fn save(&self) -> SavedState {
        let Self { state, clock: _, timeout: _, output: _, on_room: _, room_wanted: _, irq: _, irq_high: _ } =
            self;
        SavedState::new(VERSION, state)
    }
    fn restore(&mut self, saved: &SavedState) -> Result<(), SavedError> {
        let state: UartState = saved.take(VERSION)?;
        if !state.is_possible(INPUT_LIMIT) {
            return Err(SavedError::Impossible("FIFO longer than it is"));
        }
        self.state = state;
        self.timeout.set(self.state.timeout_ns);
        self.update_irq();
        Ok(())
    }
}
