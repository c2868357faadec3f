use std::net::{Ipv4Addr, Ipv6Addr};

use dhcproto::Encodable;
use dhcproto::v4::{DhcpOption, Message, MessageType};
use hickory_proto::op;
use hickory_proto::rr::{Name, RecordType};
use proptest::prelude::*;

use super::*;
use crate::services::{Destination, Outgoing};
use crate::wire::{IcmpHeader, IpHeader, Protocol, ethernet_header, icmp_frame};

const OWN: Mac = Mac([0x52, 0x54, 0, 0, 0, 0xff]);

fn port(number: u8) -> PortView<'static> {
    let names = ["web", "db", "build"];
    PortView {
        id: PortId(number.into()),
        mac: Mac([2, 0, 0, 0, 0, number]),
        name: names.get(usize::from(number)).copied(),
    }
}

fn gateway(plan: Plan) -> Gateway {
    Gateway::new(plan, OWN, Leases::default(), &[], Now::read()).unwrap()
}

fn handle(gateway: &mut Gateway, from: &PortView, frame: &[u8]) -> (Handled, Outbox) {
    let mut out = Outbox::default();
    let handled = match Packet::parse(frame) {
        Ok(packet) => gateway.handle(from, &packet, frame, Now::read(), &mut out),
        Err(_) => Handled::NotMine,
    };
    (handled, out)
}

/// The one frame that was sent, to the one who asked.
fn reply(gateway: &mut Gateway, from: &PortView, frame: &[u8]) -> Vec<u8> {
    let (handled, out) = handle(gateway, from, frame);
    assert_eq!(handled, Handled::Consumed);
    let [Outgoing { to, frame }] = &out.frames[..] else { panic!("{} frames", out.frames.len()) };
    assert_eq!(*to, Destination::Port(from.id));
    frame.clone()
}

fn join(gateway: &mut Gateway, from: &PortView, address: [u8; 4]) -> Outbox {
    let none = Ipv4Addr::UNSPECIFIED;
    let mut message = Message::new(none, none, none, none, &from.mac.0);
    message.opts_mut().insert(DhcpOption::MessageType(MessageType::Request));
    message.opts_mut().insert(DhcpOption::RequestedIpAddress(address.into()));
    let to = (Mac::BROADCAST, SocketAddr::from(([255; 4], 67)));
    let frame = udp_frame((from.mac, SocketAddr::from(([0; 4], 68))), to, &message.to_vec().unwrap());
    let (handled, out) = handle(gateway, from, &frame);
    assert_eq!((handled, out.frames.len()), (Handled::Consumed, 1));
    out
}

fn query(from: &PortView, server: &str, name: &str) -> Vec<u8> {
    let mut message = op::Message::new(7, op::MessageType::Query, op::OpCode::Query);
    message.add_query(op::Query::query(Name::from_ascii(name).unwrap(), RecordType::A));
    let source = SocketAddr::from(([10, 0, 2, 4], 40_000));
    udp_frame((from.mac, source), (OWN, server.parse().unwrap()), &message.to_vec().unwrap())
}

fn dns_of(frame: &[u8]) -> op::Message {
    let ip = Packet::parse(frame).unwrap().ip.unwrap();
    let Some(Transport::Udp { data, .. }) = ip.transport else { panic!("no UDP") };
    op::Message::from_vec(&frame[data]).unwrap()
}

#[test]
fn a_guest_arrives_has_a_name_and_goes() {
    let mut network = gateway(Plan::natnet("lab"));
    let (web, db) = (port(0), port(1));
    let events = join(&mut network, &web, [10, 0, 2, 4]).events;
    let address = IpAddr::from([10, 0, 2, 4]);
    assert_eq!(events, [Event::AddressAssigned { port: web.id, address }, Event::LeasesChanged]);
    join(&mut network, &db, [10, 0, 2, 5]);
    let names = |network: &mut Gateway| {
        let reply = reply(network, &db, &query(&db, "10.0.2.1:53", "web.internal."));
        dns_of(&reply).answers.iter().map(|record| record.data.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(names(&mut network), ["10.0.2.4"]);
    assert_eq!(network.neighbour(address), Some(Neighbour { mac: web.mac, port: web.id }));
    // After a restart of the network, guests do not ask again before half their time is over.
    let text = serde_json::to_string(network.leases().unwrap()).unwrap();
    let leases = serde_json::from_str(&text).unwrap();
    let mut again = Gateway::new(Plan::natnet("lab"), OWN, leases, &[], Now::read()).unwrap();
    assert_eq!(names(&mut again), ["10.0.2.4"]);
    network.forget_port(web.id);
    assert_eq!((names(&mut network).len(), network.neighbour(address)), (0, None));
}

#[test]
fn others_names_are_handed_on() {
    let mut network = gateway(Plan::natnet("lab"));
    let frame = query(&port(0), "10.0.2.1:53", "example.org.");
    let (Handled::ForwardDns { client, query: place }, out) = handle(&mut network, &port(0), &frame) else {
        panic!("not handed on")
    };
    assert!(out.frames.is_empty());
    assert_eq!((client.port, client.limit, place.clone()), (PortId(0), 512, 42..frame.len()));
    let mut out = Outbox::default();
    network.dns_reply(&client, &frame[place], &mut out);
    let packet = Packet::parse(&out.frames[0].frame).unwrap();
    let tuple = packet.tuple().unwrap();
    assert_eq!((packet.destination, packet.source), (port(0).mac, OWN));
    assert_eq!((tuple.from(), tuple.to()), (client.server, client.address));
    // Nobody answers where no server is.
    let frame = query(&port(0), "10.0.2.3:53", "example.org.");
    assert_eq!(handle(&mut network, &port(0), &frame).0, Handled::NotMine);
}

#[test]
fn arp_is_answered_for_the_networks_own_addresses() {
    let mut network = gateway(Plan::natnet("lab"));
    let guest = (port(0).mac, Ipv4Addr::new(10, 0, 2, 9));
    for own in [[10, 0, 2, 1], [10, 0, 2, 3]] {
        let answer = Arp::parse(&reply(&mut network, &port(0), &Arp::request(guest, own.into()))).unwrap();
        assert_eq!((answer.sender, answer.target), ((OWN, own.into()), guest));
    }
    assert_eq!(network.neighbour(guest.1.into()), Some(Neighbour { mac: guest.0, port: PortId(0) }));
    let (handled, out) = handle(&mut network, &port(0), &Arp::request(guest, [10, 0, 2, 77].into()));
    assert_eq!((handled, out.frames.len(), out.events.len()), (Handled::NotMine, 0, 0));
    // Who says that he is the gateway, or somebody else's card, is not heard.
    for liar in [(guest.0, Ipv4Addr::new(10, 0, 2, 1)), (Mac([9; 6]), Ipv4Addr::new(10, 0, 2, 8))] {
        let mut frame = Arp::request(liar, liar.1);
        frame[6..12].copy_from_slice(&guest.0.0);
        let (handled, out) = handle(&mut network, &port(0), &frame);
        assert_eq!((handled, out.frames.len(), out.events.len()), (Handled::Consumed, 0, 0), "{liar:?}");
        assert_eq!(network.neighbour(liar.1.into()), None);
    }
    let mut out = Outbox::default();
    network.resolve([10, 0, 2, 8].into(), &mut out);
    assert_eq!(Arp::parse(&out.frames[0].frame).unwrap().target.1, Ipv4Addr::new(10, 0, 2, 8));
}

#[test]
fn the_hosts_own_address_is_not_the_networks() {
    let mut network = gateway(Plan::hostonly("lab"));
    let guest = (port(0).mac, Ipv4Addr::new(192, 168, 56, 101));
    let frame = Arp::request(guest, [192, 168, 56, 1].into());
    assert_eq!(handle(&mut network, &port(0), &frame).0, Handled::NotMine);
    let frame = Arp::request(guest, [192, 168, 56, 100].into());
    assert_eq!(reply(&mut network, &port(0), &frame).len(), 42);
    let host = (port(7).mac, Ipv4Addr::new(192, 168, 56, 1));
    handle(&mut network, &port(7), &Arp::request(host, guest.1));
    assert!(network.neighbour(host.1.into()).is_some());
}

#[test]
fn pings_of_the_gateway() {
    let mut network = gateway(Plan::natnet("lab"));
    let gateway6 = network.plan().v6.as_ref().unwrap().gateway;
    let pairs: [(IpAddr, IpAddr, u8, u8); 3] = [
        ([10, 0, 2, 4].into(), [10, 0, 2, 1].into(), 8, 0),
        ("fe80::1".parse().unwrap(), gateway6.into(), 128, 129),
        ("fe80::1".parse().unwrap(), ndp::link_local(OWN).into(), 128, 129),
    ];
    for (guest, own, request, answer) in pairs {
        let frame = icmp_frame((port(0).mac, guest), (OWN, own), IcmpHeader::echo(request, 5, 6), b"data");
        let reply = reply(&mut network, &port(0), &frame);
        let ip = Packet::parse(&reply).unwrap().ip.unwrap();
        assert_eq!((ip.source, ip.destination), (own, guest));
        let Some(Transport::Icmp { kind, identifier, sequence, data, .. }) = ip.transport else {
            panic!("no ICMP")
        };
        assert_eq!((kind, identifier, sequence, &reply[data]), (answer, 5, 6, &b"data"[..]));
        // Those of others are others'.
        let frame =
            icmp_frame((port(0).mac, guest), (port(1).mac, own), IcmpHeader::echo(request, 5, 6), b"");
        assert_eq!(handle(&mut network, &port(0), &frame).0, Handled::NotMine);
    }
    let frame = icmp_frame(
        (port(0).mac, [10, 0, 2, 4].into()),
        (OWN, [192, 0, 2, 1].into()),
        IcmpHeader::echo(8, 5, 6),
        b"",
    );
    assert_eq!(handle(&mut network, &port(0), &frame).0, Handled::NotMine);
}

#[test]
fn a_guest_configures_its_ipv6() {
    let mut network = gateway(Plan::natnet("lab"));
    let web = port(0);
    let v6 = network.plan().v6.clone().unwrap();
    let link = ndp::link_local(web.mac);
    let discovery = |source: Ipv6Addr, to: Ipv6Addr, kind: u8, body: &[u8]| {
        let header = IcmpHeader { kind, code: 0, rest: [0; 4] };
        icmp_frame((web.mac, source.into()), (crate::wire::ipv6_group_mac(to), to.into()), header, body)
    };
    let routers = "ff02::2".parse().unwrap();
    let advertisement = reply(&mut network, &web, &discovery(link, routers, 133, &[]));
    assert_eq!((&advertisement[..6], advertisement[54]), (&web.mac.0[..], 134));
    // It asks whether anybody has its address, and all others hear that too.
    let address = Ipv6Addr::from(u128::from(v6.prefix.network()) | 0x15);
    let group = "ff02::1:ff00:15".parse().unwrap();
    let frame = discovery(Ipv6Addr::UNSPECIFIED, group, 135, &address.octets());
    let (handled, out) = handle(&mut network, &web, &frame);
    assert_eq!((handled, out.frames.len()), (Handled::NotMine, 0));
    assert_eq!(out.events, [Event::AddressSeen { port: web.id, address: address.into() }]);
    let answer = network.answer_dns(&query6("web.internal."), dns::Over::Tcp);
    let dns::Answer::Local(answer) = answer else { panic!("not answered") };
    assert_eq!(op::Message::from_vec(&answer).unwrap().answers[0].data.to_string(), address.to_string());
    // It looks for the gateway.
    let frame = discovery(address, "ff02::1:ff00:1".parse().unwrap(), 135, &v6.gateway.octets());
    assert_eq!(reply(&mut network, &web, &frame)[54], 136);
    // Whatever comes from farther away, and what others say of the way out, is not heard.
    let mut far = frame;
    far[21] = 64;
    assert_eq!(handle(&mut network, &web, &far).0, Handled::Consumed);
    let rogue = discovery(link, ndp::ALL_NODES, 134, &[0; 8]);
    assert_eq!(handle(&mut network, &web, &rogue).0, Handled::Consumed);
    // It asks what else there is.
    let servers = "ff02::1:2".parse::<Ipv6Addr>().unwrap();
    let from = (web.mac, SocketAddr::from((link, 546)));
    let frame = udp_frame(from, (Mac([0x33, 0x33, 0, 1, 0, 2]), (servers, 547).into()), &[11, 1, 2, 3]);
    let answer = Packet::parse(&reply(&mut network, &web, &frame)).unwrap().tuple().unwrap();
    assert_eq!((answer.to(), answer.source_port), ((link, 546).into(), 547));
}

fn query6(name: &str) -> Vec<u8> {
    let mut message = op::Message::new(7, op::MessageType::Query, op::OpCode::Query);
    message.add_query(op::Query::query(Name::from_ascii(name).unwrap(), RecordType::AAAA));
    message.to_vec().unwrap()
}

#[test]
fn a_network_tells_of_itself_from_time_to_time() {
    let mut network = gateway(Plan::natnet("lab"));
    let now = Now::read();
    let mut out = Outbox::default();
    network.tick(now, &mut out);
    network.tick(now, &mut out);
    assert_eq!((out.frames.len(), out.frames[0].to), (1, Destination::Flood));
    assert_eq!(network.next_timer(), Some(now.instant + ADVERTISEMENT));
    network.set_default_route6(true, &mut out);
    network.set_default_route6(true, &mut out);
    assert_eq!((out.frames.len(), &out.frames[1].frame[60..62]), (2, &[7, 8][..]));
    assert_eq!(gateway(Plan::internal()).next_timer(), None);
}

#[test]
fn an_internal_network_is_left_to_its_guests() {
    let mut network = gateway(Plan::internal());
    let guest = (port(0).mac, Ipv4Addr::new(10, 0, 0, 1));
    let broadcast = (Mac::BROADCAST, SocketAddr::from(([255; 4], 67)));
    for frame in [
        Arp::request(guest, [10, 0, 0, 2].into()),
        udp_frame((guest.0, SocketAddr::from(([0; 4], 68))), broadcast, &[1; 300]),
        icmp_frame(
            (guest.0, "fe80::1".parse().unwrap()),
            (Mac([0x33, 0x33, 0, 0, 0, 2]), "ff02::2".parse().unwrap()),
            IcmpHeader { kind: 133, code: 0, rest: [0; 4] },
            &[],
        ),
    ] {
        let (handled, out) = handle(&mut network, &port(0), &frame);
        assert_eq!((handled, out.frames.len()), (Handled::NotMine, 0));
    }
}

proptest! {
    /// Frames that are right up to some layer, and any bytes behind it.
    #[test]
    fn any_frame(
        layer in 0..6, to_us in any::<bool>(), v6 in any::<bool>(), kind in any::<u8>(), place in 0_usize..4,
        bytes in proptest::collection::vec(any::<u8>(), 0..400),
    ) {
        let mut network = gateway(Plan::natnet("lab"));
        let gateway6 = network.plan().v6.as_ref().unwrap().gateway;
        let from = port(0);
        let to = if to_us { OWN } else { Mac::BROADCAST };
        let own: IpAddr = match (v6, place) {
            (false, 0) => [255; 4].into(),
            (false, _) => [10, 0, 2, if place == 1 { 3 } else { 1 }].into(),
            (true, 0) => "ff02::1:2".parse().unwrap(),
            (true, _) => gateway6.into(),
        };
        let source: IpAddr = if v6 { "fe80::1".parse().unwrap() } else { [10, 0, 2, 4].into() };
        let frame = match layer {
            0 => bytes,
            1 => [&ethernet_header(to, from.mac, EtherType::ARP)[..], &bytes].concat(),
            2 => {
                let header = IpHeader::new(source, own, Protocol(kind % 60));
                let mut frame = ethernet_header(to, from.mac, header.ethertype()).to_vec();
                header.append(&mut frame, bytes.len());
                [frame, bytes].concat()
            }
            3 => {
                let kind = if v6 { 128 + kind % 10 } else { kind % 20 };
                icmp_frame((from.mac, source), (to, own), IcmpHeader { kind, code: 0, rest: [0; 4] }, &bytes)
            }
            _ => {
                let number = [53, 67, 547, kind.into()][place];
                udp_frame((from.mac, (source, 68).into()), (to, (own, number).into()), &bytes)
            }
        };
        let (_, out) = handle(&mut network, &from, &frame);
        prop_assert!(out.frames.len() <= 1);
        for Outgoing { frame, .. } in out.frames {
            prop_assert!(Packet::parse(&frame).is_ok());
        }
    }
}
