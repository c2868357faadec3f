//! The SATA controller of the ICH9 in AHCI mode (AHCI 1.3.1), with disks and CD-ROM drives that come and go.
//!
//! A port takes commands out of guest RAM, hands them to its device ([`crate::ata`], [`crate::scsi`]) and puts frames
//! with their endings into guest RAM. Disks answer from other threads; an answer that comes after its command was given
//! up is told by the port's generation.
//!
//! Lock order: the controller, then its disks' ports and the interrupt sinks. Disks are drained with the controller's
//! lock held, so draining must not wait until answers were taken.

mod device;
mod frames;
mod memory;
mod packet;
mod port;
mod registers;
mod run;
mod saved;
mod spec;

pub use device::{Ahci, AhciError};
pub use spec::PORTS;

#[cfg(test)]
mod tests;
