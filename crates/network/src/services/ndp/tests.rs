use proptest::prelude::*;

use super::*;
use crate::wire::{Checksum, Packet, Protocol};

const OWN: Mac = Mac([0x52, 0x54, 0, 0x12, 0x34, 0x56]);
const GUEST: Mac = Mac([2, 0, 0, 0, 0, 1]);

fn network() -> V6 {
    V6 {
        prefix: "fd12:3456:789a::/64".parse().unwrap(),
        gateway: "fd12:3456:789a::1".parse().unwrap(),
        host: None,
        dns: true,
        default_route: true,
    }
}

/// Source, destination and ICMP bytes of a frame whose checksum is right and whose hop limit is 255.
fn parts(frame: &[u8]) -> (Mac, String, String, Vec<u8>) {
    let packet = Packet::parse(frame).unwrap();
    let ip = packet.ip.unwrap();
    let bytes = frame[ip.payload.clone()].to_vec();
    let sum = Checksum::default()
        .add_pseudo_header(ip.source, ip.destination, Protocol::ICMPV6, bytes.len() as u32)
        .add(&bytes);
    assert_eq!((sum.finish(), ip.hop_limit), (0, 255));
    (packet.destination, ip.source.to_string(), ip.destination.to_string(), bytes)
}

#[test]
fn an_advertisement_byte_by_byte() {
    let (to, source, destination, bytes) =
        parts(&router_advertisement(OWN, None, &network(), 1500, "internal"));
    assert_eq!(to, Mac([0x33, 0x33, 0, 0, 0, 1]));
    assert_eq!((source.as_str(), destination.as_str()), ("fe80::5054:ff:fe12:3456", "ff02::1"));
    let mut expected = vec![134, 0, bytes[2], bytes[3], 64, 0x40, 0x07, 0x08, 0, 0, 0, 0, 0, 0, 0, 0];
    expected.extend([1, 1, 0x52, 0x54, 0, 0x12, 0x34, 0x56]);
    expected.extend([5, 1, 0, 0, 0, 0, 0x05, 0xdc]);
    expected.extend([3, 4, 64, 0xc0, 0, 1, 0x51, 0x80, 0, 0, 0x38, 0x40, 0, 0, 0, 0]);
    expected.extend([0xfd, 0x12, 0x34, 0x56, 0x78, 0x9a, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    expected.extend([25, 3, 0, 0, 0, 0, 0x07, 0x08]);
    expected.extend([0xfd, 0x12, 0x34, 0x56, 0x78, 0x9a, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
    expected.extend([31, 3, 0, 0, 0, 0, 0x07, 0x08]);
    expected.extend(b"\x08internal\0\0\0\0\0\0\0");
    assert_eq!(bytes, expected);
}

#[test]
fn a_network_that_leads_nowhere_says_so() {
    let network = V6 { default_route: false, dns: false, ..network() };
    let (to, .., bytes) = parts(&router_advertisement(OWN, Some(GUEST), &network, 1500, "internal"));
    assert_eq!((to, &bytes[5..8]), (GUEST, &[0, 0, 0][..]));
    assert_eq!(bytes.len(), 16 + 8 + 8 + 32);
}

#[test]
fn neighbours_are_told() {
    let address = network().gateway;
    let guest = "fd12:3456:789a::5".parse().unwrap();
    let (to, source, destination, bytes) =
        parts(&neighbour_advertisement(OWN, address, (GUEST, guest), true));
    assert_eq!((to, source, destination), (GUEST, address.to_string(), guest.to_string()));
    assert_eq!((bytes[0], &bytes[4..8]), (136, &[0xe0, 0, 0, 0][..]));
    let about = About::parse(bytes[0], &bytes[8..]).unwrap();
    assert_eq!(about, About { target: address, link: Some(OWN) });

    let frame = neighbour_advertisement(OWN, address, (GUEST, Ipv6Addr::UNSPECIFIED), false);
    let (_, _, destination, bytes) = parts(&frame);
    assert_eq!((destination.as_str(), bytes[4]), ("ff02::1", 0x20));
}

#[test]
fn neighbours_are_asked_for() {
    let asked = "fd12:3456:789a::5:6".parse().unwrap();
    let (to, source, destination, bytes) = parts(&neighbour_solicitation((OWN, link_local(OWN)), asked));
    assert_eq!(to, Mac([0x33, 0x33, 0xff, 5, 0, 6]));
    assert_eq!((source.as_str(), destination.as_str()), ("fe80::5054:ff:fe12:3456", "ff02::1:ff05:6"));
    assert_eq!(About::parse(bytes[0], &bytes[8..]).unwrap(), About { target: asked, link: Some(OWN) });
}

#[test]
fn options_that_are_malformed() {
    let body = |options: &[u8]| [&[0; 16][..], options].concat();
    for options in [&[1, 0][..], &[1, 1, 2], &[1, 2, 0, 0, 0, 0, 0, 0]] {
        assert_eq!(About::parse(NEIGHBOUR_SOLICITATION, &body(options)), None, "{options:?}");
    }
    assert!(About::parse(NEIGHBOUR_SOLICITATION, &body(&[])).unwrap().link.is_none());
}

proptest! {
    #[test]
    fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..100), kind in any::<u8>()) {
        let _ = About::parse(kind, &bytes);
    }
    #[test]
    fn any_domain(domain in ".{0,300}") {
        parts(&router_advertisement(OWN, None, &network(), 1500, &domain));
    }
}
