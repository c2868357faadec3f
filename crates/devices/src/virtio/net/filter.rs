//! Which frames the driver wants (§5.1.6.5.1 to §5.1.6.5.3). A driver that has not said so gets all.
use std::collections::BTreeSet;

use platform::net::Mac;
use serde::{Deserialize, Serialize};

use super::spec::command;

/// Addresses that a table has at most; the driver of a longer one gets all frames of its kind.
const TABLE_MAX: usize = 256;
/// Bytes of a frame that tell: two addresses, a type, and a VLAN tag.
pub const LOOK_BYTES: usize = 16;
/// Ethernet type of a VLAN tag.
const VLAN_TAG: [u8; 2] = [0x81, 0x00];
/// Bits of a tag that are the VLAN's number.
const VLAN_NUMBER: u16 = 0xfff;

/// What the driver said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Filter {
    all: bool,
    all_groups: bool,
    all_stations: bool,
    no_groups: bool,
    no_stations: bool,
    no_broadcast: bool,
    stations: BTreeSet<Mac>,
    groups: BTreeSet<Mac>,
    vlans: BTreeSet<u16>,
}

impl Default for Filter {
    fn default() -> Self {
        Self {
            all: true,
            all_groups: false,
            all_stations: false,
            no_groups: false,
            no_stations: false,
            no_broadcast: false,
            stations: BTreeSet::new(),
            groups: BTreeSet::new(),
            vlans: BTreeSet::new(),
        }
    }
}

impl Filter {
    /// Whether the driver of a card with this address wants a frame that begins so. `vlans`: it chooses among VLANs.
    pub fn wants(&self, own: Mac, vlans: bool, frame: &[u8; LOOK_BYTES]) -> bool {
        if self.all {
            return true;
        }
        let (to, tag) = (Mac([frame[0], frame[1], frame[2], frame[3], frame[4], frame[5]]), &frame[12..14]);
        let number = u16::from_be_bytes([frame[14], frame[15]]) & VLAN_NUMBER;
        if vlans && tag == VLAN_TAG && !self.vlans.contains(&number) {
            return false;
        }
        match to {
            Mac::BROADCAST => !self.no_broadcast,
            group if group.is_multicast() => {
                !self.no_groups && (self.all_groups || self.groups.contains(&group))
            }
            station => {
                !self.no_stations && (self.all_stations || station == own || self.stations.contains(&station))
            }
        }
    }
    /// A command of class RX; whether there is such a one.
    pub fn set_mode(&mut self, command: u8, on: bool) -> bool {
        let mode = match command {
            command::RX_PROMISC => &mut self.all,
            command::RX_ALLMULTI => &mut self.all_groups,
            command::RX_ALLUNI => &mut self.all_stations,
            command::RX_NOMULTI => &mut self.no_groups,
            command::RX_NOUNI => &mut self.no_stations,
            command::RX_NOBCAST => &mut self.no_broadcast,
            _ => return false,
        };
        *mode = on;
        true
    }
    /// Takes both tables as the driver writes them; whether they are well formed.
    pub fn set_tables(&mut self, bytes: &[u8]) -> bool {
        let Some((stations, bytes)) = table(bytes) else { return false };
        let Some((groups, _)) = table(bytes) else { return false };
        self.all_stations |= stations.len() > TABLE_MAX;
        self.all_groups |= groups.len() > TABLE_MAX;
        let set = |table: &[[u8; 6]]| table.iter().take(TABLE_MAX).copied().map(Mac).collect();
        (self.stations, self.groups) = (set(stations), set(groups));
        true
    }
    /// A command of class VLAN; whether there is such a one.
    pub fn set_vlan(&mut self, command: u8, number: u16) -> bool {
        if number > VLAN_NUMBER {
            return false;
        }
        match command {
            command::VLAN_ADD => drop(self.vlans.insert(number)),
            command::VLAN_DEL => drop(self.vlans.remove(&number)),
            _ => return false,
        }
        true
    }
    /// Whether a saved one can be.
    pub fn is_possible(&self) -> bool {
        self.stations.len() <= TABLE_MAX
            && self.groups.len() <= TABLE_MAX
            && self.vlans.iter().all(|number| *number <= VLAN_NUMBER)
    }
}

/// A table and what follows it.
fn table(bytes: &[u8]) -> Option<(&[[u8; 6]], &[u8])> {
    let (count, bytes) = bytes.split_first_chunk()?;
    let length = (u32::from_le_bytes(*count) as usize).checked_mul(6)?;
    let (entries, rest) = bytes.split_at_checked(length)?;
    Some((entries.as_chunks().0, rest))
}
