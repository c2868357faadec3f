//! The region table of a VHDX image: where the block table and the metadata are.
use super::checksum;
use super::header::{malformed, unsupported};
use super::patched::Patched;
use super::spec::{self, Guid, regions};
use crate::ImageError;
use crate::fields::{array, le32, le64};

/// A range of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region {
    /// First byte.
    pub offset: u64,
    /// Bytes.
    pub length: u32,
}

/// The regions that are needed.
#[derive(Clone, Copy, Debug)]
pub struct Regions {
    /// The Block Allocation Table.
    pub table: Region,
    /// The metadata.
    pub metadata: Region,
}

impl Regions {
    /// Reads the first of the two tables that is sound.
    pub fn read(patched: &Patched) -> Result<Self, ImageError> {
        for offset in spec::REGION_TABLES {
            let bytes = patched.read(offset, spec::REGION_TABLE_BYTES)?;
            if checksum::is_sound(&bytes, regions::SIGNATURE) {
                return Self::of(patched, &bytes);
            }
        }
        Err(malformed(patched.file(), "it has no region table whose checksum is right"))
    }
    fn of(patched: &Patched, bytes: &[u8]) -> Result<Self, ImageError> {
        let count = le32(bytes, regions::COUNT);
        if count >= regions::COUNT_END {
            return Err(malformed(patched.file(), "its region table is too long"));
        }
        let (mut table, mut metadata) = (None, None);
        let entries = bytes[regions::ENTRIES..].chunks_exact(regions::ENTRY_BYTES);
        for entry in entries.take(count as usize) {
            let [offset, length, flags] = regions::ENTRY_FIELDS;
            let region = Region { offset: le64(entry, offset), length: le32(entry, length) };
            let guid: Guid = array(entry, 0);
            let kept = match guid {
                regions::BAT => &mut table,
                regions::METADATA => &mut metadata,
                _ if le32(entry, flags) & 1 != 0 => {
                    return Err(unsupported(patched.file(), format!("the VHDX region {guid:02x?}")));
                }
                _ => continue,
            };
            let end = region.offset.checked_add(region.length.into());
            if region.offset < spec::ALIGNMENT || end.is_none_or(|end| end > patched.length()) {
                return Err(malformed(patched.file(), "a region is in the wrong place"));
            }
            if kept.replace(region).is_some() {
                return Err(malformed(patched.file(), "a region is there twice"));
            }
        }
        match (table, metadata) {
            (Some(table), Some(metadata)) => Ok(Self { table, metadata }),
            _ => Err(malformed(patched.file(), "a region is missing")),
        }
    }
}
