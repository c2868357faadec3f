//! What a packet's sender is told if the packet goes nowhere.
use std::net::IpAddr;

use platform::net::Mac;

use crate::wire::{
    Checksum, ETHERNET_BYTES, IcmpHeader, Ip, IpHeader, Packet, Protocol, Transport, ethernet_header,
    icmp_frame, tcp_flag,
};

/// Why a packet goes nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Nobody listens at the port.
    Port,
    /// The destination does not answer.
    Host,
    /// There is no way to the destination.
    Network,
    /// Nobody there knows the protocol.
    Protocol,
    /// A filter forbids it.
    Prohibited,
    /// It was on its way for too long.
    Expired,
    /// It is larger than the way's MTU, in bytes.
    TooBig {
        /// Bytes that a packet may have.
        mtu: u16,
    },
}

impl Refusal {
    /// What an ICMP error says; `info` is the MTU that it names. None of what is no refusal.
    pub fn of_icmp(is_ipv6: bool, kind: u8, code: u8, info: u32) -> Option<Self> {
        let mtu = u16::try_from(info).unwrap_or(u16::MAX);
        match (is_ipv6, kind, code) {
            (false, 3, 0 | 6 | 11) | (true, 1, 0) => Some(Self::Network),
            (false, 3, 2) => Some(Self::Protocol),
            (false, 3, 3) | (true, 1, 4) => Some(Self::Port),
            (false, 3, 4) | (true, 2, _) => (mtu >= MTU_MIN).then_some(Self::TooBig { mtu }),
            (false, 3, 9 | 10 | 13) | (true, 1, 1 | 5 | 6) => Some(Self::Prohibited),
            (false, 3, _) | (true, 1, _) => Some(Self::Host),
            (false, 11, 0) | (true, 3, 0) => Some(Self::Expired),
            _ => None,
        }
    }
}

/// Smaller MTUs than any way has are not believed (RFC 791 §3.2).
const MTU_MIN: u16 = 68;
/// Bytes of an error's packet at most (RFC 1812 §4.3.2.3, RFC 4443 §2.4 c).
const BYTES_MAX_4: usize = 576;
const BYTES_MAX_6: usize = 1280;

/// An ICMP error to the sender of `packet`, which is in `frame`. It comes from `own`: the card and the address of whoever
/// refuses; the packet's destination may be one of his own addresses. `None` where an error must not be sent: about another
/// error, about what was sent to many, about a fragment that is not the first one (RFC 1122 §3.2.2, RFC 4443 §2.4 e),
/// or if the addresses are of another family.
pub fn refuse(refusal: Refusal, packet: &Packet, frame: &[u8], own: (Mac, IpAddr)) -> Option<Vec<u8>> {
    let ip = packet.ip.as_ref().filter(|ip| may_be_refused(packet, ip))?;
    let (header, bytes_max) = match (ip.source, own.1) {
        (IpAddr::V4(_), IpAddr::V4(_)) => (header4(refusal), BYTES_MAX_4 - IpHeader::V4_BYTES),
        (IpAddr::V6(_), IpAddr::V6(_)) => (header6(refusal, ip), BYTES_MAX_6 - IpHeader::V6_BYTES),
        _ => return None,
    };
    let quoted = frame.get(ip.range.clone())?;
    let quoted = &quoted[..quoted.len().min(bytes_max - crate::wire::ICMP_BYTES)];
    Some(icmp_frame(own, (packet.source, ip.source), header, quoted))
}

/// A TCP segment that ends the connection that `packet` speaks of (RFC 9293 §3.10.7.1); it comes from the packet's
/// destination. `None` if it is no TCP, or itself such a segment.
pub fn reset(packet: &Packet, own: Mac) -> Option<Vec<u8>> {
    let ip = packet.ip.as_ref().filter(|ip| is_between_two(packet, ip))?;
    let Some(Transport::Tcp { source, destination, sequence, acknowledgment, flags, ref data, .. }) =
        ip.transport
    else {
        return None;
    };
    if flags & tcp_flag::RST != 0 {
        return None;
    }
    let has = |flag: u8| u32::from(flags & flag != 0);
    let (sequence, acknowledgment, flags) = if flags & tcp_flag::ACK != 0 {
        (acknowledgment, 0, tcp_flag::RST)
    } else {
        let length = (data.len() as u32).wrapping_add(has(tcp_flag::SYN) + has(tcp_flag::FIN));
        (0, sequence.wrapping_add(length), tcp_flag::RST | tcp_flag::ACK)
    };
    let mut segment = [0; 20];
    segment[..2].copy_from_slice(&destination.to_be_bytes());
    segment[2..4].copy_from_slice(&source.to_be_bytes());
    segment[4..8].copy_from_slice(&sequence.to_be_bytes());
    segment[8..12].copy_from_slice(&acknowledgment.to_be_bytes());
    (segment[12], segment[13]) = (5 << 4, flags);
    let sum = Checksum::default()
        .add_pseudo_header(ip.destination, ip.source, Protocol::TCP, segment.len() as u32)
        .add(&segment)
        .finish();
    segment[16..18].copy_from_slice(&sum.to_be_bytes());
    let header = IpHeader::new(ip.destination, ip.source, Protocol::TCP);
    let mut frame = Vec::with_capacity(ETHERNET_BYTES + header.bytes() + segment.len());
    frame.extend_from_slice(&ethernet_header(packet.source, own, header.ethertype()));
    header.append(&mut frame, segment.len());
    frame.extend_from_slice(&segment);
    Some(frame)
}

fn may_be_refused(packet: &Packet, ip: &Ip) -> bool {
    let is_first = ip.fragment.is_none_or(|fragment| fragment.offset == 0);
    is_first && is_between_two(packet, ip) && !is_error(ip)
}

/// Whether both ends are one station each.
fn is_between_two(packet: &Packet, ip: &Ip) -> bool {
    let is_one = |address: IpAddr| match address {
        IpAddr::V4(address) => {
            !address.is_multicast() && !address.is_broadcast() && !address.is_unspecified()
        }
        IpAddr::V6(address) => !address.is_multicast() && !address.is_unspecified(),
    };
    !packet.destination.is_multicast()
        && packet.source.is_unicast()
        && is_one(ip.source)
        && is_one(ip.destination)
}

/// Whether a packet is an ICMP error, or anything of ICMP that is not known to be a question.
fn is_error(ip: &Ip) -> bool {
    let kind = match ip.transport {
        Some(Transport::Icmp { kind, .. }) => kind,
        _ => return matches!(ip.protocol, Protocol::ICMP | Protocol::ICMPV6),
    };
    match ip.protocol {
        Protocol::ICMP => !matches!(kind, 8 | 13 | 15 | 17),
        _ => kind < 128,
    }
}

/// RFC 792; the codes of RFC 1122 §3.2.2.1, RFC 1812 §5.2.7.1 and RFC 1191 §4.
fn header4(refusal: Refusal) -> IcmpHeader {
    let (kind, code, mtu) = match refusal {
        Refusal::Network => (3, 0, 0),
        Refusal::Host => (3, 1, 0),
        Refusal::Protocol => (3, 2, 0),
        Refusal::Port => (3, 3, 0),
        Refusal::TooBig { mtu } => (3, 4, mtu),
        Refusal::Prohibited => (3, 13, 0),
        Refusal::Expired => (11, 0, 0),
    };
    let [high, low] = mtu.to_be_bytes();
    IcmpHeader { kind, code, rest: [0, 0, high, low] }
}

/// RFC 4443 §3.
fn header6(refusal: Refusal, ip: &Ip) -> IcmpHeader {
    let (kind, code, rest) = match refusal {
        Refusal::Network => (1, 0, 0),
        Refusal::Prohibited => (1, 1, 0),
        Refusal::Host => (1, 3, 0),
        Refusal::Port => (1, 4, 0),
        Refusal::TooBig { mtu } => (2, 0, u32::from(mtu)),
        Refusal::Expired => (3, 0, 0),
        // Where the field is that names the protocol: in the IP header, if there are no extensions.
        Refusal::Protocol if ip.payload.start - ip.range.start == IpHeader::V6_BYTES => (4, 1, 6),
        Refusal::Protocol => (4, 1, IpHeader::V6_BYTES as u32),
    };
    IcmpHeader { kind, code, rest: rest.to_be_bytes() }
}

#[cfg(test)]
mod tests;
