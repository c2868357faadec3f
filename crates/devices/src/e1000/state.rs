//! What the controller remembers.
use platform::net::{Mac, Offloads};
use serde::{Deserialize, Serialize};

use super::descriptor::Context;
use super::eeprom::Microwire;
use super::phy::Phy;
use super::spec::register::{PBA, PLAIN};
use super::spec::{ADDRESS_VALID, ctrl, descriptor, rxcsum};
use super::statistics::Statistics;

/// Registers and what belongs to them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    pub ctrl: u32,
    pub microwire: Microwire,
    pub eerd: u32,
    pub mdic: u32,
    pub phy: Phy,
    pub vet: u32,
    /// Causes that were not read yet, and which of them interrupt.
    pub causes: u32,
    pub mask: u32,
    pub rctl: u32,
    pub tctl: u32,
    pub rxcsum: u32,
    pub rx: Ring,
    pub tx: Ring,
    /// Of the frames that are cut, and of the others.
    pub contexts: [Context; 2],
    pub groups: Vec<u32>,
    pub addresses: Vec<u32>,
    pub vlans: Vec<u32>,
    pub statistics: Statistics,
    /// In the order of [`PLAIN`].
    pub plain: Vec<u32>,
    /// What the ports lead to.
    pub io_address: u32,
}

/// A ring of descriptors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ring {
    pub base: u64,
    /// Bytes; a multiple of 128.
    pub length: u32,
    /// The controller's next descriptor.
    pub head: u32,
    /// Software's next.
    pub tail: u32,
}

impl Ring {
    /// Descriptors.
    pub fn count(&self) -> u32 {
        self.length / descriptor::BYTES as u32
    }
    /// Those that are the controller's; none if software's numbers make no sense.
    pub fn waiting(&self) -> u32 {
        let count = self.count();
        match (self.head, self.tail) {
            (head, tail) if head >= count || tail >= count => 0,
            (head, tail) if tail >= head => tail - head,
            (head, tail) => count - head + tail,
        }
    }
    /// The descriptor that comes so many after the head.
    pub fn address(&self, ahead: u32) -> u64 {
        let index = (self.head + ahead) % self.count().max(1);
        self.base.wrapping_add(u64::from(index) * descriptor::BYTES)
    }
    /// Gives descriptors back.
    pub fn advance(&mut self, count: u32) {
        self.head = (self.head + count) % self.count().max(1);
    }
}

impl State {
    /// After power-on, with the address that the EEPROM has.
    pub fn after_reset(mac: Mac) -> Self {
        let [a, b, c, d, e, f] = mac.0;
        let mut addresses = vec![0; 32];
        addresses[0] = u32::from_le_bytes([a, b, c, d]);
        addresses[1] = u32::from_le_bytes([e, f, 0, 0]) | ADDRESS_VALID;
        let plain = PLAIN.map(|register| if register == PBA { 0x0010_0030 } else { 0 }).to_vec();
        Self {
            ctrl: ctrl::FULL_DUPLEX,
            microwire: Microwire::default(),
            eerd: 0,
            mdic: 0,
            phy: Phy::default(),
            vet: 0x8100,
            causes: 0,
            mask: 0,
            rctl: 0,
            tctl: 0,
            rxcsum: 0,
            rx: Ring::default(),
            tx: Ring::default(),
            contexts: [Context::default(); 2],
            groups: vec![0; 128],
            addresses,
            vlans: vec![0; 128],
            statistics: Statistics::default(),
            plain,
            io_address: 0,
        }
    }
    /// Whether a saved one can be.
    pub fn is_possible(&self) -> bool {
        (self.groups.len(), self.addresses.len(), self.vlans.len()) == (128, 32, 128)
            && self.plain.len() == PLAIN.len()
            && self.statistics.is_possible()
    }
    /// What the network may leave to the guest.
    pub fn offloads(&self) -> Offloads {
        Offloads { checksum: self.rxcsum & rxcsum::TCP != 0, tcp4: false, tcp6: false }
    }
}
