//! Beginnings of connections.
use std::net::TcpListener;

use gasang_network::policy::zones::Firewall;
use gasang_network::wire::{IcmpHeader, Packet, Transport, icmp_frame, ipv6_group_mac, tcp_flag};

use crate::segment::{Segment, frame};
use crate::world::{GATEWAY4, World};

#[test]
fn an_answer_that_is_lost_is_sent_again() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut world = World::with(1, Firewall::default());
    let guest = &mut world.guests[0];
    (guest.seen, guest.is_raw) = (Some(Vec::new()), true);
    let to = (GATEWAY4, listener.local_addr().unwrap().port()).into();
    guest.send(&frame(guest, guest.at(4000), to, &Segment { flags: tcp_flag::SYN, ..Segment::default() }));
    let mut answers = 0;
    world.until("a second answer", |world| {
        for frame in world.guests[0].take_seen() {
            let ip = Packet::parse(&frame).unwrap().ip.unwrap();
            let flags = if let Some(Transport::Tcp { flags, .. }) = ip.transport { flags } else { 0 };
            answers += u32::from(flags == tcp_flag::SYN | tcp_flag::ACK);
        }
        answers == 2
    });
}

/// A question in a stream: for the address of a name.
fn question(name: &str, kind: u16) -> Vec<u8> {
    let mut message = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        message.push(label.len() as u8);
        message.extend(label.bytes());
    }
    message.push(0);
    message.extend(kind.to_be_bytes());
    message.extend([0, 1]);
    [&(message.len() as u16).to_be_bytes()[..], &message].concat()
}

#[test]
fn names_are_answered_by_tcp_as_by_udp() {
    let mut world = World::with(1, Firewall { running: true, ..Firewall::default() });
    // Learnt from what the guest does: it asks whether its address of IPv6 is free.
    let own = world.guests[0].addresses[1];
    let std::net::IpAddr::V6(own6) = own else { panic!("{own}") };
    let group: std::net::Ipv6Addr = "ff02::1:ff00:100".parse().unwrap();
    let header = IcmpHeader { kind: 135, code: 0, rest: [0; 4] };
    let (from, card) = (std::net::Ipv6Addr::UNSPECIFIED, ipv6_group_mac(group));
    let mac = world.guests[0].mac;
    world.guests[0].send(&icmp_frame((mac, from.into()), (card, group.into()), header, &own6.octets()));
    let client = world.guests[0].connect((GATEWAY4, 53).into(), 4000);
    // Two at once, in odd pieces.
    let questions =
        [question("host.internal", 1), question("vm1.internal", 28), question("nobody.internal", 1)].concat();
    for piece in questions.chunks(7) {
        world.until("room", |world| world.guests[0].tcp(client).can_send());
        world.guests[0].tcp(client).send_slice(piece).unwrap();
        world.step();
    }
    let (mut got, mut answers) = (Vec::new(), Vec::new());
    world.until("all answers", |world| {
        let socket = world.guests[0].tcp(client);
        while socket.can_recv() {
            socket.recv(|bytes| (bytes.len(), got.extend_from_slice(bytes))).unwrap();
        }
        while let Some(length) = got.first_chunk().map(|prefix| usize::from(u16::from_be_bytes(*prefix)))
            && got.len() >= 2 + length
        {
            answers.push(got.drain(..2 + length).skip(2).collect::<Vec<u8>>());
        }
        answers.len() == 3
    });
    assert!(answers[0].ends_with(&[10, 0, 2, 1]), "{:?}", answers[0]);
    assert!(answers[1].ends_with(&own6.octets()), "{:?}", answers[1]);
    // NXDOMAIN.
    assert_eq!(answers[2][3] & 0xf, 3);
    // Whoever has no more questions gets no more answers.
    world.guests[0].tcp(client).close();
    world.until("the end", |world| world.network.load().connections == 0);
}
