//! The metadata of a VHDX image: the disk's length, and that of its blocks and sectors.
use super::header::{malformed, unsupported};
use super::patched::Patched;
use super::regions::Region;
use super::spec::{Guid, metadata};
use crate::ImageError;
use crate::fields::{array, le16, le32, le64};

/// The longest disk, by the specification.
const LENGTH_MAX: u64 = 64 << 40;

/// What the metadata say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metadata {
    /// Bytes of the disk.
    pub length: u64,
    /// Bytes of a block.
    pub block_bytes: u32,
    /// Blocks keep their room even if they are discarded.
    pub is_fixed: bool,
    /// It has only what differs from another image.
    has_parent: bool,
    /// Bytes of a sector, as the guest sees it.
    pub logical_sector: u32,
    /// Bytes that are written together.
    pub physical_sector: u32,
}

impl Metadata {
    /// Reads them from their region.
    pub fn read(patched: &Patched, region: Region) -> Result<Self, ImageError> {
        let wrong = |problem: &str| malformed(patched.file(), problem);
        if (region.length as usize) < metadata::TABLE_BYTES {
            return Err(wrong("its metadata region is too short"));
        }
        let table = patched.read(region.offset, metadata::TABLE_BYTES)?;
        let count = le16(&table, metadata::COUNT);
        if !table.starts_with(metadata::SIGNATURE) || count >= metadata::COUNT_END {
            return Err(wrong("its metadata table is not sound"));
        }
        let entries = table[metadata::ENTRIES..].chunks_exact(metadata::ENTRY_BYTES);
        let mut items = Items::default();
        for entry in entries.take(count.into()) {
            items.take(patched, region, entry)?;
        }
        let found = items.understand().ok_or_else(|| wrong("an item of its metadata is missing"))?;
        if found.has_parent {
            return Err(unsupported(patched.file(), "a parent image".to_owned()));
        }
        if found.makes_sense() { Ok(found) } else { Err(wrong("its metadata make no sense")) }
    }
    fn makes_sense(&self) -> bool {
        let sectors = [self.logical_sector, self.physical_sector];
        sectors.iter().all(|bytes| [512, 4096].contains(bytes))
            && self.block_bytes.is_power_of_two()
            && ((1 << 20)..=(256 << 20)).contains(&self.block_bytes)
            && self.length.is_multiple_of(self.logical_sector.into())
            && self.length <= LENGTH_MAX
    }
}

/// The items that are known, each by its first 8 bytes.
#[derive(Default)]
struct Items {
    parameters: Option<[u8; 8]>,
    disk_size: Option<[u8; 8]>,
    logical_sector: Option<[u8; 8]>,
    physical_sector: Option<[u8; 8]>,
}

impl Items {
    /// Reads the item of an entry of the table.
    fn take(&mut self, patched: &Patched, region: Region, entry: &[u8]) -> Result<(), ImageError> {
        let guid: Guid = array(entry, 0);
        let is_required = le32(entry, metadata::ENTRY_FIELDS[2]) & metadata::REQUIRED != 0;
        let kept = match guid {
            metadata::FILE_PARAMETERS => &mut self.parameters,
            metadata::DISK_SIZE => &mut self.disk_size,
            metadata::LOGICAL_SECTOR => &mut self.logical_sector,
            metadata::PHYSICAL_SECTOR => &mut self.physical_sector,
            metadata::DISK_ID => return Ok(()),
            metadata::PARENT_LOCATOR => {
                return Err(unsupported(patched.file(), "a parent image".to_owned()));
            }
            _ if is_required => {
                return Err(unsupported(patched.file(), format!("the VHDX metadata {guid:02x?}")));
            }
            _ => return Ok(()),
        };
        *kept = Some(read_item(patched, region, entry)?);
        Ok(())
    }
    /// What they mean; `None` if one is missing.
    fn understand(&self) -> Option<Metadata> {
        let (parameters, flags) = (self.parameters?, le32(&self.parameters?, 4));
        Some(Metadata {
            length: le64(&self.disk_size?, 0),
            block_bytes: le32(&parameters, 0),
            is_fixed: flags & metadata::LEAVE_BLOCKS_ALLOCATED != 0,
            has_parent: flags & metadata::HAS_PARENT != 0,
            logical_sector: le32(&self.logical_sector?, 0),
            physical_sector: le32(&self.physical_sector?, 0),
        })
    }
}

/// The first 8 bytes of an item; it may be shorter.
fn read_item(patched: &Patched, region: Region, entry: &[u8]) -> Result<[u8; 8], ImageError> {
    let [offset, length, _] = metadata::ENTRY_FIELDS.map(|field| le32(entry, field));
    let end = u64::from(offset) + u64::from(length);
    if (offset as usize) < metadata::TABLE_BYTES || length < 4 || end > region.length.into() {
        return Err(malformed(patched.file(), "an item of its metadata is in the wrong place"));
    }
    let mut bytes = patched.read(region.offset + u64::from(offset), length.min(8) as usize)?;
    bytes.resize(8, 0);
    Ok(array(&bytes, 0))
}
