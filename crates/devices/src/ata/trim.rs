//! DATA SET MANAGEMENT with TRIM (ACS-3 §7.5).
use platform::{Buffers, DiskOperation, DiskShape};

use super::registers::Failure;
use super::spec::{SECTOR, error};
use crate::batch::Batch;

/// What a list of ranges asks for, neighbours as one. What is trimmed has to read as zeros, since IDENTIFY says so; so it
/// is zeroed rather than discarded.
pub(super) fn trim(shape: &DiskShape, list: &[u8]) -> Result<Batch, Failure> {
    let mut ranges: Vec<(u64, u64)> = Vec::new();
    for entry in list.as_chunks::<8>().0 {
        let entry = u64::from_le_bytes(*entry);
        let (sector, sectors) = (entry & 0xffff_ffff_ffff, entry >> 48);
        if sectors == 0 {
            continue;
        }
        let (offset, length) = (sector * SECTOR, sectors * SECTOR);
        shape.check(offset, length).map_err(|_| Failure::new(error::ABORT | error::NO_SECTOR))?;
        match ranges.last_mut() {
            Some(last) if last.0 + last.1 == offset => last.1 += length,
            _ => ranges.push((offset, length)),
        }
    }
    let part =
        |(offset, length)| (DiskOperation::WriteZeroes { offset, length, free: true }, Buffers::none());
    Ok(Batch { parts: ranges.into_iter().map(part).collect(), flush: false })
}
