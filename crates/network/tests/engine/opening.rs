//! Beginnings of connections.
use std::net::TcpListener;

use gasang_network::policy::zones::Firewall;
use gasang_network::wire::{Packet, Transport, tcp_flag};

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
