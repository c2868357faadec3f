//! The file that an image takes from what it has not itself.
use std::path::{Component, Path, PathBuf};

use platform::disk::SECTOR_BYTES;
use platform::{DiskError, Span};

use crate::file::HostFile;
use crate::image::{Extent, ExtentKind};
use crate::open::{self, BACKING_MAX};
use crate::{BackingPolicy, Format, Image, ImageError, OpenOptions};

use super::header::Header;

/// A backing file, as if it were followed by zeros without end.
pub struct Backing {
    image: Box<dyn Image>,
    length: u64,
}

impl Backing {
    /// Opens the backing file that a header names, if it names one.
    pub fn open(
        file: &HostFile,
        header: &Header,
        options: OpenOptions,
        depth: usize,
    ) -> Result<Option<Self>, ImageError> {
        let Some(name) = header.backing.as_deref() else { return Ok(None) };
        let path = locate(file.path(), name, options.backing)?;
        let format = match header.backing_format.as_deref().filter(|format| !format.is_empty()) {
            Some(format) => Some(format_named(file.path(), format)?),
            None => None,
        };
        let options = OpenOptions { read_only: true, format, backing: options.backing };
        let image = open::open_in_chain(&path, options, depth + 1).map_err(|error| match error {
            // This very image is behind itself.
            ImageError::InUse(used) if used.canonicalize().ok() == file.path().canonicalize().ok() => {
                ImageError::BackingChain { path: file.path().to_owned(), max: BACKING_MAX }
            }
            other => other,
        })?;
        let length = image.shape().length;
        Ok(Some(Self { image, length }))
    }
    /// Bytes that are not zero for sure.
    pub fn length(&self) -> u64 {
        self.length
    }
    /// Fills a span.
    pub fn read(&self, offset: u64, into: Span<'_>) -> Result<(), DiskError> {
        let there = self.length.saturating_sub(offset).min(into.len() as u64) as usize;
        if there > 0 {
            self.image.read(offset, into.part(0..there))?;
        }
        into.part(there..into.len()).fill(0);
        Ok(())
    }
    /// What is at an offset, and how far.
    pub fn extent(&self, offset: u64, most: u64) -> Result<Extent, ImageError> {
        if offset >= self.length {
            return Ok(Extent { length: most, kind: ExtentKind::Zero });
        }
        let found = self.image.extent(offset)?;
        let length = found.length.clamp(SECTOR_BYTES, (self.length - offset).max(SECTOR_BYTES));
        Ok(Extent { length: length.min(most), kind: found.kind })
    }
}

/// The path of a backing file, if the policy allows it.
fn locate(image: &Path, name: &str, policy: BackingPolicy) -> Result<PathBuf, ImageError> {
    let name = name.strip_prefix("file:").filter(|rest| !rest.starts_with("//")).unwrap_or(name);
    let is_protocol = name.find(':').is_some_and(|colon| !name[..colon].contains('/'));
    if is_protocol && !image.with_file_name(name).exists() {
        let feature = format!("the backing file {name:?}");
        return Err(ImageError::Unsupported { path: image.to_owned(), feature });
    }
    let path = Path::new(name);
    let directory = image.parent().filter(|parent| !parent.as_os_str().is_empty());
    let directory = directory.unwrap_or(Path::new("."));
    let beside = directory.join(path);
    let resolve = |path: &Path| {
        path.canonicalize().map_err(|source| ImageError::Open { path: path.to_owned(), source })
    };
    if policy == BackingPolicy::SameDirectory {
        let outside = || ImageError::BackingOutside { path: image.to_owned(), backing: name.to_owned() };
        if !path.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir)) {
            return Err(outside());
        }
        if !resolve(&beside)?.starts_with(resolve(directory)?) {
            return Err(outside());
        }
    }
    let found = resolve(&beside)?;
    // The image's own lock would tell less.
    if found == resolve(image)? {
        return Err(ImageError::BackingChain { path: image.to_owned(), max: BACKING_MAX });
    }
    Ok(found)
}

fn format_named(image: &Path, name: &str) -> Result<Format, ImageError> {
    let found = match name {
        "vpc" => Some(Format::Vhd),
        "file" | "host_device" => Some(Format::Raw),
        other => other.parse().ok(),
    };
    let unknown = || ImageError::Unsupported {
        path: image.to_owned(),
        feature: format!("a backing file of format {name:?}"),
    };
    found.ok_or_else(unknown)
}

/// What images call a format.
pub fn name_of(format: Format) -> &'static str {
    if format == Format::Vhd { "vpc" } else { format.name() }
}
