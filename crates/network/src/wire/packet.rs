//! A frame taken apart. Whatever is said of lengths was checked against the frame's own.
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::Range;

use platform::net::Mac;

use super::{EtherType, Protocol, Tuple};

/// A frame that contradicts itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// No Ethernet header.
    #[error("a frame that is too short")]
    Frame,
    /// The IP header, or a length in it.
    #[error("a malformed IP header")]
    Ip,
    /// A header behind the IP header.
    #[error("a malformed header behind the IP header")]
    Transport,
}

/// A frame's headers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// Who gets it.
    pub destination: Mac,
    /// Who sent it.
    pub source: Mac,
    /// What it carries. VLAN tags are not looked behind.
    pub ethertype: EtherType,
    /// What the IP header says, if there is one.
    pub ip: Option<Ip>,
}

/// An IP packet's headers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ip {
    /// Who sent it.
    pub source: IpAddr,
    /// Who gets it.
    pub destination: IpAddr,
    /// What it carries; of IPv6, behind all extension headers.
    pub protocol: Protocol,
    /// Time to live, or hop limit.
    pub hop_limit: u8,
    /// Traffic class, or type of service.
    pub traffic_class: u8,
    /// It may not be fragmented; always so with IPv6.
    pub dont_fragment: bool,
    /// Set if this is one of several fragments.
    pub fragment: Option<Fragment>,
    /// Where in the frame the packet is, from its header to its last byte; padding may follow.
    pub range: Range<usize>,
    /// Where in the frame that is what `protocol` names; of fragments, the part that is here.
    pub payload: Range<usize>,
    /// The transport's header; none in fragments and of protocols that are not known here.
    pub transport: Option<Transport>,
}

/// A place among fragments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fragment {
    /// Which packet it is of.
    pub identification: u32,
    /// First byte.
    pub offset: u16,
    /// More follow.
    pub more: bool,
}

/// A transport's header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Transport {
    /// TCP.
    Tcp {
        /// The sender's port.
        source: u16,
        /// The receiver's port.
        destination: u16,
        /// Sequence number.
        sequence: u32,
        /// Acknowledgment number.
        acknowledgment: u32,
        /// FIN and so on, from bit 0 up.
        flags: u8,
        /// As in the header, not scaled.
        window: u16,
        /// Where in the frame the options are.
        options: Range<usize>,
        /// Where in the frame the data is.
        data: Range<usize>,
    },
    /// UDP.
    Udp {
        /// The sender's port.
        source: u16,
        /// The receiver's port.
        destination: u16,
        /// Where in the frame the data is.
        data: Range<usize>,
    },
    /// ICMP or ICMPv6.
    Icmp {
        /// Type.
        kind: u8,
        /// Code.
        code: u8,
        /// Of an echo or its answer; else zero.
        identifier: u16,
        /// Of an echo or its answer; else zero.
        sequence: u16,
        /// Where in the frame that is what follows the first eight bytes.
        data: Range<usize>,
    },
}

/// Bytes of an Ethernet header.
pub const ETHERNET_BYTES: usize = 14;

/// Flags of a TCP header.
pub mod tcp_flag {
    /// No more data.
    pub const FIN: u8 = 1;
    /// A connection begins.
    pub const SYN: u8 = 2;
    /// There is no such connection.
    pub const RST: u8 = 4;
    /// Data to be handed on at once.
    pub const PSH: u8 = 8;
    /// The acknowledgment number counts.
    pub const ACK: u8 = 16;
    /// Urgent data.
    pub const URG: u8 = 32;
    /// Congestion was seen.
    pub const ECE: u8 = 64;
    /// The window was reduced.
    pub const CWR: u8 = 128;
}

impl Packet {
    /// Takes a frame apart.
    pub fn parse(frame: &[u8]) -> Result<Self, Malformed> {
        let (header, _) = frame.split_first_chunk::<ETHERNET_BYTES>().ok_or(Malformed::Frame)?;
        let mac = |at: usize| Mac([at, at + 1, at + 2, at + 3, at + 4, at + 5].map(|at| header[at]));
        let ethertype = EtherType(u16::from_be_bytes([header[12], header[13]]));
        let ip = match ethertype {
            EtherType::IPV4 => Some(ipv4(frame)?),
            EtherType::IPV6 => Some(ipv6(frame)?),
            _ => None,
        };
        Ok(Self { destination: mac(0), source: mac(6), ethertype, ip })
    }
    /// Who speaks to whom, of a packet whose transport is known.
    pub fn tuple(&self) -> Option<Tuple> {
        self.ip.as_ref().map(Ip::tuple)
    }
}

impl Ip {
    /// Who speaks to whom; without ports where there are none.
    pub fn tuple(&self) -> Tuple {
        let (source_port, destination_port) = match &self.transport {
            Some(Transport::Tcp { source, destination, .. } | Transport::Udp { source, destination, .. }) => {
                (*source, *destination)
            }
            Some(Transport::Icmp { kind, code, identifier, .. }) => {
                (*identifier, u16::from_be_bytes([*kind, *code]))
            }
            None => (0, 0),
        };
        let Self { protocol, source, destination, .. } = *self;
        Tuple { protocol, source, destination, source_port, destination_port }
    }
}

/// Fields in network order, each checked.
fn word(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn long(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// RFC 791 §3.1.
fn ipv4(frame: &[u8]) -> Result<Ip, Malformed> {
    let start = ETHERNET_BYTES;
    let packet = &frame[start..];
    let header = packet.first_chunk::<20>().ok_or(Malformed::Ip)?;
    let header_length = usize::from(header[0] & 0xf) * 4;
    let total = usize::from(u16::from_be_bytes([header[2], header[3]]));
    if header[0] >> 4 != 4 || header_length < 20 || total < header_length || total > packet.len() {
        return Err(Malformed::Ip);
    }
    let place = u16::from_be_bytes([header[6], header[7]]);
    let (offset, more) = ((place & 0x1fff) * 8, place & 0x2000 != 0);
    let address =
        |at: usize| IpAddr::V4(Ipv4Addr::from([header[at], header[at + 1], header[at + 2], header[at + 3]]));
    let mut ip = Ip {
        source: address(12),
        destination: address(16),
        protocol: Protocol(header[9]),
        hop_limit: header[8],
        traffic_class: header[1],
        dont_fragment: place & 0x4000 != 0,
        fragment: (offset != 0 || more).then(|| Fragment {
            identification: u16::from_be_bytes([header[4], header[5]]).into(),
            offset,
            more,
        }),
        range: start..start + total,
        payload: start + header_length..start + total,
        transport: None,
    };
    ip.transport = transport(frame, &ip)?;
    Ok(ip)
}

/// Extension headers that have a length in their second byte (RFC 8200 §4).
const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const DESTINATION_OPTIONS: u8 = 60;
/// More of them than anybody sends.
const EXTENSIONS_MAX: usize = 8;

fn ipv6(frame: &[u8]) -> Result<Ip, Malformed> {
    let start = ETHERNET_BYTES;
    let packet = &frame[start..];
    let header = packet.first_chunk::<40>().ok_or(Malformed::Ip)?;
    let total = 40 + usize::from(u16::from_be_bytes([header[4], header[5]]));
    if header[0] >> 4 != 6 || total > packet.len() {
        return Err(Malformed::Ip);
    }
    let address = |at: usize| {
        let mut octets = [0; 16];
        octets.copy_from_slice(&header[at..at + 16]);
        IpAddr::V6(Ipv6Addr::from(octets))
    };
    let packet = &packet[..total];
    let (mut next, mut at, mut fragment) = (header[6], 40, None);
    for _ in 0..EXTENSIONS_MAX {
        let fields = || packet.get(at..)?.first_chunk::<8>().copied();
        match next {
            HOP_BY_HOP | ROUTING | DESTINATION_OPTIONS => {
                let fields = fields().ok_or(Malformed::Ip)?;
                (next, at) = (fields[0], at + 8 + usize::from(fields[1]) * 8);
            }
            FRAGMENT => {
                let fields = fields().ok_or(Malformed::Ip)?;
                let place = u16::from_be_bytes([fields[2], fields[3]]);
                let identification = u32::from_be_bytes([fields[4], fields[5], fields[6], fields[7]]);
                let (offset, more) = (place & !7, place & 1 != 0);
                // A fragment that is all of its packet is a packet (RFC 6946).
                fragment = (offset != 0 || more).then_some(Fragment { identification, offset, more });
                (next, at) = (fields[0], at + 8);
                if fragment.is_some() {
                    break;
                }
            }
            _ => break,
        }
    }
    if at > total {
        return Err(Malformed::Ip);
    }
    let mut ip = Ip {
        source: address(8),
        destination: address(24),
        protocol: Protocol(next),
        hop_limit: header[7],
        traffic_class: (header[0] << 4) | (header[1] >> 4),
        dont_fragment: true,
        fragment,
        range: start..start + total,
        payload: start + at..start + total,
        transport: None,
    };
    ip.transport = transport(frame, &ip)?;
    Ok(ip)
}

fn transport(frame: &[u8], ip: &Ip) -> Result<Option<Transport>, Malformed> {
    if ip.fragment.is_some() {
        return Ok(None);
    }
    let bytes = &frame[ip.payload.clone()];
    let parsed = match ip.protocol {
        Protocol::TCP => tcp(bytes, &ip.payload),
        Protocol::UDP => udp(bytes, &ip.payload),
        Protocol::ICMP | Protocol::ICMPV6 => icmp(bytes, ip),
        _ => return Ok(None),
    };
    parsed.map(Some).ok_or(Malformed::Transport)
}

/// RFC 9293 §3.1.
fn tcp(bytes: &[u8], place: &Range<usize>) -> Option<Transport> {
    let header = bytes.first_chunk::<20>()?;
    let length = usize::from(header[12] >> 4) * 4;
    (length >= 20 && length <= bytes.len()).then_some(())?;
    Some(Transport::Tcp {
        source: word(bytes, 0)?,
        destination: word(bytes, 2)?,
        sequence: long(bytes, 4)?,
        acknowledgment: long(bytes, 8)?,
        flags: header[13],
        window: word(bytes, 14)?,
        options: place.start + 20..place.start + length,
        data: place.start + length..place.end,
    })
}

/// RFC 768. A length of less than the packet's leaves bytes that nobody reads.
fn udp(bytes: &[u8], place: &Range<usize>) -> Option<Transport> {
    let length = usize::from(word(bytes, 4)?);
    (length >= 8 && length <= bytes.len()).then_some(())?;
    let data = place.start + 8..place.start + length;
    Some(Transport::Udp { source: word(bytes, 0)?, destination: word(bytes, 2)?, data })
}

/// RFC 792, RFC 4443.
fn icmp(bytes: &[u8], ip: &Ip) -> Option<Transport> {
    let header = bytes.first_chunk::<8>()?;
    let (kind, code) = (header[0], header[1]);
    let is_echo = match ip.protocol {
        Protocol::ICMP => matches!(kind, 0 | 8),
        _ => matches!(kind, 128 | 129),
    };
    let field = |at: usize| if is_echo { word(bytes, at) } else { Some(0) };
    let data = ip.payload.start + 8..ip.payload.end;
    Some(Transport::Icmp { kind, code, identifier: field(4)?, sequence: field(6)?, data })
}

#[cfg(test)]
mod tests;
