//! Fragments: the first one is judged, the others share its fate.
use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::header_bytes;
use crate::policy::End;
use crate::wire::{Fragment, Ip};

/// Packets of one sender whose fragments are awaited, at most; the oldest go first.
const PACKETS_MAX: usize = 256;
/// How long fragments are awaited.
const PATIENCE: Duration = Duration::from_secs(30);

/// Which packet a fragment is of, from where to where.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Whole {
    source: IpAddr,
    destination: IpAddr,
    protocol: u8,
    identification: u32,
    from: End,
    to: End,
}

/// A sender's packets whose first fragment has passed.
#[derive(Debug, Default)]
pub struct Fragments {
    passed: HashMap<Whole, Instant>,
    order: VecDeque<(Whole, Instant)>,
}

impl Fragments {
    /// Packets that are known; some of them may be over.
    pub fn len(&self) -> usize {
        self.order.len()
    }
    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }
    /// Notes that a packet's first fragment passes.
    pub fn pass(&mut self, ip: &Ip, fragment: Fragment, from: End, to: End, now: Instant) {
        self.expire(now);
        while self.order.len() >= PACKETS_MAX {
            self.forget_first();
        }
        let whole = Whole::of(ip, fragment, from, to);
        self.passed.insert(whole, now);
        self.order.push_back((whole, now));
    }
    /// Forgets those whose fragments are not awaited any more.
    pub fn expire(&mut self, now: Instant) {
        let is_over = |noted: Instant| now.saturating_duration_since(noted) >= PATIENCE;
        while self.order.front().is_some_and(|(_, noted)| is_over(*noted)) {
            self.forget_first();
        }
    }
    fn forget_first(&mut self) {
        if let Some((whole, noted)) = self.order.pop_front()
            && self.passed.get(&whole) == Some(&noted)
        {
            self.passed.remove(&whole);
        }
    }
    /// Whether a later fragment passes.
    pub fn passes(&self, ip: &Ip, fragment: Fragment, from: End, to: End, now: Instant) -> bool {
        // RFC 3128: what covers the header could change what was judged.
        fragment.offset >= header_bytes(ip.protocol)
            && self
                .passed
                .get(&Whole::of(ip, fragment, from, to))
                .is_some_and(|noted| now.saturating_duration_since(*noted) < PATIENCE)
    }
}

impl Whole {
    fn of(ip: &Ip, fragment: Fragment, from: End, to: End) -> Self {
        let Ip { source, destination, protocol, .. } = *ip;
        Self { source, destination, protocol: protocol.0, identification: fragment.identification, from, to }
    }
}
