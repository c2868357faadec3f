//! Looks into disk images: partitions, the file systems on them, and files, without mounting anything.
//!
//! [`survey`] says what is on a disk; [`Files`] lists directories and reads files of one partition.
//!
//! Images are hostile: numbers are checked before they are used, tables and directories are bounded, and readers of file
//! systems that others wrote run with a budget of reads and behind a guard that turns their panics into errors.
#![forbid(unsafe_code)]

mod budget;
mod entry;
mod error;
mod fields;
mod file_system;
mod files;
mod guard;
mod partitions;
mod printable;
mod survey;
mod time;
mod tree;
mod view;

pub use entry::{Entry, EntryKind};
pub use error::InspectError;
pub use file_system::{FileSystem, FileSystemKind};
pub use files::Files;
pub use partitions::{Partition, Scheme};
pub use printable::printable;
pub use survey::{Survey, survey};
pub use time::Time;
pub use view::DiskView;
