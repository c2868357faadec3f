//! Models of the chips of a Q35-like PC, and virtio.
//!
//! Every chip is a folder: `spec.rs` has the names of its data sheet, the other files what it does. Chips know clocks,
//! wires and back ends, never one another; [`interrupts`] alone ties the interrupt controllers together.

pub mod apic;
pub mod interrupts;
pub mod ioapic;
pub mod pic;
pub mod pit;
pub mod uart;
