//! Which address is behind which port.
use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;

use platform::net::Mac;

use super::PortId;

/// Addresses that one port can have at most. A port with more loses the one it showed first.
const ADDRESSES_PER_PORT: usize = 64;

/// Who has an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Neighbour {
    /// The card.
    pub mac: Mac,
    /// The port it is plugged in.
    pub port: PortId,
}

/// What was learnt from ARP, neighbour discovery and leases. Bounded by the number of ports.
#[derive(Debug, Default)]
pub struct Neighbours {
    by_address: HashMap<IpAddr, Neighbour>,
    by_port: HashMap<PortId, VecDeque<IpAddr>>,
}

impl Neighbours {
    /// Who has an address.
    pub fn get(&self, address: IpAddr) -> Option<Neighbour> {
        self.by_address.get(&address).copied()
    }
    /// Addresses that a port was seen with, oldest first.
    pub fn addresses(&self, port: PortId) -> impl Iterator<Item = IpAddr> + '_ {
        self.by_port.get(&port).into_iter().flatten().copied()
    }
    /// Learns of an address; whoever showed it last has it. Tells whether that is news.
    pub fn learn(&mut self, address: IpAddr, neighbour: Neighbour) -> bool {
        let before = self.by_address.insert(address, neighbour);
        match before {
            Some(before) if before.port == neighbour.port => return before != neighbour,
            Some(before) => self.disown(before.port, address),
            None => {}
        }
        let addresses = self.by_port.entry(neighbour.port).or_default();
        addresses.push_back(address);
        if addresses.len() > ADDRESSES_PER_PORT
            && let Some(oldest) = addresses.pop_front()
        {
            self.by_address.remove(&oldest);
        }
        true
    }
    /// Forgets a port that is gone.
    pub fn forget_port(&mut self, port: PortId) {
        for address in self.by_port.remove(&port).unwrap_or_default() {
            self.by_address.remove(&address);
        }
    }

    fn disown(&mut self, port: PortId, address: IpAddr) {
        if let Some(addresses) = self.by_port.get_mut(&port) {
            addresses.retain(|&other| other != address);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(port: u32) -> Neighbour {
        Neighbour { mac: Mac([2, 0, 0, 0, 0, port as u8]), port: PortId(port) }
    }

    #[test]
    fn an_address_moves_and_goes() {
        let address: IpAddr = "10.0.2.15".parse().unwrap();
        let mut neighbours = Neighbours::default();
        neighbours.learn(address, at(1));
        neighbours.learn(address, at(2));
        assert_eq!(neighbours.get(address), Some(at(2)));
        neighbours.forget_port(PortId(1));
        assert_eq!(neighbours.addresses(PortId(2)).collect::<Vec<_>>(), [address]);
        neighbours.forget_port(PortId(2));
        assert_eq!(neighbours.get(address), None);
    }
    #[test]
    fn a_port_with_many_addresses_costs_others_nothing() {
        let mut neighbours = Neighbours::default();
        let other: IpAddr = "10.9.9.9".parse().unwrap();
        neighbours.learn(other, at(2));
        for number in 0..10_000_u32 {
            neighbours.learn(std::net::Ipv4Addr::from(0x0a00_0000 + number).into(), at(1));
        }
        assert_eq!(neighbours.by_address.len(), ADDRESSES_PER_PORT + 1);
        assert_eq!(neighbours.get(other), Some(at(2)));
    }
}
