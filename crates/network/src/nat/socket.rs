//! A connection of the host's kernel.
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::net::{self, AddressFamily, RecvFlags, SendFlags, Shutdown, SocketFlags, SocketType, sockopt};

use super::tcp::HostStream;

/// The socket.
#[derive(Debug)]
pub struct TcpSocket(OwnedFd);

/// What came of the beginning of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// It is not known yet.
    Pending,
    /// It is there.
    Connected,
}

impl TcpSocket {
    /// Begins to connect.
    pub fn connect(to: SocketAddr) -> io::Result<(Self, Progress)> {
        let family = if to.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let socket = net::socket_with(family, SocketType::STREAM, flags, None)?;
        sockopt::set_tcp_nodelay(&socket, true)?;
        let progress = match net::connect(&socket, &to) {
            Ok(()) => Progress::Connected,
            Err(rustix::io::Errno::INPROGRESS) => Progress::Pending,
            Err(error) => return Err(error.into()),
        };
        Ok((Self(socket), progress))
    }
    /// One that a listening socket has accepted.
    pub fn accepted(socket: OwnedFd) -> io::Result<Self> {
        sockopt::set_tcp_nodelay(&socket, true)?;
        Ok(Self(socket))
    }
    /// What came of connecting.
    pub fn outcome(&self) -> io::Result<Progress> {
        sockopt::socket_error(&self.0)??;
        match net::getpeername(&self.0) {
            Ok(_) => Ok(Progress::Connected),
            Err(rustix::io::Errno::NOTCONN) => Ok(Progress::Pending),
            Err(error) => Err(error.into()),
        }
    }
}

impl AsFd for TcpSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl HostStream for TcpSocket {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        Ok(net::recv(&self.0, into, RecvFlags::empty()).map(|(count, _)| count)?)
    }
    fn write(&mut self, from: &[IoSlice<'_>]) -> io::Result<usize> {
        if let [one] = from {
            return Ok(net::send(&self.0, one, SendFlags::NOSIGNAL)?);
        }
        let mut nothing = net::SendAncillaryBuffer::default();
        Ok(net::sendmsg(&self.0, from, &mut nothing, SendFlags::NOSIGNAL)?)
    }
    fn finish(&mut self) {
        // If that fails, the peer is gone, which reading tells.
        let _ = net::shutdown(&self.0, Shutdown::Write);
    }
    fn reset(&mut self) {
        // Closing it with this sends a reset; without, an end.
        let _ = sockopt::set_socket_linger(&self.0, Some(Duration::ZERO));
    }
}

/// No connection: nothing comes, nothing is taken.
#[derive(Debug)]
pub struct NoSocket;

impl HostStream for NoSocket {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(io::ErrorKind::WouldBlock.into())
    }
    fn write(&mut self, _: &[IoSlice<'_>]) -> io::Result<usize> {
        Err(io::ErrorKind::WouldBlock.into())
    }
    fn finish(&mut self) {}
    fn reset(&mut self) {}
}
