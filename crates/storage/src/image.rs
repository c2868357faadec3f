//! What every image can do besides being a disk.
use std::path::PathBuf;

use platform::DiskBackend;
use serde::Serialize;

use crate::{Format, ImageError};

/// An image that is open.
pub trait Image: DiskBackend {
    /// What it is.
    fn info(&self) -> Result<ImageInfo, ImageError>;
    /// The run of bytes of one kind that begins at `offset`, as long as it is cheap to tell; never empty before the end,
    /// and never beyond it. Backing files count.
    fn extent(&self, offset: u64) -> Result<Extent, ImageError>;
    /// Changes the disk's length. New bytes are zeros; bytes beyond a shorter end are lost.
    fn resize(&self, length: u64) -> Result<(), ImageError>;
    /// Looks for contradictions in the image's own tables, and mends what it may.
    fn check(&self, repair: Repair) -> Result<CheckReport, ImageError>;
}

/// A run of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// Bytes.
    pub length: u64,
    /// What they are.
    pub kind: ExtentKind,
}

/// What a run of bytes is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ExtentKind {
    /// Kept in a file.
    Data,
    /// Zeros that are written down as such, or that no file has.
    Zero,
}

/// What an image is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ImageInfo {
    /// Its format.
    pub format: Format,
    /// The format's kind or version, where it has several: "v3", "streamOptimized", "dynamic".
    pub variant: Option<String>,
    /// Bytes of the disk.
    pub length: u64,
    /// Bytes of the file.
    pub file_length: u64,
    /// Bytes that the file takes up on its host.
    pub allocated: u64,
    /// Bytes of a cluster, block or grain.
    pub cluster: Option<u32>,
    /// The file that has what this one has not.
    pub backing: Option<PathBuf>,
    /// Names of internal snapshots.
    pub snapshots: Vec<String>,
    /// Whatever else is worth telling, as name and value.
    pub details: Vec<(String, String)>,
}

/// What [`Image::check`] may change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repair {
    /// Nothing.
    None,
    /// Room that nothing uses is let go.
    Leaks,
    /// Everything that can be mended without guessing.
    All,
}

/// What [`Image::check`] found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct CheckReport {
    /// Contradictions that put data at risk; one line each, the first hundred.
    pub corruptions: Vec<String>,
    /// How many there are.
    pub corruption_count: u64,
    /// Clusters that take room and belong to nothing.
    pub leaks: u64,
    /// Contradictions and leaks that were mended.
    pub mended: u64,
}

impl CheckReport {
    /// Lines that are kept.
    const LINES: usize = 100;

    /// Takes note of a contradiction.
    pub fn corruption(&mut self, text: String) {
        self.corruption_count += 1;
        if self.corruptions.len() < Self::LINES {
            self.corruptions.push(text);
        }
    }
    /// Whether there is nothing to mend.
    pub fn is_clean(&self) -> bool {
        self.corruption_count == 0 && self.leaks == 0
    }
}
