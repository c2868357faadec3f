//! A request of the driver: buffers to read and buffers to write.
use super::flight::Ticket;
use super::segments::Segments;

/// A chain of buffers that a device has taken and owes to the driver. Plain data: it can wait, be cloned and move to
/// other threads; its queue knows it again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain {
    /// Number of its queue.
    pub(super) queue: u16,
    /// How the driver calls it.
    pub(super) id: u16,
    /// Entries of a packed ring that it takes.
    pub(super) slots: u16,
    pub(super) ticket: Ticket,
    pub(super) readable: Segments,
    pub(super) writable: Segments,
}

impl Chain {
    /// Number of its queue.
    pub fn queue(&self) -> usize {
        self.queue.into()
    }
    /// What the driver gives.
    pub fn readable(&self) -> &Segments {
        &self.readable
    }
    /// What the driver wants.
    pub fn writable(&self) -> &Segments {
        &self.writable
    }
}
