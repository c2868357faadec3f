//! The machine as one CPU sees it: buses, its own interrupt controller, requests from outside.
use std::sync::Arc;

use devices::interrupts::{CpuEvent, CpuInterrupts, Interrupts};
use platform::{Bus, CpuIo, Port};
use x86::Gpa;

use crate::control::CpuControl;
use crate::vcpu::HaltedCpu;

/// One CPU's view of the machine.
pub struct CpuPort {
    index: usize,
    ports: Arc<Bus>,
    memory: Arc<Bus>,
    interrupts: Arc<Interrupts>,
    control: Arc<CpuControl>,
}

impl CpuPort {
    /// The view of CPU `index`, whose interrupt controller wakes it through `control`. `None` if `interrupts` has no
    /// such CPU.
    pub fn new(
        index: usize,
        ports: Arc<Bus>,
        memory: Arc<Bus>,
        interrupts: Arc<Interrupts>,
        control: Arc<CpuControl>,
    ) -> Option<Self> {
        interrupts.cpu(index)?;
        Some(Self { index, ports, memory, interrupts, control })
    }

    fn local(&self) -> &CpuInterrupts {
        // `new` has looked, and CPUs do not go away.
        self.interrupts.cpu(self.index).expect("a CPU has its interrupts")
    }
}

impl CpuIo for CpuPort {
    fn port_read(&self, port: Port, data: &mut [u8]) {
        self.ports.read(port.0.into(), data);
    }
    fn port_write(&self, port: Port, data: &[u8]) {
        self.ports.write(port.0.into(), data);
    }
    fn mmio_read(&self, address: Gpa, data: &mut [u8]) {
        if !self.local().mmio_read(address.0, data) {
            self.memory.read(address.0, data);
        }
    }
    fn mmio_write(&self, address: Gpa, data: &[u8]) {
        if !self.local().mmio_write(address.0, data) {
            self.memory.write(address.0, data);
        }
    }
    fn msr_read(&self, msr: u32) -> Option<u64> {
        self.local().msr_read(msr)
    }
    fn msr_write(&self, msr: u32, value: u64) -> Option<()> {
        self.local().msr_write(msr, value)
    }
    fn task_priority(&self) -> u8 {
        self.local().task_priority()
    }
    fn set_task_priority(&self, priority: u8) {
        self.local().set_task_priority(priority);
    }
    fn interrupt_pending(&self) -> bool {
        self.local().interrupt_pending()
    }
    fn acknowledge_interrupt(&self) -> Option<u8> {
        self.local().acknowledge()
    }
    fn take_nmi(&self) -> bool {
        self.local().take_nmi()
    }
    fn stop_requested(&self) -> bool {
        self.control.is_wanted() || self.local().event_pending()
    }
}

impl HaltedCpu for CpuPort {
    fn nmi_pending(&self) -> bool {
        self.local().nmi_pending()
    }
    fn event_pending(&self) -> bool {
        self.local().event_pending()
    }
    fn take_event(&self) -> Option<CpuEvent> {
        self.local().take_event()
    }
    fn anybody_called(&self) -> bool {
        // Other sources of NMIs are inputs that the guest itself set to deliver them; nobody who halts for good has done
        // that.
        self.interrupts.all().any(|cpu| cpu.event_pending() || cpu.nmi_pending())
    }
}
