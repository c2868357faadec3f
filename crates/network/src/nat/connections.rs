//! All TCP connections of a network, with their sockets.
use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::time::Instant;

use platform::net::{FrameHeader, Mac};

use super::far::Far;
use super::names::Names;
use super::socket::{NoSocket, Progress, TcpSocket};
use super::tcp::{Budget, Flow, FlowState, HostStream, Limits, Path, Paused, Segment, Sequence};
use super::to_port::{ToPort, Turn};
use crate::poller::{Kind, Poller, Ready, Token};
use crate::port::Port;
use crate::slots::Slots;
use crate::switch::{PortId, Ports};
use crate::timers::Timers;
use crate::wire::tcp_flag::{ACK, FIN, RST, SYN};

/// Connections of one port at most; those that were not answered yet are fewer.
const PER_PORT: usize = 24_576;
const OPENING_PER_PORT: usize = 4096;
/// Those for questions about names: the network itself keeps what is asked and answered.
const NAMES_PER_PORT: usize = 64;

/// The connections.
pub struct Connections {
    entries: Slots<Entry>,
    index: HashMap<Key, u32>,
    /// To be pumped.
    due: VecDeque<u32>,
    /// Wait for room at their port.
    blocked: HashMap<PortId, Vec<u32>>,
    timers: Timers<u32>,
    limits: Limits,
    counts: HashMap<PortId, Count>,
    /// What each port's flows may hold.
    shares: HashMap<PortId, Budget>,
    /// Beginnings and ends that were told to guests.
    turns: Vec<Turn>,
    /// Connections with questions about names.
    questions: Vec<u32>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Count {
    all: usize,
    opening: usize,
    names: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Key {
    port: PortId,
    guest: SocketAddr,
    remote: SocketAddr,
}

struct Entry {
    key: Key,
    flow: Flow,
    /// None once it is over.
    far: Option<Far>,
    is_due: bool,
    is_opening: bool,
    /// What of it is in `timers`.
    timer: Option<Instant>,
    /// The guest's first frame, to be quoted if the host cannot connect.
    first_frame: Vec<u8>,
}

/// A connection that the host could not make.
#[derive(Debug)]
pub struct Unreachable {
    /// Whose it was.
    pub port: PortId,
    /// The guest's frame.
    pub frame: Vec<u8>,
}

/// Who opens a connection.
#[derive(Clone, Copy, Debug)]
pub struct Ends {
    /// The guest's port.
    pub port: PortId,
    /// The guest's card.
    pub card: Mac,
    /// The gateway's card.
    pub gateway: Mac,
    /// The guest's end.
    pub guest: SocketAddr,
    /// The other end, as the guest sees it.
    pub remote: SocketAddr,
}

impl Connections {
    /// None yet.
    pub fn new(limits: Limits) -> Self {
        Self {
            entries: Slots::default(),
            index: HashMap::new(),
            due: VecDeque::new(),
            blocked: HashMap::new(),
            timers: Timers::default(),
            limits,
            counts: HashMap::new(),
            shares: HashMap::new(),
            turns: Vec::new(),
            questions: Vec::new(),
        }
    }
    /// How many there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
    /// When to call [`Connections::expire`].
    pub fn next_timer(&self) -> Option<Instant> {
        self.timers.next()
    }
    /// Beginnings and ends that guests were told of since this was asked last.
    pub fn take_turns(&mut self) -> Vec<Turn> {
        std::mem::take(&mut self.turns)
    }
    /// All connections.
    pub fn list(&self) -> Vec<(PortId, Path)> {
        self.entries.iter().map(|(_, entry)| (entry.key.port, *entry.flow.path())).collect()
    }
    /// Whether [`Connections::pump`] has something to do.
    pub fn has_work(&self) -> bool {
        !self.due.is_empty()
    }

    /// A guest's segment of a connection that is known. False if none is, or another one is opened in its place.
    pub fn take(&mut self, ends: &Ends, segment: &Segment<'_>, now: Instant) -> bool {
        let key = Key { port: ends.port, guest: ends.guest, remote: ends.remote };
        let Some(&index) = self.index.get(&key) else { return false };
        let Some(entry) = self.entries.get_mut(index) else { return false };
        let is_over = matches!(entry.flow.state(), FlowState::Lingering | FlowState::Over);
        if is_over && segment.flags & (SYN | ACK) == SYN {
            self.remove(index);
            return false;
        }
        let Entry { flow, far, .. } = entry;
        let host: &mut dyn HostStream = match far {
            Some(far) => far.stream(),
            None => &mut NoSocket,
        };
        if let Err(error) = flow.take(segment, now, host) {
            // The same error comes again when the flow is pumped.
            tracing::debug!(%error, "a connection failed");
        }
        self.mark(index);
        true
    }
    /// A guest's SYN, with the address where the host is to connect to. An error is the host's.
    pub fn open(
        &mut self,
        ends: &Ends,
        segment: &Segment<'_>,
        to: SocketAddr,
        frame: &[u8],
        now: Instant,
        poller: &Poller,
    ) -> io::Result<()> {
        let count = self.counts.get(&ends.port).copied().unwrap_or_default();
        if count.all >= PER_PORT || count.opening >= OPENING_PER_PORT {
            // As if it were lost: the guest asks again.
            return Ok(());
        }
        let (socket, progress) = TcpSocket::connect(to)?;
        let limits = self.limits_of(ends.port);
        let mut flow = Flow::of_syn(path(ends), segment, Sequence(rand::random()), &limits);
        if progress == Progress::Connected {
            flow.connected(now);
        }
        let is_opening = progress == Progress::Pending;
        let first_frame = if is_opening { frame.to_vec() } else { Vec::new() };
        self.insert(ends, flow, Far::Socket(socket), first_frame, poller)
    }
    /// A guest's SYN of a connection for questions about names.
    pub fn open_names(
        &mut self,
        ends: &Ends,
        segment: &Segment<'_>,
        now: Instant,
        poller: &Poller,
    ) -> io::Result<()> {
        let count = self.counts.get(&ends.port).copied().unwrap_or_default();
        if count.all >= PER_PORT || count.names >= NAMES_PER_PORT {
            return Ok(());
        }
        let limits = self.limits_of(ends.port);
        let mut flow = Flow::of_syn(path(ends), segment, Sequence(rand::random()), &limits);
        flow.connected(now);
        self.insert(ends, flow, Far::Names(Box::default()), Vec::new(), poller)
    }
    /// Whether [`Connections::serve_names`] has something to do.
    pub fn has_questions(&self) -> bool {
        !self.questions.is_empty()
    }
    /// Answers questions about names.
    pub fn serve_names(&mut self, names: &Names<'_>, poller: &Poller) {
        for index in std::mem::take(&mut self.questions) {
            let generation = self.entries.generation(index);
            let Some(Entry { flow, far: Some(Far::Names(stream)), .. }) = self.entries.get_mut(index) else {
                continue;
            };
            if stream.serve(names)
                && let Some(socket) = stream.socket()
                && let Err(error) = poller.add(socket, Token { kind: Kind::Connection, index, generation })
            {
                tracing::warn!(%error, "a resolver's answers cannot be awaited");
            }
            flow.readable = true;
            self.mark(index);
        }
    }
    /// A connection that the host has accepted for a guest.
    pub fn accept(&mut self, ends: &Ends, socket: TcpSocket, poller: &Poller) -> io::Result<()> {
        let flow = Flow::to_guest(path(ends), Sequence(rand::random()), &self.limits_of(ends.port));
        self.insert(ends, flow, Far::Socket(socket), Vec::new(), poller)
    }
    fn limits_of(&mut self, port: PortId) -> Limits {
        let Limits { window, mtu, budget, pool } = self.limits.clone();
        let budget = self.shares.entry(port).or_insert_with(|| budget.share()).clone();
        Limits { window, mtu, budget, pool }
    }
    /// Forgets a port of the switch whose connections were cut.
    pub fn forget_port(&mut self, port: PortId) {
        self.shares.remove(&port);
        self.counts.remove(&port);
        self.blocked.remove(&port);
    }
    /// Whether a guest has a connection with these ends.
    pub fn has(&self, ends: &Ends) -> bool {
        self.index.contains_key(&Key { port: ends.port, guest: ends.guest, remote: ends.remote })
    }
    fn insert(
        &mut self,
        ends: &Ends,
        flow: Flow,
        far: Far,
        first_frame: Vec<u8>,
        poller: &Poller,
    ) -> io::Result<()> {
        let key = Key { port: ends.port, guest: ends.guest, remote: ends.remote };
        let is_opening = matches!(flow.state(), FlowState::Connecting | FlowState::Asked);
        let is_names = matches!(far, Far::Names(_));
        let entry = Entry { key, flow, far: Some(far), is_due: false, is_opening, timer: None, first_frame };
        let (index, generation) = self.entries.insert(entry);
        let token = Token { kind: Kind::Connection, index, generation };
        let watched = match self.entries.get(index).and_then(|entry| entry.far.as_ref()?.socket()) {
            Some(socket) => poller.add(socket, token),
            None => Ok(()),
        };
        if let Err(error) = watched {
            self.entries.remove(index);
            return Err(error);
        }
        let count = self.counts.entry(ends.port).or_default();
        count.all += 1;
        count.opening += usize::from(is_opening);
        count.names += usize::from(is_names);
        self.index.insert(key, index);
        self.mark(index);
        Ok(())
    }
    fn mark(&mut self, index: u32) {
        if let Some(entry) = self.entries.get_mut(index)
            && !std::mem::replace(&mut entry.is_due, true)
        {
            self.due.push_back(index);
        }
    }

    /// News of a socket.
    pub fn ready(&mut self, news: &Ready, now: Instant, ports: &mut Ports, failures: &mut Vec<Unreachable>) {
        let Token { index, generation, .. } = news.token;
        if !self.entries.has(index, generation) {
            return;
        }
        let Some(entry) = self.entries.get_mut(index) else { return };
        entry.flow.readable |= news.readable;
        if entry.flow.state() == FlowState::Connecting {
            match entry.far.as_ref().and_then(Far::socket).map(TcpSocket::outcome) {
                Some(Ok(Progress::Connected)) => {
                    entry.flow.connected(now);
                    entry.first_frame = Vec::new();
                }
                Some(Ok(Progress::Pending)) | None => return,
                Some(Err(error)) => {
                    let frame = std::mem::take(&mut entry.first_frame);
                    let port = entry.key.port;
                    if error.kind() == io::ErrorKind::ConnectionRefused {
                        let output = &mut ToPort::new(port, ports, &mut self.turns);
                        entry.flow.refuse(output);
                    } else {
                        failures.push(Unreachable { port, frame });
                    }
                    self.remove(index);
                    return;
                }
            }
        }
        self.mark(index);
    }

    /// Does what can be done for all that something happened to.
    pub fn pump(&mut self, now: Instant, ports: &mut Ports) {
        // Those that are not done in one turn come again.
        for _ in 0..self.due.len() {
            let Some(index) = self.due.pop_front() else { return };
            self.pump_one(index, now, ports);
        }
    }
    fn pump_one(&mut self, index: u32, now: Instant, ports: &mut Ports) {
        let Some(entry) = self.entries.get_mut(index) else { return };
        entry.is_due = false;
        let Entry { flow, far, key, .. } = entry;
        let mut output = ToPort::new(key.port, ports, &mut self.turns);
        let host: &mut dyn HostStream = match far {
            Some(far) => far.stream(),
            None => &mut NoSocket,
        };
        let paused = match flow.pump(now, host, &mut output) {
            Ok(paused) => paused,
            Err(error) => {
                tracing::debug!(%error, "a connection failed");
                flow.reset(host, &mut output);
                Paused::Idle
            }
        };
        let port = key.port;
        if let Some(Far::Names(names)) = &entry.far {
            let is_asked = names.has_question();
            // No poller tells of what happens within the process.
            let has_end = names.has_end() && !entry.flow.readable;
            entry.flow.readable |= has_end;
            if is_asked {
                self.questions.push(index);
            }
            if has_end {
                self.mark(index);
            }
        }
        match paused {
            Paused::Idle => {}
            Paused::Turn => self.mark(index),
            Paused::Blocked => {
                self.blocked.entry(port).or_default().push(index);
            }
        }
        self.settle(index);
    }
    /// After anything that may have changed a flow's state.
    fn settle(&mut self, index: u32) {
        let Some(entry) = self.entries.get_mut(index) else { return };
        let state = entry.flow.state();
        if entry.is_opening && !matches!(state, FlowState::Connecting | FlowState::Asked) {
            entry.is_opening = false;
            if let Some(count) = self.counts.get_mut(&entry.key.port) {
                count.opening -= 1;
            }
        }
        match state {
            FlowState::Over => return self.remove(index),
            // It is closed; what the guest repeats is answered without it.
            FlowState::Lingering => entry.close(&mut self.counts),
            _ => {}
        }
        if let Some(deadline) = entry.flow.deadline()
            && entry.timer.is_none_or(|timer| deadline < timer)
        {
            entry.timer = Some(deadline);
            self.timers.add(deadline, index);
        }
    }
    fn remove(&mut self, index: u32) {
        let Some(mut entry) = self.entries.remove(index) else { return };
        self.index.remove(&entry.key);
        if let Some(count) = self.counts.get_mut(&entry.key.port) {
            count.all -= 1;
            count.opening -= usize::from(entry.is_opening);
        }
        entry.close(&mut self.counts);
    }

    /// Deadlines that have come.
    pub fn expire(&mut self, now: Instant, ports: &mut Ports) {
        while let Some(index) = self.timers.take(now) {
            let Some(entry) = self.entries.get_mut(index) else { continue };
            entry.timer = None;
            // A guest that takes nothing is not a guest that has lost something.
            let blocked = ports.get(entry.key.port).is_some_and(Port::is_blocked);
            if blocked {
                let later = now + std::time::Duration::from_millis(200);
                entry.timer = Some(later);
                self.timers.add(later, index);
            } else if entry.flow.deadline().is_some_and(|deadline| deadline <= now) {
                let Entry { flow, far, key, .. } = entry;
                let mut output = ToPort::new(key.port, ports, &mut self.turns);
                let host: &mut dyn HostStream = match far {
                    Some(far) => far.stream(),
                    None => &mut NoSocket,
                };
                flow.expire(now, host, &mut output);
                // Pumping moves the deadline; until then it would come again at once.
                self.mark(index);
            } else {
                self.settle(index);
            }
        }
    }
    /// A port has room again.
    pub fn unblock(&mut self, port: PortId) {
        for index in self.blocked.remove(&port).unwrap_or_default() {
            self.mark(index);
        }
    }
    /// Breaks connections off: those of a port that is gone, or those that are not allowed any more.
    pub fn cut(&mut self, ports: &mut Ports, which: &dyn Fn(PortId, SocketAddr, SocketAddr) -> bool) {
        let doomed: Vec<u32> = self
            .entries
            .iter()
            .filter(|(_, entry)| which(entry.key.port, entry.key.guest, entry.key.remote))
            .map(|(index, _)| index)
            .collect();
        for index in doomed {
            if let Some(Entry { flow, far: Some(far), key, .. }) = self.entries.get_mut(index) {
                flow.reset(far.stream(), &mut ToPort::new(key.port, ports, &mut self.turns));
            }
            self.remove(index);
        }
    }
}

impl Entry {
    /// Lets go of the other end.
    fn close(&mut self, counts: &mut HashMap<PortId, Count>) {
        if let Some(Far::Names(_)) = self.far.take()
            && let Some(count) = counts.get_mut(&self.key.port)
        {
            count.names -= 1;
        }
    }
}

fn path(ends: &Ends) -> Path {
    Path { gateway: ends.gateway, card: ends.card, guest: ends.guest, remote: ends.remote }
}

/// The answer to a segment of no connection (RFC 9293 §3.10.7.1).
pub fn refuse(ends: &Ends, segment: &Segment<'_>, port: &mut Port) {
    if segment.flags & RST != 0 {
        return;
    }
    let length = segment.data.len() + usize::from(segment.flags & (SYN | FIN) != 0);
    let (sequence, acknowledgment, flags) = if segment.flags & ACK != 0 {
        (segment.acknowledgment, Sequence(0), RST)
    } else {
        (Sequence(0), segment.sequence.plus(length), RST | ACK)
    };
    let head = path(ends).head(&super::tcp::Fields {
        sequence,
        acknowledgment,
        flags,
        window: 0,
        options: &[],
        data_length: 0,
        segment_size: u16::MAX,
    });
    if let Some((header, _)) = FrameHeader::split(head.bytes()) {
        port.offer(&header, head.bytes(), &[]);
    }
}
