use proptest::prelude::*;

use super::*;

/// An Ethernet header and a packet.
fn frame(ethertype: EtherType, packet: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x52, 0x54, 0, 0, 0, 1, 0x52, 0x54, 0, 0, 0, 2];
    frame.extend(ethertype.0.to_be_bytes());
    frame.extend(packet);
    frame
}

fn v4(protocol: Protocol, place: u16, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x45, 0, 0, 0, 0x12, 0x34, 0, 0, 64, protocol.0, 0, 0, 10, 0, 2, 15, 192, 0, 2, 1];
    packet[2..4].copy_from_slice(&(20 + payload.len() as u16).to_be_bytes());
    packet[6..8].copy_from_slice(&place.to_be_bytes());
    packet.extend(payload);
    packet
}

const TCP: [u8; 26] =
    [0x30, 0x39, 0, 80, 0, 0, 0, 1, 0, 0, 0, 2, 0x60, 0x18, 0x10, 0, 0, 0, 0, 0, 2, 4, 5, 0xb4, b'h', b'i'];

#[test]
fn tcp_over_ipv4() {
    let mut bytes = frame(EtherType::IPV4, &v4(Protocol::TCP, 0x4000, &TCP));
    // Padding of a short frame.
    bytes.extend([0; 6]);
    let packet = Packet::parse(&bytes).unwrap();
    assert_eq!(packet.source, Mac([0x52, 0x54, 0, 0, 0, 2]));
    assert_eq!(packet.tuple().unwrap().to_string(), "tcp 10.0.2.15:12345 -> 192.0.2.1:80");
    let ip = packet.ip.unwrap();
    assert!(ip.dont_fragment && ip.fragment.is_none());
    let Some(Transport::Tcp { sequence: 1, acknowledgment: 2, flags, window: 4096, options, data, .. }) =
        ip.transport
    else {
        panic!("{:?}", ip.transport)
    };
    assert_eq!(flags, tcp_flag::PSH | tcp_flag::ACK);
    assert_eq!((&bytes[options], &bytes[data]), (&[2, 4, 5, 0xb4][..], &b"hi"[..]));
}

#[test]
fn fragments_have_no_transport() {
    let packet = Packet::parse(&frame(EtherType::IPV4, &v4(Protocol::TCP, 0x2001, &[1, 2]))).unwrap();
    let ip = packet.ip.unwrap();
    assert_eq!(ip.fragment, Some(Fragment { identification: 0x1234, offset: 8, more: true }));
    assert_eq!(ip.transport, None);
}

#[test]
fn ipv6_with_extensions() {
    let mut packet = vec![0x60, 0, 0, 0, 0, 24, 0, 255];
    packet.extend(Ipv6Addr::LOCALHOST.octets());
    packet.extend(Ipv6Addr::LOCALHOST.octets());
    // Hop-by-hop options, a fragment header that says nothing, and an echo request.
    packet.extend([44, 0, 1, 4, 0, 0, 0, 0, 58, 0, 0, 0, 0, 0, 0, 9, 128, 0, 0, 0, 0, 7, 0, 1]);
    let packet = Packet::parse(&frame(EtherType::IPV6, &packet)).unwrap();
    let ip = packet.ip.unwrap();
    assert_eq!((ip.protocol, ip.fragment), (Protocol::ICMPV6, None));
    let tuple = ip.tuple();
    assert_eq!((tuple.source_port, tuple.destination_port), (7, 128 << 8));
    assert_eq!(tuple.reversed().destination_port, 129 << 8);
    assert_eq!(tuple.reversed().reversed(), tuple);
}

#[test]
fn lengths_that_lie() {
    let good = v4(Protocol::TCP, 0, &TCP);
    let parse = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut packet = good.clone();
        change(&mut packet);
        Packet::parse(&frame(EtherType::IPV4, &packet)).map(drop)
    };
    assert_eq!(parse(&|_| {}), Ok(()));
    assert_eq!(parse(&|packet| packet[0] = 0x44), Err(Malformed::Ip));
    assert_eq!(parse(&|packet| packet[0] = 0x65), Err(Malformed::Ip));
    assert_eq!(parse(&|packet| packet[2] = 1), Err(Malformed::Ip));
    assert_eq!(parse(&|packet| packet[3] = 19), Err(Malformed::Ip));
    assert_eq!(parse(&|packet| packet[32] = 0x40), Err(Malformed::Transport));
    assert_eq!(parse(&|packet| packet[32] = 0x70), Err(Malformed::Transport));
    assert_eq!(parse(&|packet| packet.truncate(19)), Err(Malformed::Ip));
    assert_eq!(Packet::parse(&[0; 13]), Err(Malformed::Frame));
}

proptest! {
    #[test]
    fn anything_at_all(bytes in proptest::collection::vec(any::<u8>(), 0..120), v6: bool) {
        let ethertype = if v6 { EtherType::IPV6 } else { EtherType::IPV4 };
        let mut bytes = frame(ethertype, &bytes);
        if let Some(first) = bytes.get_mut(ETHERNET_BYTES) {
            *first = if v6 { 0x60 } else { 0x45 };
        }
        if let Ok(packet) = Packet::parse(&bytes) {
            let ip = packet.ip.unwrap();
            // All ranges are in the frame.
            let _ = (&bytes[ip.range.clone()], &bytes[ip.payload.clone()]);
            if let Some(Transport::Tcp { options, data, .. }) = ip.transport {
                let _ = (&bytes[options], &bytes[data]);
            }
        }
    }
}
