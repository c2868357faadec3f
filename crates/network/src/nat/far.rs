//! What a guest's connection leads to.
use super::names::NameStream;
use super::socket::TcpSocket;
use super::tcp::HostStream;

/// What is at a connection's other end.
pub enum Far {
    /// A socket of the host.
    Socket(TcpSocket),
    /// The network's own names.
    Names(Box<NameStream>),
}

impl Far {
    /// Where bytes go and come from.
    pub fn stream(&mut self) -> &mut dyn HostStream {
        match self {
            Self::Socket(socket) => socket,
            Self::Names(names) => names.as_mut(),
        }
    }
    /// What is to be waited for.
    pub fn socket(&self) -> Option<&TcpSocket> {
        match self {
            Self::Socket(socket) => Some(socket),
            Self::Names(names) => names.socket(),
        }
    }
}
