//! What the driver is told about the card: its configuration, and what it accepted.
use platform::net::{Mac, Offloads};

use super::spec::{config, feature, status};

/// The configuration.
pub fn bytes(mac: Mac, mtu: u16, state: u16) -> [u8; config::BYTES] {
    let mut bytes = [0; config::BYTES];
    let mut put = |offset: usize, value: &[u8]| bytes[offset..offset + value.len()].copy_from_slice(value);
    put(config::MAC, &mac.0);
    put(config::STATUS, &state.to_le_bytes());
    put(config::QUEUE_PAIRS, &1_u16.to_le_bytes());
    put(config::MTU, &mtu.to_le_bytes());
    bytes
}

/// The state in it.
pub fn state(is_up: bool, announce: bool) -> u16 {
    (if is_up { status::LINK_UP } else { 0 }) | if announce { status::ANNOUNCE } else { 0 }
}

/// What a network is told about a driver with these features. Segments need checksums (§5.1.3.1).
pub fn offloads(features: u64) -> Offloads {
    let has = |bit: u64| features & bit != 0;
    let checksum = has(feature::GUEST_CSUM);
    Offloads {
        checksum,
        tcp4: checksum && has(feature::GUEST_TSO4),
        tcp6: checksum && has(feature::GUEST_TSO6),
    }
}
