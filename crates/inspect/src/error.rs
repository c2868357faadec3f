//! Why something could not be looked at.
use std::io;

use crate::FileSystemKind;

/// What went wrong. Names and paths in it are fit for a terminal.
#[derive(Debug, thiserror::Error)]
pub enum InspectError {
    /// The image failed.
    #[error("the disk cannot be read")]
    Disk(#[source] io::Error),
    /// What was read cannot be passed on.
    #[error("cannot write what was read")]
    Output(#[source] io::Error),
    /// No such partition.
    #[error("there is no partition {0}")]
    NoPartition(u32),
    /// A partition of unknown contents.
    #[error("partition {0} has no file system that is known")]
    NoFileSystem(u32),
    /// A disk with nothing to look into.
    #[error("the disk has no file system that can be looked into")]
    NothingToLookInto,
    /// A file system that is known by its name only.
    #[error("{0} is a file system that cannot be looked into")]
    CannotLookInto(FileSystemKind),
    /// No such file.
    #[error("{0} is not there")]
    NotFound(String),
    /// A file where a directory should be.
    #[error("{0} is no directory")]
    NotADirectory(String),
    /// A directory, a device or the like where a file should be.
    #[error("{0} is no file")]
    NotAFile(String),
    /// A link that cannot be followed.
    #[error("{0} leads through too many symbolic links")]
    TooManyLinks(String),
    /// A path that no file can have.
    #[error("the path is longer than {0} bytes")]
    PathTooLong(usize),
    /// A feature that is not known here.
    #[error("this {kind} file system cannot be read: {what}")]
    Unsupported {
        /// The file system.
        kind: FileSystemKind,
        /// What it needs.
        what: String,
    },
    /// The file system contradicts itself.
    #[error("the {kind} file system is damaged: {problem}")]
    Damaged {
        /// The file system.
        kind: FileSystemKind,
        /// What is wrong.
        problem: String,
    },
}

impl InspectError {
    /// Whether something that was asked for is not there.
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::NoPartition(_) | Self::NotFound(_))
    }
    /// Damage, in a few words.
    pub(crate) fn damaged(kind: FileSystemKind, problem: impl Into<String>) -> Self {
        Self::Damaged { kind, problem: problem.into() }
    }
}
