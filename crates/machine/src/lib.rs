//! One virtual machine: board plan, boot loaders, ACPI, wiring, lifecycle.
//!
//! | file | holds |
//! |---|---|
//! | [`acpi`] | the tables that describe the machine to an operating system |
//! | [`board`] | every address, port and interrupt line |
//! | [`memory_map`] | what the guest is told about its address space |
//! | [`boot`] | kernel formats and the states that they start in |
//! | [`tsc`] | the guest's time-stamp counter |

pub mod acpi;
pub mod board;
pub mod boot;
pub mod memory_map;
pub mod tsc;
