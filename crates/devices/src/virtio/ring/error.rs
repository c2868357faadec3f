//! What can be wrong with a queue.

/// The driver broke the rules of queues.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QueueError {
    /// The rings are not aligned or not all in RAM, or have a size that cannot be.
    #[error("the rings are not where rings can be")]
    Place,
    /// More chains are available than there are entries.
    #[error("the ring's index jumps by more than the ring has entries")]
    Index,
    /// A chain begins or goes on beyond its table.
    #[error("a chain leads out of its table")]
    Descriptor,
    /// A chain is a loop, or longer than allowed.
    #[error("a chain has more descriptors than a chain can have")]
    Endless,
    /// Readable buffers come first.
    #[error("a readable buffer follows a writable one")]
    Order,
    /// A buffer or table is no RAM.
    #[error("a buffer is not in memory")]
    Memory,
    /// Buffers of one chain have 4 GiB or more.
    #[error("the buffers of a chain are too long")]
    Length,
    /// A table is empty, torn, too long, or inside of another.
    #[error("an indirect table is malformed")]
    Table,
    /// The driver uses descriptors again that it does not have back.
    #[error("more chains are on their way than the ring has entries")]
    Crowd,
}
