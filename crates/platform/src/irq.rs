//! Interrupt wires and messages.
//!
//! Lock order: interrupt sinks are inner to devices. A device may drive a line or send a message with its own lock held;
//! a sink never calls back into a device that drives it.
use std::sync::Arc;

/// Whatever has interrupt inputs.
pub trait IrqSink: Send + Sync {
    /// Drives input `line` high or low. Driving it to the level that it has is no event.
    fn set_level(&self, line: u32, high: bool);
}

/// Whatever takes message-signalled interrupts.
pub trait MsiSink: Send + Sync {
    /// The write of `data` to `address` (SDM 3A §11.11).
    fn send(&self, address: u64, data: u32);
}

/// One wire to an interrupt controller. Clones are the same wire, not wired-or.
#[derive(Clone)]
pub struct IrqLine {
    number: u32,
    sink: Arc<dyn IrqSink>,
}

impl IrqLine {
    /// The wire to input `number` of `sink`.
    pub fn new(number: u32, sink: Arc<dyn IrqSink>) -> Self {
        Self { number, sink }
    }
    /// A wire that ends nowhere.
    pub fn unconnected() -> Self {
        struct Nowhere;
        impl IrqSink for Nowhere {
            fn set_level(&self, _line: u32, _high: bool) {}
        }
        Self::new(0, Arc::new(Nowhere))
    }
    /// The input at the other end.
    pub fn number(&self) -> u32 {
        self.number
    }
    /// Drives the wire.
    pub fn set(&self, high: bool) {
        self.sink.set_level(self.number, high);
    }
    /// A rising edge, whatever the level was before; the wire stays high.
    pub fn rise(&self) {
        self.set(false);
        self.set(true);
    }
    /// High for a moment.
    pub fn pulse(&self) {
        self.set(true);
        self.set(false);
    }
}

impl std::fmt::Debug for IrqLine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("IrqLine").field("number", &self.number).finish_non_exhaustive()
    }
}
