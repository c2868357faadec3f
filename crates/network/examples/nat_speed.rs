//! What the NAT engine does without a guest, against the host's own loopback in the same run: bytes both ways, new
//! connections a second, connections at once. Prints ratios and rates.
use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::io::{self, BufRead, BufReader, IoSlice, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process::{Command, Stdio};
use std::rc::Rc;
use std::time::{Duration, Instant};

use gasang_network::nat::connections::{Connections, Ends};
use gasang_network::nat::tcp::{Budget, Limits, Options, Pool, Segment, Sequence};
use gasang_network::port::{Link, Port};
use gasang_network::switch::{PortId, Ports};
use gasang_network::wire::tcp_flag;
use gasang_network::{Poller, Ready};
use platform::net::{FrameHeader, Mac, Offloads};

/// The guest's side of a port: what it was sent, without the data.
struct Memory {
    descriptor: OwnedFd,
    sent: Rc<RefCell<VecDeque<Seen>>>,
}

/// A segment for the guest.
struct Seen {
    guest_port: u16,
    sequence: u32,
    acknowledgment: u32,
    flags: u8,
    window: u16,
    length: usize,
}

impl Link for Memory {
    fn descriptor(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(io::ErrorKind::WouldBlock.into())
    }
    fn write(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<()> {
        let head = &pieces[0][FrameHeader::BYTES..];
        let tcp = &head[34..];
        let number = |at: usize| u32::from_be_bytes([tcp[at], tcp[at + 1], tcp[at + 2], tcp[at + 3]]);
        self.sent.borrow_mut().push_back(Seen {
            guest_port: u16::from_be_bytes([tcp[2], tcp[3]]),
            sequence: number(4),
            acknowledgment: number(8),
            flags: tcp[13],
            window: u16::from_be_bytes([tcp[14], tcp[15]]),
            length: pieces[1..].iter().map(|piece| piece.len()).sum(),
        });
        Ok(())
    }
}

const GATEWAY: Mac = Mac([2, 0, 0, 0, 0, 1]);
const CARD: Mac = Mac([2, 0, 0, 0, 0, 2]);

struct World {
    ports: Ports,
    port: PortId,
    connections: Connections,
    poller: Poller,
    news: Vec<Ready>,
    sent: Rc<RefCell<VecDeque<Seen>>>,
    to: SocketAddr,
}

impl World {
    fn new(to: SocketAddr) -> Self {
        let sent = Rc::new(RefCell::new(VecDeque::new()));
        let descriptor = std::fs::File::open("/dev/null").unwrap().into();
        let mut port = Port::new(Box::new(Memory { descriptor, sent: Rc::clone(&sent) }), CARD);
        port.accepts = Offloads { checksum: true, tcp4: true, tcp6: true };
        let mut ports = Ports::default();
        let port = ports.insert(port).unwrap();
        let limits =
            Limits { window: 1 << 20, mtu: 1500, budget: Budget::new(256 << 20), pool: Pool::default() };
        let connections = Connections::new(limits);
        Self { ports, port, connections, poller: Poller::new().unwrap(), news: Vec::new(), sent, to }
    }
    fn ends(&self, guest_port: u16) -> Ends {
        let guest = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 0, 2, 15)), guest_port);
        Ends {
            port: self.port,
            card: CARD,
            gateway: GATEWAY,
            guest,
            remote: SocketAddr::from(([192, 0, 2, 1], 80)),
        }
    }
    fn give(&mut self, guest_port: u16, segment: &Segment<'_>) {
        let (ends, now) = (self.ends(guest_port), Instant::now());
        if !self.connections.take(&ends, segment, now) && segment.flags & tcp_flag::SYN != 0 {
            self.connections.open(&ends, segment, self.to, &[], now, &self.poller).unwrap();
        }
    }
    fn turn(&mut self, wait: Option<Duration>) {
        let now = Instant::now();
        self.connections.pump(now, &mut self.ports);
        let busy = self.connections.has_work() || !self.sent.borrow().is_empty();
        let wait = if busy { Some(Duration::ZERO) } else { wait };
        self.poller.wait(wait, &mut self.news).unwrap();
        let now = Instant::now();
        for news in &self.news {
            self.connections.ready(news, now, &mut self.ports, &mut Vec::new());
        }
        self.connections.expire(now, &mut self.ports);
        self.connections.pump(now, &mut self.ports);
    }
    fn seen(&mut self) -> Option<Seen> {
        self.sent.borrow_mut().pop_front()
    }
}

fn segment<'a>(
    sequence: u32,
    acknowledgment: u32,
    flags: u8,
    options: &'a [u8],
    data: &'a [u8],
) -> Segment<'a> {
    let (sequence, acknowledgment) = (Sequence(sequence), Sequence(acknowledgment));
    Segment { sequence, acknowledgment, flags, window: u16::MAX, options, data }
}

fn syn() -> Vec<u8> {
    let options = Options {
        segment_size: Some(1460),
        window_scale: Some(7),
        sack_permitted: true,
        ..Options::default()
    };
    options.to_bytes().to_vec()
}

/// The first sequence number of the other side.
fn open(world: &mut World, port: u16) -> u32 {
    world.give(port, &segment(0, 0, tcp_flag::SYN, &syn(), &[]));
    loop {
        world.turn(Some(Duration::from_millis(10)));
        if let Some(seen) = world.seen()
            && seen.flags & tcp_flag::SYN != 0
        {
            world.give(port, &segment(1, seen.sequence.wrapping_add(1), tcp_flag::ACK, &[], &[]));
            return seen.sequence;
        }
    }
}

const LENGTH: u64 = 1 << 30;

/// Reads to the end on a thread.
fn sink(listener: TcpListener) -> std::thread::JoinHandle<()> {
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut buffer = vec![0; 128 << 10];
        while stream.read(&mut buffer).unwrap() > 0 {}
    })
}

/// Writes on a thread.
fn source(listener: TcpListener, length: u64) -> std::thread::JoinHandle<()> {
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let buffer = vec![7; 64 << 10];
        for _ in 0..length / buffer.len() as u64 {
            stream.write_all(&buffer).unwrap();
        }
    })
}

fn gigabits(start: Instant) -> f64 {
    LENGTH as f64 * 8.0 / start.elapsed().as_secs_f64() / 1e9
}

fn loopback() -> f64 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let to = listener.local_addr().unwrap();
    let start = Instant::now();
    let sink = sink(listener);
    let mut stream = TcpStream::connect(to).unwrap();
    let buffer = vec![7; 64 << 10];
    for _ in 0..LENGTH / buffer.len() as u64 {
        stream.write_all(&buffer).unwrap();
    }
    drop(stream);
    sink.join().unwrap();
    gigabits(start)
}

fn outward() -> f64 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut world = World::new(listener.local_addr().unwrap());
    let start = Instant::now();
    let sink = sink(listener);
    let theirs = open(&mut world, 4000).wrapping_add(1);
    let data = vec![7; 44 * 1460];
    let (mut next, mut edge, mut left) = (1_u32, 1_u32.wrapping_add(65_535), LENGTH);
    while left > 0 {
        // What the window allows, a frame at a time.
        while left > 0 && edge.wrapping_sub(next) as usize >= data.len() {
            let count = data.len().min(left as usize);
            world.give(4000, &segment(next, theirs, tcp_flag::ACK, &[], &data[..count]));
            next = next.wrapping_add(count as u32);
            left -= count as u64;
        }
        world.turn(Some(Duration::from_millis(100)));
        while let Some(seen) = world.seen() {
            edge = seen.acknowledgment.wrapping_add(u32::from(seen.window) << 7);
        }
    }
    world.give(4000, &segment(next, theirs, tcp_flag::ACK | tcp_flag::FIN, &[], &[]));
    while !sink.is_finished() {
        world.turn(Some(Duration::from_millis(1)));
    }
    gigabits(start)
}

fn inward() -> f64 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut world = World::new(listener.local_addr().unwrap());
    let start = Instant::now();
    let source = source(listener, LENGTH);
    let mut next = open(&mut world, 4000).wrapping_add(1);
    let mut left = LENGTH;
    while left > 0 {
        world.turn(Some(Duration::from_millis(100)));
        while let Some(seen) = world.seen() {
            assert!(seen.length == 0 || seen.sequence == next, "out of order");
            next = next.wrapping_add(seen.length as u32);
            left -= seen.length as u64;
        }
        world.give(4000, &segment(1, next, tcp_flag::ACK, &[], &[]));
    }
    source.join().unwrap();
    gigabits(start)
}

/// Connections that say a little and end, a second; as many open at once as there is time for.
fn churn(count: u16, at_once: u16) -> f64 {
    let listener = listen();
    let mut world = World::new(listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            // Closed at once.
            drop(stream);
        }
    });
    let start = Instant::now();
    let (mut begun, mut done) = (0_u16, 0_u16);
    let mut open: HashMap<u16, u32> = HashMap::new();
    while done < count {
        while begun < count && begun - done < at_once {
            begun += 1;
            world.give(1000 + begun, &segment(0, 0, tcp_flag::SYN, &syn(), &[]));
        }
        world.turn(Some(Duration::from_millis(10)));
        while let Some(seen) = world.seen() {
            let port = seen.guest_port;
            if seen.flags & tcp_flag::SYN != 0 {
                open.insert(port, 1);
                let acknowledgment = seen.sequence.wrapping_add(1);
                world.give(port, &segment(1, acknowledgment, tcp_flag::ACK, &[], b"hello"));
            } else if seen.flags & (tcp_flag::FIN | tcp_flag::RST) != 0 {
                let acknowledgment = seen.sequence.wrapping_add(1);
                if seen.flags & tcp_flag::RST == 0 {
                    world.give(port, &segment(6, acknowledgment, tcp_flag::ACK | tcp_flag::FIN, &[], &[]));
                }
                done += u16::from(open.remove(&port).is_some());
            }
        }
    }
    f64::from(count) / start.elapsed().as_secs_f64()
}

/// Connections that wait for their answer at once.
const OPENING: usize = 500;

/// A server of this host that can have many waiting.
fn listen() -> TcpListener {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    rustix::net::listen(&listener, 4096).unwrap();
    listener
}

/// What this program is called with to be the other end, in a process of its own: each has its own limit of open files.
const ECHO: &str = "echo";

/// Says its port, takes so many connections, and then a byte of each, in turn, which it sends back.
fn echo(count: u16) {
    let listener = listen();
    println!("{}", listener.local_addr().unwrap().port());
    let streams: Vec<TcpStream> = (0..count).map(|_| listener.accept().unwrap().0).collect();
    for mut stream in &streams {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        stream.write_all(&byte).unwrap();
    }
    // Until the other process has seen all of them.
    std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
}

/// Connections open at once; how long it took to say a byte to each of them.
fn many(count: u16) -> Duration {
    let mut other = Command::new(std::env::current_exe().unwrap());
    other.args([ECHO, &count.to_string()]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut other = other.spawn().unwrap();
    let mut port = String::new();
    BufReader::new(other.stdout.take().unwrap()).read_line(&mut port).unwrap();
    let mut world = World::new(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port.trim().parse().unwrap()));
    let mut theirs = HashMap::new();
    // As a guest's kernel does, what is not answered within a second is asked again.
    let mut asked: HashMap<u16, Instant> = HashMap::new();
    while theirs.len() < usize::from(count) {
        let is_late = |port: &u16| asked.get(port).is_none_or(|at| at.elapsed() > Duration::from_secs(1));
        let late = (0..count).filter(|port| !theirs.contains_key(&(2000 + port)));
        for port in late.take(OPENING).filter(is_late).collect::<Vec<_>>() {
            asked.insert(port, Instant::now());
            world.give(2000 + port, &segment(0, 0, tcp_flag::SYN, &syn(), &[]));
        }
        world.turn(Some(Duration::from_millis(10)));
        while let Some(seen) = world.seen() {
            theirs.insert(seen.guest_port, seen.sequence.wrapping_add(1));
        }
    }
    let start = Instant::now();
    let mut silent = theirs.clone();
    let mut again = start;
    while !silent.is_empty() {
        if again <= Instant::now() {
            again += Duration::from_secs(1);
            for (at, (port, acknowledgment)) in silent.iter().enumerate() {
                world.give(*port, &segment(1, *acknowledgment, tcp_flag::ACK, &[], b"x"));
                if at % 100 == 0 {
                    world.turn(Some(Duration::ZERO));
                }
            }
        }
        world.turn(Some(Duration::from_millis(10)));
        while let Some(seen) = world.seen() {
            if seen.length == 1 {
                silent.remove(&seen.guest_port);
            }
        }
    }
    assert_eq!(world.connections.len(), usize::from(count));
    let elapsed = start.elapsed();
    drop(other.stdin.take());
    assert!(other.wait().unwrap().success());
    elapsed
}

fn main() {
    let files = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let most = rustix::process::Rlimit { current: files.maximum, ..files };
    rustix::process::setrlimit(rustix::process::Resource::Nofile, most).unwrap();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [word, count] = arguments.as_slice()
        && word == ECHO
    {
        return echo(count.parse().unwrap());
    }
    // Both take turns, so that a change of the host's load meets both.
    let rounds = (0..3).map(|_| (loopback(), outward(), inward()));
    for (loopback, outward, inward) in rounds {
        println!(
            "loopback {loopback:.1} Gbit/s, out {outward:.1} ({:.2}), in {inward:.1} ({:.2})",
            outward / loopback,
            inward / loopback
        );
    }
    println!("{:.0} new connections a second", churn(20_000, 200));
    println!("10000 connections at once: a byte to each and back in {:?}", many(10_000));
}
