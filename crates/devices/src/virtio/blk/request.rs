//! What a driver's request means for the disk.
use platform::disk::SECTOR_BYTES;
use platform::{Buffers, DiskOperation, DiskShape, GuestRam};

use super::super::{Chain, VirtioError};
use super::config::{RANGE_SECTORS_MAX, RANGES_MAX};
use super::spec::{request, status};
use crate::batch::Batch;

/// What to do for a request. The other outcome is a status byte.
pub enum Work {
    /// One operation of the disk.
    Disk(DiskOperation, Buffers),
    /// Several.
    Batch(Batch),
    /// Tell the serial number.
    Identify,
    /// Nothing.
    Nothing,
}

/// A request as its chain says it.
pub struct Request<'a> {
    chain: &'a Chain,
    ram: &'a GuestRam,
    kind: u32,
    sector: u64,
    /// Where the status byte is in what is writable: at its end.
    pub status_at: u32,
}

impl<'a> Request<'a> {
    /// The request that a chain is.
    pub fn of(chain: &'a Chain, ram: &'a GuestRam) -> Result<Self, VirtioError> {
        let header: [u8; request::HEADER_BYTES as usize] =
            chain.readable().first(ram).ok_or(VirtioError::Request("no header"))?;
        let bits = u128::from_le_bytes(header);
        let end = chain.writable().length();
        let status_at = end.checked_sub(1).ok_or(VirtioError::Request("no status byte"))?;
        Ok(Self { chain, ram, kind: bits as u32, sector: (bits >> 64) as u64, status_at })
    }
    /// What to do. `durable`: writes are not cached.
    pub fn work(&self, shape: &DiskShape, durable: bool) -> Result<Work, u8> {
        match self.kind {
            request::IN => self.read(shape),
            request::OUT => self.write(shape, durable),
            request::FLUSH => Ok(Work::Disk(DiskOperation::Flush, Buffers::none())),
            request::GET_ID => Ok(Work::Identify),
            request::DISCARD if shape.discard_unit.is_some() => self.erase(shape, false, discard),
            request::WRITE_ZEROES => self.erase(shape, durable, write_zeroes),
            _ => Err(status::UNSUPP),
        }
    }

    fn read(&self, shape: &DiskShape) -> Result<Work, u8> {
        let offset = range(shape, self.sector, self.status_at.into())?;
        let segments = self.chain.writable().part(0..self.status_at);
        self.moves(DiskOperation::Read { offset }, segments)
    }
    fn write(&self, shape: &DiskShape, durable: bool) -> Result<Work, u8> {
        writable(shape)?;
        let end = self.chain.readable().length();
        let offset = range(shape, self.sector, u64::from(end - request::HEADER_BYTES))?;
        let segments = self.chain.readable().part(request::HEADER_BYTES..end);
        self.moves(DiskOperation::Write { offset, durable }, segments)
    }
    fn moves(
        &self,
        operation: DiskOperation,
        segments: impl Iterator<Item = super::super::Segment>,
    ) -> Result<Work, u8> {
        let buffers = Buffers::of_ram(self.ram, segments).ok_or(status::IOERR)?;
        Ok(if buffers.is_empty() { Work::Nothing } else { Work::Disk(operation, buffers) })
    }
    /// A request of ranges, each of which `operation` looks at.
    fn erase(
        &self,
        shape: &DiskShape,
        flush: bool,
        operation: fn(u64, u64, u32) -> Result<DiskOperation, u8>,
    ) -> Result<Work, u8> {
        writable(shape)?;
        let bytes = (self.chain.readable().length() - request::HEADER_BYTES) as usize;
        let mut raw = [0; RANGES_MAX as usize * request::RANGE_BYTES];
        let raw = raw.get_mut(..bytes).ok_or(status::IOERR)?;
        if bytes == 0 || !bytes.is_multiple_of(request::RANGE_BYTES) {
            return Err(status::IOERR);
        }
        self.chain.readable().get(self.ram, request::HEADER_BYTES, raw);
        let mut parts = Vec::new();
        for raw in raw.as_chunks().0 {
            let bits = u128::from_le_bytes(*raw);
            let (sector, sectors, flags) = (bits as u64, (bits >> 64) as u32, (bits >> 96) as u32);
            if sectors > RANGE_SECTORS_MAX {
                return Err(status::IOERR);
            }
            let length = u64::from(sectors) * SECTOR_BYTES;
            let offset = range(shape, sector, length)?;
            parts.push((operation(offset, length, flags)?, Buffers::none()));
        }
        Ok(Work::Batch(Batch { parts, flush }))
    }
}

/// §5.2.6.2: ranges to discard have no flags.
fn discard(offset: u64, length: u64, flags: u32) -> Result<DiskOperation, u8> {
    if flags == 0 { Ok(DiskOperation::Discard { offset, length }) } else { Err(status::UNSUPP) }
}
fn write_zeroes(offset: u64, length: u64, flags: u32) -> Result<DiskOperation, u8> {
    let free = flags & request::UNMAP != 0;
    let is_known = flags & !request::UNMAP == 0;
    if is_known { Ok(DiskOperation::WriteZeroes { offset, length, free }) } else { Err(status::UNSUPP) }
}

fn writable(shape: &DiskShape) -> Result<(), u8> {
    if shape.read_only { Err(status::IOERR) } else { Ok(()) }
}
/// The offset of whole sectors that are all on the disk.
fn range(shape: &DiskShape, sector: u64, length: u64) -> Result<u64, u8> {
    let offset = sector.checked_mul(SECTOR_BYTES).ok_or(status::IOERR)?;
    let is_there = length.is_multiple_of(SECTOR_BYTES) && shape.check(offset, length).is_ok();
    if is_there { Ok(offset) } else { Err(status::IOERR) }
}
