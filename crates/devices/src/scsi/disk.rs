//! Commands of disks: reading, writing, flushing and sizes (SBC-3 §5).
use std::sync::Arc;

use platform::{Buffers, DiskOperation, DiskShape, Span};

use super::cdb::Cdb;
use super::sense::Sense;
use super::spec::{DISK_BLOCK, READ_CAPACITY_16, bit, op};
use super::transfer::{Data, Step, Transfer, Work};
use super::unit::Unit;
use crate::batch::Batch;

/// Blocks that one command reads or writes at most: 32 MiB.
pub(super) const BLOCKS_PER_TRANSFER: u64 = 0x1_0000;

/// A range that is on the disk, in bytes.
#[derive(Clone, Copy)]
pub(super) struct Range {
    pub(super) offset: u64,
    pub(super) length: u64,
    /// Its first block.
    pub(super) block: u64,
}

impl Range {
    /// Checks blocks against a disk's end.
    pub(super) fn new(shape: &DiskShape, (block, blocks): (u64, u64)) -> Result<Self, Sense> {
        let end = block.checked_add(blocks).filter(|end| *end <= shape.length / DISK_BLOCK);
        end.ok_or(Sense::out_of_range(block))?;
        Ok(Self { offset: block * DISK_BLOCK, length: blocks * DISK_BLOCK, block })
    }
}

impl Unit {
    pub(super) fn disk_command(&mut self, cdb: &Cdb, data_out: Span<'_>) -> Result<Step, Sense> {
        match cdb.opcode() {
            op::READ_6 | op::READ_10 | op::READ_12 | op::READ_16 => self.read(cdb),
            op::WRITE_6 | op::WRITE_10 | op::WRITE_12 | op::WRITE_16 => self.write(cdb, cdb.has(1, bit::FUA)),
            op::WRITE_VERIFY_10 | op::WRITE_VERIFY_12 | op::WRITE_VERIFY_16 => self.write_and_verify(cdb),
            op::VERIFY_10 | op::VERIFY_12 | op::VERIFY_16 => self.verify(cdb),
            op::SYNCHRONIZE_CACHE_10 | op::SYNCHRONIZE_CACHE_16 => self.synchronize(cdb),
            op::SEEK_10 => self.range((cdb.number(2, 4), 0)).map(|_| Step::good()),
            op::READ_CAPACITY_10 => self.read_capacity_10(),
            op::SERVICE_ACTION_IN_16 if cdb.byte(1) & 0x1f == READ_CAPACITY_16 => self.read_capacity_16(cdb),
            op::SERVICE_ACTION_IN_16 => Err(Sense::field(1)),
            // Nothing spins, and nothing can be ejected.
            op::START_STOP_UNIT if cdb.has(4, bit::LOAD_EJECT) => Err(Sense::field(4)),
            op::START_STOP_UNIT => Ok(Step::good()),
            op::UNMAP => self.unmap(cdb, data_out),
            op::WRITE_SAME_10 | op::WRITE_SAME_16 => self.write_same(cdb, data_out),
            _ => Err(Sense::opcode()),
        }
    }
    /// Whether blocks that are not needed can be let go.
    pub(super) fn is_thin(&self) -> bool {
        self.medium.as_ref().is_some_and(|port| port.shape().discard_unit.is_some())
    }
    pub(super) fn range(&self, blocks: (u64, u64)) -> Result<Range, Sense> {
        Range::new(&self.ready()?.shape(), blocks)
    }
    /// A range that may be written.
    pub(super) fn range_to_write(&self, blocks: (u64, u64)) -> Result<Range, Sense> {
        let shape = self.ready()?.shape();
        if shape.read_only {
            return Err(Sense::write_protected());
        }
        Range::new(&shape, blocks)
    }
    pub(super) fn transfer(&self, work: Work, block: u64) -> Result<Step, Sense> {
        let port = Arc::clone(self.ready()?);
        Ok(Step::Transfer(Transfer::new(port, work, block, self.state.descriptor_sense)))
    }

    fn read(&self, cdb: &Cdb) -> Result<Step, Sense> {
        let range = self.range(cdb.blocks())?;
        let Some(bytes) = carried_bytes(cdb, &range)? else { return Ok(Step::good()) };
        let operation = DiskOperation::Read { offset: range.offset };
        self.transfer(Work::Carried(operation, Data::In(bytes)), range.block)
    }
    fn write(&self, cdb: &Cdb, durable: bool) -> Result<Step, Sense> {
        let range = self.range_to_write(cdb.blocks())?;
        let Some(bytes) = carried_bytes(cdb, &range)? else { return Ok(Step::good()) };
        // The small command has an address where others have FUA.
        let durable = durable && cdb.opcode() != op::WRITE_6 || !self.state.write_cache;
        let operation = DiskOperation::Write { offset: range.offset, durable };
        self.transfer(Work::Carried(operation, Data::Out(bytes)), range.block)
    }
    fn write_and_verify(&self, cdb: &Cdb) -> Result<Step, Sense> {
        if cdb.has(1, bit::BYTE_CHECK) {
            return Err(Sense::field(1));
        }
        self.write(cdb, true)
    }
    /// Without data to compare with, every block that is there is fine.
    fn verify(&self, cdb: &Cdb) -> Result<Step, Sense> {
        if cdb.has(1, bit::BYTE_CHECK) {
            return Err(Sense::field(1));
        }
        self.range(cdb.blocks()).map(|_| Step::good())
    }
    fn synchronize(&self, cdb: &Cdb) -> Result<Step, Sense> {
        let range = self.range(cdb.blocks())?;
        let work = Work::Own(Batch { parts: vec![(DiskOperation::Flush, Buffers::none())], flush: false });
        self.transfer(work, range.block)
    }
    /// READ CAPACITY (10) (SBC-3 §5.15).
    fn read_capacity_10(&self) -> Result<Step, Sense> {
        let last = (self.ready()?.shape().length / DISK_BLOCK).saturating_sub(1);
        let mut bytes = u32::try_from(last).unwrap_or(u32::MAX).to_be_bytes().to_vec();
        bytes.extend((DISK_BLOCK as u32).to_be_bytes());
        Ok(Step::data(bytes, 8))
    }
    /// READ CAPACITY (16) (SBC-3 §5.16).
    fn read_capacity_16(&self, cdb: &Cdb) -> Result<Step, Sense> {
        let shape = self.ready()?.shape();
        let mut bytes = vec![0; 32];
        bytes[..8].copy_from_slice(&(shape.length / DISK_BLOCK).saturating_sub(1).to_be_bytes());
        bytes[8..12].copy_from_slice(&(DISK_BLOCK as u32).to_be_bytes());
        let physical = (u64::from(shape.physical_block) / DISK_BLOCK).max(1);
        bytes[13] = physical.ilog2().min(15) as u8;
        // Thin, and what was let go reads as zeros.
        bytes[14] = if self.is_thin() { 0xc0 } else { 0 };
        Ok(Step::data(bytes, cdb.number(10, 4)))
    }
}

/// Bytes of a READ or WRITE; `None` if there are none. Protection information is not to be had (byte 1, bits 7:5).
fn carried_bytes(cdb: &Cdb, range: &Range) -> Result<Option<u32>, Sense> {
    let is_small = matches!(cdb.opcode(), op::READ_6 | op::WRITE_6);
    if !is_small && cdb.has(1, 0xe0) {
        return Err(Sense::field(1));
    }
    if range.length > BLOCKS_PER_TRANSFER * DISK_BLOCK {
        let count_at = if cdb.opcode() >> 5 == 4 { 10 } else { 6 };
        return Err(Sense::field(count_at));
    }
    Ok(u32::try_from(range.length).ok().filter(|bytes| *bytes > 0))
}
