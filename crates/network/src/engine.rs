//! A network at work: one thread that waits for frames and sockets, and everything that they go through.
//!
//! A frame's way: [`Port`] -> `frames` (switch and filter) -> the gateway's services, or `outward` (NAT), or other ports.
//! What comes from outside: `inward` -> filter -> port. Others on the process's threads ask by a [`Handle`].

mod frames;
mod handle;
mod inward;
mod leading;
mod load;
mod members;
mod outward;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use platform::net::MESSAGE_BYTES_MAX;

use crate::capture::Capture;
use crate::host::resolver_file::ResolverFile;
use crate::nat::connections::{Connections, Unreachable};
use crate::nat::datagrams::Datagrams;
use crate::nat::echoes::Echoes;
use crate::nat::forwards::{Carries, Forward, ForwardError, Forwards};
use crate::nat::lookups::Lookups;
use crate::nat::outside::Outside;
use crate::nat::tcp::{Budget, Limits, Pool};
use crate::policy::Filter;
use crate::poller::{Kind, Poller, Ready, Token};
use crate::services::{Gateway, Leases, Now, Outbox};
use crate::switch::{PortId, Ports};
use crate::wire::fragments::Reassembly;

pub use handle::Handle;
pub use load::Load;
pub use members::{AttachError, Attachment, Member, MemberKind};

/// Memory for bytes of TCP connections on their way.
const BUDGET: usize = 256 << 20;
/// Bytes that a guest may send ahead of what the host takes.
const WINDOW: usize = 1 << 20;
/// Frames of one port in one turn.
const TURN: usize = 64;
/// How often the filter looks for what is over.
const TICK: Duration = Duration::from_secs(1);

/// What a network is made of.
pub struct Setup {
    /// Its services.
    pub gateway: Gateway,
    /// What may pass.
    pub filter: Filter,
    /// What is behind the NAT; none if nothing leads outside.
    pub outside: Option<Outside>,
    /// Whether guests' addresses are checked; where nobody gives them away, they are not known.
    pub strict: bool,
    /// Keeps leases.
    pub save: Box<dyn FnMut(&Leases)>,
}

/// A network.
pub struct Network {
    gateway: Gateway,
    filter: Filter,
    outside: Option<Outside>,
    strict: bool,
    save: Box<dyn FnMut(&Leases)>,
    ports: Ports,
    members: BTreeMap<PortId, Member>,
    connections: Connections,
    datagrams: Datagrams,
    echoes: Echoes,
    lookups: Lookups,
    forwards: Forwards,
    /// Of each port its own, so that nobody's fragments meet another's.
    reassembly: HashMap<PortId, Reassembly>,
    budget: Budget,
    resolver_file: ResolverFile,
    resolvers: Vec<SocketAddr>,
    capture: Option<Capture<Box<dyn io::Write>>>,
    poller: Poller,
    /// Ports that may have more frames.
    readable: VecDeque<PortId>,
    buffer: Box<[u8]>,
    identification: u32,
    next_tick: Instant,
    wake: handle::Wake,
    is_stopped: bool,
}

impl Network {
    /// A network without ports, and how others reach it.
    pub fn new(setup: Setup) -> io::Result<(Self, Handle)> {
        let Setup { gateway, filter, outside, strict, save } = setup;
        let poller = Poller::new()?;
        let (wake, handle) = handle::Wake::new()?;
        poller.add_readable(&wake, Token { kind: Kind::Wake, index: 0, generation: 0 })?;
        let budget = Budget::new(BUDGET);
        let limits =
            Limits { window: WINDOW, mtu: gateway.plan().mtu, budget: budget.clone(), pool: Pool::default() };
        let network = Self {
            gateway,
            filter,
            outside,
            strict,
            save,
            ports: Ports::default(),
            members: BTreeMap::new(),
            connections: Connections::new(limits),
            datagrams: Datagrams::default(),
            echoes: Echoes::default(),
            lookups: Lookups::default(),
            forwards: Forwards::default(),
            reassembly: HashMap::new(),
            budget,
            resolver_file: ResolverFile::new(ResolverFile::RESOLVERS),
            resolvers: Vec::new(),
            capture: None,
            poller,
            readable: VecDeque::new(),
            buffer: vec![0; MESSAGE_BYTES_MAX].into_boxed_slice(),
            identification: rand::random(),
            next_tick: Instant::now(),
            wake,
            is_stopped: false,
        };
        Ok((network, handle))
    }
    /// Works until somebody stops it.
    pub fn run(&mut self) -> io::Result<()> {
        let mut news = Vec::new();
        while !self.is_stopped {
            self.turn(None, &mut news)?;
        }
        Ok(())
    }
    /// Ends [`Network::run`].
    pub fn stop(&mut self) {
        self.is_stopped = true;
    }
    /// Whether somebody has stopped it.
    pub fn is_stopped(&self) -> bool {
        self.is_stopped
    }

    /// Waits, not beyond `longest`, and does what there is to do.
    pub fn turn(&mut self, longest: Option<Duration>, news: &mut Vec<Ready>) -> io::Result<()> {
        let wait = match self.has_work() {
            true => Some(Duration::ZERO),
            false => {
                let next = self.next_timer().saturating_duration_since(Instant::now());
                // Rounded up: the kernel wakes a little early otherwise.
                Some(longest.unwrap_or(next).min(next) + Duration::from_micros(50))
            }
        };
        self.poller.wait(wait, news)?;
        let now = Now::read();
        for ready in news.iter() {
            self.ready(ready, now);
        }
        self.read_ports(now);
        self.connections.pump(now.instant, &mut self.ports);
        self.serve_names();
        self.expire(now);
        self.watch_connections(now);
        Ok(())
    }
    fn has_work(&self) -> bool {
        self.connections.has_work() || !self.readable.is_empty()
    }
    fn next_timer(&self) -> Instant {
        let timers = [
            self.connections.next_timer(),
            self.datagrams.next_timer(),
            self.echoes.next_timer(),
            self.lookups.next_timer(),
            self.gateway.next_timer(),
        ];
        timers.into_iter().flatten().fold(self.next_tick, Instant::min)
    }
    fn ready(&mut self, news: &Ready, now: Now) {
        match news.token.kind {
            Kind::Port => self.port_ready(PortId(news.token.index), news),
            Kind::Connection => {
                let mut failures = Vec::new();
                self.connections.ready(news, now.instant, &mut self.ports, &mut failures);
                failures.iter().for_each(|failure: &Unreachable| self.unreachable(failure));
            }
            Kind::Datagrams => self.datagrams_ready(news, now),
            Kind::Echo => self.echo_ready(news, now),
            Kind::Lookup => self.lookup_ready(news),
            Kind::Forward => self.forward_ready(news, now),
            Kind::Wake => {
                for job in self.wake.take() {
                    job(self);
                }
            }
        }
    }
    fn port_ready(&mut self, id: PortId, news: &Ready) {
        let Some(port) = self.ports.get_mut(id) else { return };
        if news.writable && port.unblock() {
            self.connections.unblock(id);
        }
        if news.readable && !self.readable.contains(&id) {
            self.readable.push_back(id);
        }
    }
    /// Takes frames of all ports that have some, a few of each in turn.
    fn read_ports(&mut self, now: Now) {
        let mut buffer = std::mem::take(&mut self.buffer);
        for _ in 0..self.readable.len() {
            let Some(id) = self.readable.pop_front() else { break };
            if self.read_port(id, &mut buffer, now) {
                self.readable.push_back(id);
            }
        }
        self.buffer = buffer;
    }
    /// Whether the port may have more.
    fn read_port(&mut self, id: PortId, buffer: &mut [u8], now: Now) -> bool {
        for _ in 0..TURN {
            let Some(port) = self.ports.get_mut(id) else { return false };
            match port.read(buffer) {
                Ok(Some(0)) => {
                    self.detach(id);
                    return false;
                }
                Ok(Some(length)) => self.message(id, &mut buffer[..length], now),
                Ok(None) => return false,
                Err(error) => {
                    tracing::debug!(%error, "a port failed");
                    self.detach(id);
                    return false;
                }
            }
        }
        true
    }
    fn expire(&mut self, now: Now) {
        self.connections.expire(now.instant, &mut self.ports);
        self.datagrams.expire(now.instant);
        self.echoes.expire(now.instant);
        self.lookups.expire(now.instant);
        let mut out = Outbox::default();
        self.gateway.tick(now, &mut out);
        self.deliver(out);
        if self.next_tick <= now.instant {
            self.next_tick = now.instant + TICK;
            self.filter.tick(now.instant, now.unix_s);
            self.reassembly.retain(|_, reassembly| {
                reassembly.expire(now.instant);
                !reassembly.is_empty()
            });
        }
    }

    /// Adds a forward.
    pub fn add_forward(&mut self, forward: Forward) -> Result<(), ForwardError> {
        self.forwards.add(forward, &self.poller)
    }
    /// Removes a forward. Connections that it has made go on.
    pub fn remove_forward(&mut self, carries: Carries, host: SocketAddr) -> Result<Forward, ForwardError> {
        self.forwards.remove(carries, host)
    }
    /// All forwards.
    pub fn forwards(&self) -> Vec<Forward> {
        self.forwards.list()
    }
    /// The services.
    pub fn gateway(&self) -> &Gateway {
        &self.gateway
    }
    /// The filter.
    pub fn filter(&mut self) -> &mut Filter {
        &mut self.filter
    }
    /// Connections through the NAT.
    pub fn connections(&self) -> usize {
        self.connections.len()
    }
    /// Writes down what passes from now on, or nothing any more.
    pub fn set_capture(&mut self, capture: Option<Capture<Box<dyn io::Write>>>) {
        if let Some(mut old) = std::mem::replace(&mut self.capture, capture)
            && let Err(error) = old.flush()
        {
            tracing::warn!(%error, "a capture is not complete");
        }
    }
}
