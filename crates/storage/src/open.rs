//! Opening an image of whatever format.
use std::path::Path;

use crate::file::HostFile;
use crate::qcow2::Qcow2Image;
use crate::raw::RawImage;
use crate::vdi::VdiImage;
use crate::vhd::VhdImage;
use crate::vhdx::VhdxImage;
use crate::vmdk::VmdkImage;
use crate::{Format, Image, ImageError};

/// Bytes at a file's beginning and end by which formats are told apart.
const PROBE_BYTES: u64 = 512;
/// How many backing files a chain can have.
pub const BACKING_MAX: usize = 64;

/// How to open an image.
#[derive(Clone, Copy, Debug)]
pub struct OpenOptions {
    /// Nothing is written, and others may read the image too.
    pub read_only: bool,
    /// Its format; `None` to go by what is in it.
    pub format: Option<Format>,
    /// Where its backing files may be.
    pub backing: BackingPolicy,
}

/// Where backing files may be. They are always opened for reading only, with no lock against other readers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BackingPolicy {
    /// In the image's own directory or below it, named by a relative path: an image from elsewhere cannot read the host's
    /// files.
    SameDirectory,
    /// Anywhere.
    Anywhere,
}

impl OpenOptions {
    /// For reading and writing, of whatever format.
    pub fn writable() -> Self {
        Self { read_only: false, format: None, backing: BackingPolicy::SameDirectory }
    }
    /// For reading only, of whatever format.
    pub fn read_only() -> Self {
        Self { read_only: true, ..Self::writable() }
    }
}

/// Opens the image at a path.
pub fn open(path: &Path, options: OpenOptions) -> Result<Box<dyn Image>, ImageError> {
    open_in_chain(path, options, 0)
}

/// The same for an image that is the backing file of `depth` others.
pub(crate) fn open_in_chain(
    path: &Path,
    options: OpenOptions,
    depth: usize,
) -> Result<Box<dyn Image>, ImageError> {
    if depth > BACKING_MAX {
        return Err(ImageError::BackingChain { path: path.to_owned(), max: BACKING_MAX });
    }
    let file = HostFile::open(path, options.read_only)?;
    let format = match options.format {
        Some(format) => format,
        None => probe(&file)?,
    };
    match format {
        Format::Raw => Ok(Box::new(RawImage::open(file)?)),
        Format::Qcow2 => Ok(Box::new(Qcow2Image::open(file, options, depth)?)),
        Format::Vdi => Ok(Box::new(VdiImage::open(file)?)),
        Format::Vmdk => Ok(Box::new(VmdkImage::open(file)?)),
        Format::Vhd => Ok(Box::new(VhdImage::open(file)?)),
        Format::Vhdx => Ok(Box::new(VhdxImage::open(file)?)),
    }
}

/// The format of what is in a file.
fn probe(file: &HostFile) -> Result<Format, ImageError> {
    let head = file.read_some(0, PROBE_BYTES as usize)?;
    let tail = file.read_some(file.length()?.saturating_sub(PROBE_BYTES), PROBE_BYTES as usize)?;
    Ok(Format::of_contents(&head, &tail))
}
