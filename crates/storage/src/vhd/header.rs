//! The dynamic disk header of a VHD image.
use std::ops::RangeInclusive;

use platform::disk::SECTOR_BYTES;

use super::footer::{Footer, checksum};
use super::spec::{self, header};
use crate::fields::{be32, be64, put};
use crate::file::HostFile;
use crate::{Format, ImageError};

/// Lengths of blocks that are believed.
const BLOCK_BYTES: RangeInclusive<u32> = (4 << 10)..=(256 << 20);
/// Entries of the longest table that is read: 32 MiB of it.
const ENTRIES_MAX: u32 = 8 << 20;
/// The longest disk: 2040 GiB, as everybody else has it. Places are sectors in 32 bits.
const LENGTH_MAX: u64 = 0xff00_0000 * SECTOR_BYTES;

/// What the header of a dynamic image says.
#[derive(Clone, Copy, Debug)]
pub struct Header {
    /// Where the Block Allocation Table is.
    pub table_offset: u64,
    /// Its entries.
    pub entries: u32,
    /// Bytes of a block, without its bitmap.
    pub block_bytes: u32,
    /// Where the header itself is.
    header_offset: u64,
    /// The lowest offset behind the header and the table.
    pub data_offset: u64,
}

impl Header {
    /// The header that a footer tells of.
    pub fn read(file: &HostFile, footer: &Footer) -> Result<Self, ImageError> {
        let wrong = |problem: &str| {
            Err(ImageError::Malformed {
                path: file.path().to_owned(),
                format: Format::Vhd,
                problem: problem.to_owned(),
            })
        };
        let file_length = file.length()?;
        let inside = |at: u64, length: u64| at.checked_add(length).is_some_and(|end| end <= file_length);
        if !inside(footer.data_offset, spec::HEADER_BYTES as u64) {
            return wrong("its dynamic disk header is beyond the end");
        }
        let mut bytes = [0; spec::HEADER_BYTES];
        file.read(footer.data_offset, &mut bytes)?;
        let is_right = be32(&bytes, header::CHECKSUM) == checksum(&bytes, header::CHECKSUM);
        if !bytes.starts_with(spec::HEADER_COOKIE) || !(is_right || cfg!(fuzzing)) {
            return wrong("the checksum of its dynamic disk header is wrong");
        }
        let (table_offset, entries) =
            (be64(&bytes, header::TABLE_OFFSET), be32(&bytes, header::TABLE_ENTRIES));
        let block_bytes = be32(&bytes, header::BLOCK_BYTES);
        if !block_bytes.is_power_of_two() || !BLOCK_BYTES.contains(&block_bytes) {
            return wrong("the length of its blocks is wrong");
        }
        if entries > ENTRIES_MAX || u64::from(entries) * u64::from(block_bytes) < footer.length {
            return wrong("the length of its table does not fit the disk");
        }
        let table_bytes = u64::from(entries) * 4;
        if table_offset < spec::FOOTER_BYTES as u64 || !inside(table_offset, table_bytes) {
            return wrong("its table is in the wrong place");
        }
        let header_offset = footer.data_offset;
        let data_offset = (table_offset + table_bytes).max(header_offset + spec::HEADER_BYTES as u64);
        let data_offset = data_offset.next_multiple_of(SECTOR_BYTES);
        Ok(Self { table_offset, entries, block_bytes, header_offset, data_offset })
    }
    /// The header of a new image, which follows the footer's copy and is followed by the table.
    pub fn new(length: u64) -> Result<Self, ImageError> {
        if length > LENGTH_MAX {
            let reason = "the longest are 2040 GiB";
            return Err(ImageError::Length { format: Format::Vhd, length, reason });
        }
        let block_bytes = spec::DEFAULT_BLOCK_BYTES;
        let entries = length.div_ceil(block_bytes.into()) as u32;
        let header_offset = spec::FOOTER_BYTES as u64;
        let table_offset = header_offset + spec::HEADER_BYTES as u64;
        let data_offset = (table_offset + u64::from(entries) * 4).next_multiple_of(SECTOR_BYTES);
        Ok(Self { table_offset, entries, block_bytes, header_offset, data_offset })
    }
    /// Its bytes.
    pub fn bytes(&self) -> [u8; spec::HEADER_BYTES] {
        let mut bytes = [0; spec::HEADER_BYTES];
        put(&mut bytes, header::COOKIE, spec::HEADER_COOKIE);
        put(&mut bytes, header::DATA_OFFSET, &u64::MAX.to_be_bytes());
        put(&mut bytes, header::TABLE_OFFSET, &self.table_offset.to_be_bytes());
        put(&mut bytes, header::VERSION, &spec::VERSION_1_0.to_be_bytes());
        put(&mut bytes, header::TABLE_ENTRIES, &self.entries.to_be_bytes());
        put(&mut bytes, header::BLOCK_BYTES, &self.block_bytes.to_be_bytes());
        let sum = checksum(&bytes, header::CHECKSUM);
        put(&mut bytes, header::CHECKSUM, &sum.to_be_bytes());
        bytes
    }
    /// Whether a range touches the footer's copy, the header or the table.
    pub fn is_in(&self, start: u64, end: u64) -> bool {
        let header_end = self.header_offset + spec::HEADER_BYTES as u64;
        let table_end = self.table_offset + u64::from(self.entries) * 4;
        let taken = [
            (0, spec::FOOTER_BYTES as u64),
            (self.header_offset, header_end),
            (self.table_offset, table_end),
        ];
        taken.iter().any(|(from, to)| start < *to && *from < end)
    }
    /// Bytes of the bitmap in front of every block: a bit for every sector, up to a whole sector.
    pub fn bitmap_bytes(&self) -> u64 {
        (u64::from(self.block_bytes) / SECTOR_BYTES / 8).next_multiple_of(SECTOR_BYTES)
    }
}
