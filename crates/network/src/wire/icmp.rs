//! ICMP headers, written.
use std::net::IpAddr;

use platform::net::Mac;

use super::{Checksum, IpHeader, Protocol, ethernet_header};

/// Bytes of an ICMP header, with the four that each type uses as it likes.
pub const ICMP_BYTES: usize = 8;

/// An ICMP message's type and code, and the four bytes behind its checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IcmpHeader {
    /// Type.
    pub kind: u8,
    /// Code.
    pub code: u8,
    /// What each type uses as it likes.
    pub rest: [u8; 4],
}

impl IcmpHeader {
    /// Of an echo or its answer.
    pub fn echo(kind: u8, identifier: u16, sequence: u16) -> Self {
        let ([a, b], [c, d]) = (identifier.to_be_bytes(), sequence.to_be_bytes());
        Self { kind, code: 0, rest: [a, b, c, d] }
    }
    /// With the checksum over `data`, which follows (RFC 792; of IPv6, with the addresses: RFC 4443 §2.3).
    pub fn to_bytes(&self, source: IpAddr, destination: IpAddr, data: &[u8]) -> [u8; ICMP_BYTES] {
        let [a, b, c, d] = self.rest;
        let mut header = [self.kind, self.code, 0, 0, a, b, c, d];
        let mut sum = Checksum::default().add(&header).add(data);
        if protocol(source) == Protocol::ICMPV6 {
            let length = u32::try_from(ICMP_BYTES + data.len()).unwrap_or(u32::MAX);
            sum = sum.add_pseudo_header(source, destination, Protocol::ICMPV6, length);
        }
        header[2..4].copy_from_slice(&sum.finish().to_be_bytes());
        header
    }
}

/// What carries ICMP between such addresses.
fn protocol(address: IpAddr) -> Protocol {
    if address.is_ipv4() { Protocol::ICMP } else { Protocol::ICMPV6 }
}

/// A whole frame with an ICMP message, from the first station to the second. The hop limit is 255, which neighbour
/// discovery insists on (RFC 4861 §7.1).
pub fn icmp_frame(
    (from, source): (Mac, IpAddr),
    (to, destination): (Mac, IpAddr),
    header: IcmpHeader,
    data: &[u8],
) -> Vec<u8> {
    let ip = IpHeader { hop_limit: 255, ..IpHeader::new(source, destination, protocol(source)) };
    let mut frame = Vec::with_capacity(super::ETHERNET_BYTES + ip.bytes() + ICMP_BYTES + data.len());
    frame.extend_from_slice(&ethernet_header(to, from, ip.ethertype()));
    ip.append(&mut frame, ICMP_BYTES + data.len());
    frame.extend_from_slice(&header.to_bytes(source, destination, data));
    frame.extend_from_slice(data);
    frame
}

#[cfg(test)]
mod tests {
    use super::super::{Packet, Transport};
    use super::*;

    #[test]
    fn messages_read_as_they_were_written() {
        for (source, destination, kind) in [("10.0.2.2", "10.0.2.15", 0), ("fd00::1", "fd00::2", 129)] {
            let (source, destination) = (source.parse().unwrap(), destination.parse().unwrap());
            let header = IcmpHeader::echo(kind, 0x1234, 7);
            let frame = icmp_frame((Mac([2; 6]), source), (Mac([4; 6]), destination), header, b"hello");
            let ip = Packet::parse(&frame).unwrap().ip.unwrap();
            let Some(Transport::Icmp { kind: read, identifier, sequence, ref data, .. }) = ip.transport
            else {
                panic!("no ICMP")
            };
            assert_eq!((read, identifier, sequence, &frame[data.clone()]), (kind, 0x1234, 7, &b"hello"[..]));
            let mut sum = Checksum::default().add(&frame[ip.payload]);
            if kind == 129 {
                sum = sum.add_pseudo_header(source, destination, Protocol::ICMPV6, 13);
            }
            assert_eq!(sum.finish(), 0);
        }
    }
}
