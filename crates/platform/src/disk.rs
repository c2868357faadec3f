//! Disks: where their bytes are kept ([`DiskBackend`]), and how a device asks for them ([`DiskPort`]).
//!
//! A backend is an image: it blocks, and any number of threads may use it at once. A port is what a device model gets: it
//! takes requests and answers later, from a thread of its own. The `machine` crate puts the one behind the other.
//!
//! Lock order: devices may call a port with their own lock held. A port answers with no lock held, and never from inside
//! a call, so an answer may take its device's lock.

mod request;

use crate::Span;
pub use request::{Answer, DiskOperation, DiskPort, DiskRequest};

/// Bytes of a sector, the unit of all lengths and offsets here.
pub const SECTOR_BYTES: u64 = 512;

/// What a device tells its guest about a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiskShape {
    /// Bytes, a multiple of [`SECTOR_BYTES`].
    pub length: u64,
    /// Writes are refused.
    pub read_only: bool,
    /// Bytes that are written best together: a power of two, at least [`SECTOR_BYTES`].
    pub physical_block: u32,
    /// The unit in which discarded bytes become free, if discarding frees any: a power of two.
    pub discard_unit: Option<u32>,
}

/// What is kept of a disk: an image in some format. All calls block until they are done.
///
/// Offsets and lengths are multiples of [`SECTOR_BYTES`]; whoever calls has not checked them against the disk's length.
/// A range that was never written reads as zeros.
pub trait DiskBackend: Send + Sync {
    /// What it is like.
    fn shape(&self) -> DiskShape;
    /// Fills `into` with what is at `offset`.
    fn read(&self, offset: u64, into: Span<'_>) -> Result<(), DiskError>;
    /// Puts `from` at `offset`. It may be lost until the next [`DiskBackend::flush`]; after an error, any part of it may
    /// have been written.
    fn write(&self, offset: u64, from: Span<'_>) -> Result<(), DiskError>;
    /// Makes a range zeros; `free` lets go of the room that it takes.
    fn write_zeroes(&self, offset: u64, length: u64, free: bool) -> Result<(), DiskError>;
    /// The guest does not need a range any more: its bytes become zeros or stay, and room may be freed.
    fn discard(&self, offset: u64, length: u64) -> Result<(), DiskError>;
    /// Everything that was written before this call survives the host.
    fn flush(&self) -> Result<(), DiskError>;
}

/// Why a disk did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    /// The image cannot grow.
    #[error("no room is left on the host's file system")]
    NoSpace(#[source] std::io::Error),
    /// Writing is not allowed.
    #[error("the disk is read-only")]
    ReadOnly,
    /// Beyond the last sector.
    #[error("{length} bytes at {offset} are not all on the disk")]
    OutOfRange {
        /// First byte.
        offset: u64,
        /// Bytes.
        length: u64,
    },
    /// The image contradicts itself.
    #[error("the image is damaged: {0}")]
    Damaged(String),
    /// The host's file failed.
    #[error("the host cannot reach the image")]
    Host(#[source] std::io::Error),
}

impl From<std::io::Error> for DiskError {
    fn from(error: std::io::Error) -> Self {
        match error.raw_os_error() {
            Some(libc::ENOSPC | libc::EDQUOT) => Self::NoSpace(error),
            _ => Self::Host(error),
        }
    }
}

impl DiskShape {
    /// Checks a range against the disk's end.
    pub fn check(&self, offset: u64, length: u64) -> Result<(), DiskError> {
        match offset.checked_add(length) {
            Some(end) if end <= self.length => Ok(()),
            _ => Err(DiskError::OutOfRange { offset, length }),
        }
    }
}
