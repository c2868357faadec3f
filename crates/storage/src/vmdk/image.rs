//! A VMDK image as a disk.
use std::sync::atomic::{AtomicBool, Ordering};

use platform::{DiskBackend, DiskError, DiskShape, Span};

use super::descriptor::Descriptor;
use super::extents::{self, Part, Store};
use super::header::{Header, malformed};
use super::{check, create, spec};
use crate::file::HostFile;
use crate::image::{CheckReport, Extent, ExtentKind, Image, ImageInfo, Repair};
use crate::{Format, ImageError};

/// Bytes that host file systems write best together, and free.
const PHYSICAL_BLOCK: u32 = 4096;
/// The longest descriptor that is read.
const DESCRIPTOR_MAX: u64 = 1 << 20;

/// A VMDK image.
pub struct VmdkImage {
    /// The descriptor's file, if the descriptor is not in the only extent.
    descriptor_file: Option<HostFile>,
    kind: String,
    parts: Vec<Part>,
    length: u64,
    is_writable: bool,
    /// Where in the descriptor's file the ID of the content is.
    content_id_at: Option<u64>,
    /// It was changed, so whoever knows the old content can tell.
    has_new_id: AtomicBool,
}

impl VmdkImage {
    /// The image in a file, and in others beside it that it names.
    pub fn open(file: HostFile) -> Result<Self, ImageError> {
        let start = file.read_some(0, spec::DESCRIPTOR_TITLE.len())?;
        if start == spec::DESCRIPTOR_TITLE.as_bytes() {
            Self::open_described(file)
        } else {
            Self::open_single(file)
        }
    }
    /// A new image in an empty file.
    pub fn create(file: HostFile, length: u64) -> Result<Self, ImageError> {
        create::create(&file, length)?;
        Self::open(file)
    }
    /// A descriptor of its own, with extents beside it.
    fn open_described(file: HostFile) -> Result<Self, ImageError> {
        let descriptor = read_descriptor(&file, 0, file.length()?)?;
        let parts = extents::open_all(&file, &descriptor)?;
        Ok(Self::new(Some(file), descriptor, 0, parts))
    }
    /// A sparse extent that has the descriptor inside.
    fn open_single(file: HostFile) -> Result<Self, ImageError> {
        let header = Header::read(&file)?;
        if header.descriptor_bytes == 0 {
            return Err(malformed(&file, "it is an extent of a disk, and not its descriptor".to_owned()));
        }
        let descriptor = read_descriptor(&file, header.descriptor_offset, header.descriptor_bytes)?;
        if header.capacity > i64::MAX as u64 {
            return Err(malformed(&file, "it is too long".to_owned()));
        }
        let store = extents::sparse(file, header, header.capacity)?;
        let part = Part { start: 0, length: header.capacity, store };
        Ok(Self::new(None, descriptor, header.descriptor_offset, vec![part]))
    }
    fn new(descriptor_file: Option<HostFile>, descriptor: Descriptor, offset: u64, parts: Vec<Part>) -> Self {
        let files = descriptor_file.iter().all(|file| !file.is_read_only());
        Self {
            descriptor_file,
            kind: descriptor.kind,
            length: parts.last().map_or(0, |part| part.start + part.length),
            is_writable: files && parts.iter().all(|part| part.store.is_writable()),
            content_id_at: descriptor.content_id_at.map(|at| offset + at as u64),
            has_new_id: AtomicBool::new(false),
            parts,
        }
    }

    /// All files of the image.
    fn files(&self) -> impl Iterator<Item = &HostFile> {
        self.descriptor_file.iter().chain(self.parts.iter().filter_map(|part| part.store.file()))
    }
    /// Calls `each` for every extent that a range is in: with the offset there, that from the range's beginning, and the
    /// bytes.
    fn each_part(
        &self,
        offset: u64,
        length: u64,
        mut each: impl FnMut(&Store, u64, u64, u64) -> Result<(), DiskError>,
    ) -> Result<(), DiskError> {
        self.shape().check(offset, length)?;
        let first = self.parts.partition_point(|part| part.start + part.length <= offset);
        let mut done = 0;
        for part in &self.parts[first..] {
            if done == length {
                break;
            }
            let within = offset + done - part.start;
            let bytes = (part.length - within).min(length - done);
            each(&part.store, within, done, bytes)?;
            done += bytes;
        }
        Ok(())
    }
    /// Called before the content changes.
    fn changes(&self) -> Result<(), DiskError> {
        if !self.is_writable {
            return Err(DiskError::ReadOnly);
        }
        if self.has_new_id.load(Ordering::Relaxed) || self.has_new_id.swap(true, Ordering::Relaxed) {
            return Ok(());
        }
        match (self.content_id_at, self.files().next()) {
            (Some(at), Some(file)) => {
                file.write(at, format!("{:08x}", rand::random::<u32>() & 0x7fff_ffff).as_bytes())
            }
            _ => Ok(()),
        }
    }
}

fn read_descriptor(file: &HostFile, offset: u64, bytes: u64) -> Result<Descriptor, ImageError> {
    if bytes > DESCRIPTOR_MAX {
        return Err(malformed(file, "its descriptor is too long".to_owned()));
    }
    let text = file.read_some(offset, bytes as usize)?;
    let found = Descriptor::parse(&text).map_err(|problem| malformed(file, problem))?;
    let unsupported =
        |feature: String| Err(ImageError::Unsupported { path: file.path().to_owned(), feature });
    if found.parent.is_some() {
        return unsupported("a parent image".to_owned());
    }
    if !spec::KINDS.contains(&found.kind.as_str()) {
        return unsupported(format!("VMDK type {:?}", found.kind));
    }
    Ok(found)
}

impl DiskBackend for VmdkImage {
    fn shape(&self) -> DiskShape {
        DiskShape {
            length: self.length,
            read_only: !self.is_writable,
            physical_block: PHYSICAL_BLOCK,
            discard_unit: self.is_writable.then_some(PHYSICAL_BLOCK),
        }
    }
    fn read(&self, offset: u64, into: Span<'_>) -> Result<(), DiskError> {
        self.each_part(offset, into.len() as u64, |store, within, start, bytes| {
            store.read(within, into.part(start as usize..(start + bytes) as usize))
        })
    }
    fn write(&self, offset: u64, from: Span<'_>) -> Result<(), DiskError> {
        self.shape().check(offset, from.len() as u64)?;
        self.changes()?;
        self.each_part(offset, from.len() as u64, |store, within, start, bytes| {
            store.write(within, from.part(start as usize..(start + bytes) as usize))
        })
    }
    fn write_zeroes(&self, offset: u64, length: u64, free: bool) -> Result<(), DiskError> {
        self.shape().check(offset, length)?;
        self.changes()?;
        self.each_part(offset, length, |store, within, _, bytes| store.zero(within, bytes, free))
    }
    fn discard(&self, offset: u64, length: u64) -> Result<(), DiskError> {
        self.write_zeroes(offset, length, true)
    }
    fn flush(&self) -> Result<(), DiskError> {
        self.files().filter(|file| !file.is_read_only()).try_for_each(HostFile::sync)
    }
}

impl Image for VmdkImage {
    fn info(&self) -> Result<ImageInfo, ImageError> {
        let (mut file_length, mut allocated) = (0, 0);
        for file in self.files() {
            file_length += file.length()?;
            allocated += file.allocated()?;
        }
        let grains = self.parts.iter().filter_map(|part| match &part.store {
            Store::Sparse(grains) => Some(grains),
            Store::Stream(stream) => Some(&stream.grains),
            Store::Zero | Store::Flat(..) => None,
        });
        Ok(ImageInfo {
            format: Format::Vmdk,
            variant: Some(self.kind.clone()),
            length: self.length,
            file_length,
            allocated,
            cluster: grains.map(|grains| grains.header.grain_bytes as u32).next(),
            backing: None,
            snapshots: Vec::new(),
            details: vec![("extents".to_owned(), self.parts.len().to_string())],
        })
    }
    fn extent(&self, offset: u64) -> Result<Extent, ImageError> {
        let number = self.parts.partition_point(|part| part.start + part.length <= offset);
        match self.parts.get(number) {
            Some(part) => {
                let within = offset - part.start;
                Ok(part.store.extent(within, part.length - within)?)
            }
            None => Ok(Extent { length: 0, kind: ExtentKind::Zero }),
        }
    }
    fn resize(&self, _length: u64) -> Result<(), ImageError> {
        Err(ImageError::Cannot { format: Format::Vmdk, what: "resized" })
    }
    fn check(&self, _repair: Repair) -> Result<CheckReport, ImageError> {
        let mut report = CheckReport::default();
        for part in &self.parts {
            match &part.store {
                Store::Sparse(grains) => check::check(grains, false, &mut report)?,
                Store::Stream(stream) => check::check(&stream.grains, true, &mut report)?,
                Store::Zero | Store::Flat(..) => {}
            }
        }
        Ok(report)
    }
}
