use std::net::SocketAddr;

use super::*;
use crate::wire::udp_frame;

const GUEST: Mac = Mac([2, 0, 0, 0, 0, 1]);
const OWN: Mac = Mac([2, 0, 0, 0, 0, 2]);

fn datagram(source: &str, destination: &str, data: &[u8]) -> Vec<u8> {
    let [source, destination] = [source, destination].map(|text| text.parse::<SocketAddr>().unwrap());
    udp_frame((GUEST, source), (OWN, destination), data)
}

fn sum_of(ip: &Ip, frame: &[u8]) -> u16 {
    let bytes = &frame[ip.payload.clone()];
    match ip.protocol {
        Protocol::ICMP => Checksum::default(),
        protocol => {
            Checksum::default().add_pseudo_header(ip.source, ip.destination, protocol, bytes.len() as u32)
        }
    }
    .add(bytes)
    .finish()
}

#[test]
fn errors_quote_the_packet() {
    let rows = [
        ("10.0.2.15:7", "10.0.2.2:9", "10.0.2.2", Refusal::Port, (3, 3)),
        ("10.0.2.15:7", "192.0.2.1:9", "10.0.2.2", Refusal::Prohibited, (3, 13)),
        ("10.0.2.15:7", "192.0.2.1:9", "10.0.2.2", Refusal::Host, (3, 1)),
        ("10.0.2.15:7", "192.0.2.1:9", "10.0.2.2", Refusal::TooBig { mtu: 1400 }, (3, 4)),
        ("[fd00::5]:7", "[fd00::1]:9", "fd00::1", Refusal::Port, (1, 4)),
        ("[fd00::5]:7", "[2001:db8::1]:9", "fd00::1", Refusal::Prohibited, (1, 1)),
        ("[fd00::5]:7", "[2001:db8::1]:9", "fd00::1", Refusal::Expired, (3, 0)),
        ("[fd00::5]:7", "[2001:db8::1]:9", "fd00::1", Refusal::TooBig { mtu: 1400 }, (2, 0)),
    ];
    for (source, destination, own, refusal, (kind, code)) in rows {
        for length in [1, 100, 4000] {
            let frame = datagram(source, destination, &vec![7; length]);
            let packet = Packet::parse(&frame).unwrap();
            let error = refuse(refusal, &packet, &frame, (OWN, own.parse().unwrap())).unwrap();
            let parsed = Packet::parse(&error).unwrap();
            assert_eq!((parsed.destination, parsed.source), (GUEST, OWN));
            let ip = parsed.ip.unwrap();
            let Some(Transport::Icmp { kind: kind_read, code: code_read, ref data, .. }) = ip.transport
            else {
                panic!("no ICMP")
            };
            assert_eq!((kind_read, code_read, sum_of(&ip, &error)), (kind, code, 0));
            assert!(frame[ETHERNET_BYTES..].starts_with(&error[data.clone()]));
            let bytes_max = if ip.source.is_ipv4() { 576 } else { 1280 };
            assert_eq!(
                ip.range.len(),
                bytes_max.min(frame.len() - 14 + 8 + error.len() - 14 - 8 - data.len())
            );
            if let Refusal::TooBig { mtu } = refusal {
                assert_eq!(error[ip.payload.start + 6..][..2], mtu.to_be_bytes());
            }
        }
    }
}

#[test]
fn nothing_is_said_about_errors_and_to_many() {
    let own = (OWN, "10.0.2.2".parse().unwrap());
    let refused = |frame: &[u8]| refuse(Refusal::Port, &Packet::parse(frame).unwrap(), frame, own);
    let frame = datagram("10.0.2.15:7", "192.0.2.1:9", b"x");
    let error = refused(&frame).unwrap();
    assert_eq!(refused(&error), None);
    for (source, destination) in [
        ("10.0.2.15:7", "224.0.0.251:5353"),
        ("10.0.2.15:7", "255.255.255.255:9"),
        ("0.0.0.0:68", "10.0.2.2:67"),
        ("224.0.0.1:68", "10.0.2.2:67"),
        ("[fd00::5]:7", "[fd00::1]:9"),
    ] {
        assert_eq!(refused(&datagram(source, destination, b"x")), None, "{source} {destination}");
    }
    let mut broadcast = frame.clone();
    broadcast[..6].fill(0xff);
    assert_eq!(refused(&broadcast), None);
    let mut later_fragment = frame;
    later_fragment[21] = 1;
    assert_eq!(refused(&later_fragment), None);
}

#[test]
fn resets() {
    let syn = |flags: u8, data: &[u8]| {
        let header = IpHeader::new("10.0.2.15".parse().unwrap(), "10.0.2.2".parse().unwrap(), Protocol::TCP);
        let mut frame = ethernet_header(OWN, GUEST, header.ethertype()).to_vec();
        header.append(&mut frame, 20 + data.len());
        frame.extend([0x9c, 0x40, 0, 80, 0, 0, 0, 9, 0, 0, 0, 5, 0x50, flags, 1, 0, 0, 0, 0, 0]);
        frame.extend_from_slice(data);
        frame
    };
    let answer = |flags: u8, data: &[u8]| {
        let frame = reset(&Packet::parse(&syn(flags, data)).unwrap(), OWN)?;
        let ip = Packet::parse(&frame).unwrap().ip.unwrap();
        assert_eq!(sum_of(&ip, &frame), 0);
        assert_eq!(
            (ip.tuple().from().to_string(), ip.tuple().destination_port),
            ("10.0.2.2:80".into(), 40000)
        );
        match ip.transport {
            Some(Transport::Tcp { sequence, acknowledgment, flags, .. }) => {
                Some((sequence, acknowledgment, flags))
            }
            _ => None,
        }
    };
    assert_eq!(answer(tcp_flag::SYN, b""), Some((0, 10, tcp_flag::RST | tcp_flag::ACK)));
    assert_eq!(answer(tcp_flag::FIN, b"abc"), Some((0, 13, tcp_flag::RST | tcp_flag::ACK)));
    assert_eq!(answer(tcp_flag::ACK, b"abc"), Some((5, 0, tcp_flag::RST)));
    assert_eq!(answer(tcp_flag::RST, b""), None);
}

#[test]
fn errors_are_understood_as_they_are_written() {
    let all = [Refusal::Port, Refusal::Host, Refusal::Network, Refusal::Prohibited, Refusal::Expired];
    for refusal in all.into_iter().chain([Refusal::TooBig { mtu: 1280 }]) {
        let header = header4(refusal);
        let mtu = u32::from_be_bytes(header.rest);
        assert_eq!(Refusal::of_icmp(false, header.kind, header.code, mtu), Some(refusal));
    }
    assert_eq!(Refusal::of_icmp(true, 1, 4, 0), Some(Refusal::Port));
    assert_eq!(Refusal::of_icmp(true, 2, 0, 1280), Some(Refusal::TooBig { mtu: 1280 }));
    assert_eq!(Refusal::of_icmp(false, 3, 4, 0), None);
    assert_eq!(Refusal::of_icmp(false, 8, 0, 0), None);
}
