//! Echo requests to other hosts: by a ping socket, which Linux has for programs without privileges where
//! `net.ipv4.ping_group_range` lets them, or else by a raw socket, which needs `CAP_NET_RAW`.
//!
//! A socket is for one other host and one series of sequence numbers. Its identifier is the kernel's choice; whoever
//! translates a guest's requests has a socket for each of the guest's identifiers, and puts that back into the answers.
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::{Errno, retry_on_intr};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, connect, ipproto, recv, send, socket_with,
    sockopt,
};

use super::error_queue::{self, Report};
use crate::wire::Checksum;

/// Who may have ping sockets: the first and the last group.
pub const GROUP_RANGE: &str = "/proc/sys/net/ipv4/ping_group_range";

/// Type, code, checksum, identifier, sequence number (RFC 792; RFC 4443, 4.1).
const HEADER_BYTES: usize = 8;
/// Answers to others' raw sockets that are passed over in a row.
const OTHERS_MAX: usize = 64;

/// Why there is no socket for echo requests.
#[derive(Debug, thiserror::Error)]
pub enum PingError {
    /// The host keeps both kinds from this process.
    #[error("echo requests are closed to this process by net.ipv4.ping_group_range")]
    Closed,
    /// The host knows no way to the other host.
    #[error("no echo requests to {0}")]
    Unreachable(IpAddr, #[source] Errno),
    /// The kernel refuses.
    #[error("no socket for echo requests")]
    System(#[source] Errno),
}

/// How echo requests are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PingKind {
    /// By a ping socket.
    Datagram,
    /// By a raw socket.
    Raw,
}

/// A socket for echo requests to one other host. Never blocks.
#[derive(Debug)]
pub struct PingSocket {
    socket: OwnedFd,
    is_ipv6: bool,
    /// Of a raw socket. A ping socket's is put in by the kernel.
    identifier: Option<u16>,
}

/// An answer to an echo request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The request's.
    pub sequence: u16,
    /// Where in the buffer the request's payload is.
    pub payload: Range<usize>,
}

/// Which kind of socket this process may have, for IPv4.
pub fn available() -> Result<PingKind, PingError> {
    socket(false).map(|(_, kind)| kind)
}

impl PingSocket {
    /// Opens a socket for echo requests to `to`.
    pub fn open(to: IpAddr) -> Result<Self, PingError> {
        let (socket, kind) = socket(to.is_ipv6())?;
        connect(&socket, &SocketAddr::new(to, 0)).map_err(|error| PingError::Unreachable(to, error))?;
        // Without it, only the error's number is heard of.
        error_queue::enable(&socket, to.is_ipv6()).map_err(PingError::System)?;
        let identifier = (kind == PingKind::Raw).then(rand::random);
        Ok(Self { socket, is_ipv6: to.is_ipv6(), identifier })
    }
    /// How many routers a request passes at most.
    pub fn set_hops(&self, hops: u8) -> Result<(), Errno> {
        if self.is_ipv6 {
            sockopt::set_ipv6_unicast_hops(&self.socket, Some(hops))
        } else {
            sockopt::set_ip_ttl(&self.socket, hops.into())
        }
    }
    /// Sends an echo request.
    pub fn send(&self, sequence: u16, payload: &[u8]) -> Result<(), Errno> {
        let mut message = Vec::with_capacity(HEADER_BYTES + payload.len());
        message.extend([if self.is_ipv6 { 128 } else { 8 }, 0, 0, 0]);
        message.extend(self.identifier.unwrap_or(0).to_be_bytes());
        message.extend(sequence.to_be_bytes());
        message.extend_from_slice(payload);
        // For IPv6 the kernel fills it in.
        if !self.is_ipv6 {
            let checksum = checksum(&message);
            message[2..4].copy_from_slice(&checksum);
        }
        retry_on_intr(|| send(&self.socket, &message, SendFlags::NOSIGNAL)).map(drop)
    }
    /// The next answer. [`Errno::AGAIN`] if there is none; other errors are what routers on the way have reported.
    pub fn receive(&self, buffer: &mut [u8]) -> Result<Reply, Errno> {
        for _ in 0..OTHERS_MAX {
            let (count, _) = retry_on_intr(|| recv(&self.socket, &mut *buffer, RecvFlags::empty()))?;
            if let Some(reply) = self.reply_of(&buffer[..count.min(buffer.len())]) {
                return Ok(reply);
            }
        }
        Err(Errno::AGAIN)
    }

    /// The next request that went nowhere, as far as it is known, and what the host was told.
    pub fn failure(&self, buffer: &mut [u8]) -> Option<(Reply, Report)> {
        for _ in 0..OTHERS_MAX {
            let report = error_queue::next(&self.socket, buffer)?;
            let message = buffer.get(..report.length)?;
            let Some(&[kind, _, _, _, high, low, first, second]) = message.first_chunk::<HEADER_BYTES>()
            else {
                continue;
            };
            let is_request = kind == if self.is_ipv6 { 128 } else { 8 };
            if is_request && self.identifier.is_none_or(|own| own == u16::from_be_bytes([high, low])) {
                let sequence = u16::from_be_bytes([first, second]);
                return Some((Reply { sequence, payload: HEADER_BYTES..message.len() }, report));
            }
        }
        None
    }

    fn reply_of(&self, packet: &[u8]) -> Option<Reply> {
        // A raw socket of IPv4 shows the IP header, raw(7).
        let begin = match self.identifier {
            Some(_) if !self.is_ipv6 => usize::from(packet.first()? & 0xf) * 4,
            _ => 0,
        };
        let &[kind, _, _, _, high, low, first, second] =
            packet.get(begin..)?.first_chunk::<HEADER_BYTES>()?;
        let is_answer = kind == if self.is_ipv6 { 129 } else { 0 };
        let is_ours = self.identifier.is_none_or(|own| own == u16::from_be_bytes([high, low]));
        (is_answer && is_ours).then(|| Reply {
            sequence: u16::from_be_bytes([first, second]),
            payload: begin + HEADER_BYTES..packet.len(),
        })
    }
}

impl AsFd for PingSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn socket(is_ipv6: bool) -> Result<(OwnedFd, PingKind), PingError> {
    let (family, protocol) = match is_ipv6 {
        true => (AddressFamily::INET6, ipproto::ICMPV6),
        false => (AddressFamily::INET, ipproto::ICMP),
    };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let of = |kind| socket_with(family, kind, flags, Some(protocol));
    match of(SocketType::DGRAM) {
        Ok(socket) => Ok((socket, PingKind::Datagram)),
        Err(Errno::ACCESS | Errno::PERM) => match of(SocketType::RAW) {
            Ok(socket) => Ok((socket, PingKind::Raw)),
            Err(Errno::ACCESS | Errno::PERM) => Err(PingError::Closed),
            Err(error) => Err(PingError::System(error)),
        },
        Err(error) => Err(PingError::System(error)),
    }
}

fn checksum(message: &[u8]) -> [u8; 2] {
    Checksum::default().add(message).finish().to_be_bytes()
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    fn echo(to: IpAddr) {
        let socket = match PingSocket::open(to) {
            Ok(socket) => socket,
            Err(error) => return eprintln!("skipped: {error}"),
        };
        socket.send(7, b"payload").unwrap();
        let mut buffer = [0; 128];
        let begin = Instant::now();
        let reply = loop {
            match socket.receive(&mut buffer) {
                Err(Errno::AGAIN) if begin.elapsed() < Duration::from_secs(5) => {
                    std::thread::sleep(Duration::from_millis(1));
                }
                result => break result.unwrap(),
            }
        };
        assert_eq!((reply.sequence, &buffer[reply.payload]), (7, &b"payload"[..]));
    }

    #[test]
    fn the_loopback_answers() {
        echo("127.0.0.1".parse().unwrap());
    }

    #[test]
    fn the_loopback_answers_by_ipv6() {
        echo("::1".parse().unwrap());
    }

    #[test]
    fn short_packets_are_no_replies() {
        let (socket, _) = std::os::unix::net::UnixStream::pair().unwrap();
        let mut ping = PingSocket { socket: socket.into(), is_ipv6: false, identifier: Some(1) };
        for length in 0..28 {
            assert_eq!(ping.reply_of(&[0x45; 28][..length]), None);
        }
        ping.identifier = None;
        assert_eq!(ping.reply_of(&[0, 0, 0, 0, 0, 0, 0, 9]), Some(Reply { sequence: 9, payload: 8..8 }));
    }
}
