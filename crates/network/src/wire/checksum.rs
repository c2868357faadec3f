//! The Internet's checksum (RFC 1071).
use std::net::IpAddr;

use super::Protocol;

/// A sum on its way. Bytes are added as 16-bit words in network order; every piece but the last has an even length.
#[derive(Clone, Copy, Debug, Default)]
pub struct Checksum(u64);

impl Checksum {
    /// Adds bytes.
    #[expect(clippy::should_implement_trait, reason = "bytes are no sums")]
    pub fn add(self, bytes: &[u8]) -> Self {
        // Sums of words of any width agree modulo 2^16 - 1, in the host's order just as well; the order is put right once.
        let (wide, rest) = bytes.as_chunks::<8>();
        let mut sum: u128 = 0;
        for (low, high) in wide.iter().map(|word| {
            let word = u64::from_le_bytes(*word);
            (word & 0xffff_ffff, word >> 32)
        }) {
            sum += u128::from(low + high);
        }
        let mut sum = fold(sum as u64) + fold((sum >> 64) as u64);
        for pair in rest.chunks(2) {
            sum += u64::from(u16::from_le_bytes([pair[0], pair.get(1).copied().unwrap_or(0)]));
        }
        let little = fold(sum) as u16;
        Self(self.0 + u64::from(little.swap_bytes()))
    }
    /// Adds a word.
    pub fn add_word(self, word: u16) -> Self {
        Self(self.0 + u64::from(word))
    }
    /// Adds the pseudo header of a transport protocol (RFC 9293 §3.1, RFC 8200 §8.1).
    pub fn add_pseudo_header(
        self,
        source: IpAddr,
        destination: IpAddr,
        protocol: Protocol,
        length: u32,
    ) -> Self {
        let add = |sum: Self, address: IpAddr| match address {
            IpAddr::V4(address) => sum.add(&address.octets()),
            IpAddr::V6(address) => sum.add(&address.octets()),
        };
        let sum = add(add(self, source), destination).add(&length.to_be_bytes());
        sum.add_word(protocol.0.into())
    }
    /// The sum itself, as a field with a partial checksum has it.
    pub fn partial(self) -> u16 {
        fold(self.0) as u16
    }
    /// The field's value. Over bytes that have a right checksum in them, it is zero.
    pub fn finish(self) -> u16 {
        !self.partial()
    }
}

fn fold(mut sum: u64) -> u64 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn slow(bytes: &[u8]) -> u16 {
        let mut sum: u32 = 0;
        for pair in bytes.chunks(2) {
            sum += u32::from(u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)]));
            sum = (sum & 0xffff) + (sum >> 16);
        }
        !(sum as u16)
    }

    #[test]
    fn the_example_of_the_rfc() {
        assert_eq!(Checksum::default().add(&[0, 1, 0xf2, 3, 0xf4, 0xf5, 0xf6, 0xf7]).partial(), 0xddf2);
        assert_eq!(Checksum::default().add(&[0xff; 65_536]).finish(), 0);
    }

    proptest! {
        #[test]
        fn as_word_by_word(bytes in proptest::collection::vec(any::<u8>(), 0..200), cut in 0_usize..100) {
            let fast = Checksum::default().add(&bytes).finish();
            prop_assert!(fast == slow(&bytes) || (fast | slow(&bytes) == 0xffff && fast & slow(&bytes) == 0));
            let cut = (cut * 2).min(bytes.len());
            let (first, second) = bytes.split_at(cut & !1);
            prop_assert_eq!(Checksum::default().add(first).add(second).finish(), fast);
        }
    }
}
