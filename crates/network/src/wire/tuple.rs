//! Who speaks to whom.
use std::fmt;
use std::net::{IpAddr, SocketAddr};

use super::Protocol;

/// What filters and tables of connections look at. For ICMP, the port of the source is the echo's identifier (zero for other
/// messages), and that of the destination is the type and the code, 8 bits each; for protocols without ports both are
/// zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Tuple {
    /// What is carried.
    pub protocol: Protocol,
    /// Who speaks.
    pub source: IpAddr,
    /// Who is spoken to.
    pub destination: IpAddr,
    /// The speaker's port.
    pub source_port: u16,
    /// The other's port.
    pub destination_port: u16,
}

impl Tuple {
    /// Who speaks, with its port.
    pub fn from(&self) -> SocketAddr {
        SocketAddr::new(self.source, self.source_port)
    }
    /// Who is spoken to, with its port.
    pub fn to(&self) -> SocketAddr {
        SocketAddr::new(self.destination, self.destination_port)
    }
    /// That of the answers. Of ICMP messages, only echoes have answers.
    pub fn reversed(&self) -> Self {
        let Self { protocol, source, destination, source_port, destination_port } = *self;
        let (source_port, destination_port) = match (protocol, destination_port >> 8) {
            // An echo request's answer is an echo reply with the same identifier, and the other way round.
            (Protocol::ICMP, 8) => (source_port, 0),
            (Protocol::ICMP, 0) => (source_port, 8 << 8),
            (Protocol::ICMPV6, 128) => (source_port, 129 << 8),
            (Protocol::ICMPV6, 129) => (source_port, 128 << 8),
            (Protocol::ICMP | Protocol::ICMPV6, _) => (source_port, destination_port),
            _ => (destination_port, source_port),
        };
        Self { protocol, source: destination, destination: source, source_port, destination_port }
    }
}

impl fmt::Display for Tuple {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.protocol {
            Protocol::ICMP | Protocol::ICMPV6 => {
                let [kind, code] = self.destination_port.to_be_bytes();
                let Self { protocol, source, destination, .. } = self;
                write!(formatter, "{protocol} type {kind} code {code} {source} -> {destination}")
            }
            protocol => write!(formatter, "{protocol} {} -> {}", self.from(), self.to()),
        }
    }
}
