//! Commands that let blocks go or make them all the same: UNMAP and WRITE SAME (SBC-3 §5.28, §5.44).
//!
//! What was let go has to read as zeros, since the unit says so; so it is zeroed rather than discarded.
use platform::{Buffers, DiskOperation, Span};

use super::cdb::Cdb;
use super::disk::Range;
use super::sense::Sense;
use super::spec::{DISK_BLOCK, bit, code};
use super::transfer::{Step, Work};
use super::unit::Unit;
use crate::batch::Batch;

/// Ranges of one UNMAP.
pub(super) const UNMAP_RANGES_MAX: usize = 256;
/// Blocks of one WRITE SAME.
pub(super) const SAME_BLOCKS_MAX: u64 = u32::MAX as u64;
/// Blocks of one WRITE SAME that are not zeros: 16 MiB, which are written as data.
const PATTERN_BLOCKS_MAX: u64 = 0x8000;
/// Bytes of a pattern that are written at once.
const PATTERN_BYTES: u64 = 1 << 20;
/// Bytes of an UNMAP parameter list before its ranges, and of each range.
const UNMAP_HEADER: usize = 8;
const UNMAP_RANGE: usize = 16;

impl Unit {
    pub(super) fn unmap(&self, cdb: &Cdb, data_out: Span<'_>) -> Result<Step, Sense> {
        if !self.is_thin() {
            return Err(Sense::opcode());
        }
        if cdb.has(1, 1) {
            return Err(Sense::field(1));
        }
        let list = data_out.part(0..cdb.number(7, 2) as usize).to_vec();
        if list.is_empty() {
            return Ok(Step::good());
        }
        let mut parts = Vec::new();
        for blocks in unmap_ranges(&list)? {
            let Range { offset, length, block: _ } = self.range_to_write(blocks)?;
            if length > 0 {
                parts.push((DiskOperation::WriteZeroes { offset, length, free: true }, Buffers::none()));
            }
        }
        if parts.is_empty() {
            return Ok(Step::good());
        }
        self.transfer(Work::Own(Batch { parts, flush: !self.state.write_cache }), 0)
    }
    pub(super) fn write_same(&self, cdb: &Cdb, data_out: Span<'_>) -> Result<Step, Sense> {
        let is_long = cdb.opcode() >> 5 == 4;
        let frees = cdb.has(1, bit::UNMAP);
        // No protection information, no anchors, and no letting go where nothing is let go.
        if cdb.has(1, 0xe0 | bit::ANCHOR) || frees && !self.is_thin() {
            return Err(Sense::field(1));
        }
        let range = self.range_to_write(match cdb.blocks() {
            // All up to the end (§5.44).
            (block, 0) => (block, self.blocks_from(block)?),
            blocks => blocks,
        })?;
        if range.length == 0 {
            return Ok(Step::good());
        }
        let mut pattern = [0; DISK_BLOCK as usize];
        if !(is_long && cdb.has(1, bit::NO_DATA_OUT)) {
            if data_out.len() < pattern.len() {
                return Err(Sense::illegal(code::LIST_LENGTH));
            }
            data_out.get(0, &mut pattern);
        }
        let durable = !self.state.write_cache;
        let batch = if pattern == [0; DISK_BLOCK as usize] {
            let Range { offset, length, block: _ } = range;
            let operation = DiskOperation::WriteZeroes { offset, length, free: frees };
            Batch { parts: vec![(operation, Buffers::none())], flush: durable }
        } else if range.length <= PATTERN_BLOCKS_MAX * DISK_BLOCK {
            Batch { parts: pattern_writes(&pattern, range, durable), flush: false }
        } else {
            return Err(Sense::field(if is_long { 10 } else { 7 }));
        };
        self.transfer(Work::Own(batch), range.block)
    }

    fn blocks_from(&self, block: u64) -> Result<u64, Sense> {
        let blocks = self.ready()?.shape().length / DISK_BLOCK;
        blocks.checked_sub(block).ok_or(Sense::out_of_range(block))
    }
}

/// First blocks and numbers of blocks of an UNMAP parameter list.
fn unmap_ranges(list: &[u8]) -> Result<Vec<(u64, u64)>, Sense> {
    let too_short = Sense::illegal(code::LIST_LENGTH);
    let (header, rest) = list.split_at_checked(UNMAP_HEADER).ok_or(too_short)?;
    let bytes = usize::from(u16::from_be_bytes([header[2], header[3]]));
    let ranges = rest.get(..bytes - bytes % UNMAP_RANGE).ok_or(too_short)?.chunks_exact(UNMAP_RANGE);
    if ranges.len() > UNMAP_RANGES_MAX {
        return Err(Sense::illegal(code::FIELD_IN_LIST));
    }
    let number = |bytes: &[u8]| bytes.iter().fold(0, |value, byte| value << 8 | u64::from(*byte));
    Ok(ranges.map(|range| (number(&range[..8]), number(&range[8..12]))).collect())
}

fn pattern_writes(pattern: &[u8], range: Range, durable: bool) -> Vec<(DiskOperation, Buffers)> {
    let starts = (0..range.length).step_by(PATTERN_BYTES as usize);
    let part = |start: u64| {
        let length = (range.length - start).min(PATTERN_BYTES);
        let bytes = pattern.repeat((length / DISK_BLOCK) as usize);
        let operation = DiskOperation::Write { offset: range.offset + start, durable };
        (operation, Buffers::of_bytes(bytes))
    };
    starts.map(part).collect()
}
