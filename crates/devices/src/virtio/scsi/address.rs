//! Which unit of which target.

/// A unit's address in requests and events: 8 bytes (§5.6.6.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address {
    pub target: u8,
    pub lun: u16,
}

/// The first byte of all addresses that a device can have.
const SINGLE_LEVEL: u8 = 1;
/// The two highest bits of a unit's number are its form: peripheral or flat (SAM-5 §4.7).
const LUN: u16 = 0x3fff;
const FLAT: u16 = 0x4000;

impl Address {
    /// The address, if it can be one.
    pub fn of(bytes: [u8; 8]) -> Option<Self> {
        let [level, target, high, low, ..] = bytes;
        let lun = u16::from_be_bytes([high, low]) & LUN;
        (level == SINGLE_LEVEL).then_some(Self { target, lun })
    }
    /// Its bytes.
    pub fn bytes(self) -> [u8; 8] {
        let [high, low] = (self.lun & LUN | FLAT).to_be_bytes();
        [SINGLE_LEVEL, self.target, high, low, 0, 0, 0, 0]
    }
}
