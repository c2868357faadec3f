//! What tracking looks at in a packet, of fragments too; and what an ICMP error quotes.
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::wire::{Ip, Protocol, Transport, Tuple};

/// What tracking looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Who speaks to whom.
    pub tuple: Tuple,
    /// Of TCP; else zero.
    pub flags: u8,
}

impl Seen {
    /// Of a packet that is whole.
    pub fn of(ip: &Ip) -> Self {
        let flags = match &ip.transport {
            Some(Transport::Tcp { flags, .. }) => *flags,
            _ => 0,
        };
        Self { tuple: ip.tuple(), flags }
    }
    /// Of the first of several fragments. It must have the whole header of its transport (RFC 1858 §4), else nobody could
    /// say what it is.
    pub fn of_first_fragment(ip: &Ip, frame: &[u8]) -> Option<Self> {
        let mut tuple = ip.tuple();
        let payload = frame.get(ip.payload.clone())?;
        let mut flags = 0;
        match ip.protocol {
            Protocol::TCP => {
                let header = payload.first_chunk::<20>()?;
                flags = header[13];
                (tuple.source_port, tuple.destination_port) = ports(header);
            }
            Protocol::UDP => (tuple.source_port, tuple.destination_port) = ports(payload.first_chunk::<8>()?),
            Protocol::ICMP | Protocol::ICMPV6 => icmp_ports(&mut tuple, payload.first_chunk()?),
            _ => {}
        }
        Some(Self { tuple, flags })
    }
}

/// Bytes of a transport's header that no later fragment may cover.
pub fn header_bytes(protocol: Protocol) -> u16 {
    match protocol {
        Protocol::TCP => 20,
        Protocol::UDP | Protocol::ICMP | Protocol::ICMPV6 => 8,
        _ => 1,
    }
}

fn ports<const N: usize>(header: &[u8; N]) -> (u16, u16) {
    (u16::from_be_bytes([header[0], header[1]]), u16::from_be_bytes([header[2], header[3]]))
}

fn icmp_ports(tuple: &mut Tuple, header: &[u8; 8]) {
    let is_echo = match tuple.protocol {
        Protocol::ICMP => matches!(header[0], 0 | 8),
        _ => matches!(header[0], 128 | 129),
    };
    tuple.source_port = if is_echo { u16::from_be_bytes([header[4], header[5]]) } else { 0 };
    tuple.destination_port = u16::from_be_bytes([header[0], header[1]]);
}

/// Whether an ICMP message reports a fault with another packet (RFC 792; RFC 4443 §2.1).
pub fn is_error(protocol: Protocol, kind: u8) -> bool {
    match protocol {
        Protocol::ICMP => matches!(kind, 3 | 4 | 5 | 11 | 12),
        Protocol::ICMPV6 => kind < 128,
        _ => false,
    }
}

/// The tuple of the packet that an ICMP error quotes; none if it is no error, or quotes too little.
pub fn quoted(ip: &Ip, frame: &[u8]) -> Option<Tuple> {
    let Some(Transport::Icmp { kind, data, .. }) = &ip.transport else { return None };
    if !is_error(ip.protocol, *kind) {
        return None;
    }
    let bytes = frame.get(data.clone())?;
    let (mut tuple, header) = match ip.protocol {
        Protocol::ICMP => quoted_ipv4(bytes)?,
        _ => quoted_ipv6(bytes)?,
    };
    let transport = bytes.get(header..)?.first_chunk::<8>()?;
    match tuple.protocol {
        Protocol::ICMP | Protocol::ICMPV6 => icmp_ports(&mut tuple, transport),
        Protocol::TCP | Protocol::UDP => (tuple.source_port, tuple.destination_port) = ports(transport),
        _ => {}
    }
    Some(tuple)
}

fn quoted_ipv4(bytes: &[u8]) -> Option<(Tuple, usize)> {
    let header = bytes.first_chunk::<20>()?;
    let length = usize::from(header[0] & 0xf) * 4;
    (header[0] >> 4 == 4 && length >= 20).then_some(())?;
    let address =
        |at: usize| IpAddr::V4(Ipv4Addr::new(header[at], header[at + 1], header[at + 2], header[at + 3]));
    Some((without_ports(Protocol(header[9]), address(12), address(16)), length))
}

fn quoted_ipv6(bytes: &[u8]) -> Option<(Tuple, usize)> {
    let header = bytes.first_chunk::<40>()?;
    (header[0] >> 4 == 6).then_some(())?;
    let address = |at: usize| -> Option<IpAddr> {
        Some(IpAddr::V6(Ipv6Addr::from(*header.get(at..)?.first_chunk::<16>()?)))
    };
    Some((without_ports(Protocol(header[6]), address(8)?, address(24)?), 40))
}

fn without_ports(protocol: Protocol, source: IpAddr, destination: IpAddr) -> Tuple {
    Tuple { protocol, source, destination, source_port: 0, destination_port: 0 }
}
