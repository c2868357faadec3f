//! The machine around an engine's CPU: nothing but one port, by which the kernel says that a case is over.
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use platform::{Attention, CpuIo, Port};
use x86::Gpa;

use crate::watchdog::Stoppable;

/// The port that ends a case.
pub const REPORT_PORT: u16 = 0xf4;

/// Stops the CPU when the kernel reports a case, or when the watchdog says so.
pub struct StopIo {
    attention: Arc<dyn Attention>,
    stop: AtomicBool,
    reported: AtomicBool,
}

impl StopIo {
    /// For the CPU with this handle.
    pub fn new(attention: Arc<dyn Attention>) -> Self {
        Self { attention, stop: AtomicBool::new(false), reported: AtomicBool::new(false) }
    }
    /// Before a case.
    pub fn reset(&self) {
        self.stop.store(false, Ordering::SeqCst);
        self.reported.store(false, Ordering::SeqCst);
    }
    /// Whether the kernel reported.
    pub fn take_reported(&self) -> bool {
        self.reported.swap(false, Ordering::SeqCst)
    }
}

impl Stoppable for StopIo {
    fn stop(&self) {
        self.stop.store(true, Ordering::SeqCst);
        self.attention.raise();
    }
}

impl CpuIo for StopIo {
    fn port_read(&self, _port: Port, data: &mut [u8]) {
        data.fill(0xff);
    }
    fn port_write(&self, port: Port, _data: &[u8]) {
        if port == Port(REPORT_PORT) {
            self.reported.store(true, Ordering::SeqCst);
            self.stop();
        }
    }
    fn mmio_read(&self, _address: Gpa, data: &mut [u8]) {
        data.fill(0xff);
    }
    fn mmio_write(&self, _address: Gpa, _data: &[u8]) {}
    fn msr_read(&self, _msr: u32) -> Option<u64> {
        None
    }
    fn msr_write(&self, _msr: u32, _value: u64) -> Option<()> {
        None
    }
    fn task_priority(&self) -> u8 {
        0
    }
    fn set_task_priority(&self, _priority: u8) {}
    fn interrupt_pending(&self) -> bool {
        false
    }
    fn acknowledge_interrupt(&self) -> Option<u8> {
        None
    }
    fn take_nmi(&self) -> bool {
        false
    }
    fn stop_requested(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }
}
