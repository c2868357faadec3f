//! Which card has which address, and for how long.
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use platform::net::Mac;
use serde::{Deserialize, Serialize};

use super::super::V4;

/// More cards than a network has; older ones are forgotten.
const LEASES_MAX: usize = 4096;

/// An address that was given away.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// Which one.
    pub address: Ipv4Addr,
    /// Until when, in seconds since 1970. The card gets it again later, unless somebody else had to have it.
    pub expires_s: u64,
    /// What the guest is called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// All leases of a network, by card. They are written as a map from MACs to leases; the file is the caller's.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Leases {
    by_mac: BTreeMap<Mac, Lease>,
    #[serde(skip)]
    is_changed: bool,
}

impl Leases {
    /// That of a card, expired or not.
    pub fn get(&self, mac: Mac) -> Option<&Lease> {
        self.by_mac.get(&mac)
    }
    /// All of them, expired or not.
    pub fn iter(&self) -> impl Iterator<Item = (Mac, &Lease)> {
        self.by_mac.iter().map(|(&mac, lease)| (mac, lease))
    }
    /// Whether there is something to be written since this was asked last.
    pub fn changed(&mut self) -> bool {
        std::mem::take(&mut self.is_changed)
    }
    /// Forgets what a network cannot give away; a file may say anything.
    pub fn keep_possible(&mut self, v4: &V4) {
        let mut seen = BTreeSet::new();
        let before = self.by_mac.len();
        self.by_mac.retain(|mac, lease| {
            mac.is_unicast() && v4.is_guest(lease.address) && seen.insert(lease.address)
        });
        while self.by_mac.len() > LEASES_MAX && self.forget_oldest(u64::MAX) {}
        self.is_changed |= self.by_mac.len() != before;
    }
    /// Gives an address to a card; whoever had it before has none. `false` if there are too many leases.
    pub fn bind(&mut self, mac: Mac, lease: Lease, now_s: u64) -> bool {
        let is_new = !self.by_mac.contains_key(&mac);
        if is_new && self.by_mac.len() >= LEASES_MAX && !self.forget_oldest(now_s) {
            return false;
        }
        self.by_mac.retain(|&other, old| other == mac || old.address != lease.address);
        self.by_mac.insert(mac, lease);
        self.is_changed = true;
        true
    }
    /// Ends a lease. The card gets the same address again, if it can.
    pub fn release(&mut self, mac: Mac, now_s: u64) {
        if let Some(lease) = self.by_mac.get_mut(&mac) {
            lease.expires_s = lease.expires_s.min(now_s);
            self.is_changed = true;
        }
    }
    /// Forgets a card.
    pub fn remove(&mut self, mac: Mac) {
        self.is_changed |= self.by_mac.remove(&mac).is_some();
    }
    /// Who has an address, expired or not.
    pub fn holder(&self, address: Ipv4Addr) -> Option<(Mac, &Lease)> {
        self.iter().find(|(_, lease)| lease.address == address)
    }
    /// The lease that expired first and fulfils a condition.
    pub fn longest_expired(
        &self,
        now_s: u64,
        mut may_end: impl FnMut(&Lease) -> bool,
    ) -> Option<(Mac, &Lease)> {
        self.iter()
            .filter(|(_, lease)| lease.is_expired(now_s) && may_end(lease))
            .min_by_key(|(_, lease)| lease.expires_s)
    }

    fn forget_oldest(&mut self, now_s: u64) -> bool {
        let oldest = self.longest_expired(now_s, |_| true).map(|(mac, _)| mac);
        oldest.is_some_and(|mac| self.by_mac.remove(&mac).is_some())
    }
}

impl Lease {
    /// Whether somebody else may have the address.
    pub fn is_expired(&self, now_s: u64) -> bool {
        self.expires_s <= now_s
    }
}
