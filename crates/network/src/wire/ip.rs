//! IP headers, written.
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{Checksum, EtherType, Protocol};

/// A header of IPv4 without options, or of IPv6 without extensions: what the addresses are of. Of two addresses that
/// differ in that, the one of IPv4 is written as IPv6 maps it (RFC 4291 §2.5.5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IpHeader {
    /// Who sends it.
    pub source: IpAddr,
    /// Who gets it.
    pub destination: IpAddr,
    /// What it carries.
    pub protocol: Protocol,
    /// Time to live, or hop limit.
    pub hop_limit: u8,
    /// Traffic class, or type of service.
    pub traffic_class: u8,
    /// It may not be fragmented. IPv6 has no such field.
    pub dont_fragment: bool,
    /// Tells its fragments from others'. IPv6 has no such field here.
    pub identification: u16,
}

impl IpHeader {
    /// Bytes with IPv4.
    pub const V4_BYTES: usize = 20;
    /// Bytes with IPv6.
    pub const V6_BYTES: usize = 40;

    /// With a hop limit of 64, and not to be fragmented.
    pub fn new(source: IpAddr, destination: IpAddr, protocol: Protocol) -> Self {
        Self {
            source,
            destination,
            protocol,
            hop_limit: 64,
            traffic_class: 0,
            dont_fragment: true,
            identification: 0,
        }
    }
    /// What a frame with it says that it carries.
    pub fn ethertype(&self) -> EtherType {
        if self.v4().is_some() { EtherType::IPV4 } else { EtherType::IPV6 }
    }
    /// Bytes of the header.
    pub fn bytes(&self) -> usize {
        if self.v4().is_some() { Self::V4_BYTES } else { Self::V6_BYTES }
    }
    /// Appends the header. A length of the payload that no packet can have is written as the greatest that one can.
    pub fn append(&self, frame: &mut Vec<u8>, payload_length: usize) {
        match self.v4() {
            Some((source, destination)) => {
                frame.extend_from_slice(&self.header4(source, destination, payload_length));
            }
            None => frame.extend_from_slice(&self.header6(payload_length)),
        }
    }

    fn v4(&self) -> Option<(Ipv4Addr, Ipv4Addr)> {
        match (self.source, self.destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => Some((source, destination)),
            _ => None,
        }
    }
    /// RFC 791 §3.1.
    fn header4(
        &self,
        source: Ipv4Addr,
        destination: Ipv4Addr,
        payload_length: usize,
    ) -> [u8; Self::V4_BYTES] {
        let total = length(Self::V4_BYTES + payload_length);
        let mut header = [0; Self::V4_BYTES];
        (header[0], header[1]) = (0x45, self.traffic_class);
        header[2..4].copy_from_slice(&total.to_be_bytes());
        header[4..6].copy_from_slice(&self.identification.to_be_bytes());
        header[6] = u8::from(self.dont_fragment) << 6;
        (header[8], header[9]) = (self.hop_limit, self.protocol.0);
        header[12..16].copy_from_slice(&source.octets());
        header[16..].copy_from_slice(&destination.octets());
        let sum = Checksum::default().add(&header).finish();
        header[10..12].copy_from_slice(&sum.to_be_bytes());
        header
    }
    /// RFC 8200 §3.
    fn header6(&self, payload_length: usize) -> [u8; Self::V6_BYTES] {
        let mut header = [0; Self::V6_BYTES];
        (header[0], header[1]) = (0x60 | self.traffic_class >> 4, self.traffic_class << 4);
        header[4..6].copy_from_slice(&length(payload_length).to_be_bytes());
        (header[6], header[7]) = (self.protocol.0, self.hop_limit);
        header[8..24].copy_from_slice(&mapped(self.source).octets());
        header[24..].copy_from_slice(&mapped(self.destination).octets());
        header
    }
}

fn length(bytes: usize) -> u16 {
    u16::try_from(bytes).unwrap_or(u16::MAX)
}

fn mapped(address: IpAddr) -> Ipv6Addr {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => address,
    }
}

#[cfg(test)]
mod tests {
    use platform::net::Mac;

    use super::super::{Packet, ethernet_header};
    use super::*;

    fn round_trip(source: &str, destination: &str) {
        let mut header = IpHeader::new(source.parse().unwrap(), destination.parse().unwrap(), Protocol(200));
        (header.hop_limit, header.traffic_class, header.identification) = (7, 0xb9, 0x1234);
        let mut frame = ethernet_header(Mac::BROADCAST, Mac([2; 6]), header.ethertype()).to_vec();
        header.append(&mut frame, 3);
        frame.extend_from_slice(b"abc\0\0");
        let ip = Packet::parse(&frame).unwrap().ip.unwrap();
        assert_eq!(
            (ip.source, ip.destination, ip.protocol),
            (header.source, header.destination, Protocol(200))
        );
        assert_eq!((ip.hop_limit, ip.traffic_class, ip.dont_fragment), (7, 0xb9, true));
        assert_eq!((&frame[ip.payload.clone()], ip.fragment), (&b"abc"[..], None));
        assert_eq!(ip.payload.start - ip.range.start, header.bytes());
        if header.ethertype() == EtherType::IPV4 {
            assert_eq!(Checksum::default().add(&frame[14..34]).finish(), 0);
        }
    }

    #[test]
    fn headers_read_as_they_were_written() {
        round_trip("10.0.2.15", "192.0.2.1");
        round_trip("fd00::1", "2001:db8::7");
    }
    #[test]
    fn lengths_and_families_that_do_not_fit_are_no_panic() {
        let mut frame = Vec::new();
        let header = IpHeader::new("10.0.2.15".parse().unwrap(), "::1".parse().unwrap(), Protocol::UDP);
        header.append(&mut frame, 1 << 20);
        assert_eq!((frame.len(), &frame[4..6]), (40, &[0xff, 0xff][..]));
        assert_eq!(&frame[18..24], [0xff, 0xff, 10, 0, 2, 15]);
    }
}
