//! Virtio 1.2 devices and their PCI transport (no legacy interface).
//!
//! A device ([`VirtioDevice`]) serves queues and knows no registers; the transport ([`VirtioPci`]) has the registers and
//! knows no device.

mod device;
mod layout;
mod queue;
mod registers;
pub mod rng;
mod saved;
mod spec;
mod transport;

pub use device::{VirtioDevice, VirtioError};
pub use queue::{Chain, QueueView};
pub use transport::VirtioPci;

#[cfg(test)]
mod tests;
