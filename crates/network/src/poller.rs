//! Waiting for many descriptors at once.
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::time::Timespec;

/// What a descriptor is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A port of the switch.
    Port,
    /// A connection's socket.
    Connection,
    /// A socket for a guest's datagrams.
    Datagrams,
    /// A forward's socket.
    Forward,
    /// A socket for echoes.
    Echo,
    /// A socket for a query.
    Lookup,
    /// What wakes the network.
    Wake,
}

const KINDS: [Kind; 7] =
    [Kind::Port, Kind::Connection, Kind::Datagrams, Kind::Forward, Kind::Echo, Kind::Lookup, Kind::Wake];

/// Which descriptor it is: a place in a table, and how often that place was used, so that news of a descriptor that was
/// closed meanwhile is known as such.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token {
    /// What it is of.
    pub kind: Kind,
    /// The place.
    pub index: u32,
    /// Counts the uses of the place; 24 bits.
    pub generation: u32,
}

impl Token {
    fn to_number(self) -> u64 {
        let kind = KINDS.iter().position(|kind| *kind == self.kind).unwrap_or(0) as u64;
        kind << 56 | u64::from(self.generation & 0xff_ffff) << 32 | u64::from(self.index)
    }
    fn of_number(number: u64) -> Option<Self> {
        let kind = *KINDS.get((number >> 56) as usize)?;
        Some(Self { kind, index: number as u32, generation: (number >> 32) as u32 & 0xff_ffff })
    }
}

/// What happened to a descriptor.
#[derive(Clone, Copy, Debug)]
pub struct Ready {
    /// Which one.
    pub token: Token,
    /// There may be something to read, if only an end or an error.
    pub readable: bool,
    /// There is room again, or an error.
    pub writable: bool,
    /// It has failed, or its error queue has something.
    pub failed: bool,
}

/// Descriptors that are waited for.
pub struct Poller {
    epoll: OwnedFd,
    events: Vec<Event>,
}

/// News of one turn at most.
const EVENTS: usize = 256;

impl Poller {
    /// Of none.
    pub fn new() -> io::Result<Self> {
        Ok(Self { epoll: epoll::create(CreateFlags::CLOEXEC)?, events: Vec::with_capacity(EVENTS) })
    }
    /// Tells of a descriptor's changes from now on, each once, until it is closed.
    pub fn add(&self, source: impl AsFd, token: Token) -> io::Result<()> {
        let flags = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
        Ok(epoll::add(&self.epoll, source, EventData::new_u64(token.to_number()), flags)?)
    }
    /// Tells whenever there is something to read.
    pub fn add_readable(&self, source: impl AsFd, token: Token) -> io::Result<()> {
        Ok(epoll::add(&self.epoll, source, EventData::new_u64(token.to_number()), EventFlags::IN)?)
    }
    /// Waits for news; for ever without a timeout.
    pub fn wait(&mut self, timeout: Option<Duration>, news: &mut Vec<Ready>) -> io::Result<()> {
        news.clear();
        self.events.clear();
        let timeout = timeout.map(|timeout| Timespec {
            tv_sec: timeout.as_secs().min(3600) as i64,
            tv_nsec: timeout.subsec_nanos().into(),
        });
        match epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut self.events), timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        news.extend(self.events.iter().filter_map(|event| {
            let flags = event.flags;
            let failed = flags.intersects(EventFlags::ERR | EventFlags::HUP);
            Some(Ready {
                token: Token::of_number(event.data.u64())?,
                readable: failed || flags.intersects(EventFlags::IN | EventFlags::RDHUP),
                writable: failed || flags.contains(EventFlags::OUT),
                failed,
            })
        }));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_come_back() {
        for kind in KINDS {
            let token = Token { kind, index: u32::MAX, generation: 0xff_fffe };
            assert_eq!(Token::of_number(token.to_number()), Some(token));
        }
        assert_eq!(Token::of_number(200 << 56), None);
    }

    #[test]
    fn news_comes_once() {
        let (one, other) = std::os::unix::net::UnixDatagram::pair().unwrap();
        let mut poller = Poller::new().unwrap();
        let token = Token { kind: Kind::Port, index: 1, generation: 2 };
        poller.add(&one, token).unwrap();
        let mut news = Vec::new();
        poller.wait(Some(Duration::ZERO), &mut news).unwrap();
        assert!(news.len() == 1 && news[0].writable && !news[0].readable);
        poller.wait(Some(Duration::ZERO), &mut news).unwrap();
        assert!(news.is_empty());
        other.send(b"x").unwrap();
        poller.wait(Some(Duration::from_secs(5)), &mut news).unwrap();
        assert!(news[0].readable && news[0].token == token);
    }
}
