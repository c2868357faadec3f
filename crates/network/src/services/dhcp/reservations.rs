//! Addresses that a user set aside for cards.
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use platform::net::Mac;
use serde::{Deserialize, Serialize};

use super::super::V4;

/// An address that nobody else gets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reservation {
    /// For this card.
    pub mac: Mac,
    /// This address; it need not be of the pool.
    pub address: Ipv4Addr,
    /// What the guest is called, if not by the VM's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// A reservation that cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReservationError {
    /// It is somewhere else, or one of those with a meaning of their own.
    #[error("{0} is no address for a guest of {1}")]
    NotForGuests(Ipv4Addr, ipnet::Ipv4Net),
    /// Two cards.
    #[error("{0} is set aside for two cards, {1} and {2}")]
    Twice(Ipv4Addr, Mac, Mac),
}

/// All reservations of a network.
#[derive(Clone, Debug, Default)]
pub struct Reservations {
    by_mac: BTreeMap<Mac, Reservation>,
    by_address: BTreeMap<Ipv4Addr, Mac>,
}

impl Reservations {
    /// Checks them. Of two for one card the last one counts.
    pub fn new(list: &[Reservation], v4: &V4) -> Result<Self, ReservationError> {
        let mut all = Self::default();
        for reservation in list {
            all.by_mac.insert(reservation.mac, reservation.clone());
        }
        for (&mac, &Reservation { address, .. }) in &all.by_mac {
            if !v4.is_guest(address) {
                return Err(ReservationError::NotForGuests(address, v4.prefix));
            }
            if let Some(other) = all.by_address.insert(address, mac) {
                return Err(ReservationError::Twice(address, other, mac));
            }
        }
        Ok(all)
    }
    /// That of a card.
    pub fn get(&self, mac: Mac) -> Option<&Reservation> {
        self.by_mac.get(&mac)
    }
    /// Who an address is set aside for.
    pub fn holder(&self, address: Ipv4Addr) -> Option<Mac> {
        self.by_address.get(&address).copied()
    }
}
