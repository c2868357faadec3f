//! What a serial port remembers.
use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::spec::{self, fcr, iir, lsr, mcr, msr};

/// The registers and FIFOs of a serial port, as they are saved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UartState {
    pub(super) divisor: u16,
    pub(super) ier: u8,
    pub(super) fcr: u8,
    pub(super) lcr: u8,
    pub(super) mcr: u8,
    pub(super) msr: u8,
    pub(super) scratch: u8,
    pub(super) overrun: bool,
    pub(super) received: VecDeque<u8>,
    pub(super) to_send: VecDeque<u8>,
    /// Input for which the receiver has no room yet.
    pub(super) input: VecDeque<u8>,
    /// The holding register ran empty, or its interrupt was enabled while empty, and nobody has looked.
    pub(super) sent: bool,
    /// When characters below the trigger level begin to interrupt.
    pub(super) timeout_ns: Option<u64>,
    pub(super) timed_out: bool,
    /// Line status reads in a row that found nothing to do.
    pub(super) idle_polls: u8,
}

impl Default for UartState {
    fn default() -> Self {
        Self {
            divisor: 12,
            ier: 0,
            fcr: 0,
            lcr: 0,
            mcr: 0,
            msr: msr::CONNECTED,
            scratch: 0,
            overrun: false,
            received: VecDeque::new(),
            to_send: VecDeque::new(),
            input: VecDeque::new(),
            sent: true,
            timeout_ns: None,
            timed_out: false,
            idle_polls: 0,
        }
    }
}

impl UartState {
    pub(super) fn has_fifos(&self) -> bool {
        self.fcr & fcr::ENABLE != 0
    }
    pub(super) fn is_looped(&self) -> bool {
        self.mcr & mcr::LOOP != 0
    }
    /// Characters that receiver and transmitter hold each.
    pub(super) fn capacity(&self) -> usize {
        if self.has_fifos() { spec::FIFO_BYTES } else { 1 }
    }
    pub(super) fn trigger(&self) -> usize {
        if self.has_fifos() { fcr::TRIGGER_LEVELS[usize::from(self.fcr >> 6)] } else { 1 }
    }
    pub(super) fn line_status(&self) -> u8 {
        let mut status = 0;
        if !self.received.is_empty() {
            status |= lsr::DATA_READY;
        }
        if self.overrun {
            status |= lsr::OVERRUN;
        }
        if self.to_send.is_empty() {
            status |= lsr::HOLDING_EMPTY | lsr::TRANSMITTER_EMPTY;
        }
        status
    }
    /// The most urgent enabled interrupt (data sheet, table IV).
    pub(super) fn interrupt(&self) -> u8 {
        use super::spec::ier;
        let enabled = |bit| self.ier & bit != 0;
        if enabled(ier::LINE) && self.overrun {
            iir::LINE
        } else if enabled(ier::RECEIVED) && self.received.len() >= self.trigger() {
            iir::RECEIVED
        } else if enabled(ier::RECEIVED) && self.timed_out {
            iir::TIMEOUT
        } else if enabled(ier::TRANSMITTER) && self.sent {
            iir::TRANSMITTER
        } else if enabled(ier::MODEM) && self.msr & msr::DELTAS != 0 {
            iir::MODEM
        } else {
            iir::NONE
        }
    }
    /// Four characters at the current rate.
    pub(super) fn timeout_after_ns(&self) -> u64 {
        let bits = spec::TIMEOUT_CHARACTERS * spec::BITS_PER_CHARACTER;
        bits * 1_000_000_000 * u64::from(self.divisor.max(1)) / spec::BASE_RATE
    }
    /// The modem lines as they are now: those of the other end, or our own outputs in loopback.
    pub(super) fn update_modem_lines(&mut self) {
        let lines = if self.is_looped() {
            let wired = [
                (mcr::RTS, msr::CTS),
                (mcr::DTR, msr::DSR),
                (mcr::OUT1, msr::RING),
                (mcr::OUT2, msr::CARRIER),
            ];
            wired.iter().filter(|(output, _)| self.mcr & output != 0).fold(0, |lines, (_, line)| lines | line)
        } else {
            msr::CONNECTED
        };
        let changed = (self.msr ^ lines) & 0xf0;
        let mut deltas = changed >> 4 & !msr::TRAILING_RING;
        if changed & msr::RING != 0 && lines & msr::RING == 0 {
            deltas |= msr::TRAILING_RING;
        }
        self.msr = lines | self.msr & msr::DELTAS | deltas;
    }
    /// Whether a guest can have led the port here.
    pub(super) fn is_possible(&self, input_limit: usize) -> bool {
        let fits = |fifo: &VecDeque<u8>| fifo.len() <= spec::FIFO_BYTES;
        fits(&self.received) && fits(&self.to_send) && self.input.len() <= input_limit
    }
}
