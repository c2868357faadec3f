use std::time::Duration;

use super::frames::{arp, icmp, icmpv6, ip, tcp, udp};
use super::*;
use crate::policy::groups::{Direction, Peer, PortRange, Rule};
use crate::policy::{Reason, Reject};
use crate::wire::{Protocol, Tuple, tcp_flag};

const WEB: Mac = Mac([0x52, 0x54, 0, 0, 0, 1]);
const DB: Mac = Mac([0x52, 0x54, 0, 0, 0, 2]);
const WEB_PORT: End = End::Port(PortId(1));
const DB_PORT: End = End::Port(PortId(2));
const SYN: u8 = tcp_flag::SYN;
const ACK: u8 = tcp_flag::ACK;

struct World {
    filter: Filter,
    now: Instant,
}

impl World {
    /// "web" at 10.0.2.15 and "db" at 10.0.2.16.
    fn new(groups: Groups, firewall: Firewall) -> Self {
        let now = Instant::now();
        let mut filter = Filter::new(groups, firewall, now);
        for (id, vm, mac, address) in [(1, "web", WEB, "10.0.2.15"), (2, "db", DB, "10.0.2.16")] {
            let addresses = vec![address.parse().unwrap()];
            let nic = "eth0".to_owned();
            filter.add_port(
                PortId(id),
                Identity { vm: vm.to_owned(), nic, mac, addresses, prefixes: vec![], strict: true },
            );
        }
        Self { filter, now }
    }
    fn send(&mut self, from: End, to: End, frame: &[u8]) -> Verdict {
        let packet = Packet::parse(frame).unwrap();
        self.filter.check(from, to, &packet, frame, self.now)
    }
    /// From the outside to the web machine's port.
    fn in_to(&mut self, port: u16, flags: u8) -> Verdict {
        let frame = tcp(Mac([2; 6]), "192.0.2.7:4000", &format!("10.0.2.15:{port}"), flags);
        self.send(End::Outside, WEB_PORT, &frame)
    }
    fn out_from(&mut self, port: u16, flags: u8) -> Verdict {
        let frame = tcp(WEB, &format!("10.0.2.15:{port}"), "192.0.2.7:4000", flags);
        self.send(WEB_PORT, End::Outside, &frame)
    }
}

fn rule(direction: Direction, port: u16) -> Rule {
    let ports = Some(PortRange { first: port, last: port });
    Rule { protocol: "tcp".parse().unwrap(), ports, ..Rule::any(0, direction, Peer::Anybody) }
}

fn web_groups() -> Groups {
    let mut groups = Groups::default();
    groups.create("web", "").unwrap();
    groups.create("db", "").unwrap();
    groups.assign("web", &["web".to_owned()]).unwrap();
    groups
}

fn dropped(reason: Reason) -> Verdict {
    Verdict::Drop(reason)
}

#[test]
fn without_groups_and_firewall_everything_passes() {
    let mut world = World::new(Groups::default(), Firewall::default());
    assert_eq!(world.in_to(80, SYN), Verdict::Pass);
    assert_eq!(world.in_to(81, ACK), Verdict::Pass);
    assert_eq!(world.send(WEB_PORT, DB_PORT, &arp(WEB, WEB, "10.0.2.15", 1)), Verdict::Pass);
    assert_eq!(world.filter.stats().flows, 2);
}

#[test]
fn dark_until_allowed_and_tracked_flows_survive_a_revoke() {
    let mut groups = web_groups();
    let mut world = World::new(groups.clone(), Firewall::default());
    assert_eq!(world.in_to(80, SYN), dropped(Reason::IngressGroups));
    let id = groups.allow("web", rule(Direction::Ingress, 80)).unwrap();
    world.filter.set_groups(groups.clone());
    assert_eq!(world.in_to(80, ACK), dropped(Reason::NotTracked));
    assert_eq!(world.in_to(80, SYN), Verdict::Pass);
    assert_eq!(world.out_from(80, SYN | ACK), Verdict::Pass);
    assert_eq!(world.in_to(80, ACK), Verdict::Pass);
    assert_eq!(world.in_to(81, SYN), dropped(Reason::IngressGroups));
    groups.revoke("web", id).unwrap();
    world.filter.set_groups(groups.clone());
    assert_eq!(world.in_to(80, ACK), Verdict::Pass, "it goes on");
    assert_eq!(world.in_to(80, SYN), dropped(Reason::IngressGroups), "but does not begin again");
    assert_eq!(world.out_from(80, ACK), Verdict::Pass);
    world.filter.cut();
    assert_eq!(world.out_from(80, ACK), dropped(Reason::IngressGroups));
    assert_eq!(world.out_from(80, ACK), dropped(Reason::NotTracked), "no answer makes it a flow of its own");
    assert_eq!(world.in_to(80, ACK), dropped(Reason::NotTracked));
    let drops = world.filter.stats().drops;
    assert_eq!((drops["not-tracked"], drops["ingress-groups"]), (3, 4));
}

#[test]
fn a_cut_leaves_what_is_allowed() {
    let mut groups = web_groups();
    groups.allow("web", rule(Direction::Ingress, 80)).unwrap();
    let mut world = World::new(groups, Firewall::default());
    for flags in [SYN, ACK] {
        assert_eq!(world.in_to(80, flags), Verdict::Pass);
    }
    world.filter.cut();
    assert_eq!((world.out_from(80, ACK), world.in_to(80, ACK)), (Verdict::Pass, Verdict::Pass));
    let stats = world.filter.stats();
    let hits = stats.rules.iter().find(|rule| rule.group == "web" && rule.rule == 2).unwrap().hits;
    assert_eq!((hits, stats.flows, stats.ports[1].flows), (1, 1, 1));
}

#[test]
fn groups_name_groups() {
    let mut groups = web_groups();
    groups.assign("db", &["db".to_owned()]).unwrap();
    let peer = Peer::Group("web".to_owned());
    groups.allow("db", Rule { peer, ..rule(Direction::Ingress, 5432) }).unwrap();
    let mut world = World::new(groups, Firewall::default());
    let query = tcp(WEB, "10.0.2.15:4000", "10.0.2.16:5432", SYN);
    assert_eq!(world.send(WEB_PORT, DB_PORT, &query), Verdict::Pass);
    let from_outside = tcp(Mac([2; 6]), "192.0.2.7:4000", "10.0.2.16:5432", SYN);
    assert_eq!(world.send(End::Outside, DB_PORT, &from_outside), dropped(Reason::IngressGroups));
}

#[test]
fn what_a_network_needs_always_passes() {
    let mut groups = web_groups();
    groups.revoke("web", 1).unwrap();
    let mut world = World::new(groups, Firewall::default());
    let discover = udp(WEB, "0.0.0.0:68", "255.255.255.255:67");
    assert_eq!(world.send(WEB_PORT, End::Gateway, &discover), Verdict::Pass);
    let offer = udp(Mac([2; 6]), "10.0.2.2:67", "255.255.255.255:68");
    assert_eq!(world.send(End::Gateway, WEB_PORT, &offer), Verdict::Pass);
    assert_eq!(world.send(WEB_PORT, DB_PORT, &arp(WEB, WEB, "10.0.2.15", 1)), Verdict::Pass);
    assert_eq!(world.send(WEB_PORT, DB_PORT, &icmpv6(WEB, "fe80::1", "ff02::1:ff00:1", 135)), Verdict::Pass);
    assert_eq!(world.out_from(4000, SYN), dropped(Reason::EgressGroups));
    let tagged = [&[2; 6][..], &WEB.0, &[0x81, 0, 0, 1, 8, 0, 0x45]].concat();
    assert_eq!(world.send(WEB_PORT, End::Outside, &tagged), dropped(Reason::SourceAddress));
    assert_eq!(world.send(End::Port(PortId(9)), WEB_PORT, &discover), dropped(Reason::NoPort));
}

#[test]
fn errors_belong_to_the_flow_that_they_quote() {
    let mut world = World::new(web_groups(), Firewall::default());
    assert_eq!(world.out_from(4000, SYN), Verdict::Pass);
    let quote = tcp(WEB, "10.0.2.15:4000", "192.0.2.7:4000", SYN)[14..].to_vec();
    let gateway = Mac([2; 6]);
    let error = icmp(gateway, "192.0.2.1", "10.0.2.15", 3, &quote);
    assert_eq!(world.send(End::Outside, WEB_PORT, &error), Verdict::Pass);
    let other = tcp(WEB, "10.0.2.15:4001", "192.0.2.7:4000", SYN)[14..].to_vec();
    let error = icmp(gateway, "192.0.2.1", "10.0.2.15", 3, &other);
    assert_eq!(world.send(End::Outside, WEB_PORT, &error), dropped(Reason::IngressGroups));
    // An echo's answer is one of a flow, an echo from outside is not.
    assert_eq!(
        world.send(WEB_PORT, End::Outside, &icmp(WEB, "10.0.2.15", "192.0.2.1", 8, &[])),
        Verdict::Pass
    );
    let reply = icmp(gateway, "192.0.2.1", "10.0.2.15", 0, &[]);
    assert_eq!(world.send(End::Outside, WEB_PORT, &reply), Verdict::Pass);
    let asks = icmp(gateway, "192.0.2.1", "10.0.2.15", 8, &[]);
    assert_eq!(world.send(End::Outside, WEB_PORT, &asks), dropped(Reason::IngressGroups));
}

/// A datagram's fragment, with its place in units of eight bytes.
fn fragment(offset: u8, more: bool, payload: &[u8]) -> Vec<u8> {
    let (source, destination) = ("192.0.2.7".parse().unwrap(), "10.0.2.15".parse().unwrap());
    let mut frame = ip(Mac([2; 6]), source, destination, Protocol::UDP, payload);
    frame[14 + 5] = 77;
    frame[14 + 6..14 + 8].copy_from_slice(&[if more { 0x20 } else { 0 }, offset]);
    frame
}

#[test]
fn fragments_share_the_fate_of_the_first() {
    let mut groups = web_groups();
    let rule = Rule { protocol: "udp".parse().unwrap(), ..rule(Direction::Ingress, 53) };
    groups.allow("web", rule).unwrap();
    let mut world = World::new(groups, Firewall::default());
    let later = fragment(2, false, &[0; 8]);
    assert_eq!(world.send(End::Outside, WEB_PORT, &later), dropped(Reason::NotTracked));
    let header = |port: u8| [0, 9, 0, port, 0, 24, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    assert_eq!(
        world.send(End::Outside, WEB_PORT, &fragment(0, true, &header(54))),
        dropped(Reason::IngressGroups)
    );
    assert_eq!(world.send(End::Outside, WEB_PORT, &later), dropped(Reason::NotTracked));
    assert_eq!(world.send(End::Outside, WEB_PORT, &fragment(0, true, &header(53))), Verdict::Pass);
    assert_eq!(world.send(End::Outside, WEB_PORT, &later), Verdict::Pass);
    assert_eq!(world.send(End::Outside, DB_PORT, &later), Verdict::Pass, "nobody filters there");
    assert_eq!(world.send(End::Outside, WEB_PORT, &fragment(0, true, &[0; 4])), dropped(Reason::NotTracked));
    world.now += Duration::from_secs(31);
    assert_eq!(world.send(End::Outside, WEB_PORT, &later), dropped(Reason::NotTracked));
}

#[test]
fn zones_stand_before_guests() {
    let firewall = Firewall { running: true, ..Firewall::default() };
    let mut world = World::new(Groups::default(), firewall.clone());
    assert_eq!(world.in_to(22, SYN), Verdict::Pass);
    assert_eq!(world.in_to(80, SYN), Verdict::Reject(Reject::Prohibited));
    assert_eq!(world.out_from(5000, SYN), Verdict::Pass, "what leaves is not the zone's business");
    let mut zone_drop = Firewall { default_zone: "drop".to_owned(), ..firewall.clone() };
    world.filter.set_firewall(zone_drop.clone());
    assert_eq!(world.in_to(22, ACK), Verdict::Pass, "tracked flows go on");
    assert_eq!(world.in_to(23, SYN), dropped(Reason::Zone));
    zone_drop.panic = true;
    world.filter.set_firewall(zone_drop);
    assert_eq!(world.in_to(22, ACK), dropped(Reason::Panic));
    world.filter.set_firewall(firewall);
    assert_eq!(world.in_to(22, ACK), Verdict::Pass);
}

#[test]
fn clients_with_the_gateways_address_are_answered() {
    let mut groups = web_groups();
    groups.allow("web", rule(Direction::Ingress, 80)).unwrap();
    let mut world = World::new(groups, Firewall::default());
    let from_gateway = |flags| tcp(Mac([2; 6]), "10.0.2.1:4000", "10.0.2.15:80", flags);
    assert_eq!(world.send(End::Outside, WEB_PORT, &from_gateway(SYN)), Verdict::Pass);
    let answer = tcp(WEB, "10.0.2.15:80", "10.0.2.1:4000", SYN | ACK);
    assert_eq!(world.send(WEB_PORT, End::Gateway, &answer), Verdict::Pass);
    assert_eq!(world.send(DB_PORT, WEB_PORT, &from_gateway(ACK)), dropped(Reason::SourceMac));
}

#[test]
fn a_flow_is_its_ends() {
    // Without strictness, another guest can take an address, but not a flow.
    let mut world = World::new(web_groups(), Firewall::default());
    let identity = Identity {
        vm: "x".to_owned(),
        nic: "eth0".to_owned(),
        mac: DB,
        addresses: vec![],
        prefixes: vec![],
        strict: false,
    };
    world.filter.add_port(PortId(2), identity);
    assert_eq!(world.out_from(5000, SYN), Verdict::Pass);
    let answer = tcp(DB, "192.0.2.7:4000", "10.0.2.15:5000", SYN | ACK);
    assert_eq!(world.send(DB_PORT, WEB_PORT, &answer), dropped(Reason::NotTracked));
    assert_eq!(world.in_to(5000, SYN | ACK), Verdict::Pass);
}

#[test]
fn cards_give_themselves_addresses_by_asking_first() {
    let mut world = World::new(Groups::default(), Firewall::default());
    for (id, mac) in [(1, WEB), (2, DB)] {
        let prefixes = vec!["fd00::/64".parse().unwrap()];
        let (vm, nic) = (id.to_string(), "eth0".to_owned());
        world
            .filter
            .add_port(PortId(id), Identity { vm, nic, mac, addresses: vec![], prefixes, strict: true });
    }
    let asks = |mac, target: &str| {
        let target: std::net::Ipv6Addr = target.parse().unwrap();
        let message = [&[135, 0, 0, 0, 0, 0, 0, 0][..], &target.octets()].concat();
        ip(mac, "::".parse().unwrap(), "ff02::1:ff00:7".parse().unwrap(), Protocol::ICMPV6, &message)
    };
    let speaks = |mac, source: &str| tcp(mac, &format!("[{source}]:4000"), "[fd00::2]:80", SYN);
    assert_eq!(world.send(WEB_PORT, End::Outside, &speaks(WEB, "fd00::7")), dropped(Reason::SourceAddress));
    assert_eq!(world.send(WEB_PORT, DB_PORT, &asks(WEB, "fd00::7")), Verdict::Pass);
    assert_eq!(world.send(WEB_PORT, End::Outside, &speaks(WEB, "fd00::7")), Verdict::Pass);
    // Somebody else's, and those of other networks, it does not get.
    for target in ["fd00::7", "fd01::7"] {
        assert_eq!(world.send(DB_PORT, WEB_PORT, &asks(DB, target)), Verdict::Pass);
        assert_eq!(world.send(DB_PORT, End::Outside, &speaks(DB, target)), dropped(Reason::SourceAddress));
    }
}

#[test]
fn tracing_names_the_rule() {
    let mut groups = web_groups();
    let id = groups.allow("web", rule(Direction::Ingress, 80)).unwrap();
    let world = World::new(groups, Firewall::default());
    let to = |destination_port| Tuple {
        protocol: Protocol::TCP,
        source: "10.0.2.16".parse().unwrap(),
        destination: "10.0.2.15".parse().unwrap(),
        source_port: 4000,
        destination_port,
    };
    let traced = world.filter.trace("web", &to(80), Direction::Ingress).unwrap();
    assert!(traced.allowed);
    assert_eq!(traced.rule, Some(("web".to_owned(), id)));
    assert_eq!(traced.steps.len(), 2);
    let traced = world.filter.trace("web", &to(81), Direction::Ingress).unwrap();
    assert_eq!((traced.allowed, traced.rule), (false, None));
    assert_eq!(traced.steps[1], "web:eth0 ingress: no rule allows it (groups: web)");
    assert_eq!(world.filter.trace("nobody", &to(81), Direction::Ingress), None);
}
