//! Which frames are received (SDM §3.2.1, §9.2).
use platform::net::Mac;

use super::spec::{ADDRESS_VALID, rctl};
use super::state::State;

impl State {
    /// Whether a frame to this station or group is wanted; and if so whether the address is exactly one of the card's.
    pub fn wants(&self, to: Mac) -> Option<bool> {
        let has = |bit: u32| self.rctl & bit != 0;
        let is_own = self.addresses.as_chunks().0.iter().any(|[low, high]| {
            let address = (u64::from(high & 0xffff) << 32 | u64::from(*low)).to_le_bytes();
            high & ADDRESS_VALID != 0 && address[..6] == to.0
        });
        let is_wanted = match to {
            _ if is_own => return Some(true),
            Mac::BROADCAST if has(rctl::BROADCAST) => true,
            to if to.is_multicast() => has(rctl::ALL_GROUPS) || self.in_table(to),
            _ => has(rctl::ALL_STATIONS),
        };
        is_wanted.then_some(false)
    }
    /// Whether a tagged frame of this VLAN is wanted.
    pub fn wants_vlan(&self, tag: u16) -> bool {
        let number = usize::from(tag & 0xfff);
        self.rctl & rctl::VLAN_FILTER == 0 || self.vlans[number / 32] >> (number % 32) & 1 != 0
    }
    /// Twelve bits of the address choose a bit of the table (§13.5.1).
    fn in_table(&self, group: Mac) -> bool {
        let high = u32::from(group.0[4]) | u32::from(group.0[5]) << 8;
        let shift = [4, 3, 2, 0][(self.rctl >> rctl::GROUP_SHIFT & 3) as usize];
        let index = (high >> shift & 0xfff) as usize;
        self.groups[index / 32] >> (index % 32) & 1 != 0
    }
}
