//! Options of a TCP header (RFC 9293 §3.2, RFC 7323, RFC 2018).
use smallvec::SmallVec;

use super::{Sequence, Stretch};

/// Kinds.
mod kind {
    pub const END: u8 = 0;
    pub const NOTHING: u8 = 1;
    pub const SEGMENT_SIZE: u8 = 2;
    pub const WINDOW_SCALE: u8 = 3;
    pub const SACK_PERMITTED: u8 = 4;
    pub const SACK: u8 = 5;
}

/// Blocks of a SACK option at most: the header has no room for more.
pub const BLOCKS_MAX: usize = 4;
/// The largest shift that counts (RFC 7323 §2.3).
const SCALE_MAX: u8 = 14;

/// What a header's options say, as far as it is understood here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Most bytes that its sender takes in a segment.
    pub segment_size: Option<u16>,
    /// By how much its sender's windows are to be shifted.
    pub window_scale: Option<u8>,
    /// Its sender understands SACK.
    pub sack_permitted: bool,
    /// What its sender has beyond the acknowledgment.
    pub sack: SmallVec<[Stretch; BLOCKS_MAX]>,
}

impl Options {
    /// Reads a header's options; whatever is malformed ends them.
    pub fn parse(mut bytes: &[u8]) -> Self {
        let mut options = Self::default();
        while let Some((&kind, rest)) = bytes.split_first() {
            match kind {
                kind::END => break,
                kind::NOTHING => {
                    bytes = rest;
                    continue;
                }
                _ => {}
            }
            let Some(length) = rest.first().map(|length| usize::from(*length)) else { break };
            let Some(body) = bytes.get(2..length) else { break };
            match (kind, body) {
                (kind::SEGMENT_SIZE, &[high, low]) => {
                    options.segment_size = Some(u16::from_be_bytes([high, low]));
                }
                (kind::WINDOW_SCALE, &[scale]) => options.window_scale = Some(scale.min(SCALE_MAX)),
                (kind::SACK_PERMITTED, []) => options.sack_permitted = true,
                (kind::SACK, blocks) => {
                    let (blocks, _) = blocks.as_chunks::<8>();
                    options.sack = blocks.iter().take(BLOCKS_MAX).map(stretch).collect();
                }
                _ => {}
            }
            bytes = &bytes[length..];
        }
        options
    }
    /// As bytes, padded to whole words.
    pub fn to_bytes(&self) -> SmallVec<[u8; 40]> {
        let mut bytes = SmallVec::new();
        if let Some(size) = self.segment_size {
            bytes.extend_from_slice(&[kind::SEGMENT_SIZE, 4]);
            bytes.extend_from_slice(&size.to_be_bytes());
        }
        if let Some(scale) = self.window_scale {
            bytes.extend_from_slice(&[kind::NOTHING, kind::WINDOW_SCALE, 3, scale]);
        }
        if self.sack_permitted {
            bytes.extend_from_slice(&[kind::NOTHING, kind::NOTHING, kind::SACK_PERMITTED, 2]);
        }
        if !self.sack.is_empty() {
            let blocks = &self.sack[..self.sack.len().min(BLOCKS_MAX)];
            bytes.extend_from_slice(&[kind::NOTHING, kind::NOTHING, kind::SACK, 2 + 8 * blocks.len() as u8]);
            for block in blocks {
                bytes.extend_from_slice(&block.start.0.to_be_bytes());
                bytes.extend_from_slice(&block.end.0.to_be_bytes());
            }
        }
        bytes
    }
}

fn stretch(block: &[u8; 8]) -> Stretch {
    let number =
        |at: usize| Sequence(u32::from_be_bytes([block[at], block[at + 1], block[at + 2], block[at + 3]]));
    number(0)..number(4)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn they_come_back() {
        let options = Options {
            segment_size: Some(1460),
            window_scale: Some(7),
            sack_permitted: true,
            sack: [Sequence(1)..Sequence(9), Sequence(20)..Sequence(30)].into_iter().collect(),
        };
        let bytes = options.to_bytes();
        assert_eq!((bytes.len() % 4, bytes.len() <= 40), (0, true));
        assert_eq!(Options::parse(&bytes), options);
    }

    #[test]
    fn what_is_malformed_ends_them() {
        assert_eq!(Options::parse(&[2, 4, 5, 0xb4, 3]).segment_size, Some(1460));
        for odd in [&[2, 0, 5, 0xb4][..], &[2, 1], &[3, 9, 1], &[1, 1, 0, 2, 4, 1, 1]] {
            assert_eq!(Options::parse(odd), Options::default(), "{odd:?}");
        }
        assert_eq!(Options::parse(&[3, 3, 200]).window_scale, Some(14));
    }

    proptest! {
        #[test]
        fn anything_at_all(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            prop_assert!(Options::parse(&bytes).sack.len() <= BLOCKS_MAX);
        }
    }
}
