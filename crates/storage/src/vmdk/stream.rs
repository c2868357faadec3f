//! The compressed grains of a stream-optimized extent, which can only be read.
use std::collections::VecDeque;
use std::sync::Arc;

use flate2::{Decompress, FlushDecompress};
use parking_lot::Mutex;
use platform::disk::SECTOR_BYTES;
use platform::{DiskError, Span};

use super::grains::Grains;
use super::spec::grain_marker;
use crate::blocks::{self, BlockStore};
use crate::fields::{le32, le64};
use crate::image::{Extent, ExtentKind};

/// Grains that are kept.
const KEPT: usize = 16;
/// Grains that are looked at together.
const GRAINS_PER_RUN: u64 = 4096;

/// A stream-optimized extent.
pub struct Stream {
    /// Where the grains' markers are.
    pub(super) grains: Grains,
    /// The grains that were read last, the latest at the end.
    kept: Mutex<VecDeque<(u64, Arc<Vec<u8>>)>>,
}

impl Stream {
    /// The extent whose tables these are.
    pub fn new(grains: Grains) -> Self {
        Self { grains, kept: Mutex::new(VecDeque::new()) }
    }
    /// Fills a span that is all in the extent.
    pub fn read(&self, offset: u64, into: Span<'_>) -> Result<(), DiskError> {
        for piece in blocks::pieces(offset, into.len() as u64, self.grains.block_bytes()) {
            let part = into.part(piece.start as usize..(piece.start + piece.length) as usize);
            match self.grains.find(piece.block)? {
                Some(place) => part.put(0, &self.grain(piece.block, place)?[piece.within as usize..]),
                None => part.fill(0),
            }
        }
        Ok(())
    }
    /// What is at an offset.
    pub fn extent(&self, offset: u64) -> Result<Extent, DiskError> {
        let (grain_bytes, length) = (self.grains.block_bytes(), self.grains.length());
        let first = offset / grain_bytes;
        let here = self.grains.find(first)?.is_some();
        let last = length.div_ceil(grain_bytes).min(first + GRAINS_PER_RUN);
        let differs = |grain: &u64| self.grains.find(*grain).map_or(true, |place| place.is_some() != here);
        let end = (first + 1..last).find(differs).unwrap_or(last);
        let kind = if here { ExtentKind::Data } else { ExtentKind::Zero };
        Ok(Extent { length: (end * grain_bytes).min(length).saturating_sub(offset), kind })
    }

    /// A grain's bytes.
    fn grain(&self, grain: u64, place: u64) -> Result<Arc<Vec<u8>>, DiskError> {
        if let Some((_, bytes)) = self.kept.lock().iter().find(|(number, _)| *number == grain) {
            return Ok(bytes.clone());
        }
        let bytes = Arc::new(self.inflate(grain, place)?);
        let mut kept = self.kept.lock();
        if kept.len() == KEPT {
            kept.pop_front();
        }
        kept.push_back((grain, bytes.clone()));
        Ok(bytes)
    }
    fn inflate(&self, grain: u64, place: u64) -> Result<Vec<u8>, DiskError> {
        let damaged = |what: &str| DiskError::Damaged(format!("the grain at {place} {what}"));
        let grain_bytes = self.grains.block_bytes() as usize;
        let mut marker = [0; grain_marker::BYTES];
        self.grains.file().read(place, &mut marker)?;
        if le64(&marker, grain_marker::LBA).checked_mul(SECTOR_BYTES) != Some(grain * grain_bytes as u64) {
            return Err(damaged("is said to be another"));
        }
        let size = le32(&marker, grain_marker::SIZE) as usize;
        // What cannot be made shorter grows by a few bytes in every 16 KiB.
        if size == 0 || size > 2 * grain_bytes + 64 {
            return Err(damaged("has a wrong length"));
        }
        let mut packed = vec![0; size];
        self.grains.file().read(place + marker.len() as u64, &mut packed)?;
        let mut bytes = vec![0; grain_bytes];
        // The last grain may be shorter; what remains is zeros.
        let inflated = Decompress::new(true).decompress(&packed, &mut bytes, FlushDecompress::Finish);
        inflated.map_err(|_| damaged("cannot be decompressed"))?;
        Ok(bytes)
    }
}
