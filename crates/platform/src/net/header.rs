//! What a frame's sender leaves to whoever gets it.

/// In front of each frame: `struct virtio_net_hdr` (VIRTIO 1.2 §5.1.6), always with `num_buffers`, little endian.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FrameHeader {
    /// [`FrameHeader::NEEDS_CHECKSUM`], [`FrameHeader::DATA_VALID`], or [`FrameHeader::CONTROL`] alone.
    pub flags: u8,
    /// How the frame is to be cut into segments.
    pub segmentation: Segmentation,
    /// Bytes of all headers of a frame to be cut; a hint.
    pub header_length: u16,
    /// Bytes of payload of each segment but the last.
    pub segment_size: u16,
    /// Where the bytes begin whose checksum is missing.
    pub checksum_start: u16,
    /// Where it goes, from `checksum_start` on. The field holds the sum of the pseudo header.
    pub checksum_offset: u16,
    /// Buffers that the frame takes; only between a device and its driver.
    pub buffers: u16,
}

/// `gso_type` of `struct virtio_net_hdr`. An open number: what comes from others is checked where it is used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Segmentation(pub u8);

impl Segmentation {
    /// The frame is whole.
    pub const NONE: Self = Self(0);
    /// TCP over IPv4.
    pub const TCP4: Self = Self(1);
    /// TCP over IPv6.
    pub const TCP6: Self = Self(4);
    /// With one of the others: the first segment has CWR set, none of the others has.
    pub const ECN: u8 = 0x80;

    /// Without [`Segmentation::ECN`].
    pub fn kind(self) -> Self {
        Self(self.0 & !Self::ECN)
    }
}

impl FrameHeader {
    /// Bytes.
    pub const BYTES: usize = 12;
    /// The checksum at `checksum_offset` has to be completed.
    pub const NEEDS_CHECKSUM: u8 = 1;
    /// The checksum was checked.
    pub const DATA_VALID: u8 = 2;
    /// No frame follows, but a control message. No virtio device has this flag.
    pub const CONTROL: u8 = 0x80;

    /// As bytes.
    pub fn to_bytes(&self) -> [u8; Self::BYTES] {
        let Self {
            flags,
            segmentation,
            header_length,
            segment_size,
            checksum_start,
            checksum_offset,
            buffers,
        } = *self;
        let mut bytes = [0; Self::BYTES];
        (bytes[0], bytes[1]) = (flags, segmentation.0);
        let words = [header_length, segment_size, checksum_start, checksum_offset, buffers];
        for (place, word) in bytes[2..].chunks_exact_mut(2).zip(words) {
            place.copy_from_slice(&word.to_le_bytes());
        }
        bytes
    }
    /// Of bytes.
    pub fn of_bytes(bytes: &[u8; Self::BYTES]) -> Self {
        let word = |at: usize| u16::from_le_bytes([bytes[at], bytes[at + 1]]);
        Self {
            flags: bytes[0],
            segmentation: Segmentation(bytes[1]),
            header_length: word(2),
            segment_size: word(4),
            checksum_start: word(6),
            checksum_offset: word(8),
            buffers: word(10),
        }
    }
    /// Splits a message of a cable; `None` if it is too short.
    pub fn split(message: &[u8]) -> Option<(Self, &[u8])> {
        let (header, rest) = message.split_first_chunk()?;
        Some((Self::of_bytes(header), rest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_come_back() {
        let header = FrameHeader {
            flags: FrameHeader::NEEDS_CHECKSUM,
            segmentation: Segmentation(Segmentation::TCP4.0 | Segmentation::ECN),
            header_length: 54,
            segment_size: 1460,
            checksum_start: 34,
            checksum_offset: 16,
            buffers: 3,
        };
        let bytes = header.to_bytes();
        assert_eq!(bytes, [1, 0x81, 54, 0, 0xb4, 5, 34, 0, 16, 0, 3, 0]);
        assert_eq!(FrameHeader::of_bytes(&bytes), header);
        assert_eq!(header.segmentation.kind(), Segmentation::TCP4);
        assert!(FrameHeader::split(&bytes[..11]).is_none());
    }
}
