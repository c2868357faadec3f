//! Bridged mode: guests as stations of a network that an interface of the host is on.
//!
//! A packet socket sends as if the frames were the interface's own, and gets what arrives there. What the host itself
//! sends does not arrive, so guests and this host do not hear one another by this way.

mod filter;

use std::io::{IoSlice, IoSliceMut};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use platform::net::{FrameHeader, Mac};
use rustix::io::{Errno, readv, retry_on_intr, writev};

use super::netlink::Netlink;
use super::packet_socket;

/// Of the header in front of a frame on a packet socket: ours without `buffers`.
const HEADER_BYTES: usize = 10;
/// Frames that the kernel cannot describe, in a row, until the caller is asked to come again.
const ODD_FRAMES_MAX: usize = 16;

/// Why an interface cannot be bridged.
#[derive(Debug, thiserror::Error)]
pub enum BridgedError {
    /// There is no such interface.
    #[error("there is no interface {0:?} on this host")]
    NoInterface(String),
    /// This process may not have packet sockets.
    #[error("packet sockets are closed to this process")]
    Socket(#[source] Errno),
    /// The kernel refuses something.
    #[error("interface {interface:?} cannot be bridged: {what}")]
    SetUp {
        /// The interface.
        interface: String,
        /// What could not be done.
        what: &'static str,
        /// Why.
        source: Errno,
    },
}

/// A packet socket on an interface, whose user sees messages as on any cable.
#[derive(Debug)]
pub struct Bridged {
    socket: OwnedFd,
}

/// Opens a packet socket on an interface; it passes frames to groups only, until [`Bridged::set_stations`].
///
/// Needs `CAP_NET_RAW`.
pub fn open(interface: &str) -> Result<OwnedFd, BridgedError> {
    let netlink = Netlink::open().map_err(BridgedError::Socket)?;
    let index = netlink.index_of(interface).map_err(|_| BridgedError::NoInterface(interface.to_owned()))?;
    let socket = packet_socket::open().map_err(BridgedError::Socket)?;
    attach(&socket, index).map_err(|(what, source)| BridgedError::SetUp {
        interface: interface.to_owned(),
        what,
        source,
    })?;
    Ok(socket)
}

/// Readies a packet socket and binds it to an interface. On failure, says what could not be done.
pub fn attach(socket: impl AsFd, index: u32) -> Result<(), (&'static str, Errno)> {
    let socket = socket.as_fd();
    packet_socket::with_headers(socket).map_err(|error| ("no headers in front of frames", error))?;
    packet_socket::ignore_outgoing(socket).map_err(|error| ("the kernel is older than 4.20", error))?;
    packet_socket::attach_filter(socket, &filter::program(&[])).map_err(|error| ("no filter", error))?;
    packet_socket::bind(socket, index).map_err(|error| ("no binding", error))?;
    packet_socket::be_promiscuous(socket, index).map_err(|error| ("not promiscuous", error))
}

impl Bridged {
    /// Of a socket from [`open`].
    pub fn of_socket(socket: OwnedFd) -> Self {
        Self { socket }
    }
    /// The Ethernet address of the host's interface.
    pub fn host_address(&self) -> Result<Mac, Errno> {
        packet_socket::own_address(&self.socket)
    }
    /// From now on, passes frames to these stations, and to groups.
    pub fn set_stations(&self, stations: &[Mac]) -> Result<(), Errno> {
        packet_socket::attach_filter(&self.socket, &filter::program(stations))
    }
    /// From now on, passes every frame.
    pub fn pass_everything(&self) -> Result<(), Errno> {
        packet_socket::attach_filter(&self.socket, &filter::EVERYTHING)
    }
    /// The next message, and its length; [`Errno::AGAIN`] if there is none.
    pub fn receive(&self, message: &mut [u8]) -> Result<usize, Errno> {
        let Some((header, frame)) = message.split_at_mut_checked(FrameHeader::BYTES) else {
            return Err(Errno::INVAL);
        };
        for _ in 0..ODD_FRAMES_MAX {
            let received = retry_on_intr(|| {
                let mut slices = [IoSliceMut::new(&mut header[..HEADER_BYTES]), IoSliceMut::new(&mut *frame)];
                readv(&self.socket, &mut slices)
            });
            match received {
                // Unsegmented in a way that the header has no word for, such as UDP; it is lost.
                Err(Errno::INVAL) => {}
                received => {
                    header[HEADER_BYTES..].fill(0);
                    return received.map(|count| count + FrameHeader::BYTES - HEADER_BYTES);
                }
            }
        }
        Err(Errno::AGAIN)
    }
    /// Sends a message; [`Errno::AGAIN`] if the interface's queue is full.
    pub fn send(&self, message: &[u8]) -> Result<(), Errno> {
        let Some((header, frame)) = message.split_at_checked(FrameHeader::BYTES) else {
            return Err(Errno::INVAL);
        };
        let slices = [IoSlice::new(&header[..HEADER_BYTES]), IoSlice::new(frame)];
        match retry_on_intr(|| writev(&self.socket, &slices)) {
            Err(Errno::NOBUFS) => Err(Errno::AGAIN),
            result => result.map(drop),
        }
    }
}

impl AsFd for Bridged {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
