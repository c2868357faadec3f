//! Names that the host's resolvers know: a guest's query goes on as it is, and so does the answer.
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::net::{self, SendFlags};

use super::datagrams::{any, bind, receive};
use crate::poller::{Kind, Poller, Ready, Token};
use crate::services::DnsClient;
use crate::slots::Slots;
use crate::timers::Timers;

/// Queries that wait for an answer at most.
const WAITING_MAX: usize = 512;
/// How long they wait. Guests ask again by themselves.
const PATIENCE: Duration = Duration::from_secs(10);

/// Queries on their way.
#[derive(Default)]
pub struct Lookups {
    entries: Slots<Entry>,
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
        if self.entries.len() >= WAITING_MAX {
            return Ok(());
        }
        let socket = bind(any(resolver))?;
        net::sendto(&socket, query, SendFlags::NOSIGNAL, &resolver)?;
        let (index, generation) = self.entries.insert(Entry { client, resolver, socket });
        if let Some(entry) = self.entries.get(index) {
            poller.add(&entry.socket, Token { kind: Kind::Lookup, index, generation })?;
        }
        self.timers.add(now + PATIENCE, (index, generation));
        Ok(())
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
