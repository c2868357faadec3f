//! Names that the host's resolvers know: a guest's query goes on as it is, and so does the answer.
use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::net::{self, SendFlags};

use super::datagrams::{any, bind, receive};
use crate::poller::{Kind, Poller, Ready, Token};
use crate::services::DnsClient;
use crate::slots::Slots;
use crate::switch::PortId;
use crate::timers::Timers;

/// Queries of one port of the switch that wait for an answer at most; the oldest goes first.
const PER_PORT: usize = 128;
/// How long they wait. Guests ask again by themselves.
const PATIENCE: Duration = Duration::from_secs(10);

/// Queries on their way.
#[derive(Default)]
pub struct Lookups {
    entries: Slots<Entry>,
    /// Of each port, oldest first; some may be over.
    of_port: HashMap<PortId, VecDeque<(u32, u32)>>,
    timers: Timers<(u32, u32)>,
}

struct Entry {
    client: DnsClient,
    resolver: SocketAddr,
    socket: OwnedFd,
}

impl Lookups {
    /// When to call [`Lookups::expire`].
    pub fn next_timer(&self) -> Option<Instant> {
        self.timers.next()
    }
    /// Asks a resolver, from a port that nobody can guess.
    pub fn ask(
        &mut self,
        client: DnsClient,
        query: &[u8],
        resolver: SocketAddr,
        now: Instant,
        poller: &Poller,
    ) -> io::Result<()> {
        self.make_room(client.port);
        let socket = bind(any(resolver))?;
        net::sendto(&socket, query, SendFlags::NOSIGNAL, &resolver)?;
        let (index, generation) = self.entries.insert(Entry { client, resolver, socket });
        if let Some(entry) = self.entries.get(index) {
            poller.add(&entry.socket, Token { kind: Kind::Lookup, index, generation })?;
        }
        self.of_port.entry(client.port).or_default().push_back((index, generation));
        self.timers.add(now + PATIENCE, (index, generation));
        Ok(())
    }
    fn make_room(&mut self, port: PortId) {
        let Some(waiting) = self.of_port.get_mut(&port) else { return };
        waiting.retain(|(index, generation)| self.entries.has(*index, *generation));
        while waiting.len() >= PER_PORT {
            let Some((index, _)) = waiting.pop_front() else { return };
            self.entries.remove(index);
        }
    }
    /// How many queries wait.
    pub fn len(&self) -> usize {
        self.entries.len()
    }
    /// Whether none does.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
    /// Forgets a port of the switch.
    pub fn forget_port(&mut self, port: PortId) {
        for (index, generation) in self.of_port.remove(&port).unwrap_or_default() {
            if self.entries.has(index, generation) {
                self.entries.remove(index);
            }
        }
    }
    /// News of a socket: the answer, and whom it is for.
    pub fn ready(&mut self, news: &Ready, buffer: &mut [u8]) -> Option<(DnsClient, usize)> {
        let Token { index, generation, .. } = news.token;
        if !self.entries.has(index, generation) {
            return None;
        }
        let entry = self.entries.get(index)?;
        while let Some((length, from)) = receive(&entry.socket, buffer) {
            if from == SocketAddr::new(entry.resolver.ip(), entry.resolver.port()) {
                let client = entry.client;
                self.entries.remove(index);
                return Some((client, length));
            }
        }
        None
    }
    /// Forgets queries that nobody answers.
    pub fn expire(&mut self, now: Instant) {
        while let Some((index, generation)) = self.timers.take(now) {
            if self.entries.has(index, generation) {
                self.entries.remove(index);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use platform::net::Mac;

    use super::*;

    #[test]
    fn who_asks_much_makes_room_at_its_own_cost() {
        let resolver = UdpSocket::bind("127.0.0.1:0").unwrap();
        let at = resolver.local_addr().unwrap();
        let (mut lookups, poller, now) = (Lookups::default(), Poller::new().unwrap(), Instant::now());
        let client = |port| DnsClient {
            port: PortId(port),
            mac: Mac([2; 6]),
            address: "10.0.2.15:4000".parse().unwrap(),
            server: "10.0.2.1:53".parse().unwrap(),
            limit: 512,
        };
        lookups.ask(client(2), b"query", at, now, &poller).unwrap();
        for _ in 0..3 * PER_PORT {
            lookups.ask(client(1), b"query", at, now, &poller).unwrap();
        }
        lookups.ask(client(2), b"query", at, now, &poller).unwrap();
        assert_eq!(lookups.len(), PER_PORT + 2);
        lookups.forget_port(PortId(1));
        assert_eq!(lookups.len(), 2);
        lookups.expire(now + PATIENCE);
        assert!(lookups.is_empty());
    }
}
