//! What the driver is told about the disk: features and configuration.
use platform::DiskShape;
use platform::disk::SECTOR_BYTES;

use super::spec::{config, feature};

/// Buffers of a request: what a queue without indirect tables has room for, beside header and status.
pub const SEGMENTS_MAX: u32 = super::device::QUEUE_SIZE as u32 - 2;
/// Ranges of one request.
pub const RANGES_MAX: u32 = 16;
/// Sectors of one range: 1 GiB.
pub const RANGE_SECTORS_MAX: u32 = 1 << 21;

/// What to offer for such a disk.
pub fn features(shape: &DiskShape, queues: u16) -> u64 {
    let mut features =
        feature::SEG_MAX | feature::BLK_SIZE | feature::FLUSH | feature::TOPOLOGY | feature::CONFIG_WCE;
    if shape.read_only {
        features |= feature::RO;
    } else {
        features |= feature::WRITE_ZEROES;
        if shape.discard_unit.is_some() {
            features |= feature::DISCARD;
        }
    }
    if queues > 1 {
        features |= feature::MQ;
    }
    features
}

/// The configuration.
pub fn bytes(shape: &DiskShape, queues: u16, writeback: bool) -> [u8; config::BYTES] {
    let mut bytes = [0; config::BYTES];
    let mut put = |offset: usize, value: &[u8]| bytes[offset..offset + value.len()].copy_from_slice(value);
    let sectors = |bytes: u32| (u64::from(bytes) / SECTOR_BYTES) as u32;
    let physical = sectors(shape.physical_block).max(1);
    put(config::CAPACITY, &(shape.length / SECTOR_BYTES).to_le_bytes());
    put(config::SEG_MAX, &SEGMENTS_MAX.to_le_bytes());
    put(config::BLK_SIZE, &(SECTOR_BYTES as u32).to_le_bytes());
    put(config::PHYSICAL_BLOCK_EXP, &[physical.ilog2() as u8]);
    put(config::MIN_IO_SIZE, &u16::try_from(physical).unwrap_or(u16::MAX).to_le_bytes());
    put(config::WRITEBACK, &[writeback.into()]);
    put(config::NUM_QUEUES, &queues.to_le_bytes());
    if let Some(unit) = shape.discard_unit.filter(|_| !shape.read_only) {
        put(config::MAX_DISCARD_SECTORS, &RANGE_SECTORS_MAX.to_le_bytes());
        put(config::MAX_DISCARD_SEG, &RANGES_MAX.to_le_bytes());
        put(config::DISCARD_SECTOR_ALIGNMENT, &sectors(unit).max(1).to_le_bytes());
    }
    if !shape.read_only {
        put(config::MAX_WRITE_ZEROES_SECTORS, &RANGE_SECTORS_MAX.to_le_bytes());
        put(config::MAX_WRITE_ZEROES_SEG, &RANGES_MAX.to_le_bytes());
        put(config::WRITE_ZEROES_MAY_UNMAP, &[shape.discard_unit.is_some().into()]);
    }
    bytes
}
