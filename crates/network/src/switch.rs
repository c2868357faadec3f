//! Ports by number and by card.
use std::collections::HashMap;

use platform::net::Mac;

use crate::port::Port;
use crate::slots::Slots;

/// A port's number in its network; not used again while the network lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PortId(pub u32);

/// The ports of a network.
#[derive(Default)]
pub struct Ports {
    ports: Slots<(PortId, Port)>,
    places: HashMap<PortId, u32>,
    by_mac: HashMap<Mac, PortId>,
    last: u32,
}

impl Ports {
    /// Adds a port; `None` if its card's address is taken.
    pub fn insert(&mut self, port: Port) -> Option<PortId> {
        if self.by_mac.contains_key(&port.mac) {
            return None;
        }
        self.last += 1;
        let (id, mac) = (PortId(self.last), port.mac);
        let (place, _) = self.ports.insert((id, port));
        self.places.insert(id, place);
        self.by_mac.insert(mac, id);
        Some(id)
    }
    /// Takes a port away.
    pub fn remove(&mut self, id: PortId) -> Option<Port> {
        let place = self.places.remove(&id)?;
        let (_, port) = self.ports.remove(place)?;
        self.by_mac.remove(&port.mac);
        Some(port)
    }
    /// The port of a number.
    pub fn get(&self, id: PortId) -> Option<&Port> {
        Some(&self.ports.get(*self.places.get(&id)?)?.1)
    }
    /// The same, to be used.
    pub fn get_mut(&mut self, id: PortId) -> Option<&mut Port> {
        Some(&mut self.ports.get_mut(*self.places.get(&id)?)?.1)
    }
    /// The port that a card is at.
    pub fn of_card(&self, mac: Mac) -> Option<PortId> {
        self.by_mac.get(&mac).copied()
    }
    /// All ports.
    pub fn iter(&self) -> impl Iterator<Item = (PortId, &Port)> {
        self.ports.iter().map(|(_, (id, port))| (*id, port))
    }
    /// All ports, to be used.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (PortId, &mut Port)> {
        self.ports.iter_mut().map(|(_, (id, port))| (*id, port))
    }
}
