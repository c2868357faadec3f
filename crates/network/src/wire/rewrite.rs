//! One end of a packet changed in place, checksums and all (RFC 1624).
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;

use platform::net::FrameHeader;

use super::{Checksum, ICMP_BYTES, Ip, Protocol, Transport};

/// Which end of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Who sends it.
    Source,
    /// Who gets it.
    Destination,
}

/// Where things are in an IP header, from its start on.
const CHECKSUM4_AT: usize = 10;
const ADDRESSES4_AT: usize = 12;
const ADDRESSES6_AT: usize = 8;
/// Bytes of IPv6's own header.
const V6_BYTES: usize = 40;

/// Gives one end of a whole TCP segment or UDP datagram another address and port. `ip` is of this frame, and `header` was
/// checked against it; an address of the other family changes nothing.
pub fn set_end(header: &FrameHeader, ip: &Ip, frame: &mut [u8], side: Side, end: SocketAddr) {
    let field = match ip.transport {
        Some(Transport::Tcp { .. }) => ip.payload.start + 16,
        Some(Transport::Udp { .. }) => ip.payload.start + 6,
        _ => return,
    };
    let Some(of_address) = set_address(ip.range.start, ip.source.is_ipv4(), frame, side, end.ip()) else {
        return;
    };
    let port_at = ip.payload.start + if side == Side::Source { 0 } else { 2 };
    let of_port = put(frame, port_at, &end.port().to_be_bytes());
    let old = u16::from_be_bytes([frame[field], frame[field + 1]]);
    let is_partial = header.flags & FrameHeader::NEEDS_CHECKSUM != 0;
    let new = match (is_partial, ip.protocol, old) {
        // It has the sum of the addresses so far, and nothing of the ports.
        (true, ..) => Checksum::default().add_word(old).add_word(of_address).partial(),
        // There is none (RFC 768).
        (false, Protocol::UDP, 0) => return,
        _ => {
            let new = Checksum::default().add_word(!old).add_word(of_address).add_word(of_port).finish();
            if new == 0 && ip.protocol == Protocol::UDP { u16::MAX } else { new }
        }
    };
    frame[field..field + 2].copy_from_slice(&new.to_be_bytes());
}

/// Gives the destination that an ICMP error quotes another address and port, and its sender that address if it was the
/// destination itself.
pub fn set_quoted(ip: &Ip, frame: &mut [u8], end: SocketAddr) {
    if !matches!(ip.transport, Some(Transport::Icmp { .. })) || ip.source.is_ipv4() != end.is_ipv4() {
        return;
    }
    let is_v4 = end.is_ipv4();
    let inner = ip.payload.start + ICMP_BYTES;
    let header =
        if is_v4 { frame.get(inner).map(|byte| usize::from(byte & 0xf) * 4) } else { Some(V6_BYTES) };
    // As much as an address and two ports need.
    let Some(header) = header.filter(|header| *header >= 20 && inner + header + 4 <= ip.payload.end) else {
        return;
    };
    let (was, at) = address_at(inner, is_v4, Side::Destination);
    if frame[was..at] == *octets(ip.source).as_slice() {
        set_address(ip.range.start, is_v4, frame, Side::Source, end.ip());
    }
    set_address(inner, is_v4, frame, Side::Destination, end.ip());
    put(frame, inner + header + 2, &end.port().to_be_bytes());
    seal_icmp(ip, frame);
}

/// The checksum of an ICMP message, anew.
fn seal_icmp(ip: &Ip, frame: &mut [u8]) {
    let field = ip.payload.start + 2;
    frame[field..field + 2].fill(0);
    let mut sum = Checksum::default();
    if ip.source.is_ipv6() {
        let addresses = ip.range.start + ADDRESSES6_AT;
        sum = sum.add(&frame[addresses..addresses + 32]).add(&(ip.payload.len() as u32).to_be_bytes());
        sum = sum.add_word(Protocol::ICMPV6.0.into());
    }
    let sum = sum.add(&frame[ip.payload.clone()]).finish();
    frame[field..field + 2].copy_from_slice(&sum.to_be_bytes());
}

/// Where an address is, from its first byte to behind its last.
fn address_at(header: usize, is_v4: bool, side: Side) -> (usize, usize) {
    let (first, length) = if is_v4 { (ADDRESSES4_AT, 4) } else { (ADDRESSES6_AT, 16) };
    let at = header + first + if side == Side::Source { 0 } else { length };
    (at, at + length)
}

/// What sums over an address change by; none if the address is of the other family.
fn set_address(header: usize, is_v4: bool, frame: &mut [u8], side: Side, to: IpAddr) -> Option<u16> {
    if is_v4 != to.is_ipv4() {
        return None;
    }
    let (at, _) = address_at(header, is_v4, side);
    let change = put(frame, at, &octets(to));
    if is_v4 {
        let field = header + CHECKSUM4_AT;
        let old = u16::from_be_bytes([frame[field], frame[field + 1]]);
        let new = Checksum::default().add_word(!old).add_word(change).finish();
        frame[field..field + 2].copy_from_slice(&new.to_be_bytes());
    }
    Some(change)
}

fn octets(address: IpAddr) -> smallvec::SmallVec<[u8; 16]> {
    match address {
        IpAddr::V4(address) => address.octets().as_slice().into(),
        IpAddr::V6(address) => address.octets().as_slice().into(),
    }
}

/// Writes bytes at an even place; what sums over them change by.
fn put(frame: &mut [u8], at: usize, bytes: &[u8]) -> u16 {
    let place: Range<usize> = at..at + bytes.len();
    let mut sum = Checksum::default();
    for word in frame[place.clone()].as_chunks::<2>().0 {
        sum = sum.add_word(!u16::from_be_bytes(*word));
    }
    frame[place].copy_from_slice(bytes);
    sum.add(bytes).partial()
}

#[cfg(test)]
mod tests {
    use platform::net::Mac;
    use proptest::prelude::*;

    use super::*;
    use crate::services::refusal::{Refusal, refuse};
    use crate::wire::{Packet, offload, udp_frame};

    const ENDS: [[&str; 3]; 2] = [
        ["192.0.2.7:4000", "10.0.2.15:80", "10.0.2.16:8080"],
        ["[2001:db8::7]:4000", "[fd00::15]:80", "[fd00::16]:8080"],
    ];
    const CARDS: (Mac, Mac) = (Mac([2, 0, 0, 0, 0, 1]), Mac([2, 0, 0, 0, 0, 2]));

    fn ends(of: [&str; 3]) -> [SocketAddr; 3] {
        of.map(|end| end.parse().unwrap())
    }
    fn sound(frame: &[u8]) -> Ip {
        let ip = Packet::parse(frame).unwrap().ip.unwrap();
        assert!(offload::is_sound(&ip, frame));
        if ip.source.is_ipv4() {
            assert_eq!(Checksum::default().add(&frame[ip.range.start..ip.range.start + 20]).finish(), 0);
        }
        ip
    }

    proptest! {
        #[test]
        fn datagrams_are_sound_afterwards(data in proptest::collection::vec(any::<u8>(), 0..60), port: u16) {
            for [client, first, mut second] in ENDS.map(ends) {
                second.set_port(port);
                let mut frame = udp_frame((CARDS.0, client), (CARDS.1, first), &data);
                let ip = sound(&frame);
                set_end(&FrameHeader::default(), &ip, &mut frame, Side::Destination, second);
                let ip = sound(&frame);
                prop_assert_eq!(ip.tuple().to(), second);
                set_end(&FrameHeader::default(), &ip, &mut frame, Side::Source, first);
                prop_assert_eq!(sound(&frame).tuple().from(), first);
            }
        }
    }

    #[test]
    fn partial_checksums_are_completed_as_ever() {
        for [client, first, second] in ENDS.map(ends) {
            let mut frame = udp_frame((CARDS.0, client), (CARDS.1, first), b"some data");
            let ip = sound(&frame);
            let at = ip.payload.start;
            let sum = Checksum::default();
            let sum = sum.add_pseudo_header(ip.source, ip.destination, ip.protocol, ip.payload.len() as u32);
            frame[at + 6..at + 8].copy_from_slice(&sum.partial().to_be_bytes());
            let header = FrameHeader {
                flags: FrameHeader::NEEDS_CHECKSUM,
                checksum_start: at as u16,
                checksum_offset: 6,
                ..FrameHeader::default()
            };
            set_end(&header, &ip, &mut frame, Side::Destination, second);
            let mut whole = Vec::new();
            let accepts = platform::net::Offloads::default();
            offload::finish(&header, &mut frame, accepts, &mut |_, frame| whole.extend_from_slice(frame));
            assert_eq!(sound(&whole).tuple().to(), second);
        }
    }

    #[test]
    fn no_checksum_stays_none() {
        let [client, first, second] = ends(ENDS[0]);
        let mut frame = udp_frame((CARDS.0, client), (CARDS.1, first), b"x");
        let ip = sound(&frame);
        frame[ip.payload.start + 6..ip.payload.start + 8].fill(0);
        set_end(&FrameHeader::default(), &ip, &mut frame, Side::Destination, second);
        assert_eq!(frame[ip.payload.start + 6..ip.payload.start + 8], [0, 0]);
    }

    #[test]
    fn errors_speak_of_what_their_receiver_has_sent() {
        for [client, first, second] in ENDS.map(ends) {
            let sent = udp_frame((CARDS.0, client), (CARDS.1, second), b"some data");
            let packet = Packet::parse(&sent).unwrap();
            let mut error = refuse(Refusal::Port, &packet, &sent, (CARDS.1, second.ip())).unwrap();
            let ip = sound(&error);
            set_quoted(&ip, &mut error, first);
            let ip = sound(&error);
            assert_eq!((ip.source, ip.destination), (first.ip(), client.ip()));
            let quoted = crate::policy::track::quoted(&ip, &error).unwrap();
            assert_eq!((quoted.from(), quoted.to()), (client, first));
            // A router's stays the router's, and one that quotes too little is left alone.
            let router = if client.is_ipv4() { "10.0.2.2" } else { "fd00::2" }.parse().unwrap();
            let mut error = refuse(Refusal::Host, &packet, &sent, (CARDS.1, router)).unwrap();
            let ip = sound(&error);
            set_quoted(&ip, &mut error, first);
            assert_eq!(sound(&error).source, router);
            let mut short = ip.clone();
            short.payload.end = short.payload.start + ICMP_BYTES + 3;
            let before = error.clone();
            set_quoted(&short, &mut error, second);
            assert_eq!(error, before);
        }
    }
}
