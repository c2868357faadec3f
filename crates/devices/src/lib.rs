//! Models of the chips of a Q35-like PC, and virtio.
//!
//! Every chip is a folder: `spec.rs` has the names of its data sheet, the other files what it does. Chips know clocks,
//! wires and back ends, never one another; [`interrupts`] alone ties the interrupt controllers together.

pub mod ahci;
pub mod apic;
pub mod ata;
mod batch;
pub mod debug_console;
pub mod debug_exit;
pub mod e1000;
pub mod hpet;
pub mod i8042;
pub mod interrupts;
pub mod ioapic;
pub mod pci;
pub mod pic;
pub mod pit;
pub mod pm;
pub mod port92;
pub mod post_port;
pub mod reset_control;
pub mod rtc;
pub mod scsi;
pub mod uart;
pub mod virtio;

#[cfg(test)]
mod manual_port;
#[cfg(test)]
mod memory_disk;
