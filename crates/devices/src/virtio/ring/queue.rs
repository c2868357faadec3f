//! A queue: what the driver sets up, and once it is in use, chains to take and to give back.
use platform::GuestRam;
use serde::{Deserialize, Serialize};

use super::flight::InFlight;
use super::packed::Packed;
use super::place::Place;
use super::split::Split;
use super::{Chain, QueueError};

/// A queue of a device.
#[derive(Debug)]
pub struct Queue {
    number: u16,
    size_max: u16,
    place: Place,
    ring: Option<Ring>,
    in_flight: InFlight,
    /// Entries given back since the driver was last asked whether it wants an interrupt.
    given: u16,
    /// The driver was told not to notify.
    is_quiet: bool,
}

/// Either kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Ring {
    Split(Split),
    Packed(Packed),
}

/// Which kind of ring, and whether either side tells at which index it wants to be notified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RingKind {
    /// Packed rather than split.
    pub packed: bool,
    /// With event indices.
    pub event_idx: bool,
}

/// The saved form of a queue. Chains that are on their way are not in it: whoever saves has waited for them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedQueue {
    place: Place,
    ring: Option<Ring>,
    in_flight: usize,
}

impl Queue {
    /// A queue after reset, of up to `size_max` entries.
    pub fn new(number: u16, size_max: u16) -> Self {
        let place = Place { size: size_max, descriptors: 0, driver: 0, device: 0 };
        let in_flight = InFlight::default();
        Self { number, size_max, place, ring: None, in_flight, given: 0, is_quiet: false }
    }
    /// Back to the state after power-on. Chains that are on their way are forgotten: they may not come back.
    pub fn reset(&mut self) {
        self.place = Place { size: self.size_max, descriptors: 0, driver: 0, device: 0 };
        self.ring = None;
        self.in_flight.clear();
        self.given = 0;
        self.is_quiet = false;
    }
    /// Where the driver has put it.
    pub fn place(&self) -> &Place {
        &self.place
    }
    /// Where to put it, as long as it is not in use.
    pub fn place_mut(&mut self) -> Option<&mut Place> {
        self.ring.is_none().then_some(&mut self.place)
    }
    /// Whether it is in use.
    pub fn is_enabled(&self) -> bool {
        self.ring.is_some()
    }
    /// Takes it into use where the driver has put it.
    pub fn enable(&mut self, ram: &GuestRam, kind: RingKind) -> Result<(), QueueError> {
        if self.place.size > self.size_max {
            return Err(QueueError::Place);
        }
        self.ring = Some(if kind.packed {
            Ring::Packed(Packed::new(self.place, ram, kind.event_idx)?)
        } else {
            Ring::Split(Split::new(self.place, ram, kind.event_idx)?)
        });
        Ok(())
    }
    /// Chains that were taken and are not back.
    pub fn in_flight(&self) -> usize {
        self.in_flight.count()
    }

    /// The next chain that waits. `None` once the driver has been asked to notify of further ones and there are none.
    pub fn take(&mut self, ram: &GuestRam) -> Result<Option<Chain>, QueueError> {
        let Some(ring) = &mut self.ring else { return Ok(None) };
        let mut taken = ring.take(ram)?;
        if taken.is_none() && ring.listen(ram)? {
            taken = ring.take(ram)?;
            self.is_quiet = false;
        }
        let Some((id, slots, collected)) = taken else {
            self.is_quiet = false;
            return Ok(None);
        };
        if !self.is_quiet {
            ring.quiet(ram)?;
            self.is_quiet = true;
        }
        let ticket = self.in_flight.admit(self.place.size).ok_or(QueueError::Crowd)?;
        let (readable, writable) = (collected.readable, collected.writable);
        Ok(Some(Chain { queue: self.number, id, slots, ticket, readable, writable }))
    }
    /// Whether a chain was taken and is not back.
    pub fn has(&self, chain: &Chain) -> bool {
        self.in_flight.has(chain.ticket)
    }
    /// Gives a chain back, with so many bytes written to it. One that is not awaited, as after a reset, is nothing.
    pub fn give(&mut self, ram: &GuestRam, chain: &Chain, written: u32) -> Result<(), QueueError> {
        if !self.in_flight.release(chain.ticket) {
            return Ok(());
        }
        match &mut self.ring {
            Some(Ring::Split(split)) => {
                self.given = self.given.saturating_add(1);
                split.give(ram, chain.id, written)
            }
            Some(Ring::Packed(packed)) => {
                self.given = self.given.saturating_add(chain.slots);
                packed.give(ram, chain.id, chain.slots, written)
            }
            None => Ok(()),
        }
    }
    /// Undoes [`Queue::take`] for the chain that was taken last; one that is not awaited is nothing.
    pub fn put_back(&mut self, chain: &Chain) {
        if !self.in_flight.release(chain.ticket) {
            return;
        }
        match &mut self.ring {
            Some(Ring::Split(split)) => split.put_back(),
            Some(Ring::Packed(packed)) => packed.put_back(chain.slots),
            None => {}
        }
    }
    /// Whether the driver wants an interrupt for what was given back since this was last asked.
    pub fn wants_interrupt(&mut self, ram: &GuestRam) -> Result<bool, QueueError> {
        match (std::mem::take(&mut self.given), &self.ring) {
            (0, _) | (_, None) => Ok(false),
            (given, Some(Ring::Split(split))) => split.wants_interrupt(ram, given),
            (given, Some(Ring::Packed(packed))) => packed.wants_interrupt(ram, given),
        }
    }

    /// What is saved.
    pub fn save(&self) -> SavedQueue {
        let Self { number: _, size_max: _, place, ring, in_flight, given: _, is_quiet: _ } = self;
        SavedQueue { place: *place, ring: ring.clone(), in_flight: in_flight.count() }
    }
    /// Whether this queue can be in such a state.
    pub fn can_be(&self, saved: &SavedQueue, ram: &GuestRam) -> bool {
        let place = &saved.place;
        let is_possible = match &saved.ring {
            None => return true,
            Some(Ring::Split(split)) => split.place() == place && place.check_split(ram).is_ok(),
            Some(Ring::Packed(packed)) => {
                packed.place() == place && place.check_packed(ram).is_ok() && packed.is_possible()
            }
        };
        is_possible && place.size <= self.size_max
    }
    /// Takes a state in which it can be.
    pub fn restore(&mut self, saved: SavedQueue) {
        self.reset();
        self.place = saved.place;
        self.ring = saved.ring;
    }
}

impl SavedQueue {
    /// Chains that were on their way when it was saved, and are lost.
    pub fn lost(&self) -> usize {
        self.in_flight
    }
}

impl Ring {
    fn take(&mut self, ram: &GuestRam) -> Result<Option<super::packed::PackedChain>, QueueError> {
        match self {
            Self::Split(split) => Ok(split.take(ram)?.map(|(head, collected)| (head, 1, collected))),
            Self::Packed(packed) => packed.take(ram),
        }
    }
    fn quiet(&self, ram: &GuestRam) -> Result<(), QueueError> {
        match self {
            Self::Split(split) => split.quiet(ram),
            Self::Packed(packed) => packed.quiet(ram),
        }
    }
    fn listen(&self, ram: &GuestRam) -> Result<bool, QueueError> {
        match self {
            Self::Split(split) => split.listen(ram),
            Self::Packed(packed) => packed.listen(ram),
        }
    }
}
