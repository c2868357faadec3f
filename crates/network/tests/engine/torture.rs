//! A real socket of the host at one end, a guest at the other: what happens to one of them happens to the other.
use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use gasang_network::nat::forwards::{Carries, Forward, Target};
use gasang_network::policy::zones::Firewall;
use gasang_network::wire::{Packet, Protocol, Transport, tcp_flag};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rustix::net::sockopt::set_socket_linger;
use smoltcp::iface::SocketHandle;
use smoltcp::socket::tcp::State;

use crate::world::{GATEWAY4, World, free_port};

const LENGTH: usize = 700_000;

fn bytes(length: usize, seed: u64) -> Vec<u8> {
    let mut bytes = vec![0; length];
    StdRng::seed_from_u64(seed).fill_bytes(&mut bytes);
    bytes
}

/// Both ends of a connection through the NAT.
struct Pair {
    world: World,
    client: SocketHandle,
    host: TcpStream,
}

impl Pair {
    /// The guest connects to the host.
    fn outward() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        Self::to(&listener, GATEWAY4)
    }
    fn to(listener: &TcpListener, gateway: IpAddr) -> Self {
        let mut world = World::with(1, Firewall::default());
        let to = SocketAddr::new(gateway, listener.local_addr().unwrap().port());
        let client = world.guests[0].connect(to, 4000);
        world.guests[0].seen = Some(Vec::new());
        listener.set_nonblocking(true).unwrap();
        let mut host = None;
        world.until("a connection", |world| {
            host = host.take().or_else(|| listener.accept().ok());
            host.is_some() && world.guests[0].tcp(client).state() == State::Established
        });
        Self::with(world, client, host.unwrap().0)
    }
    /// A client of the host connects to the guest.
    fn inward() -> Self {
        let mut world = World::with(1, Firewall::default());
        let client = world.guests[0].listen(80);
        let stream = TcpStream::connect(forwarded(&mut world)).unwrap();
        world.until("a connection", |world| world.guests[0].tcp(client).state() == State::Established);
        Self::with(world, client, stream)
    }
    fn with(world: World, client: SocketHandle, host: TcpStream) -> Self {
        host.set_nonblocking(true).unwrap();
        Self { world, client, host }
    }
    fn guest(&mut self) -> &mut smoltcp::socket::tcp::Socket<'static> {
        self.world.guests[0].tcp(self.client)
    }
    fn state(&mut self) -> State {
        self.guest().state()
    }
    fn until_state(&mut self, state: State) {
        let client = self.client;
        self.world.until("a state", |world| world.guests[0].tcp(client).state() == state);
    }
    /// Moves bytes both ways until all have come.
    fn exchange(&mut self, from_guest: &[u8], from_host: &[u8]) {
        let (mut rest, mut host_rest) = (from_guest, from_host);
        let (mut at_host, mut at_guest) = (Vec::new(), Vec::new());
        let Self { world, client, host } = self;
        world.until("all bytes", |world| {
            let socket = world.guests[0].tcp(*client);
            if !rest.is_empty() && socket.can_send() {
                rest = &rest[socket.send_slice(rest).unwrap()..];
            }
            take(socket, &mut at_guest);
            read(host, &mut at_host);
            if let Ok(count) = host.write(host_rest) {
                host_rest = &host_rest[count..];
            }
            at_host.len() >= from_guest.len() && at_guest.len() >= from_host.len()
        });
        assert!(at_host == from_guest && at_guest == from_host, "other bytes");
    }
    /// Flags of TCP that the guest has seen.
    fn flags(&mut self) -> u8 {
        let flags = |frame: &Vec<u8>| match Packet::parse(frame).unwrap().ip?.transport {
            Some(Transport::Tcp { flags, .. }) => Some(flags),
            _ => None,
        };
        let seen = self.world.guests[0].take_seen();
        seen.iter().filter_map(flags).fold(0, |all, flags| all | flags)
    }
    /// What reading from the host's socket says, once it says something.
    fn outcome(&mut self) -> std::io::Result<usize> {
        let mut outcome = None;
        let host = &mut self.host;
        self.world.until("the host's socket to end", |_| {
            outcome = match host.read(&mut [0; 100_000]) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => None,
                other => Some(other),
            };
            outcome.is_some()
        });
        outcome.unwrap()
    }
    fn until_gone(&mut self) {
        self.world.until("nothing to be kept", |world| world.network.load().connections == 0);
        assert_eq!(self.world.network.load().tcp_bytes, 0);
    }
}

/// A port of the host that leads to the guest's port 80.
fn forwarded(world: &mut World) -> SocketAddr {
    let host = free_port();
    let target = Target::Address(world.guests[0].address);
    world.network.add_forward(Forward { carries: Carries::Tcp, host, target, guest_port: 80 }).unwrap();
    host
}

fn take(socket: &mut smoltcp::socket::tcp::Socket<'static>, into: &mut Vec<u8>) {
    while socket.can_recv() {
        socket.recv(|bytes| (bytes.len(), into.extend_from_slice(bytes))).unwrap();
    }
}

fn read(host: &mut TcpStream, into: &mut Vec<u8>) {
    let mut buffer = [0; 64 << 10];
    while let Ok(count @ 1..) = host.read(&mut buffer) {
        into.extend_from_slice(&buffer[..count]);
    }
}

#[test]
fn bytes_go_both_ways_at_once() {
    Pair::outward().exchange(&bytes(LENGTH, 1), &bytes(LENGTH, 2));
    Pair::inward().exchange(&bytes(LENGTH, 3), &bytes(LENGTH, 4));
}

#[test]
fn bytes_go_both_ways_by_ipv6() {
    let Ok(listener) = TcpListener::bind("[::1]:0") else { return eprintln!("skipped: no IPv6") };
    let plan = gasang_network::services::Plan::natnet("lab");
    Pair::to(&listener, plan.v6.unwrap().gateway.into()).exchange(&bytes(LENGTH, 5), &bytes(LENGTH, 6));
}

#[test]
fn a_reset_of_the_hosts_is_the_guests() {
    for mut pair in [Pair::outward(), Pair::inward()] {
        pair.exchange(b"some", b"bytes");
        pair.world.guests[0].seen = Some(Vec::new());
        set_socket_linger(&pair.host, Some(Duration::ZERO)).unwrap();
        pair.host =
            TcpStream::connect(TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()).unwrap();
        pair.until_state(State::Closed);
        assert_eq!(pair.flags() & (tcp_flag::RST | tcp_flag::FIN), tcp_flag::RST);
        pair.until_gone();
    }
}

#[test]
fn a_reset_of_the_guests_is_the_hosts() {
    for mut pair in [Pair::outward(), Pair::inward()] {
        pair.exchange(b"some", b"bytes");
        pair.guest().abort();
        assert_eq!(pair.outcome().unwrap_err().kind(), ErrorKind::ConnectionReset);
        pair.until_gone();
    }
}

#[test]
fn what_nobody_has_read_makes_a_reset() {
    let mut pair = Pair::outward();
    pair.guest().send_slice(b"nobody reads this").unwrap();
    let host = pair.host.try_clone().unwrap();
    pair.world.until("it to come", |_| host.peek(&mut [0; 8]).is_ok());
    drop(host);
    pair.world.guests[0].seen = Some(Vec::new());
    pair.host = TcpStream::connect(TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()).unwrap();
    pair.until_state(State::Closed);
    assert_eq!(pair.flags() & (tcp_flag::RST | tcp_flag::FIN), tcp_flag::RST);
    pair.until_gone();
}

#[test]
fn the_host_ends_and_the_guest_goes_on() {
    for mut pair in [Pair::outward(), Pair::inward()] {
        pair.exchange(b"some", b"bytes");
        pair.host.shutdown(Shutdown::Write).unwrap();
        pair.until_state(State::CloseWait);
        pair.exchange(&bytes(LENGTH, 7), b"");
        assert_eq!(pair.state(), State::CloseWait);
        pair.guest().close();
        assert_eq!(pair.outcome().unwrap(), 0);
        pair.until_state(State::Closed);
        pair.until_gone();
    }
}

#[test]
fn the_guest_ends_and_the_host_goes_on() {
    for mut pair in [Pair::outward(), Pair::inward()] {
        pair.exchange(b"some", b"bytes");
        pair.guest().close();
        assert_eq!(pair.outcome().unwrap(), 0);
        pair.exchange(b"", &bytes(LENGTH, 8));
        assert_eq!(pair.state(), State::FinWait2);
        pair.host.shutdown(Shutdown::Write).unwrap();
        pair.until_state(State::TimeWait);
        pair.until_gone();
    }
}

#[test]
fn a_host_that_does_not_read_stops_the_guest_and_nothing_is_lost() {
    let mut pair = Pair::outward();
    let sent = bytes(40_000_000, 9);
    let (mut rest, mut turns, mut before) = (&sent[..], 0, sent.len());
    let client = pair.client;
    // The host's buffers and the network's fill up, then the guest's own. Less than a segment in 300 turns is a stop: a byte
    // that asks whether there is room again may be taken.
    pair.world.until("the guest to be stopped", |world| {
        let socket = world.guests[0].tcp(client);
        let count = if socket.can_send() { socket.send_slice(rest).unwrap() } else { 0 };
        rest = &rest[count..];
        turns += 1;
        // What the network keeps for a connection is its window and what a piece of memory is larger.
        assert!(world.network.load().tcp_bytes <= 3 << 20, "{:?}", world.network.load());
        turns % 300 == 0 && std::mem::replace(&mut before, rest.len()) - rest.len() < 1460
    });
    assert!(!rest.is_empty());
    let mut got = Vec::new();
    let host = &mut pair.host;
    pair.world.until("all bytes", |world| {
        let socket = world.guests[0].tcp(client);
        if !rest.is_empty() && socket.can_send() {
            rest = &rest[socket.send_slice(rest).unwrap()..];
        }
        read(host, &mut got);
        got.len() >= sent.len()
    });
    assert!(got == sent, "other bytes");
}

#[test]
fn a_guest_that_does_not_read_stops_the_host_and_nothing_is_lost() {
    let mut pair = Pair::inward();
    let sent = bytes(40_000_000, 10);
    let (mut rest, mut idle) = (&sent[..], 0);
    let Pair { world, client, host } = &mut pair;
    world.until("the host to be stopped", |world| {
        let count = host.write(rest).unwrap_or(0);
        rest = &rest[count..];
        idle = if count == 0 { idle + 1 } else { 0 };
        assert!(world.network.load().tcp_bytes <= 1 << 20, "{:?}", world.network.load());
        idle == 300
    });
    assert!(!rest.is_empty());
    let mut got = Vec::new();
    world.until("all bytes", |world| {
        if let Ok(count) = host.write(rest) {
            rest = &rest[count..];
        }
        take(world.guests[0].tcp(*client), &mut got);
        got.len() >= sent.len()
    });
    assert!(got == sent, "other bytes");
}

#[test]
fn nobody_listens() {
    let mut world = World::with(1, Firewall::default());
    world.guests[0].seen = Some(Vec::new());
    let client = world.guests[0].connect(SocketAddr::new(GATEWAY4, free_port().port()), 4000);
    world.until("a refusal", |world| world.guests[0].tcp(client).state() == State::Closed);
    let is_reset = |frame: &Vec<u8>| {
        let transport = Packet::parse(frame).unwrap().ip.and_then(|ip| ip.transport);
        matches!(transport, Some(Transport::Tcp { flags, .. }) if flags == tcp_flag::RST | tcp_flag::ACK)
    };
    assert!(world.guests[0].take_seen().iter().any(is_reset));
    // At the guest neither.
    let mut stream = TcpStream::connect(forwarded(&mut world)).unwrap();
    stream.set_nonblocking(true).unwrap();
    let mut error = None;
    world.until("a refusal", |_| {
        error = stream.read(&mut [0]).err().filter(|error| error.kind() != ErrorKind::WouldBlock);
        error.is_some()
    });
    assert_eq!(error.unwrap().kind(), ErrorKind::ConnectionReset);
    assert_eq!(world.network.load().connections, 0);
}

#[test]
fn nobody_may_go_there() {
    let mut world = World::with(1, Firewall::default());
    world.guests[0].seen = Some(Vec::new());
    world.guests[0].connect("169.254.169.254:80".parse().unwrap(), 4000);
    world.until("an error", |world| {
        world.guests[0].take_seen().iter().any(|frame| {
            let ip = Packet::parse(frame).unwrap().ip;
            ip.is_some_and(|ip| {
                ip.protocol == Protocol::ICMP
                    && matches!(ip.transport, Some(Transport::Icmp { kind: 3, code: 13, .. }))
            })
        })
    });
}

#[test]
fn many_short_connections() {
    const COUNT: u16 = 400;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let to = SocketAddr::new(GATEWAY4, listener.local_addr().unwrap().port());
    // Whatever comes goes back, and who has ended is ended.
    let server = std::thread::spawn(move || {
        for _ in 0..COUNT {
            let (mut stream, _) = listener.accept().unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
            let mut got = Vec::new();
            stream.read_to_end(&mut got).unwrap();
            stream.write_all(&got).unwrap();
        }
    });
    let mut world = World::with(1, Firewall::default());
    let (mut begun, mut done) = (0, 0);
    let mut open: Vec<(u16, SocketHandle, Vec<u8>)> = Vec::new();
    world.until("all connections", |world| {
        let guest = &mut world.guests[0];
        while begun < COUNT && open.len() < 20 {
            open.push((begun, guest.connect(to, 10_000 + begun), Vec::new()));
            begun += 1;
        }
        open.retain_mut(|(number, handle, got)| {
            let (number, socket) = (*number, guest.tcp(*handle));
            let what = bytes(usize::from(number) * 3 % 900 + 1, number.into());
            if socket.may_send() && socket.send_queue() == 0 && socket.state() == State::Established {
                socket.send_slice(&what).unwrap();
                socket.close();
            }
            take(socket, got);
            let is_over = matches!(socket.state(), State::TimeWait | State::Closed);
            if is_over {
                assert_eq!(*got, what, "connection {number}");
                done += 1;
                guest.remove(*handle);
            }
            !is_over
        });
        done == COUNT
    });
    server.join().unwrap();
    world.until("nothing to be kept", |world| world.network.load().connections == 0);
    assert_eq!(world.network.load().tcp_bytes, 0);
}
