//! Transmit descriptors, taken apart (SDM §3.3.3, §3.3.6, §3.3.7).
use serde::{Deserialize, Serialize};

use super::spec::descriptor;

/// Where headers and checksums of the frames that follow are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Context {
    /// First byte of the IP header, of its checksum, and last byte that is summed.
    pub ip: Field,
    /// The same of TCP or UDP; last byte 0: to the end.
    pub tcp: Field,
    pub is_tcp: bool,
    pub is_ipv4: bool,
    /// Bytes of payload of each segment.
    pub segment: u16,
    /// Bytes of all headers.
    pub header: u8,
}

/// A range and where its checksum goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Field {
    pub start: u8,
    pub at: u8,
    pub end: u16,
}

/// One descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transmit {
    pub kind: Kind,
    pub command: u8,
}

/// What it has, by its kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A context, and whether it is that of frames that are cut.
    Context(Context, bool),
    /// A buffer of a frame.
    Data {
        address: u64,
        length: u32,
        /// VLAN tag.
        tag: u16,
        checksums: Checksums,
    },
}

/// What is to be done to the frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checksums {
    /// Legacy: where the checksum goes, and from where bytes are summed.
    Legacy { at: u8, start: u8 },
    /// Options of the extended form.
    Options(u8),
}

impl Transmit {
    /// Of bytes.
    pub fn of_bytes(bytes: [u8; descriptor::BYTES as usize]) -> Self {
        let bits = u128::from_le_bytes(bytes);
        let byte = |at: u32| (bits >> (at * 8)) as u8;
        let word = |at: u32| (bits >> (at * 8)) as u16;
        let command = byte(11);
        let kind = if command & descriptor::EXTENDED == 0 {
            let checksums = Checksums::Legacy { at: byte(10), start: byte(13) };
            Kind::Data { address: bits as u64, length: word(8).into(), tag: word(14), checksums }
        } else if byte(10) >> 4 == descriptor::KIND_DATA {
            let length = (bits >> 64) as u32 & 0xf_ffff;
            Kind::Data {
                address: bits as u64,
                length,
                tag: word(14),
                checksums: Checksums::Options(byte(13)),
            }
        } else {
            let context = Context {
                ip: Field { start: byte(0), at: byte(1), end: word(2) },
                tcp: Field { start: byte(4), at: byte(5), end: word(6) },
                is_tcp: command & descriptor::TCP != 0,
                is_ipv4: command & descriptor::IPV4 != 0,
                segment: word(14),
                header: byte(13),
            };
            Kind::Context(context, command & descriptor::SEGMENT != 0)
        };
        Self { kind, command }
    }
    /// Whether a bit of the command is set.
    pub fn has(&self, bit: u8) -> bool {
        self.command & bit != 0
    }
}
