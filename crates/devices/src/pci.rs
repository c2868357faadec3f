//! PCI: configuration mechanisms, functions, and the two bridges of a Q35 (PCI 3.0; Intel ICH9 datasheet).

mod config;
mod ecam;
mod function;
mod host_bridge;
mod lpc;
mod msix;
mod pirq;
mod ports;
mod segment;
mod spec;

pub use config::{BarKind, ConfigSpace, Identity};
pub use ecam::Ecam;
pub use function::{Address, PciFunction};
pub use host_bridge::HostBridge;
pub use lpc::Lpc;
pub use msix::Msix;
pub use pirq::PirqRouter;
pub use ports::ConfigPorts;
pub use segment::{Segment, SegmentError, Window};

#[cfg(test)]
mod tests;
