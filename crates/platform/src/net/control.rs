//! Messages on a cable that are no frames.
use super::FrameHeader;

/// What the two ends of a cable tell each other. On the cable: a [`FrameHeader`] whose flags are
/// [`FrameHeader::CONTROL`] and whose other fields are zero, a byte for the kind, and four bytes, little endian.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ControlMessage {
    /// From a card: what it takes from now on. Until it says so, it takes whole frames with all checksums.
    Offloads(Offloads),
    /// From a network: whether anything comes through. At first it does.
    Link(bool),
}

/// What a card takes off others' hands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Offloads {
    /// Frames may come with partial checksums.
    pub checksum: bool,
    /// TCP over IPv4 may come unsegmented.
    pub tcp4: bool,
    /// TCP over IPv6 may come unsegmented.
    pub tcp6: bool,
}

mod kind {
    pub const OFFLOADS: u8 = 1;
    pub const LINK: u8 = 2;
}

impl ControlMessage {
    /// Bytes on the cable.
    pub const BYTES: usize = FrameHeader::BYTES + 5;

    /// As bytes.
    pub fn to_bytes(self) -> [u8; Self::BYTES] {
        let (kind, value) = match self {
            Self::Offloads(Offloads { checksum, tcp4, tcp6 }) => {
                (kind::OFFLOADS, u32::from(checksum) | u32::from(tcp4) << 1 | u32::from(tcp6) << 2)
            }
            Self::Link(up) => (kind::LINK, up.into()),
        };
        let mut bytes = [0; Self::BYTES];
        bytes[0] = FrameHeader::CONTROL;
        bytes[FrameHeader::BYTES] = kind;
        bytes[FrameHeader::BYTES + 1..].copy_from_slice(&value.to_le_bytes());
        bytes
    }
    /// Of what follows the header; `None` for what this version does not know.
    pub fn of_bytes(body: &[u8]) -> Option<Self> {
        let (&kind, value) = body.split_first()?;
        let value = u32::from_le_bytes(value.try_into().ok()?);
        let bit = |number: u32| value >> number & 1 != 0;
        match kind {
            kind::OFFLOADS => Some(Self::Offloads(Offloads { checksum: bit(0), tcp4: bit(1), tcp6: bit(2) })),
            kind::LINK => Some(Self::Link(bit(0))),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_come_back() {
        let offloads = Offloads { checksum: true, tcp4: false, tcp6: true };
        for message in
            [ControlMessage::Offloads(offloads), ControlMessage::Link(true), ControlMessage::Link(false)]
        {
            let bytes = message.to_bytes();
            let (header, body) = FrameHeader::split(&bytes).unwrap();
            assert_eq!(header, FrameHeader { flags: FrameHeader::CONTROL, ..FrameHeader::default() });
            assert_eq!(ControlMessage::of_bytes(body), Some(message));
        }
        for odd in [&[][..], &[1], &[1, 0, 0, 0], &[9, 0, 0, 0, 0], &[1, 0, 0, 0, 0, 0]] {
            assert_eq!(ControlMessage::of_bytes(odd), None);
        }
    }
}
