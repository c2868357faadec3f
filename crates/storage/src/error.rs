//! Why an image could not be opened, made or changed.
use std::io;
use std::path::PathBuf;

use platform::DiskError;

use crate::Format;

/// An image that cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// The file is not there, or may not be used.
    #[error("cannot open {}", path.display())]
    Open {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Somebody else uses it.
    #[error("{} is in use by another process", .0.display())]
    InUse(PathBuf),
    /// Something that no image can be.
    #[error("{} is neither a file nor a block device", .0.display())]
    NotAFile(PathBuf),
    /// What is in the file makes no sense.
    #[error("{} is not a sound {format} image: {problem}", path.display())]
    Malformed {
        /// Which file.
        path: PathBuf,
        /// What it should be.
        format: Format,
        /// What is wrong.
        problem: String,
    },
    /// A feature of the format that is not known here.
    #[error("{} needs {feature}, which is not supported", path.display())]
    Unsupported {
        /// Which file.
        path: PathBuf,
        /// What it needs.
        feature: String,
    },
    /// The backing file is not where it may be.
    #[error("{} names the backing file {backing:?}, which is outside its own directory", path.display())]
    BackingOutside {
        /// Which file.
        path: PathBuf,
        /// What it names.
        backing: String,
    },
    /// A chain of backing files that is too long, or a circle.
    #[error("{} has more than {max} backing files, or they form a circle", path.display())]
    BackingChain {
        /// Which file.
        path: PathBuf,
        /// The most that are allowed.
        max: usize,
    },
    /// A length that the format cannot have.
    #[error("a {format} image cannot be {length} bytes long: {reason}")]
    Length {
        /// The format.
        format: Format,
        /// What was asked for.
        length: u64,
        /// Why not.
        reason: &'static str,
    },
    /// The format cannot do that.
    #[error("{format} images cannot be {what}")]
    Cannot {
        /// The format.
        format: Format,
        /// What was asked for: "created", "resized".
        what: &'static str,
    },
    /// Reading or writing failed.
    #[error(transparent)]
    Disk(#[from] DiskError),
}

impl From<io::Error> for ImageError {
    fn from(error: io::Error) -> Self {
        Self::Disk(error.into())
    }
}
