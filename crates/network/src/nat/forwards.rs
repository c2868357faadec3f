//! Ports of the host that lead to guests.
use std::collections::HashMap;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::net::{self, AddressFamily, SendFlags, SocketFlags, SocketType, sockopt};
use serde::{Deserialize, Serialize};

use super::datagrams::{bind, receive};
use crate::poller::{Kind, Poller, Ready, Token};
use crate::slots::Slots;
use crate::switch::PortId;

/// What a forward carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Carries {
    /// Connections.
    Tcp,
    /// Datagrams.
    Udp,
}

/// Which guest a forward leads to.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Target {
    /// The machine of a name.
    Vm(String),
    /// Whoever has an address.
    Address(IpAddr),
}

/// A forward.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Forward {
    /// What it carries.
    pub carries: Carries,
    /// Where the host listens.
    pub host: SocketAddr,
    /// Which guest.
    pub target: Target,
    /// The guest's port.
    pub guest_port: u16,
}

impl fmt::Display for Forward {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let carries = match self.carries {
            Carries::Tcp => "tcp",
            Carries::Udp => "udp",
        };
        let Self { host, guest_port, .. } = self;
        match &self.target {
            Target::Vm(name) => write!(formatter, "{host}/{carries} to {name}:{guest_port}"),
            Target::Address(address) => write!(formatter, "{host}/{carries} to {address}:{guest_port}"),
        }
    }
}

/// Why there is no such forward.
#[derive(Debug, thiserror::Error)]
pub enum ForwardError {
    /// Another forward of this network has the port.
    #[error("{0} is forwarded already")]
    Exists(SocketAddr),
    /// There is none.
    #[error("{0} is not forwarded")]
    Missing(SocketAddr),
    /// Another program has the port.
    #[error("port {} of {} is taken by another program", .0.port(), .0.ip())]
    Taken(SocketAddr),
    /// Ports below the host's limit.
    #[error("port {} needs a privilege: see 'gasang doctor'", .0.port())]
    Privileged(SocketAddr),
    /// The host does not have the address.
    #[error("{0} is no address of this host")]
    NoSuchAddress(IpAddr),
    /// The host failed.
    #[error("cannot listen on {0}")]
    Host(SocketAddr, #[source] io::Error),
}

/// A client of the host, as it is for a guest.
pub struct Client {
    /// Which forward it came to.
    pub forward: Forward,
    /// Its real address.
    pub address: SocketAddr,
}

/// The forwards.
#[derive(Default)]
pub struct Forwards {
    entries: Slots<(Forward, OwnedFd)>,
    /// Clients of datagram forwards, by what guests take them for.
    clients: HashMap<(PortId, SocketAddr, SocketAddr), Datagram>,
}

struct Datagram {
    forward: u32,
    generation: u32,
    client: SocketAddr,
    last: Instant,
}

/// Clients of datagram forwards at most, and how long they are remembered.
const CLIENTS_MAX: usize = 4096;
const IDLE: Duration = Duration::from_secs(180);
/// Clients of one turn.
const TURN: usize = 64;

impl Forwards {
    /// All of them.
    pub fn list(&self) -> Vec<Forward> {
        self.entries.iter().map(|(_, (forward, _))| forward.clone()).collect()
    }
    /// Clients of datagram forwards that are remembered.
    pub fn clients(&self) -> usize {
        self.clients.len()
    }
    /// Adds one.
    pub fn add(&mut self, forward: Forward, poller: &Poller) -> Result<(), ForwardError> {
        let host = forward.host;
        let same = |(_, (other, _)): (u32, &(Forward, OwnedFd))| {
            other.host == host && other.carries == forward.carries
        };
        if self.entries.iter().any(same) {
            return Err(ForwardError::Exists(host));
        }
        let opened = match forward.carries {
            Carries::Tcp => listen(host),
            Carries::Udp => bind(host),
        };
        let socket = opened.map_err(|error| match error.kind() {
            io::ErrorKind::AddrInUse => ForwardError::Taken(host),
            io::ErrorKind::PermissionDenied => ForwardError::Privileged(host),
            io::ErrorKind::AddrNotAvailable => ForwardError::NoSuchAddress(host.ip()),
            _ => ForwardError::Host(host, error),
        })?;
        let (index, generation) = self.entries.insert((forward, socket));
        if let Some((_, socket)) = self.entries.get(index) {
            let token = Token { kind: Kind::Forward, index, generation };
            poller.add_readable(socket, token).map_err(|error| ForwardError::Host(host, error))?;
        }
        Ok(())
    }
    /// Removes one. Connections that it has made go on.
    pub fn remove(&mut self, carries: Carries, host: SocketAddr) -> Result<Forward, ForwardError> {
        let is_it = |forward: &Forward| forward.host == host && forward.carries == carries;
        let index = self.entries.iter().find(|(_, (forward, _))| is_it(forward)).map(|(index, _)| index);
        let removed = index.and_then(|index| self.entries.remove(index));
        removed.map(|(forward, _)| forward).ok_or(ForwardError::Missing(host))
    }
    /// Clients that have come to a forward for connections, with their sockets.
    pub fn accept(&self, news: &Ready, take: &mut dyn FnMut(Client, OwnedFd)) {
        let Some((forward, socket)) = self.of(news).filter(|(forward, _)| forward.carries == Carries::Tcp)
        else {
            return;
        };
        for _ in 0..TURN {
            let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
            match net::acceptfrom_with(socket, flags) {
                Ok((accepted, Some(address))) => {
                    let Ok(address) = SocketAddr::try_from(address) else { continue };
                    let address = SocketAddr::new(address.ip().to_canonical(), address.port());
                    take(Client { forward: forward.clone(), address }, accepted);
                }
                Ok((_, None)) => {}
                Err(_) => return,
            }
        }
    }
    /// Datagrams that have come to a forward for them.
    pub fn receive(&self, news: &Ready, buffer: &mut [u8], take: &mut dyn FnMut(Client, &[u8])) {
        let Some((forward, socket)) = self.of(news).filter(|(forward, _)| forward.carries == Carries::Udp)
        else {
            return;
        };
        for _ in 0..TURN {
            let Some((length, address)) = receive(socket, buffer) else { return };
            let address = SocketAddr::new(address.ip().to_canonical(), address.port());
            take(Client { forward: forward.clone(), address }, &buffer[..length]);
        }
    }
    fn of(&self, news: &Ready) -> Option<&(Forward, OwnedFd)> {
        let Token { index, generation, .. } = news.token;
        self.entries.get(index).filter(|_| self.entries.has(index, generation))
    }
    /// Remembers a client of a datagram forward, so that the guest's answers find it. False if another one is known by the
    /// same address.
    pub fn remember(
        &mut self,
        news: &Ready,
        key: (PortId, SocketAddr, SocketAddr),
        client: SocketAddr,
        now: Instant,
    ) -> bool {
        if self.clients.len() >= CLIENTS_MAX {
            self.clients.retain(|_, client| client.last + IDLE > now);
        }
        if self.clients.len() >= CLIENTS_MAX {
            return false;
        }
        let Token { index: forward, generation, .. } = news.token;
        let known = self.clients.get(&key).is_some_and(|known| {
            (known.client, known.forward) != (client, forward) && known.last + IDLE > now
        });
        if !known {
            self.clients.insert(key, Datagram { forward, generation, client, last: now });
        }
        !known
    }
    /// Forgets a port of the switch.
    pub fn forget_port(&mut self, port: PortId) {
        self.clients.retain(|(of, ..), _| *of != port);
    }
    /// A guest's datagram; false if it answers no client.
    pub fn answer(&mut self, key: (PortId, SocketAddr, SocketAddr), data: &[u8], now: Instant) -> bool {
        let Some(known) = self.clients.get_mut(&key).filter(|known| known.last + IDLE > now) else {
            return false;
        };
        if !self.entries.has(known.forward, known.generation) {
            self.clients.remove(&key);
            return false;
        }
        known.last = now;
        if let Some((_, socket)) = self.entries.get(known.forward) {
            // A datagram may be lost.
            let _ = net::sendto(socket, data, SendFlags::NOSIGNAL, &known.client);
        }
        true
    }
}

fn listen(address: SocketAddr) -> io::Result<OwnedFd> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = net::socket_with(family, SocketType::STREAM, flags, None)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    if address.is_ipv6() {
        sockopt::set_ipv6_v6only(&socket, true)?;
    }
    net::bind(&socket, &address)?;
    net::listen(&socket, 1024)?;
    Ok(socket)
}
