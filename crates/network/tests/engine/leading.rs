//! Forward ports of the firewall's zones.
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};

use gasang_network::nat::forwards::{Carries, Forward, Target};
use gasang_network::policy::zones::{Firewall, Setting, parse_forward_port};
use gasang_network::services::refusal::{Refusal, refuse};
use gasang_network::wire::{Packet, Protocol, Transport, offload, tcp_flag, udp_frame};
use platform::net::Mac;
use smoltcp::iface::SocketHandle;
use smoltcp::socket::tcp::State;

use crate::world::{GATEWAY, GATEWAY4, World, free_port};

fn forward(text: &str) -> Setting {
    Setting::ForwardPort(parse_forward_port(text).unwrap())
}

fn firewall(forwards: &[&str]) -> Firewall {
    let mut firewall = Firewall { running: true, ..Firewall::default() };
    for text in forwards {
        firewall.add("public", &forward(text), None).unwrap();
    }
    firewall
}

const TO_THIRD: &str = "port=80:proto=tcp:toport=8080:toaddr=10.0.2.13";

/// Bytes go both ways between a client and a server that are guests.
fn talk(world: &mut World, (one, client): (usize, SocketHandle), (other, server): (usize, SocketHandle)) {
    for (from, to) in [((one, client), (other, server)), ((other, server), (one, client))] {
        world.until("a socket may send", |world| world.guests[from.0].tcp(from.1).can_send());
        world.guests[from.0].tcp(from.1).send_slice(b"hello").unwrap();
        world.until("bytes come", |world| world.guests[to.0].tcp(to.1).recv_queue() == 5);
        let mut got = [0; 5];
        world.guests[to.0].tcp(to.1).recv_slice(&mut got).unwrap();
        assert_eq!(&got, b"hello");
    }
}

#[test]
fn a_members_connection_is_led_to_another_member() {
    let mut world = World::with(3, firewall(&[TO_THIRD]));
    let server = world.guests[2].listen(8080);
    let to = world.guests[1].at(80);
    let client = world.guests[0].connect(to, 4000);
    talk(&mut world, (0, client), (2, server));
    // Each side takes the other one for what it means.
    let end = |end: Option<smoltcp::wire::IpEndpoint>| end.map(|end| SocketAddr::from((end.addr, end.port)));
    let remote = end(world.guests[0].tcp(client).remote_endpoint());
    assert_eq!(remote, Some(to));
    let remote = end(world.guests[2].tcp(server).remote_endpoint());
    assert_eq!(remote, Some("10.0.2.11:4000".parse().unwrap()));
    // The port that it is led to is open to nobody who asks for it.
    let to = world.guests[2].at(8080);
    world.guests[2].listen(8080);
    let direct = world.guests[0].connect(to, 4001);
    world.settle();
    assert_eq!(world.guests[0].tcp(direct).state(), State::SynSent);
    // An end is an end, on both sides.
    world.guests[0].tcp(client).close();
    world.until("the server hears", |world| world.guests[2].tcp(server).state() == State::CloseWait);
    world.guests[2].tcp(server).close();
    world.until("the end", |world| world.guests[2].tcp(server).state() == State::Closed);
}

#[test]
fn the_networks_own_address_leads_on() {
    let mut world = World::with(2, firewall(&["port=2222:proto=tcp:toport=22:toaddr=10.0.2.12"]));
    let server = world.guests[1].listen(22);
    let client = world.guests[0].connect(SocketAddr::new(GATEWAY4, 2222), 4000);
    talk(&mut world, (0, client), (1, server));
    // Nobody is led to himself, nor to an address that nobody has.
    world.change_firewall(|firewall| {
        firewall.add("public", &forward("port=99:proto=tcp:toaddr=10.0.2.99"), None).unwrap();
    });
    for (guest, to) in [(1, 2222), (0, 99)] {
        world.guests[guest].seen = Some(Vec::new());
        world.guests[guest].connect(SocketAddr::new(GATEWAY4, to), 5000);
        let is_refused = |frame: &Vec<u8>| {
            let ip = Packet::parse(frame).unwrap().ip;
            ip.is_some_and(|ip| matches!(ip.transport, Some(Transport::Icmp { kind: 3, code: 1, .. })))
        };
        world.until("it is unreachable", |world| world.guests[guest].take_seen().iter().any(is_refused));
    }
}

#[test]
fn another_port_of_the_same_guest() {
    let mut world = World::with(2, firewall(&["port=80:proto=tcp:toport=8080"]));
    let server = world.guests[1].listen(8080);
    let to = world.guests[1].at(80);
    let client = world.guests[0].connect(to, 4000);
    talk(&mut world, (0, client), (1, server));
}

#[test]
fn clients_of_the_hosts_ports_are_led_as_well() {
    let mut world = World::with(3, firewall(&[TO_THIRD, "port=53:proto=udp:toport=5353:toaddr=10.0.2.13"]));
    let host = free_port();
    let target = Target::Address("10.0.2.12".parse().unwrap());
    for (carries, guest_port) in [(Carries::Tcp, 80), (Carries::Udp, 53)] {
        world.network.add_forward(Forward { carries, host, target: target.clone(), guest_port }).unwrap();
    }
    let server = world.guests[2].listen(8080);
    let mut client = TcpStream::connect(host).unwrap();
    client.write_all(b"hello").unwrap();
    world.until("bytes come", |world| world.guests[2].tcp(server).recv_queue() == 5);
    world.guests[2].tcp(server).send_slice(b"there").unwrap();
    let answer = std::thread::spawn(move || {
        let mut got = [0; 5];
        client.read_exact(&mut got).map(|()| got)
    });
    world.until("the answer comes", |_| answer.is_finished());
    assert_eq!(&answer.join().unwrap().unwrap(), b"there");

    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.set_nonblocking(true).unwrap();
    world.guests[2].seen = Some(Vec::new());
    for question in [&b"one"[..], b"two"] {
        client.send_to(question, host).unwrap();
        let (frame, ip) = arrived(&mut world, 2, 5353);
        let Some(Transport::Udp { ref data, .. }) = ip.transport else { panic!("{ip:?}") };
        assert_eq!(&frame[data.clone()], question);
        let (from, to) = (ip.tuple().to(), ip.tuple().from());
        let guest = world.guests[2].mac;
        world.guests[2].send(&udp_frame((guest, from), (GATEWAY, to), b"answer"));
        let mut got = [0; 16];
        let mut came = None;
        world.until("an answer", |_| {
            came = client.recv_from(&mut got).ok();
            came.is_some()
        });
        assert_eq!(came, Some((6, host)));
    }
}

/// A datagram that came to a guest's port.
fn arrived(world: &mut World, guest: usize, port: u16) -> (Vec<u8>, gasang_network::wire::Ip) {
    let mut found = None;
    world.until("a datagram comes", |world| {
        found = world.guests[guest].take_seen().into_iter().find_map(|frame| {
            let ip = Packet::parse(&frame).unwrap().ip?;
            assert!(offload::is_sound(&ip, &frame));
            (ip.tuple().destination_port == port).then_some((frame, ip))
        });
        found.is_some()
    });
    found.unwrap()
}

#[test]
fn datagrams_and_errors_about_them_are_led_back() {
    let mut world = World::with(3, firewall(&["port=53:proto=udp:toport=5353:toaddr=10.0.2.13"]));
    world.guests.iter_mut().for_each(|guest| guest.seen = Some(Vec::new()));
    let (client, first) = (world.guests[0].at(4000), world.guests[1].at(53));
    let cards: Vec<Mac> = world.guests.iter().map(|guest| guest.mac).collect();
    world.guests[0].send(&udp_frame((cards[0], client), (cards[1], first), b"question"));
    let (frame, ip) = arrived(&mut world, 2, 5353);
    assert_eq!((ip.tuple().from(), ip.tuple().to()), (client, world.guests[2].at(5353)));
    // An answer comes from where the question was sent to.
    world.guests[2].send(&udp_frame((cards[2], world.guests[2].at(5353)), (cards[0], client), b"answer"));
    let (answer, ip) = arrived(&mut world, 0, 4000);
    assert_eq!((ip.tuple().from(), &answer[6..12]), (first, &cards[1].0[..]));
    // So does an error, about what was sent.
    let packet = Packet::parse(&frame).unwrap();
    let mut error =
        refuse(Refusal::Port, &packet, &frame, (cards[2], packet.tuple().unwrap().destination)).unwrap();
    error[..6].copy_from_slice(&cards[0].0);
    world.guests[2].send(&error);
    let (error, ip) = arrived(&mut world, 0, 3 << 8 | 3);
    assert_eq!(ip.source, first.ip());
    let quoted = gasang_network::policy::track::quoted(&ip, &error).unwrap();
    assert_eq!((quoted.from(), quoted.to()), (client, first));
}

#[test]
fn what_is_known_goes_on_until_it_is_cut() {
    let mut world = World::with(3, firewall(&[]));
    world.change_firewall(|firewall| {
        firewall.add("public", &Setting::Port("80/tcp".parse().unwrap()), None).unwrap();
    });
    // A connection of before.
    let to = world.guests[1].at(80);
    let direct = (world.guests[1].listen(80), world.guests[0].connect(to, 4000));
    talk(&mut world, (0, direct.1), (1, direct.0));
    world.change_firewall(|firewall| {
        firewall.add("public", &forward(TO_THIRD), None).unwrap();
    });
    talk(&mut world, (0, direct.1), (1, direct.0));
    let led = (world.guests[2].listen(8080), world.guests[0].connect(to, 4001));
    talk(&mut world, (0, led.1), (2, led.0));
    world.change_firewall(|firewall| {
        firewall.remove("public", &forward(TO_THIRD)).unwrap();
        firewall.remove("public", &Setting::Port("80/tcp".parse().unwrap())).unwrap();
    });
    talk(&mut world, (0, led.1), (2, led.0));
    world.network.cut();
    for (client, (server, guest)) in [(led.1, (led.0, 2)), (direct.1, (direct.0, 1))] {
        world.guests[0].tcp(client).send_slice(b"more").unwrap();
        world.settle();
        assert_eq!(world.guests[guest].tcp(server).recv_queue(), 0);
    }
}

#[test]
fn a_zone_that_denies_tells_of_what_was_sent() {
    let mut world = World::with(3, firewall(&[TO_THIRD]));
    world.change_firewall(|firewall| {
        let typed = "rule family=ipv4 source address=10.0.2.11 reject type=tcp-reset";
        let rule = Box::new(typed.parse().unwrap());
        firewall.add("public", &Setting::RichRule { rule, typed: typed.to_owned() }, None).unwrap();
    });
    world.guests[0].seen = Some(Vec::new());
    world.guests[2].listen(8080);
    let to = world.guests[1].at(80);
    let client = world.guests[0].connect(to, 4000);
    world.until("it is refused", |world| world.guests[0].tcp(client).state() == State::Closed);
    let tcp = |frame: Vec<u8>| Packet::parse(&frame).unwrap().ip.filter(|ip| ip.protocol == Protocol::TCP);
    let reset = world.guests[0].take_seen().into_iter().find_map(tcp).unwrap();
    let Some(Transport::Tcp { flags, .. }) = reset.transport else { panic!("{reset:?}") };
    assert!(flags & tcp_flag::RST != 0 && reset.source == to.ip());
}
