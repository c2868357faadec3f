//! The header of a VDI image: read, checked, made, written.
use std::ops::RangeInclusive;

use platform::disk::SECTOR_BYTES;

use super::spec::{self, header, preheader};
use crate::fields::{le32, le64, put};
use crate::file::HostFile;
use crate::{Format, ImageError};

/// Lengths of blocks that are believed.
const BLOCK_BYTES: RangeInclusive<u32> = (4 << 10)..=(64 << 20);
/// Entries of the longest block table that is read: 64 MiB of it, for 16 TiB in blocks of 1 MiB.
const BLOCKS_MAX: u32 = 16 << 20;
/// Data of new images begins at a multiple of this; what is left in front of it is room for the table to grow.
const DATA_ALIGN: u64 = 1 << 20;
/// Text at the beginning of new images.
const FILE_INFO: &[u8] = b"<<< gasang VirtualBox Disk Image >>>\n";

/// What a header says.
#[derive(Clone, Debug)]
pub struct Header {
    /// All of it, as it was last in the file: what is not changed stays.
    bytes: [u8; spec::HEADER_BYTES],
    /// All blocks have had room from the beginning.
    pub is_static: bool,
    /// Where the block table is.
    pub table_offset: u64,
    /// Where the first block is.
    pub data_offset: u64,
    /// Bytes of the disk.
    pub length: u64,
    /// Bytes of a block.
    pub block_bytes: u32,
    /// Entries of the block table.
    pub blocks: u32,
    /// Blocks in the file, as the header counts them.
    pub allocated: u32,
}

/// Entries that a disk's table has.
fn blocks_for(length: u64, block_bytes: u32) -> Option<u32> {
    let blocks = u32::try_from(length.div_ceil(block_bytes.into())).ok()?;
    (blocks <= BLOCKS_MAX).then_some(blocks)
}

/// The length of a disk's table, or why it cannot be.
pub fn blocks_of(length: u64, block_bytes: u32) -> Result<u32, ImageError> {
    let reason = "that is more than 16 Mi blocks";
    blocks_for(length, block_bytes).ok_or(ImageError::Length { format: Format::Vdi, length, reason })
}

impl Header {
    /// The header in a file.
    pub fn read(file: &HostFile) -> Result<Self, ImageError> {
        let mut bytes = [0; spec::HEADER_BYTES];
        file.read(0, &mut bytes)?;
        let unsupported = |feature: &str| ImageError::Unsupported {
            path: file.path().to_owned(),
            feature: feature.to_owned(),
        };
        if le32(&bytes, preheader::SIGNATURE) != spec::SIGNATURE {
            return Err(malformed(file, "its signature is wrong"));
        }
        let version = le32(&bytes, preheader::VERSION);
        if version != spec::VERSION_1_1 {
            return Err(unsupported(&format!("version {}.{} of VDI", version >> 16, version & 0xffff)));
        }
        let kind = le32(&bytes, header::TYPE);
        let has_parent = [header::UUID_LINKAGE, header::UUID_PARENT_MODIFY];
        if has_parent.iter().any(|at| bytes[*at..*at + 16] != [0; 16]) {
            return Err(unsupported("a parent image"));
        }
        if kind != spec::TYPE_NORMAL && kind != spec::TYPE_FIXED {
            return Err(unsupported(&format!("VDI type {kind}")));
        }
        if le32(&bytes, header::BLOCK_EXTRA) != 0 {
            return Err(unsupported("extra data in VDI blocks"));
        }
        let length = le64(&bytes, header::DISK_BYTES);
        let found = Self {
            is_static: kind == spec::TYPE_FIXED,
            table_offset: le32(&bytes, header::BLOCKS_OFFSET).into(),
            data_offset: le32(&bytes, header::DATA_OFFSET).into(),
            length: length.checked_next_multiple_of(SECTOR_BYTES).unwrap_or(length),
            block_bytes: le32(&bytes, header::BLOCK_BYTES),
            blocks: le32(&bytes, header::BLOCKS),
            allocated: le32(&bytes, header::BLOCKS_ALLOCATED),
            bytes,
        };
        found.check(file)?;
        Ok(found)
    }
    fn check(&self, file: &HostFile) -> Result<(), ImageError> {
        let wrong = |problem: &str| Err(malformed(file, problem));
        if !self.block_bytes.is_power_of_two() || !BLOCK_BYTES.contains(&self.block_bytes) {
            return wrong("the length of its blocks is wrong");
        }
        match blocks_for(self.length, self.block_bytes) {
            Some(least) if least <= self.blocks && self.blocks <= BLOCKS_MAX => {}
            _ => return wrong("the length of its block table does not fit the disk"),
        }
        let sectors =
            self.table_offset.is_multiple_of(SECTOR_BYTES) && self.data_offset.is_multiple_of(SECTOR_BYTES);
        if !sectors || self.table_offset < spec::HEADER_BYTES as u64 || self.table_end() > self.data_offset {
            return wrong("its block table is in the wrong place");
        }
        if self.table_end() > file.length()? {
            return wrong("its block table is cut off");
        }
        Ok(())
    }
    /// The header of a new image.
    pub fn new(length: u64) -> Result<Self, ImageError> {
        let block_bytes = spec::DEFAULT_BLOCK_BYTES;
        let blocks = blocks_of(length, block_bytes)?;
        let table_offset = spec::HEADER_BYTES as u64;
        let data_offset = (table_offset + u64::from(blocks) * 4).next_multiple_of(DATA_ALIGN);
        let mut bytes = [0; spec::HEADER_BYTES];
        put(&mut bytes, preheader::FILE_INFO, FILE_INFO);
        put(&mut bytes, preheader::SIGNATURE, &spec::SIGNATURE.to_le_bytes());
        put(&mut bytes, preheader::VERSION, &spec::VERSION_1_1.to_le_bytes());
        put(&mut bytes, header::BYTES, &spec::HEADER_LENGTH.to_le_bytes());
        put(&mut bytes, header::TYPE, &spec::TYPE_NORMAL.to_le_bytes());
        put(&mut bytes, header::SECTOR_BYTES, &(SECTOR_BYTES as u32).to_le_bytes());
        put(&mut bytes, header::BLOCK_BYTES, &block_bytes.to_le_bytes());
        put(&mut bytes, header::UUID_CREATE, &rand::random::<[u8; 16]>());
        put(&mut bytes, header::UUID_MODIFY, &rand::random::<[u8; 16]>());
        let is_static = false;
        let mut new =
            Self { bytes, is_static, table_offset, data_offset, length, block_bytes, blocks, allocated: 0 };
        new.set_length(length);
        Ok(new)
    }

    /// The end of the block table.
    pub fn table_end(&self) -> u64 {
        self.table_offset + u64::from(self.blocks) * 4
    }
    /// Where the block with a number in the file begins.
    pub fn place_of(&self, index: u32) -> u64 {
        self.data_offset + u64::from(index) * u64::from(self.block_bytes)
    }
    /// Changes the disk's length, but not the table's.
    pub fn set_length(&mut self, length: u64) {
        self.length = length;
        put(&mut self.bytes, header::DISK_BYTES, &length.to_le_bytes());
    }
    /// Writes all of it at once.
    pub fn write(&mut self, file: &HostFile) -> Result<(), ImageError> {
        let places = [(header::BLOCKS_OFFSET, self.table_offset), (header::DATA_OFFSET, self.data_offset)];
        for (at, place) in places {
            let place = u32::try_from(place).map_err(|_| malformed(file, "its table is beyond 4 GiB"))?;
            put(&mut self.bytes, at, &place.to_le_bytes());
        }
        put(&mut self.bytes, header::BLOCKS, &self.blocks.to_le_bytes());
        put(&mut self.bytes, header::BLOCKS_ALLOCATED, &self.allocated.to_le_bytes());
        Ok(file.write(0, &self.bytes)?)
    }
}

fn malformed(file: &HostFile, problem: &str) -> ImageError {
    ImageError::Malformed { path: file.path().to_owned(), format: Format::Vdi, problem: problem.to_owned() }
}
