//! A qcow2 image that is open.
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::{Condvar, Mutex, RwLock};
use platform::disk::SECTOR_BYTES;
use platform::{DiskBackend, DiskError, DiskShape, Span};

use crate::file::HostFile;
use crate::image::{CheckReport, Extent, ExtentKind, Image, ImageInfo, Repair};
use crate::{Format, ImageError, OpenOptions};

use super::backing::Backing;
use super::compressed::Unpacked;
use super::geometry::Geometry;
use super::header::{Compression, Header};
use super::mapping::Mapping;
use super::snapshots::{self, Snapshot};
use super::spec::{autoclear, compatible, field, incompatible};

/// A qcow2 image.
///
/// Lock order: `flushing`, `gate`, `mapping`. Data moves with the gate held by all who move it, and with no other lock.
pub struct Qcow2Image {
    pub(super) file: Arc<HostFile>,
    pub(super) geometry: Geometry,
    /// As it was when the image was opened.
    pub(super) header: Header,
    pub(super) snapshots: Vec<Snapshot>,
    /// Bytes of the snapshots' table.
    pub(super) snapshots_length: u64,
    pub(super) backing: Option<Backing>,
    pub(super) unpacked: Unpacked,
    /// Bytes of the disk.
    pub(super) length: AtomicU64,
    pub(super) mapping: Mutex<Mapping>,
    /// Told when clusters stop being busy.
    pub(super) idle: Condvar,
    /// Held while changes leave memory.
    pub(super) flushing: Mutex<()>,
    /// Shared by all who use what they have looked up in the tables; held alone to be sure that nobody does.
    pub(super) gate: RwLock<()>,
}

impl Qcow2Image {
    /// The image in a file, which is the backing file of `depth` others.
    pub fn open(file: HostFile, options: OpenOptions, depth: usize) -> Result<Self, ImageError> {
        let header = Header::read(&file)?;
        let backing = Backing::open(&file, &header, options, depth)?;
        let (snapshots, snapshots_length) = snapshots::read(&file, &header)?;
        let file = Arc::new(file);
        let image = Self {
            geometry: header.geometry,
            snapshots,
            snapshots_length,
            backing,
            unpacked: Unpacked::new(header.compression, header.geometry.cluster()),
            length: AtomicU64::new(header.length / SECTOR_BYTES * SECTOR_BYTES),
            mapping: Mutex::new(Mapping::read(&file, &header)?),
            idle: Condvar::new(),
            flushing: Mutex::new(()),
            gate: RwLock::new(()),
            header,
            file,
        };
        if !image.file.is_read_only() {
            image.begin_writing()?;
        }
        Ok(image)
    }
    /// Deals with the features that ask something of whoever writes.
    fn begin_writing(&self) -> Result<(), ImageError> {
        if self.header.incompatible & incompatible::CORRUPT != 0 {
            self.mapping.lock().refusal = Some("the image is marked as corrupt".into());
        } else if self.header.incompatible & incompatible::DIRTY != 0 {
            // "Lazy refcounts": they were not written before whoever used the image was gone.
            self.recount()?;
        }
        if self.header.autoclear != 0 {
            // Bitmaps are not kept up to date here, nor is whatever else these bits stand for.
            self.file.write(field::AUTOCLEAR_FEATURES as u64, &[0; 8])?;
        }
        Ok(())
    }
    /// Bytes of the disk.
    pub(super) fn length(&self) -> u64 {
        self.length.load(Ordering::Acquire)
    }
    fn check_write(&self, offset: u64, length: u64) -> Result<(), DiskError> {
        self.shape().check(offset, length)?;
        if self.file.is_read_only() { Err(DiskError::ReadOnly) } else { Ok(()) }
    }
    fn details(&self) -> Vec<(String, String)> {
        let yes_no = |bit| if bit { "yes" } else { "no" }.to_owned();
        let header = &self.header;
        let features = self.mapping.lock().incompatible;
        let compression = match header.compression {
            Compression::Zlib => "zlib",
            Compression::Zstd => "zstd",
        };
        let mut details = vec![
            ("compression type".to_owned(), compression.to_owned()),
            ("lazy refcounts".to_owned(), yes_no(header.compatible & compatible::LAZY_REFCOUNTS != 0)),
            ("refcount bits".to_owned(), (1 << self.geometry.refcount_order).to_string()),
            ("extended L2".to_owned(), yes_no(self.geometry.extended)),
            ("corrupt".to_owned(), yes_no(features & incompatible::CORRUPT != 0)),
        ];
        if let Some(format) = &header.backing_format {
            details.push(("backing format".to_owned(), format.clone()));
        }
        if header.autoclear & autoclear::BITMAPS != 0 && self.file.is_read_only() {
            details.push(("bitmaps".to_owned(), yes_no(header.bitmaps.is_some())));
        }
        details
    }
}

impl DiskBackend for Qcow2Image {
    fn shape(&self) -> DiskShape {
        DiskShape {
            length: self.length(),
            read_only: self.file.is_read_only(),
            physical_block: 4096.min(self.geometry.unit()) as u32,
            discard_unit: Some(self.geometry.cluster() as u32),
        }
    }
    fn read(&self, offset: u64, into: Span<'_>) -> Result<(), DiskError> {
        self.shape().check(offset, into.len() as u64)?;
        let _gate = self.gate.read();
        self.read_at(offset, into)
    }
    fn write(&self, offset: u64, from: Span<'_>) -> Result<(), DiskError> {
        self.check_write(offset, from.len() as u64)?;
        self.write_at(offset, from)
    }
    fn write_zeroes(&self, offset: u64, length: u64, free: bool) -> Result<(), DiskError> {
        self.check_write(offset, length)?;
        self.zero_at(offset, length, free)
    }
    fn discard(&self, offset: u64, length: u64) -> Result<(), DiskError> {
        self.check_write(offset, length)?;
        self.discard_at(offset, length)
    }
    fn flush(&self) -> Result<(), DiskError> {
        if self.file.is_read_only() { Ok(()) } else { self.flush_all() }
    }
}

impl Image for Qcow2Image {
    fn info(&self) -> Result<ImageInfo, ImageError> {
        Ok(ImageInfo {
            format: Format::Qcow2,
            variant: Some(format!("v{}", self.geometry.version)),
            length: self.length(),
            file_length: self.file.length()?,
            allocated: self.file.allocated()?,
            cluster: Some(self.geometry.cluster() as u32),
            backing: self.header.backing.as_ref().map(PathBuf::from),
            snapshots: self.snapshots.iter().map(|snapshot| snapshot.name.clone()).collect(),
            details: self.details(),
        })
    }
    fn extent(&self, offset: u64) -> Result<Extent, ImageError> {
        let length = self.length();
        if offset >= length {
            return Ok(Extent { length: 0, kind: ExtentKind::Zero });
        }
        let _gate = self.gate.read();
        self.extent_at(offset, length)
    }
    fn resize(&self, length: u64) -> Result<(), ImageError> {
        self.resize_to(length)
    }
    fn check(&self, repair: Repair) -> Result<CheckReport, ImageError> {
        self.check_all(repair)
    }
}

impl Drop for Qcow2Image {
    fn drop(&mut self) {
        if !self.file.is_read_only()
            && let Err(error) = self.flush_all()
        {
            tracing::warn!(path = %self.file.path().display(), %error, "the last changes are lost");
        }
    }
}

impl std::fmt::Debug for Qcow2Image {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Qcow2Image").field("file", &self.file).field("header", &self.header).finish()
    }
}
