//! A whole connection in a simulation: on one side somebody else's TCP, in between a link with faults.
use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::time::{Duration, Instant};

use platform::net::{FrameHeader, Mac, Offloads};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::phy::{Checksum, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::socket::tcp::{Socket, SocketBuffer};
use smoltcp::wire::{HardwareAddress, IpAddress, IpCidr};

use super::*;
use crate::wire::{ETHERNET_BYTES, Packet, Transport, offload};

/// What a link does to frames, in percent.
#[derive(Clone, Copy, Debug, Default)]
struct Faults {
    loss: u32,
    repeat: u32,
    reorder: u32,
}

struct Link {
    frames: VecDeque<(u64, Vec<u8>)>,
    faults: Faults,
    random: StdRng,
    /// Frames that it holds.
    room: usize,
}

impl Link {
    fn send(&mut self, frame: Vec<u8>, now: u64) {
        let hits = |random: &mut StdRng, percent| random.random_range(0..100) < percent;
        if hits(&mut self.random, self.faults.loss) {
            return;
        }
        let mut at = now + 1;
        if hits(&mut self.random, self.faults.reorder) {
            at += self.random.random_range(1..20);
        }
        if hits(&mut self.random, self.faults.repeat) {
            self.frames.push_back((at + 3, frame.clone()));
        }
        self.frames.push_back((at, frame));
    }
    fn receive(&mut self, now: u64) -> Option<Vec<u8>> {
        let index = self.frames.iter().position(|(at, _)| *at <= now)?;
        self.frames.remove(index).map(|(_, frame)| frame)
    }
}

/// The guest's card: IP packets.
#[derive(Default)]
struct Card {
    incoming: VecDeque<Vec<u8>>,
    outgoing: VecDeque<Vec<u8>>,
}

struct Incoming(Vec<u8>);
struct Outgoing<'a>(&'a mut VecDeque<Vec<u8>>);

impl RxToken for Incoming {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, take: F) -> R {
        take(&self.0)
    }
}

impl TxToken for Outgoing<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, fill: F) -> R {
        let mut bytes = vec![0; length];
        let result = fill(&mut bytes);
        self.0.push_back(bytes);
        result
    }
}

impl smoltcp::phy::Device for Card {
    type RxToken<'a> = Incoming;
    type TxToken<'a> = Outgoing<'a>;
    fn receive(&mut self, _: smoltcp::time::Instant) -> Option<(Incoming, Outgoing<'_>)> {
        Some((Incoming(self.incoming.pop_front()?), Outgoing(&mut self.outgoing)))
    }
    fn transmit(&mut self, _: smoltcp::time::Instant) -> Option<Outgoing<'_>> {
        Some(Outgoing(&mut self.outgoing))
    }
    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ip;
        capabilities.max_transmission_unit = 1500;
        capabilities.checksum.tcp = Checksum::Both;
        capabilities
    }
}

/// The host's socket: its peer sends `gives` and then ends; it takes up to `room` bytes a millisecond.
struct Peer {
    gives: VecDeque<u8>,
    ended: bool,
    got: Vec<u8>,
    room: usize,
    room_each: usize,
    finished: bool,
    reset: bool,
}

impl HostStream for Peer {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.gives.is_empty() {
            return if self.ended { Ok(0) } else { Err(io::ErrorKind::WouldBlock.into()) };
        }
        let count = into.len().min(self.gives.len());
        for (place, byte) in into.iter_mut().zip(self.gives.drain(..count)) {
            *place = byte;
        }
        Ok(count)
    }
    fn write(&mut self, from: &[IoSlice<'_>]) -> io::Result<usize> {
        let all: Vec<u8> = from.iter().flat_map(|slice| slice.iter().copied()).collect();
        let count = all.len().min(self.room);
        if count == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.room -= count;
        self.got.extend(&all[..count]);
        Ok(count)
    }
    fn finish(&mut self) {
        self.finished = true;
    }
    fn reset(&mut self) {
        self.reset = true;
    }
}

/// Frames on their way to the guest.
struct ToGuest<'a> {
    link: &'a mut Link,
    now: u64,
}

impl Output for ToGuest<'_> {
    fn send(&mut self, head: &Head, data: &[IoSlice<'_>]) -> bool {
        if self.link.frames.len() >= self.link.room {
            return false;
        }
        let (header, frame) = FrameHeader::split(head.bytes()).unwrap();
        let mut frame = frame.to_vec();
        frame.extend(data.iter().flat_map(|slice| slice.iter().copied()));
        let packet = Packet::parse(&frame).unwrap();
        let header = offload::check(&header, &packet, &mut frame).unwrap();
        offload::finish(&header, &mut frame, Offloads::default(), &mut |_, frame| {
            self.link.send(frame.to_vec(), self.now);
        });
        true
    }
}

struct World {
    now: u64,
    start: Instant,
    card: Card,
    interface: Interface,
    sockets: SocketSet<'static>,
    socket: SocketHandle,
    flow: Option<Flow>,
    path: Path,
    limits: Limits,
    peer: Peer,
    to_guest: Link,
    from_guest: Link,
}

const GUEST: &str = "10.0.2.15:4000";
const REMOTE: &str = "192.0.2.1:80";

impl World {
    fn new(seed: u64, faults: Faults, gives: usize) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let mut card = Card::default();
        let mut interface =
            Interface::new(Config::new(HardwareAddress::Ip), &mut card, smoltcp::time::Instant::ZERO);
        interface.update_ip_addrs(|addresses| {
            addresses.push(IpCidr::new(IpAddress::v4(10, 0, 2, 15), 24)).unwrap();
        });
        interface.routes_mut().add_default_ipv4_route(std::net::Ipv4Addr::new(10, 0, 2, 2)).unwrap();
        let mut sockets = SocketSet::new(Vec::new());
        let buffer = |bytes| SocketBuffer::new(vec![0; bytes]);
        let socket = sockets.add(Socket::new(buffer(200_000), buffer(200_000)));
        let path = Path {
            gateway: Mac([2, 0, 0, 0, 0, 1]),
            card: Mac([2, 0, 0, 0, 0, 2]),
            guest: GUEST.parse().unwrap(),
            remote: REMOTE.parse().unwrap(),
        };
        let limits =
            Limits { window: 1 << 20, mtu: 1500, budget: Budget::new(8 << 20), pool: Pool::default() };
        let peer = Peer {
            gives: (0..gives).map(|_| random.random()).collect(),
            ended: true,
            got: Vec::new(),
            room: 0,
            room_each: 50_000,
            finished: false,
            reset: false,
        };
        let link =
            |seed| Link { frames: VecDeque::new(), faults, random: StdRng::seed_from_u64(seed), room: 400 };
        Self {
            now: 0,
            start: Instant::now(),
            card,
            interface,
            sockets,
            socket,
            flow: None,
            path,
            limits,
            peer,
            to_guest: link(seed ^ 1),
            from_guest: link(seed ^ 2),
        }
    }
    fn guest(&mut self) -> &mut Socket<'static> {
        self.sockets.get_mut(self.socket)
    }
    fn connect(&mut self) {
        let remote = (IpAddress::v4(192, 0, 2, 1), 80);
        let socket = self.sockets.get_mut::<Socket<'_>>(self.socket);
        socket.connect(self.interface.context(), remote, 4000).unwrap();
    }
    /// One millisecond.
    fn step(&mut self) {
        self.now += 1;
        let (now, at) = (self.now, self.start + Duration::from_millis(self.now));
        self.peer.room = self.peer.room_each;
        while let Some(frame) = self.to_guest.receive(now) {
            self.card.incoming.push_back(frame[ETHERNET_BYTES..].to_vec());
        }
        self.interface.poll(
            smoltcp::time::Instant::from_millis(now as i64),
            &mut self.card,
            &mut self.sockets,
        );
        while let Some(packet) = self.card.outgoing.pop_front() {
            let mut frame = vec![0; 12];
            frame.extend([8, 0]);
            frame.extend(packet);
            self.from_guest.send(frame, now);
        }
        while let Some(frame) = self.from_guest.receive(now) {
            self.take(&frame, at);
        }
        let Some(flow) = &mut self.flow else { return };
        let mut output = ToGuest { link: &mut self.to_guest, now };
        if flow.deadline().is_some_and(|deadline| deadline <= at) {
            flow.expire(at, &mut self.peer, &mut output);
        }
        flow.readable = !self.peer.gives.is_empty() || self.peer.ended;
        flow.pump(at, &mut self.peer, &mut output).unwrap();
    }
    fn take(&mut self, frame: &[u8], at: Instant) {
        let ip = Packet::parse(frame).unwrap().ip.unwrap();
        assert!(offload::is_sound(&ip, frame));
        let Some(Transport::Tcp { sequence, acknowledgment, flags, window, options, data, .. }) =
            ip.transport
        else {
            panic!("{ip:?}")
        };
        let segment = Segment {
            sequence: Sequence(sequence),
            acknowledgment: Sequence(acknowledgment),
            flags,
            window,
            options: &frame[options],
            data: &frame[data],
        };
        match &mut self.flow {
            Some(flow) => flow.take(&segment, at, &mut self.peer).unwrap(),
            None => {
                let first = Sequence(u32::MAX - 70_000);
                let flow = self.flow.insert(Flow::of_syn(self.path, &segment, first, &self.limits));
                flow.connected(at);
            }
        }
    }
    /// Moves bytes both ways until both sides have ended; what the guest has got.
    fn exchange(&mut self, mut sends: &[u8]) -> Vec<u8> {
        let mut got = Vec::new();
        for _ in 0..3_000_000 {
            self.step();
            let socket = self.guest();
            if socket.can_send() {
                let count = socket.send_slice(sends).unwrap();
                sends = &sends[count..];
                if sends.is_empty() {
                    socket.close();
                }
            }
            while socket.can_recv() {
                socket
                    .recv(|bytes| {
                        got.extend_from_slice(bytes);
                        (bytes.len(), ())
                    })
                    .unwrap();
            }
            if matches!(self.state(), FlowState::Lingering | FlowState::Over) {
                return got;
            }
        }
        panic!("it took too long: {:?}", self.flow);
    }
    fn state(&self) -> FlowState {
        self.flow.as_ref().map_or(FlowState::Connecting, Flow::state)
    }
}

fn bytes(count: usize, seed: u64) -> Vec<u8> {
    let mut random = StdRng::seed_from_u64(seed);
    (0..count).map(|_| random.random()).collect()
}

/// Everything arrives, in both directions, and both sides learn of the end.
fn moves(seed: u64, faults: Faults, from_host: bool) {
    let mut world = World::new(seed, faults, 600_000);
    let expected: Vec<u8> = world.peer.gives.iter().copied().collect();
    if from_host {
        world.guest().listen(4000).unwrap();
        let first = Sequence(u32::MAX - 70_000);
        world.flow = Some(Flow::to_guest(world.path, first, &world.limits));
    } else {
        world.connect();
    }
    let sent = bytes(600_000, seed ^ 3);
    let got = world.exchange(&sent);
    assert_eq!(got.len(), expected.len(), "seed {seed}");
    assert!(got == expected && world.peer.got == sent, "seed {seed}: other bytes");
    assert!(world.peer.finished && !world.peer.reset);
    let budget = world.limits.budget.clone();
    drop(world.flow.take());
    assert_eq!(budget.free(), 8 << 20, "seed {seed}: memory is not given back");
}

#[test]
fn bytes_move_on_a_good_link() {
    moves(1, Faults::default(), false);
    moves(2, Faults::default(), true);
}

#[test]
fn bytes_move_on_bad_links() {
    for seed in 10..22 {
        let faults = match seed % 4 {
            0 => Faults { loss: 5, ..Faults::default() },
            1 => Faults { reorder: 20, ..Faults::default() },
            2 => Faults { repeat: 20, ..Faults::default() },
            _ => Faults { loss: 3, repeat: 5, reorder: 10 },
        };
        moves(seed, faults, seed % 2 == 0);
    }
}

#[test]
fn a_slow_host_holds_the_guest_back() {
    let mut world = World::new(3, Faults::default(), 0);
    world.peer.room_each = 100;
    world.connect();
    let sent = bytes(400_000, 4);
    let mut rest = &sent[..];
    for _ in 0..400 {
        world.step();
        let socket = world.guest();
        if socket.can_send() {
            rest = &rest[socket.send_slice(rest).unwrap()..];
        }
    }
    assert!(world.peer.got.len() <= 40_000);
    world.peer.room_each = 50_000;
    world.exchange(rest);
    assert_eq!(world.peer.got, sent);
}

#[test]
fn a_guest_that_does_not_read_holds_the_host_back() {
    let mut world = World::new(5, Faults { loss: 2, ..Faults::default() }, 900_000);
    let expected: Vec<u8> = world.peer.gives.iter().copied().collect();
    world.connect();
    for _ in 0..60_000 {
        world.step();
    }
    assert_eq!(world.state(), FlowState::Open, "it is probed as long as it answers");
    // What the guest has no window for stays with the host.
    assert!(world.peer.gives.len() > 600_000, "{}", world.peer.gives.len());
    assert_eq!(world.exchange(b"x"), expected);
}

#[test]
fn a_guest_that_is_gone_is_given_up() {
    let mut world = World::new(6, Faults::default(), 100_000);
    world.peer.ended = false;
    world.connect();
    for _ in 0..20 {
        world.step();
    }
    assert_eq!(world.state(), FlowState::Open);
    world.peer.gives.extend([7; 1000]);
    world.from_guest.faults.loss = 100;
    for _ in 0..1_000_000 {
        world.step();
        if world.state() == FlowState::Over {
            assert!(world.peer.reset);
            return;
        }
    }
    panic!("it never ended: {:?}", world.flow);
}

#[test]
fn resets_pass_both_ways() {
    let mut world = World::new(7, Faults::default(), 100);
    world.peer.ended = false;
    world.connect();
    for _ in 0..20 {
        world.step();
    }
    world.guest().abort();
    for _ in 0..5 {
        world.step();
    }
    assert!(world.peer.reset && world.state() == FlowState::Over);

    let mut world = World::new(8, Faults::default(), 100);
    world.connect();
    for _ in 0..20 {
        world.step();
    }
    let now = world.now;
    let mut output = ToGuest { link: &mut world.to_guest, now };
    world.flow.as_mut().unwrap().reset(&mut world.peer, &mut output);
    for _ in 0..5 {
        world.step();
    }
    assert!(!world.guest().is_open());
}

#[test]
fn an_end_in_one_direction_leaves_the_other() {
    let mut world = World::new(9, Faults { loss: 3, ..Faults::default() }, 1000);
    let expected: Vec<u8> = world.peer.gives.iter().copied().collect();
    world.connect();
    for _ in 0..3000 {
        world.step();
    }
    assert_eq!(world.state(), FlowState::Open);
    // The host has ended long ago; the guest sends on.
    let sent = bytes(300_000, 10);
    assert_eq!(world.exchange(&sent), expected);
    assert_eq!(world.peer.got, sent);
}
