//! PCI: configuration space, windows on the buses, interrupts, and the bridges of a Q35 board.
//!
//! Lock order: the root, then a function, then the wires ([`PirqRouter`]) or the platform's interrupt sinks. A function
//! never calls the root; the root alone moves windows.

mod assign;
mod config;
mod function;
mod host_bridge;
mod hotplug;
mod lpc;
mod msi;
mod msix;
mod pirq;
mod root;
mod spec;

pub use assign::Apertures;
pub use config::{BarKind, ConfigSpace, Identity, SavedConfig, Space, Window};
pub use function::PciFunction;
pub use host_bridge::HostBridge;
pub use hotplug::{HOTPLUG_BYTES, SLOTS_DOWN, SLOTS_EJECT, SLOTS_UP, SlotControl};
pub use lpc::LpcBridge;
pub use msi::Msi;
pub use msix::{Msix, SavedMsix};
pub use pirq::{Pin, PirqOutputs, PirqRouter};
pub use root::{Address, ECAM_REGION, PCI_PORTS_REGION, PciError, PciRoot};
pub(crate) use spec::CAPABILITY_VENDOR;

#[cfg(test)]
mod tests;
