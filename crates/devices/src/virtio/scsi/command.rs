//! Commands as the driver sends them, and their responses.
use platform::{Buffers, GuestRam};

use super::super::{Chain, Reply, VirtioError};
use super::address::Address;
use super::spec::{request, response};
use crate::scsi::Outcome;

/// Bytes of a command block at most.
pub const CDB_MAX: u32 = 64;
/// Bytes of sense data at most.
pub const SENSE_MAX: u32 = 252;

/// How long the parts of a command are, which the driver may change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// Bytes of a command block.
    pub cdb: u32,
    /// Bytes of sense data.
    pub sense: u32,
}

/// A command, not yet looked at by a unit.
pub struct Received {
    /// `None` if no target has such an address.
    pub address: Option<Address>,
    pub tag: u64,
    cdb: [u8; CDB_MAX as usize],
    sizes: Sizes,
}

impl Received {
    /// The command that a chain is.
    pub fn of(chain: &Chain, ram: &GuestRam, sizes: Sizes) -> Result<Self, VirtioError> {
        let mut header = [0; request::HEADER_BYTES as usize];
        let mut cdb = [0; CDB_MAX as usize];
        let given = chain.readable().get(ram, 0, &mut header);
        let block = cdb.get_mut(..sizes.cdb as usize).ok_or(VirtioError::Request("command block"))?;
        let in_block = chain.readable().get(ram, request::HEADER_BYTES, block);
        if given < header.len() || in_block < block.len() {
            return Err(VirtioError::Request("no command"));
        }
        if chain.writable().length() < request::RESPONSE_BYTES + sizes.sense {
            return Err(VirtioError::Request("no room for a response"));
        }
        let [address, tag]: [[u8; 8]; 2] =
            [0, request::TAG].map(|at| std::array::from_fn(|i| header[at + i]));
        let tag = u64::from_le_bytes(tag);
        Ok(Self { address: Address::of(address), tag, cdb, sizes })
    }
    /// The command block.
    pub fn cdb(&self) -> &[u8] {
        &self.cdb[..self.sizes.cdb as usize]
    }
    /// How the chain is to be answered.
    pub fn shape(&self, chain: &Chain) -> Shape {
        let out_at = request::HEADER_BYTES + self.sizes.cdb;
        let in_at = request::RESPONSE_BYTES + self.sizes.sense;
        let out_room = chain.readable().length() - out_at;
        let in_room = chain.writable().length() - in_at;
        Shape { out_at, out_room, in_at, in_room, sense: self.sizes.sense }
    }
}

/// Where the parts of a command's chain are.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    out_at: u32,
    /// Bytes that the driver sends along.
    pub out_room: u32,
    in_at: u32,
    /// Bytes that the driver has room for.
    pub in_room: u32,
    sense: u32,
}

impl Shape {
    /// The first bytes that the driver sends along; `None` if they are too many for one disk request.
    pub fn outgoing(&self, chain: &Chain, ram: &GuestRam, bytes: u32) -> Option<Buffers> {
        match self.out_at + bytes.min(self.out_room) {
            end if end == self.out_at => Some(Buffers::none()),
            end => Buffers::of_ram(ram, chain.readable().part(self.out_at..end)),
        }
    }
    /// The first bytes of the driver's room; `None` if they are too many for one disk request.
    pub fn incoming(&self, chain: &Chain, ram: &GuestRam, bytes: u32) -> Option<Buffers> {
        let end = self.in_at + bytes.min(self.in_room);
        Buffers::of_ram(ram, chain.writable().part(self.in_at..end))
    }
    /// Puts what a unit tells into the driver's room; returns the bytes.
    pub fn put(&self, chain: &Chain, ram: &GuestRam, data: &[u8]) -> u32 {
        chain.writable().put(ram, self.in_at, data) as u32
    }
    /// The response to a command that moved so many bytes of those that there was room for.
    pub fn outcome(&self, chain: Chain, outcome: &Outcome, moved_out: u32, moved_in: u32) -> Reply {
        let sense = outcome.sense.as_ref().map_or_else(Vec::new, crate::scsi::Sense::bytes);
        let sense = &sense[..sense.len().min(self.sense as usize)];
        let residual =
            (self.out_room - moved_out.min(self.out_room)) + (self.in_room - moved_in.min(self.in_room));
        let mut bytes = [0; (request::RESPONSE_BYTES + SENSE_MAX) as usize];
        bytes[..4].copy_from_slice(&(sense.len() as u32).to_le_bytes());
        bytes[4..8].copy_from_slice(&residual.to_le_bytes());
        bytes[request::STATUS] = outcome.status;
        bytes[request::RESPONSE] = response::OK;
        let end = request::RESPONSE_BYTES as usize + sense.len();
        bytes[request::RESPONSE_BYTES as usize..end].copy_from_slice(sense);
        Reply::new(chain, 0, &bytes[..end], self.in_at + moved_in)
    }
}

/// The response to a command that no unit has seen, or that was given up.
pub fn failed(chain: Chain, response: u8) -> Reply {
    let mut bytes = [0; request::RESPONSE_BYTES as usize];
    bytes[request::RESPONSE] = response;
    Reply::new(chain, 0, &bytes, request::RESPONSE_BYTES)
}
