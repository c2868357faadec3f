//! What the filter costs: nanoseconds of this process's CPU time per frame of a known flow, and per new flow, with few and with many rules.
//!
//! `cargo run -p gasang-network --example filter_cost`
use std::time::{Duration, Instant};

use gasang_network::policy::groups::{Direction, Groups, Peer, PortRange, Rule};
use gasang_network::policy::zones::Firewall;
use gasang_network::policy::{End, Filter, Identity, PortId, Verdict};
use gasang_network::wire::Packet;
use platform::net::Mac;

const GUEST: Mac = Mac([0x52, 0x54, 0, 0, 0, 1]);
const FRAMES: u32 = 4_000_000;
const FLOWS: u32 = 400_000;

fn main() {
    println!("{:24} {:>16} {:>16}", "rules", "ns/frame, known", "ns/flow, new");
    for (name, rules) in [("no groups", None), ("1 rule", Some(1)), ("1000 rules", Some(1000))] {
        let mut filter = filter(rules);
        println!("{name:24} {:16.1} {:16.1}", known(&mut filter), new(&mut filter));
    }
    let mut zoned = filter(None);
    zoned.set_firewall(Firewall { running: true, ..Firewall::default() });
    println!("{:24} {:16.1} {:16.1}", "zone public", known(&mut zoned), new(&mut zoned));
}

fn filter(rules: Option<u16>) -> Filter {
    let mut groups = Groups::default();
    if let Some(count) = rules {
        groups.create("many", "").expect("a name");
        for number in 0..count - 1 {
            let ports = Some(PortRange { first: 1000 + number, last: 1010 + number });
            let peer = Peer::Net(([10, (number >> 8) as u8, number as u8, 0], 24).into_net());
            let rule = Rule {
                ports,
                protocol: "tcp".parse().expect("a protocol"),
                ..Rule::any(0, Direction::Ingress, peer)
            };
            groups.allow("many", rule).expect("a new rule");
        }
        let ssh = Some(PortRange { first: 22, last: 22 });
        let rule = Rule::any(0, Direction::Ingress, Peer::Anybody);
        let rule = Rule { ports: ssh, protocol: "tcp".parse().expect("a protocol"), ..rule };
        groups.allow("many", rule).expect("a new rule");
        groups.assign("vm", &["many".to_owned()]).expect("a group");
    }
    let mut filter = Filter::new(groups, Firewall::default(), Instant::now());
    let addresses = vec![[10, 0, 2, 15].into()];
    let identity = Identity {
        vm: "vm".to_owned(),
        nic: "eth0".to_owned(),
        mac: GUEST,
        addresses,
        prefixes: Vec::new(),
        strict: true,
    };
    filter.add_port(PortId(1), identity);
    filter
}

trait IntoNet {
    fn into_net(self) -> ipnet::IpNet;
}

impl IntoNet for ([u8; 4], u8) {
    fn into_net(self) -> ipnet::IpNet {
        ipnet::IpNet::new(self.0.into(), self.1).expect("a prefix")
    }
}

/// A TCP segment to the guest's port 22, or from it.
fn segment(peer_port: u16, to_guest: bool, flags: u8) -> Vec<u8> {
    let (guest, peer) = ([10, 0, 2, 15], [192, 0, 2, 7]);
    let mut frame = match to_guest {
        true => [GUEST.0, [2; 6]].concat(),
        false => [[2; 6], GUEST.0].concat(),
    };
    frame.extend([8, 0, 0x45, 0, 0, 40, 0, 0, 0, 0, 64, 6, 0, 0]);
    let ports = [22_u16.to_be_bytes(), peer_port.to_be_bytes()];
    let [(source, source_port), (destination, destination_port)] = match to_guest {
        true => [(peer, ports[1]), (guest, ports[0])],
        false => [(guest, ports[0]), (peer, ports[1])],
    };
    frame.extend(source.into_iter().chain(destination).chain(source_port).chain(destination_port));
    frame.extend([0, 0, 0, 0, 0, 0, 0, 0, 0x50, flags, 1, 0, 0, 0, 0, 0]);
    frame
}

fn known(filter: &mut Filter) -> f64 {
    let now = Instant::now();
    let (opening, data) = (segment(4000, true, 2), segment(4000, false, 16));
    let check = |filter: &mut Filter, from, to, frame: &[u8], packet: &Packet| {
        assert_eq!(filter.check(from, to, packet, frame, now), Verdict::Pass);
    };
    let packet = Packet::parse(&opening).expect("a frame");
    check(filter, End::Outside, End::Port(PortId(1)), &opening, &packet);
    let packet = Packet::parse(&data).expect("a frame");
    let start = cpu_time();
    for _ in 0..FRAMES {
        check(filter, End::Port(PortId(1)), End::Outside, std::hint::black_box(&data), &packet);
    }
    per(cpu_time() - start, FRAMES)
}

fn new(filter: &mut Filter) -> f64 {
    let now = Instant::now();
    let packets: Vec<_> = (0..50_000_u16)
        .map(|port| segment(10_000 + port, true, 2))
        .map(|frame| (Packet::parse(&frame).expect("a frame"), frame))
        .collect();
    let mut spent = Duration::ZERO;
    for round in 0..FLOWS / 50_000 {
        // Later, so that the flows of the round before are forgotten.
        let now = now + Duration::from_secs(u64::from(round) * 200);
        let start = cpu_time();
        for (packet, frame) in &packets {
            let verdict = filter.check(End::Outside, End::Port(PortId(1)), packet, frame, now);
            assert_eq!(verdict, Verdict::Pass);
        }
        spent += cpu_time() - start;
    }
    per(spent, FLOWS)
}

/// Time that others have the CPU does not count.
fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

fn per(time: Duration, count: u32) -> f64 {
    time.as_nanos() as f64 / f64::from(count)
}
