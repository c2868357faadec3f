//! All interrupt controllers of a machine and the wires between them.
//!
//! Lock order: 8259A pair, then I/O APIC, then one local APIC at a time; each may be held while a CPU is woken. Devices
//! are outer to all of them. Nothing in here calls back into a device.

mod cpu;
mod inputs;
mod ports;
mod saved;

pub use cpu::{CpuEvent, CpuInterrupts};
pub use inputs::Interrupts;
pub use ports::{
    IOAPIC_REGION, IoApicWindow, PIC_ELCR_REGION, PIC_MASTER_REGION, PIC_SLAVE_REGION, PicPorts,
};
pub use saved::InterruptsState;

#[cfg(test)]
mod tests;
