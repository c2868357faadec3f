use std::time::Duration;

use super::*;

const A: End = End::Port(PortId(1));
const B: End = End::Port(PortId(2));

fn tcp(source_port: u16) -> Tuple {
    Tuple {
        protocol: Protocol::TCP,
        source: [10, 0, 0, 1].into(),
        destination: [10, 0, 0, 2].into(),
        source_port,
        destination_port: 80,
    }
}

fn with(tuple: Tuple, flags: u8) -> Seen {
    Seen { tuple, flags }
}

fn after(start: Instant, seconds: u64) -> Instant {
    start + Duration::from_secs(seconds)
}

#[test]
fn both_directions_find_one_flow() {
    let now = Instant::now();
    let mut table = Table::new(16, now);
    table.insert(&with(tcp(5), tcp_flag::SYN), A, B, 1, now);
    assert!(table.find(&tcp(5), now).unwrap().from_initiator);
    assert!(!table.find(&tcp(5).reversed(), now).unwrap().from_initiator);
    assert_eq!(table.find(&tcp(6), now), None);
    assert_eq!((table.len(), table.of_port(PortId(1)), table.of_port(PortId(2))), (1, 1, 0));
}

#[test]
fn echoes_are_flows_of_who_asks() {
    let now = Instant::now();
    let mut table = Table::new(16, now);
    let asks = Tuple { protocol: Protocol::ICMP, source_port: 7, destination_port: 8 << 8, ..tcp(0) };
    table.insert(&with(asks, 0), A, B, 1, now);
    assert!(!table.find(&asks.reversed(), now).unwrap().from_initiator);
    // The other side's own request with the same identifier is another flow.
    let other = Tuple { source: asks.destination, destination: asks.source, ..asks };
    assert_eq!(table.find(&other, now), None);
}

#[test]
fn tcp_states_have_their_times() {
    let now = Instant::now();
    let mut table = Table::new(16, now);
    table.insert(&with(tcp(5), tcp_flag::SYN), A, B, 1, now);
    assert!(table.find(&tcp(5), after(now, 119)).is_some());
    assert!(table.find(&tcp(5), after(now, 120)).is_none());
    let steps = [
        (tcp_flag::SYN, true, State::SynSent, 120),
        (tcp_flag::SYN | tcp_flag::ACK, false, State::SynReceived, 120),
        (tcp_flag::ACK, true, State::Established, 432_000),
        (tcp_flag::ACK, false, State::Established, 432_000),
        (tcp_flag::FIN | tcp_flag::ACK, false, State::Closing, 120),
        (tcp_flag::ACK, true, State::Closing, 120),
        (tcp_flag::RST, true, State::Closed, 10),
    ];
    table.insert(&with(tcp(5), tcp_flag::SYN), A, B, 1, now);
    for (flags, from_initiator, state, idle) in steps {
        let tuple = if from_initiator { tcp(5) } else { tcp(5).reversed() };
        let found = table.find(&tuple, now).unwrap();
        table.touch(found, &with(tuple, flags), now);
        assert_eq!(table.flow(found).unwrap().state, state);
        assert_eq!(state.idle_seconds(Protocol::TCP), idle);
    }
    assert!(table.find(&tcp(5), after(now, 10)).is_none());
}

#[test]
fn datagrams_live_longer_once_answered() {
    let now = Instant::now();
    let mut table = Table::new(16, now);
    let asks = Tuple { protocol: Protocol::UDP, ..tcp(5) };
    table.insert(&with(asks, 0), A, B, 1, now);
    assert!(table.find(&asks, after(now, 29)).is_some());
    let found = table.find(&asks.reversed(), now).unwrap();
    table.touch(found, &with(asks.reversed(), 0), now);
    assert!(table.find(&asks, after(now, 179)).is_some());
    assert!(table.find(&asks, after(now, 180)).is_none());
}

#[test]
fn silent_flows_go_while_others_come() {
    let now = Instant::now();
    let mut table = Table::new(1000, now);
    for port in 0..100 {
        table.insert(&with(Tuple { protocol: Protocol::UDP, ..tcp(port) }, 0), A, B, 1, now);
    }
    for port in 0..60 {
        table.insert(&with(tcp(port), tcp_flag::SYN), A, B, 1, after(now, 60));
    }
    assert_eq!(table.len(), 60);
}

#[test]
fn a_flood_costs_the_flooder() {
    let now = Instant::now();
    let mut table = Table::new(100, now);
    for port in 0..20 {
        table.insert(&with(tcp(port), tcp_flag::SYN), B, A, 1, now);
    }
    for port in 1000..1010 {
        table.insert(&with(tcp(port), tcp_flag::ACK), A, B, 1, now);
    }
    for port in 2000..4000 {
        table.insert(&with(tcp(port), tcp_flag::SYN), A, B, 1, now);
    }
    assert_eq!((table.len(), table.of_port(PortId(2))), (100, 20));
    assert!((0..20).all(|port| table.find(&tcp(port), now).is_some()));
    assert!((1000..1010).all(|port| table.find(&tcp(port), now).is_some()), "established flows stay longest");
    assert!(table.find(&tcp(3999), now).is_some() && table.find(&tcp(2000), now).is_none());
    // Only established flows: the oldest of whoever has most.
    let mut table = Table::new(10, now);
    for port in 0..12 {
        table.insert(&with(tcp(port), tcp_flag::ACK), A, B, 1, now);
    }
    assert!(table.find(&tcp(1), now).is_none() && table.find(&tcp(2), now).is_some());
    assert_eq!(table.evicted, 2);
    table.forget_port(PortId(1));
    assert!(table.is_empty());
}
