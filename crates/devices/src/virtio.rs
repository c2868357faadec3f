//! Virtio 1.2 devices and their PCI transport (no legacy interface).
//!
//! A device ([`VirtioDevice`]) serves queues and knows no registers; the transport ([`VirtioPci`]) has the registers and
//! knows no device. Between them are [`Chain`]s: a device takes them out of its queues and gives them back, at once or
//! later, in any order and from any thread ([`Completions`]).
//!
//! Lock order: the transport, then whatever a device asks for its work, then interrupt sinks. Replies wait behind a lock
//! of their own, a leaf.

pub mod blk;
mod chains;
mod completions;
pub mod console;
mod device;
mod layout;
pub mod net;
mod registers;
mod ring;
pub mod rng;
mod saved;
pub mod scsi;
mod spec;
mod transport;

pub use chains::Chains;
pub use completions::{Completions, Reply};
pub use device::{VirtioDevice, VirtioError};
pub use ring::{Chain, QueueError, Segment, Segments};
pub use transport::VirtioPci;

#[cfg(test)]
mod tests;
