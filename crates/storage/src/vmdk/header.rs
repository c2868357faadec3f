//! The header of a sparse extent.
use platform::disk::SECTOR_BYTES;

use super::spec::{self, header};
use crate::fields::{le16, le32, le64, put};
use crate::file::HostFile;
use crate::{Format, ImageError};

/// The longest grain that is believed, in sectors.
const GRAIN_SECTORS_MAX: u64 = 4096;
/// Entries of the longest grain directory that is read: 4 TiB in grains of 64 KiB.
const DIRECTORY_MAX: u64 = 128 << 10;
/// The longest disk of a new image. Places are sectors in 32 bits, for the tables too.
const LENGTH_MAX: u64 = 2040 << 30;
/// Where the descriptor of a new image is, and its sectors.
const DESCRIPTOR: (u64, u64) = (1, 20);

/// What the header of a sparse extent says. Places and lengths are bytes.
#[derive(Clone, Copy, Debug)]
pub struct Header {
    /// `flags`.
    pub flags: u32,
    /// Bytes of the extent.
    pub capacity: u64,
    /// Bytes of a grain.
    pub grain_bytes: u64,
    /// Where the embedded descriptor is.
    pub descriptor_offset: u64,
    /// Its length; 0 if there is none.
    pub descriptor_bytes: u64,
    /// Entries of a grain table.
    pub table_entries: u32,
    /// Where the grain directory is.
    pub directory_offset: u64,
    /// Where the redundant grain directory is, if it is kept.
    pub redundant_offset: Option<u64>,
    /// What comes before the first grain.
    pub overhead: u64,
}

pub fn malformed(file: &HostFile, problem: String) -> ImageError {
    ImageError::Malformed { path: file.path().to_owned(), format: Format::Vmdk, problem }
}

impl Header {
    /// The header of an extent's file; that at its end if the one at its beginning says so.
    pub fn read(file: &HostFile) -> Result<Self, ImageError> {
        let first = Self::at(file, 0)?;
        let found = if first.directory_offset == spec::DIRECTORY_AT_END {
            let footer = Self::at(file, file.length()?.saturating_sub(spec::FOOTER_FROM_END))?;
            let (descriptor_offset, descriptor_bytes) = (first.descriptor_offset, first.descriptor_bytes);
            Self { descriptor_offset, descriptor_bytes, ..footer }
        } else {
            first
        };
        found.check(file)?;
        Ok(found)
    }
    fn at(file: &HostFile, offset: u64) -> Result<Self, ImageError> {
        let mut bytes = [0; spec::HEADER_BYTES];
        file.read(offset, &mut bytes)?;
        let unsupported =
            |feature: String| Err(ImageError::Unsupported { path: file.path().to_owned(), feature });
        match le32(&bytes, header::MAGIC) {
            spec::MAGIC => {}
            spec::MAGIC_COWD => return unsupported("VMDK extents of the kind COWD".to_owned()),
            _ => return Err(malformed(file, format!("there is no header at {offset}"))),
        }
        let flags = le32(&bytes, header::FLAGS);
        match le32(&bytes, header::VERSION) {
            1..=3 => {}
            other => return unsupported(format!("version {other} of VMDK")),
        }
        if flags & spec::FLAG_COMPRESSED != 0 {
            let compression = le16(&bytes, header::COMPRESSION);
            if compression != spec::COMPRESSION_DEFLATE || flags & spec::FLAG_MARKERS == 0 {
                return unsupported(format!("compression {compression} of VMDK"));
            }
        }
        if flags & spec::FLAG_LINE_ENDS != 0 && !bytes[header::LINE_ENDS..].starts_with(&spec::LINE_ENDS) {
            return Err(malformed(file, "it was moved as if it were text".to_owned()));
        }
        Self::of(&bytes)
            .ok_or_else(|| malformed(file, "its header has numbers that are too large".to_owned()))
    }
    fn of(bytes: &[u8; spec::HEADER_BYTES]) -> Option<Self> {
        let in_bytes = |at: usize| le64(bytes, at).checked_mul(SECTOR_BYTES);
        let flags = le32(bytes, header::FLAGS);
        let directory_offset = match le64(bytes, header::DIRECTORY_OFFSET) {
            spec::DIRECTORY_AT_END => spec::DIRECTORY_AT_END,
            sectors => sectors.checked_mul(SECTOR_BYTES)?,
        };
        let redundant = flags & spec::FLAG_REDUNDANT != 0 && le64(bytes, header::REDUNDANT_OFFSET) != 0;
        // In front of a footer there is no place for it yet.
        let redundant = redundant && directory_offset != spec::DIRECTORY_AT_END;
        Some(Self {
            flags,
            capacity: in_bytes(header::CAPACITY)?,
            grain_bytes: in_bytes(header::GRAIN_SIZE)?,
            descriptor_offset: in_bytes(header::DESCRIPTOR_OFFSET)?,
            descriptor_bytes: in_bytes(header::DESCRIPTOR_SIZE)?,
            table_entries: le32(bytes, header::TABLE_ENTRIES),
            directory_offset,
            redundant_offset: if redundant { Some(in_bytes(header::REDUNDANT_OFFSET)?) } else { None },
            overhead: in_bytes(header::OVERHEAD)?,
        })
    }
    fn check(&self, file: &HostFile) -> Result<(), ImageError> {
        let wrong = |problem: &str| Err(malformed(file, problem.to_owned()));
        let grain_sectors = self.grain_bytes / SECTOR_BYTES;
        if !grain_sectors.is_power_of_two() || grain_sectors > GRAIN_SECTORS_MAX {
            return wrong("the length of its grains is wrong");
        }
        if !(1..=spec::DEFAULT_TABLE_ENTRIES).contains(&self.table_entries) {
            return wrong("the length of its grain tables is wrong");
        }
        if self.directory_entries() > DIRECTORY_MAX {
            return wrong("its grain directory is too long");
        }
        let file_length = file.length()?;
        let directory_bytes = self.directory_entries() * 4;
        for offset in [Some(self.directory_offset), self.redundant_offset].into_iter().flatten() {
            let end = offset.checked_add(directory_bytes);
            if offset < SECTOR_BYTES || end.is_none_or(|end| end > file_length) {
                return wrong("its grain directory is beyond the end");
            }
        }
        Ok(())
    }
    /// The header of a new image of its own kind, with all grain tables in place.
    pub fn new(length: u64) -> Result<Self, ImageError> {
        if length > LENGTH_MAX {
            let reason = "the longest are 2040 GiB";
            return Err(ImageError::Length { format: Format::Vmdk, length, reason });
        }
        let mut new = Self {
            flags: spec::FLAG_LINE_ENDS | spec::FLAG_REDUNDANT,
            capacity: length,
            grain_bytes: spec::DEFAULT_GRAIN_SECTORS * SECTOR_BYTES,
            descriptor_offset: DESCRIPTOR.0 * SECTOR_BYTES,
            descriptor_bytes: DESCRIPTOR.1 * SECTOR_BYTES,
            table_entries: spec::DEFAULT_TABLE_ENTRIES,
            directory_offset: 0,
            redundant_offset: None,
            overhead: 0,
        };
        let redundant = new.descriptor_offset + new.descriptor_bytes;
        let both = new.directory_bytes() + new.directory_entries() * new.table_bytes();
        new.redundant_offset = Some(redundant);
        new.directory_offset = redundant + both;
        new.overhead = (redundant + 2 * both).next_multiple_of(new.grain_bytes);
        Ok(new)
    }
    /// The header of a new stream-optimized image, before its directory has a place.
    pub fn new_stream(length: u64) -> Result<Self, ImageError> {
        let new = Self::new(length)?;
        let first_grain = new.descriptor_offset + new.descriptor_bytes;
        Ok(Self {
            flags: spec::FLAG_LINE_ENDS | spec::FLAG_COMPRESSED | spec::FLAG_MARKERS,
            directory_offset: spec::DIRECTORY_AT_END,
            redundant_offset: None,
            overhead: first_grain.next_multiple_of(new.grain_bytes),
            ..new
        })
    }
    /// Its bytes.
    pub fn bytes(&self) -> [u8; spec::HEADER_BYTES] {
        let mut bytes = [0; spec::HEADER_BYTES];
        put(&mut bytes, header::MAGIC, &spec::MAGIC.to_le_bytes());
        let (version, compression) =
            if self.is_compressed() { (3_u32, spec::COMPRESSION_DEFLATE) } else { (1, 0) };
        put(&mut bytes, header::VERSION, &version.to_le_bytes());
        put(&mut bytes, header::COMPRESSION, &compression.to_le_bytes());
        put(&mut bytes, header::FLAGS, &self.flags.to_le_bytes());
        put(&mut bytes, header::TABLE_ENTRIES, &self.table_entries.to_le_bytes());
        put(&mut bytes, header::LINE_ENDS, &spec::LINE_ENDS);
        let in_sectors = [
            (header::CAPACITY, self.capacity),
            (header::GRAIN_SIZE, self.grain_bytes),
            (header::DESCRIPTOR_OFFSET, self.descriptor_offset),
            (header::DESCRIPTOR_SIZE, self.descriptor_bytes),
            (header::REDUNDANT_OFFSET, self.redundant_offset.unwrap_or(0)),
            (header::OVERHEAD, self.overhead),
        ];
        for (at, value) in in_sectors {
            put(&mut bytes, at, &(value / SECTOR_BYTES).to_le_bytes());
        }
        let directory = match self.directory_offset {
            spec::DIRECTORY_AT_END => spec::DIRECTORY_AT_END,
            offset => offset / SECTOR_BYTES,
        };
        put(&mut bytes, header::DIRECTORY_OFFSET, &directory.to_le_bytes());
        bytes
    }

    /// Entries of the grain directory.
    pub fn directory_entries(&self) -> u64 {
        self.capacity.div_ceil(self.grain_bytes).div_ceil(self.table_entries.into())
    }
    /// Bytes of the grain directory, up to a whole sector.
    pub fn directory_bytes(&self) -> u64 {
        (self.directory_entries() * 4).next_multiple_of(SECTOR_BYTES)
    }
    /// Bytes of a grain table, up to a whole sector.
    pub fn table_bytes(&self) -> u64 {
        (u64::from(self.table_entries) * 4).next_multiple_of(SECTOR_BYTES)
    }
    /// Whether its grains are compressed.
    pub fn is_compressed(&self) -> bool {
        self.flags & spec::FLAG_COMPRESSED != 0
    }
}
