//! Contracts between the parts of a machine, and guest RAM.
//!
//! Engines, devices and disks are strangers to one another; what they share is named here, and only the `machine`
//! crate brings implementations together.

pub mod cpu;
pub mod ram;

pub use cpu::{Attention, CpuIo, Port, RestoreError, ShutdownCause, Stop, Vcpu};
pub use ram::{CodeWatch, GuestRam, RamError, RamLayout};
