//! ATA: the commands of disks and of packet devices (ACS-3), without a bus.
//!
//! A [`Drive`] takes the registers of a command and either has its ending at once or says what is to be moved between the
//! disk and memory; whoever carries commands brings the memory.

mod drive;
mod identify;
mod logs;
mod registers;
mod spec;
mod trim;

pub use drive::{Drive, SavedDrive};
pub(crate) use drive::{Move, Step};
pub use identify::Identity;
pub(crate) use identify::identify_packet;
pub(crate) use logs::QueueError;
pub(crate) use registers::{Failure, Registers, Task};
pub(crate) use spec::{error, feature, is_pio, is_queued, op, signature, status};

#[cfg(test)]
mod tests;
