//! What a device asks its disk for.
use super::{DiskError, DiskShape};
use crate::Buffers;

/// Something to be done. Offsets and lengths in bytes, multiples of a sector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskOperation {
    /// Fills the buffers with what is at an offset.
    Read {
        /// First byte.
        offset: u64,
    },
    /// Puts what is in the buffers at an offset.
    Write {
        /// First byte.
        offset: u64,
        /// It is answered once it would survive the host.
        durable: bool,
    },
    /// All writes that were answered before survive the host.
    Flush,
    /// A range is not needed any more.
    Discard {
        /// First byte.
        offset: u64,
        /// Bytes.
        length: u64,
    },
    /// A range becomes zeros.
    WriteZeroes {
        /// First byte.
        offset: u64,
        /// Bytes.
        length: u64,
        /// The room that it takes may be freed.
        free: bool,
    },
}

/// Called once with what came of a request.
pub type Answer = Box<dyn FnOnce(Result<(), DiskError>) + Send>;

/// A request on its way.
pub struct DiskRequest {
    /// What to do.
    pub operation: DiskOperation,
    /// What to read into or write from; empty for other operations.
    pub buffers: Buffers,
    /// Whom to tell.
    pub answer: Answer,
}

/// A disk as a device reaches it.
pub trait DiskPort: Send + Sync {
    /// What the disk is like.
    fn shape(&self) -> DiskShape;
    /// Takes a request; it may be done before or after others. The answer comes from another thread. It does not wait for
    /// room: answers call it too, and whoever calls bounds the requests on their way.
    fn submit(&self, request: DiskRequest);
    /// Returns once no request that was submitted before touches its buffers any more. Their answers may come later: some
    /// may be waiting for a lock that the caller has, so neither they nor requests behind them can be waited for.
    fn drain(&self);
}
