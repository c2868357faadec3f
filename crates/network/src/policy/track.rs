//! Connection tracking: which flows were let in, and what they do.
//!
//! The table is bounded. Whoever has most flows gives one up when it is full: first the oldest that is not established,
//! so that a guest that floods it harms itself. Flows that are silent for too long are found by a hand that looks at a few
//! entries for each new one.

mod fragments;
mod key;
mod seen;
mod state;

use std::collections::{HashMap, VecDeque};
use std::time::Instant;

pub use fragments::Fragments;
use key::Key;
pub use key::Keyed;
pub use seen::{Seen, header_bytes, is_error, quoted};
pub use state::State;

use super::{End, PortId};
use crate::wire::{Protocol, Tuple, tcp_flag};

/// Flows at most, by default.
pub const FLOWS_MAX: usize = 65_536;
/// Entries that the hand looks at for each new flow.
const HAND_STEPS: usize = 4;

/// A flow that was let in.
#[derive(Clone, Debug)]
pub struct Flow {
    /// As its first packet had it, once it was led where it goes.
    pub tuple: Tuple,
    /// As its sender had it, if a forward port of the firewall led it elsewhere.
    pub original: Option<Tuple>,
    /// Who began it.
    pub from: End,
    /// With whom.
    pub to: End,
    /// What it does.
    pub state: State,
    /// Of the rules that let it in.
    pub generation: u64,
    key: Key,
    /// The initiator is the low end of the key.
    from_low: bool,
    /// Second at which it is forgotten.
    deadline: u32,
    /// Tells apart the flows that have had this place.
    stamp: u64,
}

/// A flow that a packet belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    place: u32,
    /// The packet is of whoever began the flow.
    pub from_initiator: bool,
}

/// Flows of one port, oldest first; places that others have taken since are passed over.
#[derive(Debug, Default)]
struct Share {
    flows: usize,
    young: VecDeque<(u32, u64)>,
    established: VecDeque<(u32, u64)>,
}

/// The flows.
#[derive(Debug)]
pub struct Table {
    index: HashMap<Key, u32, Keyed>,
    /// Flows that were led elsewhere, by what their senders know.
    originals: HashMap<Key, u32, Keyed>,
    places: Vec<Option<Flow>>,
    free: Vec<u32>,
    shares: HashMap<Option<PortId>, Share>,
    capacity: usize,
    hand: usize,
    stamp: u64,
    start: Instant,
    /// Flows that had to go because there were too many.
    pub evicted: u64,
}

impl Table {
    /// An empty table for so many flows.
    pub fn new(capacity: usize, now: Instant) -> Self {
        Self {
            index: HashMap::default(),
            originals: HashMap::default(),
            places: Vec::new(),
            free: Vec::new(),
            shares: HashMap::new(),
            capacity: capacity.clamp(1, u32::MAX as usize),
            hand: 0,
            stamp: 0,
            start: now,
            evicted: 0,
        }
    }
    /// How many flows there are; some of them may have been silent for too long.
    pub fn len(&self) -> usize {
        self.index.len()
    }
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }
    /// How many flows a port has.
    pub fn of_port(&self, port: PortId) -> usize {
        self.shares.get(&Some(port)).map_or(0, |share| share.flows)
    }
    /// The flow that a packet of this tuple belongs to.
    #[inline]
    pub fn find(&mut self, tuple: &Tuple, now: Instant) -> Option<Found> {
        let (key, from_low) = Key::of(tuple);
        let place = *self.index.get(&key)?;
        let flow = self.places[place as usize].as_ref()?;
        if flow.deadline <= self.seconds(now) {
            self.remove(place);
            return None;
        }
        Some(Found { place, from_initiator: flow.from_low == from_low })
    }
    /// The flow that a packet of its sender's belongs to which has still to be led elsewhere.
    pub fn find_original(&mut self, tuple: &Tuple, now: Instant) -> Option<Found> {
        let place = *self.originals.get(&Key::of(tuple).0)?;
        let flow = self.places[place as usize].as_ref()?;
        if flow.deadline <= self.seconds(now) {
            self.remove(place);
            return None;
        }
        (flow.original == Some(*tuple)).then_some(Found { place, from_initiator: true })
    }
    /// Whether any flow was led elsewhere.
    pub fn has_led(&self) -> bool {
        !self.originals.is_empty()
    }
    /// The flow itself.
    #[inline]
    pub fn flow(&self, found: Found) -> Option<&Flow> {
        self.places.get(found.place as usize)?.as_ref()
    }
    /// Notes one more packet of a flow.
    #[inline]
    pub fn touch(&mut self, found: Found, seen: &Seen, now: Instant) {
        let seconds = self.seconds(now);
        let Some(flow) = self.places.get_mut(found.place as usize).and_then(Option::as_mut) else { return };
        let before = flow.state;
        flow.state = before.after(seen.flags, found.from_initiator);
        flow.deadline = seconds.saturating_add(flow.state.idle_seconds(flow.tuple.protocol));
        if flow.state.is_established() && !before.is_established() {
            let (owner, stamp) = (owner(flow.from, flow.to), flow.stamp);
            let share = self.shares.entry(owner).or_default();
            share.established.push_back((found.place, stamp));
        }
    }
    /// Notes that rules of this generation let the flow go on.
    pub fn renew(&mut self, found: Found, generation: u64) {
        if let Some(flow) = self.places.get_mut(found.place as usize).and_then(Option::as_mut) {
            flow.generation = generation;
        }
    }
    /// Forgets a flow.
    pub fn forget(&mut self, found: Found) {
        self.remove(found.place);
    }
    /// Takes in a flow that a packet begins.
    pub fn insert(&mut self, seen: &Seen, from: End, to: End, generation: u64, now: Instant) {
        self.insert_led(seen, None, (from, to), generation, now);
    }
    /// The same; `original` is what its sender knows, if it was led elsewhere.
    pub fn insert_led(
        &mut self,
        seen: &Seen,
        original: Option<Tuple>,
        (from, to): (End, End),
        generation: u64,
        now: Instant,
    ) {
        self.expire(HAND_STEPS, now);
        let (key, from_low) = Key::of(&seen.tuple);
        if let Some(place) = self.index.get(&key) {
            self.remove(*place);
        }
        let owner = owner(from, to);
        if self.index.len() >= self.capacity {
            self.evict();
        }
        if self.index.len() >= self.capacity {
            return;
        }
        let state = State::first(seen.tuple.protocol, seen.flags);
        let idle = state.idle_seconds(seen.tuple.protocol);
        self.stamp += 1;
        let (stamp, deadline) = (self.stamp, self.seconds(now).saturating_add(idle));
        let tuple = seen.tuple;
        let flow = Flow { tuple, original, from, to, state, generation, key, from_low, deadline, stamp };
        let place = self.free.pop().unwrap_or_else(|| {
            self.places.push(None);
            (self.places.len() - 1) as u32
        });
        self.places[place as usize] = Some(flow);
        self.index.insert(key, place);
        // One that its sender has had before goes with it.
        let before = original.and_then(|original| self.originals.insert(Key::of(&original).0, place));
        if let Some(other) = before.filter(|other| *other != place) {
            self.remove(other);
        }
        let share = self.shares.entry(owner).or_default();
        share.flows += 1;
        match state.is_established() {
            true => share.established.push_back((place, stamp)),
            false => share.young.push_back((place, stamp)),
        }
        share.tidy(&self.places);
    }
    /// Looks at so many entries for silent ones.
    pub fn expire(&mut self, steps: usize, now: Instant) {
        let seconds = self.seconds(now);
        for _ in 0..steps.min(self.places.len()) {
            self.hand = (self.hand + 1) % self.places.len();
            if self.places[self.hand].as_ref().is_some_and(|flow| flow.deadline <= seconds) {
                self.remove(self.hand as u32);
            }
        }
    }
    /// Forgets the flows of a port that is gone.
    pub fn forget_port(&mut self, port: PortId) {
        let is_of = |end: End| end.port() == Some(port);
        for place in 0..self.places.len() {
            if self.places[place].as_ref().is_some_and(|flow| is_of(flow.from) || is_of(flow.to)) {
                self.remove(place as u32);
            }
        }
        self.shares.remove(&Some(port));
    }

    fn seconds(&self, now: Instant) -> u32 {
        u32::try_from(now.saturating_duration_since(self.start).as_secs()).unwrap_or(u32::MAX)
    }
    fn remove(&mut self, place: u32) {
        let Some(flow) = self.places.get_mut(place as usize).and_then(Option::take) else { return };
        self.index.remove(&flow.key);
        if let Some(original) = &flow.original {
            let key = Key::of(original).0;
            if self.originals.get(&key) == Some(&place) {
                self.originals.remove(&key);
            }
        }
        self.free.push(place);
        if let Some(share) = self.shares.get_mut(&owner(flow.from, flow.to)) {
            share.flows = share.flows.saturating_sub(1);
        }
    }
    /// Makes room at the cost of whoever has most.
    fn evict(&mut self) {
        let Some(share) = self.shares.values_mut().max_by_key(|share| share.flows) else { return };
        let is_young = |flow: &Flow| !flow.state.is_established();
        let mut victim = None;
        while let Some((place, stamp)) = share.young.pop_front() {
            if holds(&self.places, place, stamp).is_some_and(is_young) {
                victim = Some(place);
                break;
            }
        }
        while victim.is_none() {
            let Some((place, stamp)) = share.established.pop_front() else { return };
            victim = holds(&self.places, place, stamp).map(|_| place);
        }
        if let Some(place) = victim {
            self.evicted += 1;
            self.remove(place);
        }
    }
}

impl Share {
    /// Throws out what has gone, once that is most of it.
    fn tidy(&mut self, places: &[Option<Flow>]) {
        let bound = self.flows * 2 + 64;
        if self.young.len() > bound {
            self.young.retain(|(place, stamp)| {
                holds(places, *place, *stamp).is_some_and(|flow| !flow.state.is_established())
            });
        }
        if self.established.len() > bound {
            self.established.retain(|(place, stamp)| holds(places, *place, *stamp).is_some());
        }
    }
}

/// The flow of this stamp, if the place is still its own.
fn holds(places: &[Option<Flow>], place: u32, stamp: u64) -> Option<&Flow> {
    places.get(place as usize)?.as_ref().filter(|flow| flow.stamp == stamp)
}

/// Whose share a flow counts to: the guest that began it, else the guest that it goes to.
fn owner(from: End, to: End) -> Option<PortId> {
    from.port().or(to.port())
}

/// Whether a TCP segment asks for a connection.
pub fn is_opening(protocol: Protocol, flags: u8) -> bool {
    protocol == Protocol::TCP && flags & (tcp_flag::SYN | tcp_flag::ACK | tcp_flag::RST) == tcp_flag::SYN
}

#[cfg(test)]
mod tests;
