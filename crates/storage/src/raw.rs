//! Raw images: the disk's bytes.
use std::sync::atomic::{AtomicU64, Ordering};

use platform::disk::SECTOR_BYTES;
use platform::{DiskBackend, DiskError, DiskShape, Span};

use crate::file::HostFile;
use crate::image::{CheckReport, Extent, ExtentKind, Image, ImageInfo, Repair};
use crate::{Format, ImageError};

/// Bytes that host file systems write best together.
const PHYSICAL_BLOCK: u32 = 4096;

/// A raw image.
#[derive(Debug)]
pub struct RawImage {
    file: HostFile,
    /// Bytes of the disk: those of the file, up to a whole sector.
    length: AtomicU64,
}

impl RawImage {
    /// The image in a file.
    pub fn open(file: HostFile) -> Result<Self, ImageError> {
        let length = file.length()?;
        let rounded = length.checked_next_multiple_of(SECTOR_BYTES).unwrap_or(length);
        Ok(Self { file, length: AtomicU64::new(rounded) })
    }
    /// A new image in an empty file.
    pub fn create(file: HostFile, length: u64) -> Result<Self, ImageError> {
        file.set_length(length)?;
        Self::open(file)
    }
    fn length(&self) -> u64 {
        self.length.load(Ordering::Acquire)
    }
}

impl DiskBackend for RawImage {
    fn shape(&self) -> DiskShape {
        DiskShape {
            length: self.length(),
            read_only: self.file.is_read_only(),
            physical_block: PHYSICAL_BLOCK,
            discard_unit: Some(PHYSICAL_BLOCK),
        }
    }
    fn read(&self, offset: u64, into: Span<'_>) -> Result<(), DiskError> {
        self.shape().check(offset, into.len() as u64)?;
        self.file.read_span(offset, into)
    }
    fn write(&self, offset: u64, from: Span<'_>) -> Result<(), DiskError> {
        self.shape().check(offset, from.len() as u64)?;
        self.file.write_span(offset, from)
    }
    fn write_zeroes(&self, offset: u64, length: u64, free: bool) -> Result<(), DiskError> {
        self.shape().check(offset, length)?;
        if free { self.file.punch_hole(offset, length) } else { self.file.write_zeroes(offset, length) }
    }
    fn discard(&self, offset: u64, length: u64) -> Result<(), DiskError> {
        self.shape().check(offset, length)?;
        self.file.punch_hole(offset, length)
    }
    fn flush(&self) -> Result<(), DiskError> {
        if self.file.is_read_only() { Ok(()) } else { self.file.sync() }
    }
}

impl Image for RawImage {
    fn info(&self) -> Result<ImageInfo, ImageError> {
        Ok(ImageInfo {
            format: Format::Raw,
            variant: None,
            length: self.length(),
            file_length: self.file.length()?,
            allocated: self.file.allocated()?,
            cluster: None,
            backing: None,
            snapshots: Vec::new(),
            details: Vec::new(),
        })
    }
    fn extent(&self, offset: u64) -> Result<Extent, ImageError> {
        let found = self.file.extent(offset, self.length())?;
        let kind = if found.is_hole { ExtentKind::Zero } else { ExtentKind::Data };
        Ok(Extent { length: found.length, kind })
    }
    fn resize(&self, length: u64) -> Result<(), ImageError> {
        if !length.is_multiple_of(SECTOR_BYTES) {
            return Err(ImageError::Length {
                format: Format::Raw,
                length,
                reason: "it is no multiple of 512",
            });
        }
        self.file.set_length(length)?;
        self.length.store(length, Ordering::Release);
        Ok(())
    }
    fn check(&self, _repair: Repair) -> Result<CheckReport, ImageError> {
        // There is nothing that could contradict itself.
        Ok(CheckReport::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use platform::Buffers;

    fn image(length: u64) -> (tempfile::TempDir, RawImage) {
        let directory = tempfile::tempdir().unwrap();
        let file = HostFile::create(&directory.path().join("disk.raw")).unwrap();
        (directory, RawImage::create(file, length).unwrap())
    }

    #[test]
    fn what_is_written_is_read() {
        let (_directory, image) = image(1 << 20);
        image.write(512, Buffers::of_bytes(vec![3; 1024]).all()).unwrap();
        let back = Buffers::of_bytes(vec![9; 2048]);
        image.read(0, back.all()).unwrap();
        let bytes = back.into_bytes();
        assert_eq!((&bytes[..512], &bytes[512..1536], bytes[1536]), (&[0; 512][..], &[3; 1024][..], 0));
        image.flush().unwrap();
    }

    #[test]
    fn nothing_is_beyond_the_end() {
        let (_directory, image) = image(4096);
        let beyond = Buffers::of_bytes(vec![0; 1024]);
        assert!(matches!(image.write(3584, beyond.all()), Err(DiskError::OutOfRange { .. })));
        assert!(matches!(image.read(u64::MAX - 511, beyond.all()), Err(DiskError::OutOfRange { .. })));
        image.resize(8192).unwrap();
        image.write(3584, beyond.all()).unwrap();
        assert!(image.resize(100).is_err());
    }

    #[test]
    fn discarded_room_is_a_hole() {
        let (_directory, image) = image(1 << 20);
        image.write(0, Buffers::of_bytes(vec![3; 1 << 20]).all()).unwrap();
        image.discard(256 << 10, 512 << 10).unwrap();
        assert_eq!(image.extent(0).unwrap(), Extent { length: 256 << 10, kind: ExtentKind::Data });
        assert_eq!(image.extent(256 << 10).unwrap(), Extent { length: 512 << 10, kind: ExtentKind::Zero });
    }
}
