//! SCSI: the commands of disks and CD-ROM drives (SPC-4, SBC-3, MMC-6), without a bus.
//!
//! A [`Unit`] takes a command block and either has the outcome at once or says what is to be moved between its disk and
//! memory; whoever carries commands, an ATAPI port or a virtio queue, brings the memory.

mod cdb;
mod cdrom;
mod disc;
mod disk;
mod erase;
mod inquiry;
mod mode;
mod sense;
mod spec;
mod toc;
mod transfer;
mod unit;

pub use sense::Sense;
pub use spec::{key, status};
pub use transfer::{Data, Done, Outcome, Step, Transfer};
pub use unit::{Command, Identity, Kind, SavedUnit, Unit};
pub use unit::{no_unit, report_luns};

#[cfg(test)]
mod tests;
