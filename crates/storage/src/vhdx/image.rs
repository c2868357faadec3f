//! A VHDX image as a disk.
use platform::{DiskBackend, DiskError, DiskShape, Span};

use super::header::Header;
use super::log;
use super::metadata::Metadata;
use super::patched::Patched;
use super::regions::Regions;
use super::table::Table;
use crate::blocks::{self, BlockStore};
use crate::file::HostFile;
use crate::image::{CheckReport, Extent, ExtentKind, Image, ImageInfo, Repair};
use crate::{Format, ImageError};

/// A VHDX image. It is read-only, however its file was opened.
pub struct VhdxImage {
    table: Table,
}

impl VhdxImage {
    /// The image in a file.
    pub fn open(file: HostFile) -> Result<Self, ImageError> {
        let header = Header::read(&file)?;
        let mut patched = Patched::new(file)?;
        log::replay(&mut patched, &header)?;
        let regions = Regions::read(&patched)?;
        let metadata = Metadata::read(&patched, regions.metadata)?;
        Ok(Self { table: Table::read(patched, metadata, regions.table)? })
    }
}

impl DiskBackend for VhdxImage {
    fn shape(&self) -> DiskShape {
        DiskShape {
            length: self.table.metadata.length,
            read_only: true,
            physical_block: self.table.metadata.physical_sector,
            discard_unit: None,
        }
    }
    fn read(&self, offset: u64, into: Span<'_>) -> Result<(), DiskError> {
        self.shape().check(offset, into.len() as u64)?;
        blocks::read(&self.table, offset, into)
    }
    fn write(&self, _offset: u64, _from: Span<'_>) -> Result<(), DiskError> {
        Err(DiskError::ReadOnly)
    }
    fn write_zeroes(&self, _offset: u64, _length: u64, _free: bool) -> Result<(), DiskError> {
        Err(DiskError::ReadOnly)
    }
    fn discard(&self, _offset: u64, _length: u64) -> Result<(), DiskError> {
        Err(DiskError::ReadOnly)
    }
    fn flush(&self) -> Result<(), DiskError> {
        Ok(())
    }
}

impl Image for VhdxImage {
    fn info(&self) -> Result<ImageInfo, ImageError> {
        let (file, metadata) = (self.table.file(), &self.table.metadata);
        let log = if self.table.patched.is_as_is() { "empty" } else { "applied in memory" };
        Ok(ImageInfo {
            format: Format::Vhdx,
            variant: Some(if metadata.is_fixed { "fixed" } else { "dynamic" }.to_owned()),
            length: metadata.length,
            file_length: file.length()?,
            allocated: file.allocated()?,
            cluster: Some(metadata.block_bytes),
            backing: None,
            snapshots: Vec::new(),
            details: vec![
                ("log".to_owned(), log.to_owned()),
                ("bytes of a logical sector".to_owned(), metadata.logical_sector.to_string()),
            ],
        })
    }
    fn extent(&self, offset: u64) -> Result<Extent, ImageError> {
        let found = blocks::extent(&self.table, offset)?;
        // What is a hole in the file may be in the log.
        let in_file =
            offset < self.table.length() && self.table.find(offset / self.table.block_bytes())?.is_some();
        let kind = if in_file && !self.table.patched.is_as_is() { ExtentKind::Data } else { found.kind };
        Ok(Extent { kind, ..found })
    }
    fn resize(&self, _length: u64) -> Result<(), ImageError> {
        Err(ImageError::Cannot { format: Format::Vhdx, what: "resized" })
    }
    fn check(&self, _repair: Repair) -> Result<CheckReport, ImageError> {
        let mut report = CheckReport::default();
        self.table.check(&mut report);
        Ok(report)
    }
}
