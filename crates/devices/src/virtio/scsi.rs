//! The SCSI host (VirtIO 1.2 §5.6): a bus of up to 256 targets, each with one logical unit ([`crate::scsi::Unit`]), that
//! come and go while the machine runs.
//!
//! Queue 0 is for control, queue 1 for events; the others carry commands.

mod address;
mod command;
mod control;
mod device;
mod events;
mod plug;
mod saved;
mod spec;
mod tasks;

pub use device::{ScsiOptions, VirtioScsi};
pub use plug::TargetError;

#[cfg(test)]
mod tests;
