//! One connection: its guest on one side, a socket of the host on the other.
use std::io;
use std::time::{Duration, Instant};

use super::head::Fields;
use super::inbound::Inbound;
use super::options::Options;
use super::outbound::{Outbound, Paused, Piece};
use super::{Budget, HostStream, Output, Path, Pool, Segment, Sequence};
use crate::wire::tcp_flag::{ACK, FIN, PSH, RST, SYN};

/// By how much our windows are shifted.
const SCALE: u8 = 7;
/// What a guest takes that names no size (RFC 9293 §3.7.1).
const SEGMENT_SIZE: u16 = 536;
/// Smaller ones are not believed.
const SEGMENT_SIZE_MIN: u16 = 256;
/// How long an answer to a SYN is awaited at first, and how often it is tried.
const OPENING_RETRY: Duration = Duration::from_secs(1);
const OPENING_TRIES: u8 = 6;
/// How long a connection that is over answers what its guest repeats.
const LINGER: Duration = Duration::from_secs(2);

/// What holds for all flows of a network.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Bytes that a guest may send ahead of what the host takes.
    pub window: usize,
    /// The network's MTU.
    pub mtu: u16,
    /// Memory for all flows.
    pub budget: Budget,
    /// Memory to be used again.
    pub pool: Pool,
}

/// Where a connection stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlowState {
    /// The guest has sent a SYN; the host's socket is being connected.
    Connecting,
    /// The guest's SYN was answered.
    Answered,
    /// A SYN was sent to the guest.
    Asked,
    /// Data flows.
    Open,
    /// Both sides have ended; what the guest repeats is answered.
    Lingering,
    /// It is over, and nothing is to be done.
    Over,
}

/// A connection.
#[derive(Debug)]
pub struct Flow {
    path: Path,
    state: FlowState,
    inbound: Inbound,
    outbound: Outbound,
    /// The guest's windows are shifted by this.
    guest_scale: Option<u8>,
    sack: bool,
    /// The guest's last window, to tell acknowledgments from window updates.
    window: u16,
    /// The host's socket may have data.
    pub readable: bool,
    /// Of the opening, or of lingering.
    deadline: Option<Instant>,
    tries: u8,
    limits: Limits,
    first: Sequence,
}

impl Flow {
    /// A connection that the guest's SYN opens. `first` is any number that nobody can guess.
    pub fn of_syn(path: Path, segment: &Segment<'_>, first: Sequence, limits: &Limits) -> Self {
        let options = Options::parse(segment.options);
        let mut flow = Self::new(path, FlowState::Connecting, first, limits);
        flow.learn(&options, segment);
        flow
    }
    /// A connection that a peer of the host has opened. The next [`Flow::pump`] asks the guest.
    pub fn to_guest(path: Path, first: Sequence, limits: &Limits) -> Self {
        let mut flow = Self::new(path, FlowState::Asked, first, limits);
        flow.readable = true;
        flow
    }
    fn new(path: Path, state: FlowState, first: Sequence, limits: &Limits) -> Self {
        let inbound =
            Inbound::new(Sequence(0), None, limits.window, limits.pool.clone(), limits.budget.clone());
        let size = path.segment_size(limits.mtu);
        let outbound = Outbound::new(first.plus(1), size, limits.pool.clone(), limits.budget.clone());
        Self {
            path,
            state,
            inbound,
            outbound,
            guest_scale: None,
            sack: false,
            window: 0,
            readable: false,
            deadline: None,
            tries: 0,
            limits: limits.clone(),
            first,
        }
    }
    /// What the guest's SYN says.
    fn learn(&mut self, options: &Options, segment: &Segment<'_>) {
        let Limits { window, pool, budget, .. } = self.limits.clone();
        let scale = options.window_scale.map(|_| SCALE);
        self.guest_scale = options.window_scale;
        self.sack = options.sack_permitted;
        let size = options.segment_size.unwrap_or(SEGMENT_SIZE).max(SEGMENT_SIZE_MIN);
        self.outbound.segment_size = size.min(self.path.segment_size(self.limits.mtu));
        self.inbound = Inbound::new(segment.sequence.plus(1), scale, window, pool, budget);
        self.window = segment.window;
        // Windows of a SYN are not shifted.
        self.outbound.open(self.first.plus(1), segment.window.into());
    }

    /// Where it stands.
    pub fn state(&self) -> FlowState {
        self.state
    }
    /// Its ends.
    pub fn path(&self) -> &Path {
        &self.path
    }
    /// Whether the host's socket has to take more before the guest can go on.
    pub fn waits_for_host(&self) -> bool {
        self.inbound.waits()
    }
    /// Whether an acknowledgment is to be sent by the next [`Flow::pump`].
    pub fn owes(&self) -> bool {
        self.inbound.due
    }
    /// When to call [`Flow::expire`].
    pub fn deadline(&self) -> Option<Instant> {
        match self.state {
            FlowState::Open => self.outbound.deadline(),
            _ => self.deadline,
        }
    }

    /// The host's socket is connected.
    pub fn connected(&mut self, now: Instant) {
        if self.state == FlowState::Connecting {
            self.state = FlowState::Answered;
            self.readable = true;
            self.tries = 0;
            self.deadline = Some(now);
        }
    }
    /// The guest is told that there is no such connection, and the host's peer as well.
    pub fn reset(&mut self, host: &mut dyn HostStream, output: &mut dyn Output) {
        host.reset();
        self.refuse(output);
    }
    /// The guest is told that there is no such connection.
    pub fn refuse(&mut self, output: &mut dyn Output) {
        if self.state != FlowState::Over {
            let sequence = match self.state {
                FlowState::Connecting => Sequence(0),
                _ => self.outbound.next(),
            };
            self.emit(sequence, RST | ACK, &[], output);
            self.state = FlowState::Over;
        }
    }

    /// A segment of the guest. What is to be sent goes out by the next [`Flow::pump`].
    pub fn take(&mut self, segment: &Segment<'_>, now: Instant, host: &mut dyn HostStream) -> io::Result<()> {
        match self.state {
            FlowState::Connecting | FlowState::Over => Ok(()),
            FlowState::Asked => {
                self.answered(segment, now, host);
                Ok(())
            }
            FlowState::Answered | FlowState::Open | FlowState::Lingering => self.go_on(segment, now, host),
        }
    }
    /// The guest's answer to our SYN.
    fn answered(&mut self, segment: &Segment<'_>, now: Instant, host: &mut dyn HostStream) {
        let fits = segment.acknowledgment == self.first.plus(1);
        match segment.flags & (SYN | ACK | RST) {
            flags if flags == SYN | ACK && fits => {
                self.learn(&Options::parse(segment.options), segment);
                self.state = FlowState::Open;
                self.deadline = None;
                self.inbound.due = true;
                let _ = now;
            }
            flags if flags & RST != 0 && flags & ACK != 0 && fits => {
                host.reset();
                self.state = FlowState::Over;
            }
            _ => {}
        }
    }
    fn go_on(&mut self, segment: &Segment<'_>, now: Instant, host: &mut dyn HostStream) -> io::Result<()> {
        if segment.flags & RST != 0 {
            if self.inbound.covers(segment.sequence) {
                host.reset();
                self.state = FlowState::Over;
            }
            return Ok(());
        }
        if segment.flags & SYN != 0 {
            // Of the opening, repeated; or of nothing that is known (RFC 5961 §4).
            match self.state {
                FlowState::Answered => self.deadline = Some(now),
                _ => self.inbound.due = true,
            }
            return Ok(());
        }
        if segment.flags & ACK == 0 {
            return Ok(());
        }
        let options = if self.sack { Options::parse(segment.options).sack } else { Default::default() };
        let bare = segment.data.is_empty() && segment.window == self.window && segment.flags & FIN == 0;
        if !self.outbound.acknowledge(segment.acknowledgment, &options, bare, now) {
            self.inbound.due = true;
            return Ok(());
        }
        if self.state == FlowState::Answered {
            self.state = FlowState::Open;
            self.deadline = None;
        }
        // An old segment has an old window.
        if !segment.acknowledgment.is_before(self.outbound.first()) {
            self.window = segment.window;
            let window = usize::from(segment.window) << self.guest_scale.unwrap_or(0);
            self.outbound.open(segment.acknowledgment, window);
        }
        self.inbound.take(segment.sequence, segment.data, segment.flags & FIN != 0, host)
    }

    /// Does all that can be done now: the host takes what waits, the guest gets what the host has, and what is owed is
    /// acknowledged. An error is the host's socket's.
    pub fn pump(
        &mut self,
        now: Instant,
        host: &mut dyn HostStream,
        output: &mut dyn Output,
    ) -> io::Result<Paused> {
        match self.state {
            FlowState::Answered | FlowState::Asked => return Ok(self.open(now, output)),
            FlowState::Open | FlowState::Lingering => {}
            FlowState::Connecting | FlowState::Over => return Ok(Paused::Idle),
        }
        self.inbound.drain(host)?;
        let Self { path, inbound, outbound, readable, .. } = self;
        let size = outbound.segment_size;
        let paused = outbound.pump(now, readable, host, &mut |piece: Piece<'_>| {
            let flags = ACK | if piece.finish { FIN } else { 0 } | if piece.push { PSH } else { 0 };
            let head = path.head(&Fields {
                sequence: piece.sequence,
                acknowledgment: inbound.next(),
                flags,
                window: inbound.window(),
                options: &[],
                data_length: piece.length,
                segment_size: size,
            });
            let sent = output.send(&head, piece.data);
            if sent {
                inbound.due = false;
            }
            sent
        })?;
        if (self.inbound.due || self.inbound.has_reopened()) && paused != Paused::Blocked {
            self.acknowledge(output);
        }
        if self.state == FlowState::Open && self.inbound.is_done() && self.outbound.is_done() {
            self.state = FlowState::Lingering;
            self.deadline = Some(now + LINGER);
        }
        Ok(paused)
    }
    /// A SYN of ours, as often as it takes.
    fn open(&mut self, now: Instant, output: &mut dyn Output) -> Paused {
        if self.deadline.is_some_and(|deadline| now < deadline) {
            return Paused::Idle;
        }
        let is_answer = self.state == FlowState::Answered;
        let options = Options {
            segment_size: Some(self.path.segment_size(self.limits.mtu)),
            window_scale: (!is_answer || self.guest_scale.is_some()).then_some(SCALE),
            sack_permitted: !is_answer || self.sack,
            sack: Default::default(),
        };
        let flags = if is_answer { SYN | ACK } else { SYN };
        let head = self.path.head(&Fields {
            sequence: self.first,
            acknowledgment: if is_answer { self.inbound.next() } else { Sequence(0) },
            flags,
            window: u16::MAX,
            options: &options.to_bytes(),
            data_length: 0,
            segment_size: u16::MAX,
        });
        if !output.send(&head, &[]) {
            return Paused::Blocked;
        }
        self.deadline = Some(now + OPENING_RETRY.saturating_mul(1 << self.tries.min(5)));
        self.tries += 1;
        Paused::Idle
    }
    fn acknowledge(&mut self, output: &mut dyn Output) {
        let blocks = if self.sack { self.inbound.blocks() } else { Default::default() };
        let options = Options { sack: blocks, ..Options::default() }.to_bytes();
        let sequence = self.outbound.next();
        if self.emit(sequence, ACK, &options, output) {
            self.inbound.due = false;
        }
    }
    fn emit(&mut self, sequence: Sequence, flags: u8, options: &[u8], output: &mut dyn Output) -> bool {
        let head = self.path.head(&Fields {
            sequence,
            acknowledgment: self.inbound.next(),
            flags,
            window: self.inbound.window(),
            options,
            data_length: 0,
            segment_size: u16::MAX,
        });
        output.send(&head, &[])
    }

    /// Its deadline has come. The next [`Flow::pump`] sends what is to be sent again.
    pub fn expire(&mut self, now: Instant, host: &mut dyn HostStream, output: &mut dyn Output) {
        match self.state {
            FlowState::Lingering => self.state = FlowState::Over,
            FlowState::Answered | FlowState::Asked if self.tries >= OPENING_TRIES => self.reset(host, output),
            FlowState::Open => {
                if self.outbound.is_shut() && self.outbound.deadline().is_some_and(|deadline| deadline <= now)
                {
                    // What was acknowledged already is answered with the window (RFC 9293 §3.8.6.1).
                    let before = Sequence(self.outbound.first().0.wrapping_sub(1));
                    self.emit(before, ACK, &[], output);
                }
                if !self.outbound.expire(now) {
                    self.reset(host, output);
                }
            }
            _ => {}
        }
    }
}
