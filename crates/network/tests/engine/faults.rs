//! A hostile guest beside an honest one.
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};

use gasang_network::engine::Load;
use gasang_network::policy::zones::{Firewall, Setting, parse_forward_port};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::floods::{ALL, Targets};
use crate::world::{GATEWAY4, World};

/// Bytes that the honest guest sends, and gets back, during each flood.
const LENGTH: usize = 150_000;
/// Hostile frames of one turn: as many as the network takes of one port at once.
const AT_ONCE: usize = 64;
/// What is flooded at least, even if the honest guest is done before.
const FRAMES_MIN: usize = 3000;

/// Sends back what comes.
struct Echo {
    listener: TcpListener,
    stream: Option<TcpStream>,
    waiting: Vec<u8>,
}

impl Echo {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        Self { listener, stream: None, waiting: Vec::new() }
    }
    fn turn(&mut self) {
        if self.stream.is_none()
            && let Ok((stream, _)) = self.listener.accept()
        {
            stream.set_nonblocking(true).unwrap();
            self.stream = Some(stream);
        }
        let Some(stream) = &mut self.stream else { return };
        let mut buffer = [0; 16 << 10];
        while let Ok(count @ 1..) = stream.read(&mut buffer) {
            self.waiting.extend(&buffer[..count]);
        }
        match stream.write(&self.waiting) {
            Ok(count) => drop(self.waiting.drain(..count)),
            Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
        }
    }
}

/// The honest guest's bytes go out and come back, whatever the other one does meanwhile.
fn exchange(world: &mut World, port: u16, random: &mut StdRng, mut harm: impl FnMut(&mut World) -> bool) {
    let mut echo = Echo::new();
    let to = SocketAddr::new(GATEWAY4, echo.listener.local_addr().unwrap().port());
    let client = world.guests[0].connect(to, port);
    let mut sent = vec![0; LENGTH];
    random.fill_bytes(&mut sent);
    let (mut rest, mut got) = (&sent[..], Vec::new());
    world.until("the honest guest's bytes", |world| {
        let is_enough = harm(world);
        echo.turn();
        let socket = world.guests[0].tcp(client);
        if socket.can_send() {
            rest = &rest[socket.send_slice(rest).unwrap()..];
        }
        while socket.can_recv() {
            let took = |bytes: &mut [u8]| (bytes.len(), got.extend_from_slice(bytes));
            socket.recv(took).unwrap();
        }
        got.len() >= LENGTH && is_enough
    });
    assert!(got == sent, "other bytes");
    world.guests[0].tcp(client).abort();
    world.settle();
}

/// Limits as `nat`, `policy` and `services` have them.
fn check(load: &Load, what: &str) {
    // Of those 4096 are the hostile guest's that were not answered.
    assert!(load.connections <= 4096 + 64, "{what}: {load:?}");
    assert!(load.tcp_bytes <= 256 << 20, "{what}: {load:?}");
    assert!(load.datagrams <= 2048 && load.echoes <= 128 && load.lookups <= 128, "{what}: {load:?}");
    assert!(load.flows <= 65_536 && load.fragmented <= 2 * 256, "{what}: {load:?}");
    assert!(load.fragment_bytes <= 256 << 10 && load.backlog_bytes <= 4 << 20, "{what}: {load:?}");
    assert!(load.neighbours <= 128 && load.leases <= 1, "{what}: {load:?}");
}

fn flood(seed: u64, firewall: Firewall) {
    let mut world = World::with(2, firewall);
    let mut random = StdRng::seed_from_u64(seed);
    // Nobody accepts: what is more than it holds stays unanswered.
    let deaf = TcpListener::bind("127.0.0.1:0").unwrap();
    let targets = Targets {
        own: (world.guests[1].mac, world.guests[1].address),
        other: (world.guests[0].mac, world.guests[0].address),
        gateway6: world.network.gateway().plan().v6.as_ref().unwrap().gateway,
        port: deaf.local_addr().unwrap().port(),
    };
    world.guests[1].is_raw = true;
    for (number, (name, make)) in (0_u16..).zip(ALL) {
        let mut harmful = StdRng::seed_from_u64(seed ^ u64::from(number) << 32);
        let mut count = 0;
        exchange(&mut world, 4000 + number, &mut random, |world| {
            for _ in 0..AT_ONCE {
                let message = make(&mut harmful, &targets, &world.guests[1]);
                count += usize::from(!message.is_empty() && world.guests[1].put(&message));
            }
            check(&world.network.load(), name);
            count >= FRAMES_MIN
        });
    }
    // Who goes takes everything along.
    let hostile = world.ports[1];
    world.network.detach(hostile);
    world.guests.truncate(1);
    exchange(&mut world, 5000, &mut random, |_| true);
    let load = world.network.load();
    assert!(load.connections <= 1 && load.flows <= ALL.len() + 8, "{load:?}");
    let kept = Load { connections: 0, flows: 0, leases: 0, neighbours: 0, ..load };
    assert_eq!(kept, Load::default());
}

#[test]
fn floods_harm_nobody_else() {
    flood(1, Firewall::default());
}

#[test]
fn floods_harm_nobody_behind_a_firewall() {
    let mut firewall = Firewall { running: true, ..Firewall::default() };
    for text in
        ["port=1-9000:proto=tcp:toport=80:toaddr=10.0.2.11", "port=9:proto=udp:toport=99:toaddr=10.0.2.11"]
    {
        firewall.add("public", &Setting::ForwardPort(parse_forward_port(text).unwrap()), None).unwrap();
    }
    flood(2, firewall);
}
