//! A VHD image as a disk.
use platform::{DiskBackend, DiskError, DiskShape, Span};

use super::check;
use super::footer::Footer;
use super::header::Header;
use super::spec;
use super::table::Table;
use crate::blocks::{self, BlockStore};
use crate::file::HostFile;
use crate::image::{CheckReport, Extent, ExtentKind, Image, ImageInfo, Repair};
use crate::{Format, ImageError};

/// Bytes that host file systems write best together, and free.
const PHYSICAL_BLOCK: u32 = 4096;

/// A VHD image.
pub struct VhdImage {
    kind: Kind,
}

enum Kind {
    /// The disk's bytes from the file's beginning on.
    Fixed(HostFile, Footer),
    /// Blocks where the table says.
    Dynamic(Table),
}

impl VhdImage {
    /// The image in a file.
    pub fn open(file: HostFile) -> Result<Self, ImageError> {
        let footer = Footer::find(&file)?;
        if footer.kind == spec::TYPE_FIXED {
            return Ok(Self { kind: Kind::Fixed(file, footer) });
        }
        let header = Header::read(&file, &footer)?;
        Ok(Self { kind: Kind::Dynamic(Table::read(file, footer, header)?) })
    }
    /// A new dynamic image in an empty file, with no block.
    pub fn create(file: HostFile, length: u64) -> Result<Self, ImageError> {
        let header = Header::new(length)?;
        let footer = Footer::new(length, spec::FOOTER_BYTES as u64);
        let table_bytes = header.data_offset - header.table_offset;
        file.write(0, &footer.bytes)?;
        file.write(footer.data_offset, &header.bytes())?;
        file.write(header.table_offset, &vec![0xff; table_bytes as usize])?;
        file.write(header.data_offset, &footer.bytes)?;
        Self::open(file)
    }

    fn file(&self) -> &HostFile {
        match &self.kind {
            Kind::Fixed(file, _) => file,
            Kind::Dynamic(table) => table.file(),
        }
    }
    fn footer(&self) -> &Footer {
        match &self.kind {
            Kind::Fixed(_, footer) => footer,
            Kind::Dynamic(table) => &table.footer,
        }
    }
    fn check_write(&self, offset: u64, length: u64) -> Result<(), DiskError> {
        self.shape().check(offset, length)?;
        if self.file().is_read_only() { Err(DiskError::ReadOnly) } else { Ok(()) }
    }
}

impl DiskBackend for VhdImage {
    fn shape(&self) -> DiskShape {
        DiskShape {
            length: self.footer().length,
            read_only: self.file().is_read_only(),
            physical_block: PHYSICAL_BLOCK,
            discard_unit: Some(PHYSICAL_BLOCK),
        }
    }
    fn read(&self, offset: u64, into: Span<'_>) -> Result<(), DiskError> {
        self.shape().check(offset, into.len() as u64)?;
        match &self.kind {
            Kind::Fixed(file, _) => file.read_span(offset, into),
            Kind::Dynamic(table) => blocks::read(table, offset, into),
        }
    }
    fn write(&self, offset: u64, from: Span<'_>) -> Result<(), DiskError> {
        self.check_write(offset, from.len() as u64)?;
        match &self.kind {
            Kind::Fixed(file, _) => file.write_span(offset, from),
            Kind::Dynamic(table) => blocks::write(table, offset, from),
        }
    }
    fn write_zeroes(&self, offset: u64, length: u64, free: bool) -> Result<(), DiskError> {
        self.check_write(offset, length)?;
        match &self.kind {
            Kind::Fixed(file, _) if free => file.punch_hole(offset, length),
            Kind::Fixed(file, _) => file.write_zeroes(offset, length),
            Kind::Dynamic(table) => blocks::zero(table, offset, length, free),
        }
    }
    fn discard(&self, offset: u64, length: u64) -> Result<(), DiskError> {
        self.write_zeroes(offset, length, true)
    }
    fn flush(&self) -> Result<(), DiskError> {
        if self.file().is_read_only() { Ok(()) } else { self.file().sync() }
    }
}

impl Image for VhdImage {
    fn info(&self) -> Result<ImageInfo, ImageError> {
        let (variant, cluster) = match &self.kind {
            Kind::Fixed(..) => ("fixed", None),
            Kind::Dynamic(table) => ("dynamic", Some(table.header.block_bytes)),
        };
        let creator = String::from_utf8_lossy(self.footer().creator());
        let creator = creator.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        Ok(ImageInfo {
            format: Format::Vhd,
            variant: Some(variant.to_owned()),
            length: self.footer().length,
            file_length: self.file().length()?,
            allocated: self.file().allocated()?,
            cluster,
            backing: None,
            snapshots: Vec::new(),
            details: vec![("creator".to_owned(), creator)],
        })
    }
    fn extent(&self, offset: u64) -> Result<Extent, ImageError> {
        match &self.kind {
            Kind::Fixed(file, footer) => {
                let found = file.extent(offset, footer.length)?;
                let kind = if found.is_hole { ExtentKind::Zero } else { ExtentKind::Data };
                Ok(Extent { length: found.length, kind })
            }
            Kind::Dynamic(table) => Ok(blocks::extent(table, offset)?),
        }
    }
    fn resize(&self, _length: u64) -> Result<(), ImageError> {
        Err(ImageError::Cannot { format: Format::Vhd, what: "resized" })
    }
    fn check(&self, repair: Repair) -> Result<CheckReport, ImageError> {
        match &self.kind {
            // One that was opened has nothing that could contradict anything.
            Kind::Fixed(..) => Ok(CheckReport::default()),
            Kind::Dynamic(table) => check::check(table, repair),
        }
    }
}
