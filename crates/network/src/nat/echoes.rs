//! Pings that leave the network: each series of a guest's is a socket of the host.
use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use platform::net::Mac;
use rustix::io::Errno;

use super::datagrams::{Delivery, Failure};
use crate::host::ping::{PingError, PingSocket};
use crate::poller::{Kind, Poller, Ready, Token};
use crate::services::refusal::Refusal;
use crate::slots::Slots;
use crate::switch::PortId;
use crate::timers::Timers;
use crate::wire::{IcmpHeader, icmp_frame};

/// Series of one port at most.
const PER_PORT: usize = 128;
const IDLE: Duration = Duration::from_secs(30);
/// Answers of one turn: more than a socket keeps.
const TURN: usize = 4096;

/// The series.
#[derive(Default)]
pub struct Echoes {
    entries: Slots<Entry>,
    index: HashMap<Series, u32>,
    timers: Timers<u32>,
}

/// Whose pings, and to whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Series {
    /// The guest's port.
    pub port: PortId,
    /// The guest.
    pub guest: IpAddr,
    /// Who is to answer.
    pub remote: IpAddr,
    /// The guest's number of them.
    pub identifier: u16,
}

struct Entry {
    series: Series,
    card: Mac,
    gateway: Mac,
    socket: PingSocket,
    last: Instant,
}

impl Echoes {
    /// How many series there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
    /// When to call [`Echoes::expire`].
    pub fn next_timer(&self) -> Option<Instant> {
        self.timers.next()
    }
    /// Sends a guest's ping to `to`; both cards: the guest's and the gateway's.
    pub fn send(
        &mut self,
        series: Series,
        (card, gateway): (Mac, Mac),
        to: IpAddr,
        (sequence, data): (u16, &[u8]),
        now: Instant,
        poller: &Poller,
    ) -> Result<(), PingError> {
        let index = match self.index.get(&series) {
            Some(index) => *index,
            None => {
                let of_port = self.entries.iter().filter(|(_, entry)| entry.series.port == series.port);
                if of_port.count() >= PER_PORT {
                    return Ok(());
                }
                let socket = PingSocket::open(to)?;
                let entry = Entry { series, card, gateway, socket, last: now };
                let (index, generation) = self.entries.insert(entry);
                if let Some(entry) = self.entries.get(index) {
                    let token = Token { kind: Kind::Echo, index, generation };
                    if let Err(error) = poller.add(&entry.socket, token) {
                        tracing::warn!(%error, "an echo's answer cannot be awaited");
                    }
                }
                self.index.insert(series, index);
                self.timers.add(now + IDLE, index);
                index
            }
        };
        let Some(entry) = self.entries.get_mut(index) else { return Ok(()) };
        entry.last = now;
        entry.socket.send(sequence, data).map_err(|error| PingError::Unreachable(to, error))
    }
    /// News of a socket: answers for the guest, and what went nowhere.
    pub fn ready(
        &mut self,
        news: &Ready,
        buffer: &mut [u8],
        deliver: &mut dyn FnMut(Delivery),
        fail: &mut dyn FnMut(Failure),
    ) {
        let Token { index, generation, .. } = news.token;
        if !self.entries.has(index, generation) {
            return;
        }
        let Some(entry) = self.entries.get_mut(index) else { return };
        let Series { guest, remote, identifier, port } = entry.series;
        while let Some((request, report)) = entry.socket.failure(buffer) {
            let Some(refusal) = Refusal::of_icmp(report.is_ipv6, report.kind, report.code, report.info)
            else {
                continue;
            };
            let kind = if guest.is_ipv4() { 8 } else { 128 };
            let header = IcmpHeader::echo(kind, identifier, request.sequence);
            let data = &buffer[request.payload];
            let frame = icmp_frame((entry.card, guest), (entry.gateway, remote), header, data);
            let offender = report.offender.filter(|offender| *offender != report.to.ip());
            fail(Failure { port, frame, refusal, offender });
        }
        for _ in 0..TURN {
            let reply = match entry.socket.receive(buffer) {
                Ok(reply) => reply,
                Err(Errno::AGAIN) => return,
                // The error's number, of which the queue has told more.
                Err(_) => continue,
            };
            let kind = if guest.is_ipv4() { 0 } else { 129 };
            let header = IcmpHeader::echo(kind, identifier, reply.sequence);
            let data = &buffer[reply.payload];
            let frame = icmp_frame((entry.gateway, remote), (entry.card, guest), header, data);
            deliver(Delivery { port, frame });
        }
    }
    /// Forgets series that were silent for long.
    pub fn expire(&mut self, now: Instant) {
        while let Some(index) = self.timers.take(now) {
            let Some(entry) = self.entries.get(index) else { continue };
            if entry.last + IDLE > now {
                self.timers.add(entry.last + IDLE, index);
            } else {
                self.remove(index);
            }
        }
    }
    /// Forgets a port of the switch.
    pub fn forget_port(&mut self, port: PortId) {
        let of_port = self.entries.iter().filter(|(_, entry)| entry.series.port == port);
        for index in of_port.map(|(index, _)| index).collect::<Vec<_>>() {
            self.remove(index);
        }
    }
    fn remove(&mut self, index: u32) {
        if let Some(entry) = self.entries.remove(index) {
            self.index.remove(&entry.series);
        }
    }
}
