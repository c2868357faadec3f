//! A VDI image as a disk.
use std::sync::atomic::Ordering;

use parking_lot::RwLock;
use platform::{DiskBackend, DiskError, DiskShape, Span};

use super::header::Header;
use super::table::Table;
use super::{check, resize};
use crate::blocks;
use crate::file::HostFile;
use crate::image::{CheckReport, Extent, Image, ImageInfo, Repair};
use crate::{Format, ImageError};

/// Bytes that host file systems write best together, and free.
const PHYSICAL_BLOCK: u32 = 4096;

/// A VDI image.
pub struct VdiImage {
    /// Written only while the disk gets another length, or is checked.
    table: RwLock<Table>,
}

impl VdiImage {
    /// The image in a file.
    pub fn open(file: HostFile) -> Result<Self, ImageError> {
        let header = Header::read(&file)?;
        Ok(Self { table: RwLock::new(Table::read(file, header)?) })
    }
    /// A new image in an empty file, with no block.
    pub fn create(file: HostFile, length: u64) -> Result<Self, ImageError> {
        let mut header = Header::new(length)?;
        file.set_length(header.data_offset)?;
        file.write(header.table_offset, &vec![0xff; header.blocks as usize * 4])?;
        header.write(&file)?;
        Self::open(file)
    }
}

impl DiskBackend for VdiImage {
    fn shape(&self) -> DiskShape {
        let table = self.table.read();
        DiskShape {
            length: table.header.length,
            read_only: table.file.is_read_only(),
            physical_block: PHYSICAL_BLOCK,
            discard_unit: Some(PHYSICAL_BLOCK),
        }
    }
    fn read(&self, offset: u64, into: Span<'_>) -> Result<(), DiskError> {
        let table = self.table.read();
        blocks::check(&*table, offset, into.len() as u64)?;
        blocks::read(&*table, offset, into)
    }
    fn write(&self, offset: u64, from: Span<'_>) -> Result<(), DiskError> {
        let table = self.table.read();
        blocks::check_write(&*table, offset, from.len() as u64)?;
        blocks::write(&*table, offset, from)
    }
    fn write_zeroes(&self, offset: u64, length: u64, free: bool) -> Result<(), DiskError> {
        let table = self.table.read();
        blocks::check_write(&*table, offset, length)?;
        blocks::zero(&*table, offset, length, free)
    }
    fn discard(&self, offset: u64, length: u64) -> Result<(), DiskError> {
        self.write_zeroes(offset, length, true)
    }
    fn flush(&self) -> Result<(), DiskError> {
        let table = self.table.read();
        if table.file.is_read_only() { Ok(()) } else { table.file.sync() }
    }
}

impl Image for VdiImage {
    fn info(&self) -> Result<ImageInfo, ImageError> {
        let table = self.table.read();
        let places = table.entries.iter().filter(|e| super::table::is_place(e.load(Ordering::Relaxed)));
        Ok(ImageInfo {
            format: Format::Vdi,
            variant: Some(if table.header.is_static { "static" } else { "dynamic" }.to_owned()),
            length: table.header.length,
            file_length: table.file.length()?,
            allocated: table.file.allocated()?,
            cluster: Some(table.header.block_bytes),
            backing: None,
            snapshots: Vec::new(),
            details: vec![("blocks in the file".to_owned(), places.count().to_string())],
        })
    }
    fn extent(&self, offset: u64) -> Result<Extent, ImageError> {
        Ok(blocks::extent(&*self.table.read(), offset)?)
    }
    fn resize(&self, length: u64) -> Result<(), ImageError> {
        resize::resize(&mut self.table.write(), length)
    }
    fn check(&self, repair: Repair) -> Result<CheckReport, ImageError> {
        check::check(&mut self.table.write(), repair)
    }
}
