//! A file on the host that an image is in: locked, read and written at offsets, with holes.
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{FileExt, FileTypeExt};
use std::path::{Path, PathBuf};

use platform::{DiskError, Span};
use rustix::fs::{FallocateFlags, SeekFrom};
use rustix::io::Errno;

use crate::ImageError;

/// An open file. All methods may be called from many threads at once.
#[derive(Debug)]
pub struct HostFile {
    file: File,
    path: PathBuf,
    read_only: bool,
    is_device: bool,
}

/// What is at an offset of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileExtent {
    /// Bytes up to where that changes.
    pub length: u64,
    /// Nothing is stored: zeros.
    pub is_hole: bool,
}

impl HostFile {
    /// Opens a file or block device, and locks it: one writer, or any number of readers.
    pub fn open(path: &Path, read_only: bool) -> Result<Self, ImageError> {
        let failed = |source| ImageError::Open { path: path.to_owned(), source };
        let file = File::options().read(true).write(!read_only).open(path).map_err(failed)?;
        Self::take(file, path, read_only)
    }
    /// Makes a new, empty file, and locks it. A file that is there already stays as it is.
    pub fn create(path: &Path) -> Result<Self, ImageError> {
        let failed = |source| ImageError::Open { path: path.to_owned(), source };
        let file = File::options().read(true).write(true).create_new(true).open(path).map_err(failed)?;
        Self::take(file, path, false)
    }
    fn take(file: File, path: &Path, read_only: bool) -> Result<Self, ImageError> {
        let failed = |source| ImageError::Open { path: path.to_owned(), source };
        let kind = file.metadata().map_err(failed)?.file_type();
        if !kind.is_file() && !kind.is_block_device() {
            return Err(ImageError::NotAFile(path.to_owned()));
        }
        let locked = if read_only { file.try_lock_shared() } else { file.try_lock() };
        match locked {
            Ok(()) => {}
            Err(std::fs::TryLockError::WouldBlock) => return Err(ImageError::InUse(path.to_owned())),
            // Some file systems know no locks.
            Err(std::fs::TryLockError::Error(error)) => {
                tracing::warn!(path = %path.display(), %error, "image is not locked");
            }
        }
        Ok(Self { file, path: path.to_owned(), read_only, is_device: kind.is_block_device() })
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }
    /// Whether it may only be read.
    pub fn is_read_only(&self) -> bool {
        self.read_only
    }
    /// Whether it is a block device, which has all its bytes from the beginning and never grows.
    pub fn is_device(&self) -> bool {
        self.is_device
    }
    /// Bytes in it.
    pub fn length(&self) -> io::Result<u64> {
        if self.is_device {
            // A seek on a descriptor that nothing else seeks.
            return Ok(rustix::fs::seek(&self.file, SeekFrom::End(0))?);
        }
        Ok(self.file.metadata()?.len())
    }
    /// Bytes that it takes up.
    pub fn allocated(&self) -> io::Result<u64> {
        use std::os::unix::fs::MetadataExt;
        Ok(self.file.metadata()?.blocks() * 512)
    }
    /// Makes it longer or shorter; new bytes are a hole.
    pub fn set_length(&self, length: u64) -> io::Result<()> {
        self.file.set_len(length)
    }

    /// Fills a span; beyond the end are zeros.
    pub fn read_span(&self, offset: u64, into: Span<'_>) -> Result<(), DiskError> {
        Ok(into.read_from(self.file.as_fd(), offset)?)
    }
    /// Writes a span.
    pub fn write_span(&self, offset: u64, from: Span<'_>) -> Result<(), DiskError> {
        if self.read_only {
            return Err(DiskError::ReadOnly);
        }
        Ok(from.write_to(self.file.as_fd(), offset)?)
    }
    /// Fills bytes; beyond the end are zeros.
    pub fn read(&self, offset: u64, mut bytes: &mut [u8]) -> io::Result<()> {
        let mut at = offset;
        while !bytes.is_empty() {
            match self.file.read_at(bytes, at) {
                Ok(0) => {
                    bytes.fill(0);
                    return Ok(());
                }
                Ok(count) => {
                    bytes = &mut bytes[count..];
                    at += count as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
    /// Bytes at an offset, fewer at the file's end.
    pub fn read_some(&self, offset: u64, most: usize) -> io::Result<Vec<u8>> {
        let there = self.length()?.saturating_sub(offset);
        let mut bytes = vec![0; most.min(usize::try_from(there).unwrap_or(usize::MAX))];
        self.read(offset, &mut bytes)?;
        Ok(bytes)
    }
    /// Writes bytes.
    pub fn write(&self, offset: u64, bytes: &[u8]) -> Result<(), DiskError> {
        if self.read_only {
            return Err(DiskError::ReadOnly);
        }
        Ok(self.file.write_all_at(bytes, offset)?)
    }
    /// Everything written so far survives the host.
    pub fn sync(&self) -> Result<(), DiskError> {
        Ok(self.file.sync_data()?)
    }

    /// Makes a range inside the file zeros, and frees its room where the file system can. The file's length stays.
    pub fn punch_hole(&self, offset: u64, length: u64) -> Result<(), DiskError> {
        let mode = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        self.zero_by(mode, offset, length)
    }
    /// Makes a range zeros, and keeps its room where the file system can.
    pub fn write_zeroes(&self, offset: u64, length: u64) -> Result<(), DiskError> {
        self.zero_by(FallocateFlags::ZERO_RANGE, offset, length)
    }
    fn zero_by(&self, mode: FallocateFlags, offset: u64, length: u64) -> Result<(), DiskError> {
        if self.read_only {
            return Err(DiskError::ReadOnly);
        }
        if length == 0 {
            return Ok(());
        }
        match rustix::fs::fallocate(&self.file, mode, offset, length) {
            Ok(()) => Ok(()),
            Err(Errno::OPNOTSUPP | Errno::NODEV | Errno::NOSYS) => self.write_plain_zeroes(offset, length),
            Err(error) => Err(io::Error::from(error).into()),
        }
    }
    fn write_plain_zeroes(&self, offset: u64, length: u64) -> Result<(), DiskError> {
        let zeroes = vec![0; length.min(1 << 20) as usize];
        let mut done = 0;
        while done < length {
            let part = (length - done).min(zeroes.len() as u64);
            self.write(offset + done, &zeroes[..part as usize])?;
            done += part;
        }
        Ok(())
    }
    /// What is stored at an offset below the file's end.
    pub fn extent(&self, offset: u64, end: u64) -> io::Result<FileExtent> {
        let rest = end.saturating_sub(offset);
        let whole = |is_hole| FileExtent { length: rest, is_hole };
        match rustix::fs::seek(&self.file, SeekFrom::Data(offset)) {
            Ok(data) if data > offset => Ok(FileExtent { length: rest.min(data - offset), is_hole: true }),
            Ok(_) => match rustix::fs::seek(&self.file, SeekFrom::Hole(offset)) {
                Ok(hole) => {
                    Ok(FileExtent { length: rest.min(hole.saturating_sub(offset).max(1)), is_hole: false })
                }
                Err(_) => Ok(whole(false)),
            },
            // Nothing but a hole up to the end.
            Err(Errno::NXIO) => Ok(whole(true)),
            // The file system does not tell.
            Err(_) => Ok(whole(false)),
        }
    }
}

impl AsFd for HostFile {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_writer_or_many_readers() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("disk");
        let writer = HostFile::create(&path).unwrap();
        assert!(matches!(HostFile::open(&path, true), Err(ImageError::InUse(_))));
        drop(writer);
        let reader = HostFile::open(&path, true).unwrap();
        HostFile::open(&path, true).unwrap();
        assert!(matches!(HostFile::open(&path, false), Err(ImageError::InUse(_))));
        assert!(matches!(reader.write(0, &[1]), Err(DiskError::ReadOnly)));
    }

    #[test]
    fn holes_are_zeros_and_take_no_room() {
        let directory = tempfile::tempdir().unwrap();
        let file = HostFile::create(&directory.path().join("disk")).unwrap();
        file.write(0, &[7; 256 << 10]).unwrap();
        file.punch_hole(64 << 10, 128 << 10).unwrap();
        assert_eq!(file.length().unwrap(), 256 << 10);
        let mut bytes = [9; 4];
        file.read((64 << 10) - 2, &mut bytes).unwrap();
        assert_eq!(bytes, [7, 7, 0, 0]);
        file.write_zeroes(0, 4096).unwrap();
        assert_eq!(file.read_some(4095, 2).unwrap(), [0, 7]);
    }

    #[test]
    fn directories_are_no_images() {
        let directory = tempfile::tempdir().unwrap();
        assert!(matches!(HostFile::open(directory.path(), true), Err(ImageError::NotAFile(_))));
    }
}
