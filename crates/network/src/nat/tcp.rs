//! TCP, spliced at layer 4: towards a guest this is the other end of its connection; towards the host it is a socket.
//!
//! A [`Flow`] is the state machine of one connection. It sees segments, a clock and a [`HostStream`]; frames that it sends
//! go to an [`Output`]. It is not a general TCP: both of its neighbours are on this machine, so there is no congestion
//! control and no estimate of the round trip, but whatever a guest's link or queue loses, repeats or reorders is mended
//! (RFC 9293, RFC 2018, RFC 7323 §2).

mod budget;
mod flow;
mod head;
mod inbound;
mod options;
mod outbound;
mod retained;
mod sequence;

pub use budget::Budget;
pub use flow::{Flow, FlowState, Limits};
pub use head::{Fields, Head, Path};
pub use options::Options;
pub use outbound::Paused;
pub use retained::{Chunk, Pool};
pub use sequence::Sequence;

use std::io;
use std::ops::Range;

/// A connection of the host, as a flow sees it. Nothing blocks.
pub trait HostStream {
    /// Fills a part of a chunk; 0 at the end of the stream.
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize>;
    /// Takes bytes, in order, as many as there is room for.
    fn write(&mut self, from: &[io::IoSlice<'_>]) -> io::Result<usize>;
    /// No more bytes will be written.
    fn finish(&mut self);
    /// The connection is broken off: the host's peer gets a reset.
    fn reset(&mut self);
}

/// Where frames for a guest go.
pub trait Output {
    /// Sends a head and the bytes behind it; false if there is no room now.
    fn send(&mut self, head: &Head, data: &[io::IoSlice<'_>]) -> bool;
}

/// A segment from a guest, its checksum checked.
#[derive(Clone, Debug)]
pub struct Segment<'a> {
    /// Of its first byte, or of its SYN.
    pub sequence: Sequence,
    /// What its sender waits for; counts if flags have ACK.
    pub acknowledgment: Sequence,
    /// See [`tcp_flag`](crate::wire::tcp_flag).
    pub flags: u8,
    /// As in the header.
    pub window: u16,
    /// The header's options.
    pub options: &'a [u8],
    /// What it carries.
    pub data: &'a [u8],
}

/// A stretch of sequence numbers.
type Stretch = Range<Sequence>;

#[cfg(test)]
mod tests;
