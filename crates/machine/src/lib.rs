//! One virtual machine: board plan, boot loaders, ACPI, wiring, lifecycle.
//!
//! | file | holds |
//! |---|---|
//! | [`config`] | what the user chose |
//! | [`machine`] | building, running, resetting, ending |
//! | [`lifecycle`] | states, outcomes, events |
//! | [`handle`] | what other threads may do |
//! | [`board`] | every address, port and interrupt line |
//! | [`chipset`] | the chips at those addresses, and the wires between them |
//! | [`cpu_io`] | the machine as one CPU sees it |
//! | [`vcpu`], [`control`], [`parking`] | a CPU's thread, how to reach it, where it sleeps |
//! | [`disks`] | disks, described, and the threads that serve them |
//! | [`nics`] | network cards, described, and the threads at their cables |
//! | [`standstill`] | when CPUs and time stop, and go on |
//! | [`console`] | the way out of the first serial port |
//! | [`engine`] | which engine runs a CPU |
//! | [`tsc`] | the guest's time-stamp counter |
//! | [`boot`] | kernel formats and the states that they start in |
//! | [`memory_map`] | what the guest is told about its address space |
//! | [`acpi`] | the tables that describe the machine to an operating system |

pub mod acpi;
pub mod board;
pub mod boot;
pub mod chipset;
pub mod config;
pub mod console;
pub mod control;
pub mod cpu_io;
pub mod disks;
pub mod engine;
pub mod error;
pub mod handle;
pub mod lifecycle;
pub mod machine;
pub mod memory_map;
pub mod nics;
pub mod parking;
#[cfg(test)]
mod scripted;
pub mod sleepers;
pub mod standstill;
pub mod startup;
pub mod tsc;
pub mod vcpu;

pub use boot::BootFiles;
pub use chipset::channel::GuestChannel;
pub use chipset::disks::DiskPlaceError;
pub use chipset::nics::{NicError, NicState};
pub use config::MachineConfig;
pub use console::ConsoleOutput;
pub use control::Statistics;
pub use disks::{DiskBus, DiskConfig, DiskKind};
pub use error::MachineError;
pub use handle::{MachineHandle, News};
pub use lifecycle::{Outcome, State};
pub use machine::Machine;
pub use nics::{CableEnd, NicConfig, NicModel};
