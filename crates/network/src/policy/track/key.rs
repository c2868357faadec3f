//! How a flow is found: both directions have the same key.
use std::hash::{BuildHasher, Hash, Hasher};
use std::net::IpAddr;

use crate::wire::{Protocol, Tuple};

/// A flow's key. The end with the lower address and port is first, whoever speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    low: u128,
    high: u128,
    /// Protocol, IP version, kind of key, and both ports.
    rest: u64,
}

/// Kinds of keys.
const PLAIN: u64 = 0;
/// Echoes that the low end asks for, and that the high end asks for: two flows, even with one identifier.
const ECHO_OF_LOW: u64 = 1;
const ECHO_OF_HIGH: u64 = 2;

impl Key {
    /// The key of a tuple, and whether its speaker is the low end.
    pub fn of(tuple: &Tuple) -> (Self, bool) {
        let number = |address: IpAddr| match address {
            IpAddr::V4(address) => u128::from(u32::from(address)),
            IpAddr::V6(address) => u128::from(address),
        };
        let (source, destination) = (number(tuple.source), number(tuple.destination));
        let kind = (tuple.destination_port >> 8) as u8;
        let (source_port, destination_port, asks) = match (tuple.protocol, kind) {
            (Protocol::ICMP, 8) | (Protocol::ICMPV6, 128) => {
                (tuple.source_port, tuple.source_port, Some(true))
            }
            (Protocol::ICMP, 0) | (Protocol::ICMPV6, 129) => {
                (tuple.source_port, tuple.source_port, Some(false))
            }
            (Protocol::ICMP | Protocol::ICMPV6, _) => (tuple.destination_port, tuple.destination_port, None),
            _ => (tuple.source_port, tuple.destination_port, None),
        };
        let from_low = (source, source_port) <= (destination, destination_port);
        let kind = match asks {
            None => PLAIN,
            Some(asks) if asks == from_low => ECHO_OF_LOW,
            Some(_) => ECHO_OF_HIGH,
        };
        let [(low, low_port), (high, high_port)] = match from_low {
            true => [(source, source_port), (destination, destination_port)],
            false => [(destination, destination_port), (source, source_port)],
        };
        let rest = u64::from(tuple.protocol.0)
            | u64::from(tuple.source.is_ipv6()) << 8
            | kind << 16
            | u64::from(low_port) << 32
            | u64::from(high_port) << 48;
        (Self { low, high, rest }, from_low)
    }
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        let Self { low, high, rest } = *self;
        for word in [low as u64, (low >> 64) as u64, high as u64, (high >> 64) as u64, rest] {
            hasher.write_u64(word);
        }
    }
}

/// A hash with secrets, so that no guest can choose flows that collide; much cheaper than the standard one.
#[derive(Clone, Debug)]
pub struct Keyed([u64; 2]);

impl Default for Keyed {
    /// With secrets of its own.
    fn default() -> Self {
        Self([rand::random(), rand::random::<u64>() | 1])
    }
}

impl BuildHasher for Keyed {
    type Hasher = KeyHasher;
    fn build_hasher(&self) -> KeyHasher {
        KeyHasher { sum: self.0[0], secret: self.0[1] }
    }
}

/// A hash on its way.
#[derive(Debug)]
pub struct KeyHasher {
    sum: u64,
    secret: u64,
}

impl Hasher for KeyHasher {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64((*byte).into());
        }
    }
    fn write_u32(&mut self, word: u32) {
        self.write_u64(word.into());
    }
    fn write_u64(&mut self, word: u64) {
        // The two halves of a 128-bit product, folded: every bit of the word moves every bit of the sum.
        let product = u128::from(self.sum ^ word) * u128::from(self.secret ^ 0x9e37_79b9_7f4a_7c15);
        self.sum = (product as u64) ^ ((product >> 64) as u64) ^ self.secret.rotate_left(23);
    }
    fn finish(&self) -> u64 {
        self.sum
    }
}
