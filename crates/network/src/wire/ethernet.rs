//! Ethernet headers, written.
use platform::net::Mac;

use super::{ETHERNET_BYTES, EtherType};

/// The header of a frame.
pub fn ethernet_header(destination: Mac, source: Mac, ethertype: EtherType) -> [u8; ETHERNET_BYTES] {
    let mut header = [0; ETHERNET_BYTES];
    header[..6].copy_from_slice(&destination.0);
    header[6..12].copy_from_slice(&source.0);
    header[12..].copy_from_slice(&ethertype.0.to_be_bytes());
    header
}

/// The station group that an IPv6 group is heard by (RFC 2464 §7).
pub fn ipv6_group_mac(group: std::net::Ipv6Addr) -> Mac {
    let [.., a, b, c, d] = group.octets();
    Mac([0x33, 0x33, a, b, c, d])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_reads_as_it_was_written() {
        let (to, from) = (Mac([2, 0, 0, 0, 0, 1]), Mac([2, 0, 0, 0, 0, 2]));
        let packet = super::super::Packet::parse(&ethernet_header(to, from, EtherType::ARP)).unwrap();
        assert_eq!((packet.destination, packet.source, packet.ethertype), (to, from, EtherType::ARP));
    }
    #[test]
    fn groups_are_heard_by_their_last_four_bytes() {
        let solicited = "ff02::1:ff12:3456".parse().unwrap();
        assert_eq!(ipv6_group_mac(solicited), Mac([0x33, 0x33, 0xff, 0x12, 0x34, 0x56]));
    }
}
