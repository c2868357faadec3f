//! UDP: each of a guest's ports is a socket of the host. Answers come in from those that the guest has spoken to, and so do
//! ICMP errors about what it has sent.
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use platform::net::Mac;
use rustix::net::{self, AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};

use super::connections::Ends;
use crate::host::error_queue::{self, Report};
use crate::poller::{Kind, Poller, Ready, Token};
use crate::services::refusal::Refusal;
use crate::slots::Slots;
use crate::switch::PortId;
use crate::timers::Timers;
use crate::wire::udp_frame;

/// Sockets of one port of the switch at most; the one that was silent for longest goes first.
const PER_PORT: usize = 2048;
/// Peers of one socket whose answers come in.
const PEERS: usize = 64;
/// How long a socket lives without traffic: before the first answer, and after.
const IDLE: Duration = Duration::from_secs(30);
const IDLE_ANSWERED: Duration = Duration::from_secs(180);
/// Datagrams of one socket in one turn.
const TURN: usize = 64;

/// The sockets.
#[derive(Default)]
pub struct Datagrams {
    entries: Slots<Entry>,
    index: HashMap<(PortId, SocketAddr), u32>,
    timers: Timers<u32>,
    counts: HashMap<PortId, usize>,
}

struct Entry {
    port: PortId,
    card: Mac,
    gateway: Mac,
    guest: SocketAddr,
    socket: OwnedFd,
    /// Real addresses, and what the guest takes them for.
    peers: Vec<(SocketAddr, SocketAddr)>,
    answered: bool,
    last: Instant,
}

/// A datagram for a guest.
pub struct Delivery {
    /// Where it goes.
    pub port: PortId,
    /// With complete checksums; its packet may be longer than the MTU.
    pub frame: Vec<u8>,
}

/// Something that a guest has sent outside went nowhere.
pub struct Failure {
    /// Whose it was.
    pub port: PortId,
    /// As the guest has sent it, as far as that is known.
    pub frame: Vec<u8>,
    /// Why.
    pub refusal: Refusal,
    /// Who says so, if it is not the destination itself.
    pub offender: Option<IpAddr>,
}

impl Datagrams {
    /// How many sockets there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
    /// When to call [`Datagrams::expire`].
    pub fn next_timer(&self) -> Option<Instant> {
        self.timers.next()
    }
    /// Sends a guest's datagram to `to`. An error is the host's.
    pub fn send(
        &mut self,
        ends: &Ends,
        to: SocketAddr,
        data: &[u8],
        now: Instant,
        poller: &Poller,
    ) -> io::Result<()> {
        let index = match self.index.get(&(ends.port, ends.guest)) {
            Some(index) => *index,
            None => self.open(ends, to, now, poller)?,
        };
        let Some(entry) = self.entries.get_mut(index) else { return Ok(()) };
        (entry.last, entry.card) = (now, ends.card);
        let peer = (to, ends.remote);
        if !entry.peers.contains(&peer) {
            if entry.peers.len() >= PEERS {
                entry.peers.remove(0);
            }
            entry.peers.push(peer);
        }
        let send = || net::sendto(&entry.socket, data, SendFlags::NOSIGNAL, &to);
        // The first error may be about an earlier datagram, which the queue of errors tells better.
        match send().or_else(|_| send()) {
            Ok(_) | Err(rustix::io::Errno::AGAIN | rustix::io::Errno::NOBUFS) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
    fn open(&mut self, ends: &Ends, to: SocketAddr, now: Instant, poller: &Poller) -> io::Result<u32> {
        if self.counts.get(&ends.port).is_some_and(|count| *count >= PER_PORT) {
            self.forget_oldest(ends.port);
        }
        let socket = bind(any(to))?;
        if let Err(error) = error_queue::enable(&socket, to.is_ipv6()) {
            tracing::debug!(%error, "errors about datagrams are not heard of");
        }
        let Ends { port, card, gateway, guest, .. } = *ends;
        let entry =
            Entry { port, card, gateway, guest, socket, peers: Vec::new(), answered: false, last: now };
        let (index, generation) = self.entries.insert(entry);
        let watched = match self.entries.get(index) {
            Some(entry) => poller.add(&entry.socket, Token { kind: Kind::Datagrams, index, generation }),
            None => Ok(()),
        };
        if let Err(error) = watched {
            self.entries.remove(index);
            return Err(error);
        }
        self.index.insert((ends.port, ends.guest), index);
        *self.counts.entry(ends.port).or_default() += 1;
        self.timers.add(now + IDLE, index);
        Ok(index)
    }
    fn forget_oldest(&mut self, port: PortId) {
        let of_port = self.entries.iter().filter(|(_, entry)| entry.port == port);
        if let Some(index) = of_port.min_by_key(|(_, entry)| entry.last).map(|(index, _)| index) {
            self.remove(index);
        }
    }
    fn remove(&mut self, index: u32) {
        let Some(entry) = self.entries.remove(index) else { return };
        self.index.remove(&(entry.port, entry.guest));
        if let Some(count) = self.counts.get_mut(&entry.port) {
            *count -= 1;
        }
    }

    /// News of a socket: answers for the guest, and what went nowhere.
    pub fn ready(
        &mut self,
        news: &Ready,
        now: Instant,
        buffer: &mut [u8],
        deliver: &mut dyn FnMut(Delivery),
        fail: &mut dyn FnMut(Failure),
    ) {
        let Token { index, generation, .. } = news.token;
        if !self.entries.has(index, generation) {
            return;
        }
        let Some(entry) = self.entries.get_mut(index) else { return };
        let mut failures = 0;
        while let Some(report) = error_queue::next(&entry.socket, buffer) {
            failures += 1;
            if let Some(failure) = entry.failure(&report, buffer).filter(|_| failures <= TURN) {
                fail(failure);
            }
        }
        for _ in 0..TURN {
            let Some((length, from)) = receive(&entry.socket, buffer) else { return };
            let Some((_, seen)) = entry.peers.iter().find(|(real, _)| *real == from) else { continue };
            (entry.answered, entry.last) = (true, now);
            let frame = udp_frame((entry.gateway, *seen), (entry.card, entry.guest), &buffer[..length]);
            deliver(Delivery { port: entry.port, frame });
        }
        // What is left is asked for again: its news came once.
        while receive(&entry.socket, buffer).is_some() {}
    }
    /// Forgets sockets that were silent for long.
    pub fn expire(&mut self, now: Instant) {
        while let Some(index) = self.timers.take(now) {
            let Some(entry) = self.entries.get(index) else { continue };
            let end = entry.last + if entry.answered { IDLE_ANSWERED } else { IDLE };
            if end <= now {
                self.remove(index);
            } else {
                self.timers.add(end, index);
            }
        }
    }
    /// Forgets a port of the switch.
    pub fn forget_port(&mut self, port: PortId) {
        let of_port = self.entries.iter().filter(|(_, entry)| entry.port == port);
        for index in of_port.map(|(index, _)| index).collect::<Vec<_>>() {
            self.remove(index);
        }
    }
}

impl Entry {
    /// What the guest has sent that an error is about.
    fn failure(&self, report: &Report, buffer: &[u8]) -> Option<Failure> {
        let (real, seen) = *self.peers.iter().find(|(real, _)| *real == report.to)?;
        let refusal = Refusal::of_icmp(report.is_ipv6, report.kind, report.code, report.info)?;
        let data = buffer.get(..report.length)?;
        let frame = udp_frame((self.card, self.guest), (self.gateway, seen), data);
        let offender = report.offender.filter(|offender| *offender != real.ip());
        Some(Failure { port: self.port, frame, refusal, offender })
    }
}

/// A socket for datagrams.
pub fn bind(address: SocketAddr) -> io::Result<OwnedFd> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = net::socket_with(family, SocketType::DGRAM, flags, None)?;
    if address.is_ipv6() {
        net::sockopt::set_ipv6_v6only(&socket, true)?;
    }
    net::bind(&socket, &address)?;
    Ok(socket)
}

/// Any address and port of the family of another one.
pub fn any(like: SocketAddr) -> SocketAddr {
    match like.ip() {
        IpAddr::V4(_) => SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0),
        IpAddr::V6(_) => SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), 0),
    }
}

/// The next datagram, and who sent it; `None` if there is none. What the host was told of earlier ones is passed over.
pub fn receive(socket: impl AsFd, buffer: &mut [u8]) -> Option<(usize, SocketAddr)> {
    loop {
        match net::recvfrom(&socket, &mut *buffer, RecvFlags::empty()) {
            Ok((length, _, Some(from))) => {
                let from = SocketAddr::try_from(from).ok()?;
                // Scopes are the host's own business.
                return Some((length, SocketAddr::new(from.ip(), from.port())));
            }
            Ok((_, _, None)) | Err(rustix::io::Errno::AGAIN) => return None,
            Err(_) => {}
        }
    }
}
