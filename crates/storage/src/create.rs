//! Making a new image.
use std::path::{Path, PathBuf};

use platform::disk::SECTOR_BYTES;

use crate::file::HostFile;
use crate::qcow2::{Layout, Qcow2Image};
use crate::raw::RawImage;
use crate::vdi::VdiImage;
use crate::vhd::VhdImage;
use crate::vmdk::VmdkImage;
use crate::{Format, Image, ImageError};

/// What to make.
#[derive(Clone, Debug)]
pub struct CreateOptions {
    /// Its format.
    pub format: Format,
    /// Bytes of the disk, a multiple of 512.
    pub length: u64,
    /// The file that has what the new image has not: its path as it shall be written down, and its format.
    pub backing: Option<(PathBuf, Format)>,
}

/// Makes an image; nothing is left behind if that fails, and a file that is there already stays as it is.
pub fn create(path: &Path, options: &CreateOptions) -> Result<Box<dyn Image>, ImageError> {
    let CreateOptions { format, length, ref backing } = *options;
    if !length.is_multiple_of(SECTOR_BYTES) {
        return Err(ImageError::Length { format, length, reason: "it is no multiple of 512" });
    }
    if backing.is_some() && format != Format::Qcow2 {
        return Err(ImageError::Cannot { format, what: "created with a backing file" });
    }
    let file = HostFile::create(path)?;
    let made: Result<Box<dyn Image>, ImageError> = match format {
        Format::Raw => RawImage::create(file, length).map(|image| Box::new(image) as Box<dyn Image>),
        Format::Qcow2 => Qcow2Image::create(file, length, backing.as_ref(), Layout::default())
            .map(|image| Box::new(image) as Box<dyn Image>),
        Format::Vdi => VdiImage::create(file, length).map(|image| Box::new(image) as Box<dyn Image>),
        Format::Vmdk => VmdkImage::create(file, length).map(|image| Box::new(image) as Box<dyn Image>),
        Format::Vhd => VhdImage::create(file, length).map(|image| Box::new(image) as Box<dyn Image>),
        other => Err(ImageError::Cannot { format: other, what: "created" }),
    };
    if made.is_err() {
        // It did not exist before; whoever reads the error knows more than whoever failed to remove it.
        let _ = std::fs::remove_file(path);
    }
    made
}
