//! ICMP errors that the host receives about what guests have sent.
use std::net::{SocketAddr, UdpSocket};

use gasang_network::policy::track::quoted;
use gasang_network::policy::zones::Firewall;
use gasang_network::wire::{Packet, Transport, offload, udp_frame};

use crate::world::{GATEWAY, World};

/// A guest's datagram to a port of the host where nobody is, which comes back.
fn refused(firewall: Firewall, is_ipv6: bool) {
    let mut world = World::with(1, firewall);
    world.guests[0].seen = Some(Vec::new());
    let plan = world.network.gateway().plan().clone();
    let (loopback, gateway) = match is_ipv6 {
        false => ("127.0.0.1", plan.v4.unwrap().gateway.unwrap().into()),
        true => ("::1", plan.v6.unwrap().gateway.into()),
    };
    let Ok(socket) = UdpSocket::bind((loopback, 0)) else { return eprintln!("skipped: no {loopback}") };
    socket.set_nonblocking(true).unwrap();
    let to = SocketAddr::new(gateway, socket.local_addr().unwrap().port());
    let guest = &world.guests[0];
    let from = SocketAddr::new(guest.addresses[usize::from(is_ipv6)], 4000);
    let (mac, frame) = (guest.mac, udp_frame((guest.mac, from), (GATEWAY, to), b"question"));
    // As long as somebody is there, nobody complains.
    guest.send(&frame);
    world.until("the datagram", |_| socket.peek_from(&mut [0; 16]).is_ok());
    drop(socket);
    // Once is one, and one after another is as many.
    for _ in 0..3 {
        world.guests[0].send(&frame);
        let mut found = None;
        world.until("an error", |world| {
            let mut errors = world.guests[0].take_seen().into_iter().filter_map(|frame| {
                let ip = Packet::parse(&frame).unwrap().ip?;
                Some((quoted(&ip, &frame)?, ip, frame))
            });
            found = errors.next_back();
            found.is_some()
        });
        let (quoted, ip, frame) = found.unwrap();
        let Some(Transport::Icmp { kind, code, .. }) = ip.transport else { panic!("{ip:?}") };
        assert_eq!((kind, code), if is_ipv6 { (1, 4) } else { (3, 3) });
        assert_eq!((quoted.from(), quoted.to(), ip.source), (from, to, to.ip()));
        assert!(offload::is_sound(&ip, &frame) && frame[..6] == mac.0);
    }
}

#[test]
fn a_closed_port_of_the_hosts_is_a_closed_port() {
    refused(Firewall::default(), false);
    refused(Firewall::default(), true);
}

#[test]
fn an_error_about_a_known_flow_passes_the_firewall() {
    let firewall = Firewall { running: true, default_zone: "drop".to_owned(), ..Firewall::default() };
    refused(firewall, false);
}
