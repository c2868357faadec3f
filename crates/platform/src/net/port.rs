//! How a device reaches its cable, and what it is told.
use super::{FrameHeader, Offloads};
use crate::Span;

/// What came of sending a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// It is on its way, or lost as frames get lost.
    Done,
    /// The cable is full; [`NetCard::room`] follows.
    Busy,
}

/// What a look at the cable has brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    /// A frame.
    Frame {
        /// In front of it. Nothing in it was checked.
        header: FrameHeader,
        /// Its bytes, at most [`FRAME_BYTES_MAX`](super::FRAME_BYTES_MAX).
        length: usize,
        /// How many of them are in the span; the others are in the spare buffer.
        inside: usize,
    },
    /// Nothing that concerns the card; the span may have been written.
    Other,
    /// None waits; [`NetCard::frames_wait`] follows if the card listens.
    Nothing,
}

/// A cable as a card reaches it. No call waits for anything.
pub trait NetPort: Send + Sync {
    /// Whether anything comes through.
    fn is_up(&self) -> bool;
    /// Sends a frame, whose first bytes may be elsewhere than the others: `head`, then `rest`. Whoever calls has seen to it
    /// that it is no longer than a frame can be.
    fn send(&self, header: &FrameHeader, head: &[u8], rest: Span<'_>) -> Sent;
    /// Takes the next frame: its bytes go into the span, and what has no room there into `spare`. If that has room for
    /// [`MESSAGE_BYTES_MAX`](super::MESSAGE_BYTES_MAX) bytes, no frame is cut off.
    fn receive(&self, into: Span<'_>, spare: &mut [u8]) -> Received;
    /// Whether the card wants to be told that frames wait; at first it does. One that has no room for frames does not, and
    /// leaves them with whoever has sent them.
    fn listen(&self, wanted: bool);
    /// Tells the network what the card takes from now on, and tells each network that is connected later.
    fn tell(&self, offloads: Offloads);
}

/// A card as its cable reaches it. Calls come from one thread.
pub trait NetCard: Send + Sync {
    /// Frames may wait: the card takes them until there are none, or stops listening.
    fn frames_wait(&self);
    /// There is room for a frame again, after there was none.
    fn room(&self);
    /// The link went up or down. `anew`: another network may be at the other end.
    fn link_changed(&self, up: bool, anew: bool);
}
