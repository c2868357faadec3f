//! A machine without devices.
use std::sync::atomic::{AtomicBool, Ordering};

use platform::{CpuIo, Port};
use x86::Gpa;

/// No devices.
#[derive(Default)]
pub struct Nothing {
    /// The CPUs shall stop.
    pub stop: AtomicBool,
    /// One interrupt waits all the time.
    pub interrupts: bool,
}

impl CpuIo for Nothing {
    fn port_read(&self, _port: Port, data: &mut [u8]) {
        data.fill(0xff);
    }
    fn port_write(&self, _port: Port, _data: &[u8]) {}
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
        self.interrupts
    }
    fn acknowledge_interrupt(&self) -> Option<u8> {
        self.interrupts.then_some(0x40)
    }
    fn take_nmi(&self) -> bool {
        false
    }
    fn stop_requested(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }
}
