//! The extents of a VMDK disk, in its order.
use platform::disk::SECTOR_BYTES;
use platform::{DiskError, Span};

use super::descriptor::{Descriptor, ExtentLine, ExtentType};
use super::grains::Grains;
use super::header::{Header, malformed};
use super::stream::Stream;
use crate::ImageError;
use crate::blocks::{self, BlockStore};
use crate::file::HostFile;
use crate::image::{Extent, ExtentKind};

/// A run of the disk's bytes, kept in one way.
pub struct Part {
    /// Where on the disk it begins.
    pub start: u64,
    /// Its bytes.
    pub length: u64,
    /// How they are kept.
    pub store: Store,
}

/// How an extent keeps its bytes.
pub enum Store {
    /// Not at all: zeros.
    Zero,
    /// In a file, from an offset on.
    Flat(HostFile, u64),
    /// In grains.
    Sparse(Grains),
    /// In compressed grains.
    Stream(Stream),
}

/// The extents that are in files of their own, beside the descriptor's.
pub fn open_all(descriptor_file: &HostFile, descriptor: &Descriptor) -> Result<Vec<Part>, ImageError> {
    let too_long = || malformed(descriptor_file, "its extents are too long".to_owned());
    let mut parts = Vec::new();
    let mut start = 0_u64;
    for line in &descriptor.extents {
        let length = line.sectors.checked_mul(SECTOR_BYTES).ok_or_else(too_long)?;
        let end = start.checked_add(length).filter(|end| *end <= i64::MAX as u64).ok_or_else(too_long)?;
        let store = open_one(descriptor_file, line, length)?;
        parts.push(Part { start, length, store });
        start = end;
    }
    // The files of an extent without length were opened for nothing, and nothing is ever looked for in it.
    parts.retain(|part| part.length > 0);
    Ok(parts)
}

fn open_one(descriptor_file: &HostFile, line: &ExtentLine, length: u64) -> Result<Store, ImageError> {
    if line.kind == ExtentType::Zero {
        return Ok(Store::Zero);
    }
    let path = descriptor_file.path().with_file_name(&line.name);
    let file = HostFile::open(&path, descriptor_file.is_read_only() || !line.is_writable)?;
    if line.kind == ExtentType::Sparse {
        let header = Header::read(&file)?;
        return sparse(file, header, length);
    }
    let offset = line.offset.checked_mul(SECTOR_BYTES);
    match offset.and_then(|offset| offset.checked_add(length)) {
        Some(end) if end <= file.length()? => Ok(Store::Flat(file, end - length)),
        _ => Err(malformed(&file, "it is shorter than its descriptor says".to_owned())),
    }
}

/// An extent in grains whose header was read.
pub fn sparse(file: HostFile, header: Header, length: u64) -> Result<Store, ImageError> {
    if header.capacity < length {
        return Err(malformed(&file, "it is shorter than its descriptor says".to_owned()));
    }
    let is_compressed = header.is_compressed();
    let grains = Grains::read(file, header, length)?;
    Ok(if is_compressed { Store::Stream(Stream::new(grains)) } else { Store::Sparse(grains) })
}

impl Store {
    /// The file that it is in, unless it is the descriptor's own.
    pub fn file(&self) -> Option<&HostFile> {
        match self {
            Self::Zero => None,
            Self::Flat(file, _) => Some(file),
            Self::Sparse(grains) => Some(grains.file()),
            Self::Stream(stream) => Some(stream.grains.file()),
        }
    }
    /// Whether it may be written.
    pub fn is_writable(&self) -> bool {
        match self {
            Self::Zero | Self::Stream(_) => false,
            Self::Flat(file, _) => !file.is_read_only(),
            Self::Sparse(grains) => !grains.file().is_read_only(),
        }
    }
}

/// Offsets are within the extent, and ranges are all in it.
impl Store {
    /// Fills a span.
    pub fn read(&self, offset: u64, into: Span<'_>) -> Result<(), DiskError> {
        match self {
            Self::Zero => {
                into.fill(0);
                Ok(())
            }
            Self::Flat(file, start) => file.read_span(start + offset, into),
            Self::Sparse(grains) => blocks::read(grains, offset, into),
            Self::Stream(stream) => stream.read(offset, into),
        }
    }
    /// Writes a span.
    pub fn write(&self, offset: u64, from: Span<'_>) -> Result<(), DiskError> {
        match self {
            Self::Zero | Self::Stream(_) => Err(DiskError::ReadOnly),
            Self::Flat(file, start) => file.write_span(start + offset, from),
            Self::Sparse(grains) => blocks::write(grains, offset, from),
        }
    }
    /// Makes a range zeros.
    pub fn zero(&self, offset: u64, length: u64, free: bool) -> Result<(), DiskError> {
        match self {
            Self::Zero | Self::Stream(_) => Err(DiskError::ReadOnly),
            Self::Flat(file, start) if free => file.punch_hole(start + offset, length),
            Self::Flat(file, start) => file.write_zeroes(start + offset, length),
            Self::Sparse(grains) => blocks::zero(grains, offset, length, free),
        }
    }
    /// What is at an offset; `rest` bytes are left in the extent from there on.
    pub fn extent(&self, offset: u64, rest: u64) -> Result<Extent, DiskError> {
        match self {
            Self::Zero => Ok(Extent { length: rest, kind: ExtentKind::Zero }),
            Self::Flat(file, start) => {
                let found = file.extent(start + offset, start + offset + rest)?;
                let kind = if found.is_hole { ExtentKind::Zero } else { ExtentKind::Data };
                Ok(Extent { length: found.length, kind })
            }
            Self::Sparse(grains) => blocks::extent(grains, offset),
            Self::Stream(stream) => stream.extent(offset),
        }
    }
}
