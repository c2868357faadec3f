//! The Block Allocation Table of a VHDX image.
use platform::{DiskError, Span};

use super::header::{malformed, unsupported};
use super::metadata::Metadata;
use super::patched::Patched;
use super::regions::Region;
use super::spec::bat;
use crate::ImageError;
use crate::blocks::BlockStore;
use crate::fields::le64;
use crate::file::HostFile;
use crate::image::CheckReport;

/// Bytes of the longest table that is read.
const BYTES_MAX: u64 = 64 << 20;

/// The file with the table in memory.
pub struct Table {
    pub(super) patched: Patched,
    pub(super) metadata: Metadata,
    entries: Vec<u64>,
    /// Blocks between two entries that are no blocks'.
    chunk_ratio: u64,
}

impl Table {
    /// Reads the table from its region.
    pub fn read(patched: Patched, metadata: Metadata, region: Region) -> Result<Self, ImageError> {
        let blocks = metadata.length.div_ceil(metadata.block_bytes.into());
        let chunk_ratio =
            bat::SECTORS_PER_BITMAP * u64::from(metadata.logical_sector) / u64::from(metadata.block_bytes);
        let bytes = (blocks + blocks.saturating_sub(1) / chunk_ratio) * 8;
        if bytes > u64::from(region.length) {
            return Err(malformed(patched.file(), "its block table is too short for the disk"));
        }
        if bytes > BYTES_MAX {
            return Err(unsupported(patched.file(), "a block table of more than 64 MiB".to_owned()));
        }
        let bytes = patched.read(region.offset, bytes as usize)?;
        let entries = bytes.chunks_exact(8).map(|entry| le64(entry, 0)).collect();
        Ok(Self { patched, metadata, entries, chunk_ratio })
    }
    /// Blocks of the disk.
    fn blocks(&self) -> u64 {
        self.metadata.length.div_ceil(self.block_bytes())
    }
    /// Looks at all entries.
    pub fn check(&self, report: &mut CheckReport) {
        let mut places = Vec::new();
        for block in 0..self.blocks() {
            match self.find(block) {
                Ok(Some(place)) => places.push((place, block)),
                Ok(None) => {}
                Err(problem) => report.corruption(problem.to_string()),
            }
        }
        places.sort_unstable();
        for pair in places.windows(2).filter(|pair| pair[1].0 - pair[0].0 < self.block_bytes()) {
            report.corruption(format!("blocks {} and {} overlap", pair[0].1, pair[1].1));
        }
    }
}

impl BlockStore for Table {
    fn file(&self) -> &HostFile {
        self.patched.file()
    }
    fn length(&self) -> u64 {
        self.metadata.length
    }
    fn block_bytes(&self) -> u64 {
        self.metadata.block_bytes.into()
    }
    fn find(&self, block: u64) -> Result<Option<u64>, DiskError> {
        let index = usize::try_from(block + block / self.chunk_ratio).ok();
        let entry = index.and_then(|index| self.entries.get(index));
        let damaged = |problem: &str| DiskError::Damaged(format!("block {block} {problem}"));
        let entry = *entry.ok_or_else(|| damaged("has no entry in the table"))?;
        let place = entry & bat::PLACE;
        match entry & bat::STATE {
            state if bat::NOWHERE.contains(&state) => Ok(None),
            bat::FULLY_PRESENT if place == 0 || place >= self.patched.length() => {
                Err(damaged(&format!("is said to be at {place}, where no block can be")))
            }
            bat::FULLY_PRESENT => Ok(Some(place)),
            other => Err(damaged(&format!("is in state {other}"))),
        }
    }
    fn place(&self, _block: u64, _within: u64, _from: Span<'_>) -> Result<(), DiskError> {
        Err(DiskError::ReadOnly)
    }
    fn read_place(&self, at: u64, into: Span<'_>) -> Result<(), DiskError> {
        self.patched.read_span(at, into)
    }
}
