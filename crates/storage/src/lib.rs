//! Disk images in the formats that virtual machines use, and what is done with them.
//!
//! Every format is a folder: `spec.rs` has the names and layouts of its specification, `header.rs` reads and checks what
//! is in the file, `image.rs` is the [`Image`]. All of them stand on [`file::HostFile`]; none knows another.
//!
//! Images are hostile: every number in a file is checked before it is used, tables are bounded before memory is asked
//! for, and nothing in a file makes this crate panic.
#![forbid(unsafe_code)]

mod blocks;
mod convert;
mod create;
mod error;
mod fields;
pub mod file;
mod format;
mod image;
mod open;
mod qcow2;
mod raw;
mod vdi;
mod vhd;
mod vhdx;
mod vmdk;

pub use convert::{Progress, convert};
pub use create::{CreateOptions, create};
pub use error::ImageError;
pub use format::{Format, UnknownFormat};
pub use image::{CheckReport, Extent, ExtentKind, Image, ImageInfo, Repair};
pub use open::{BackingPolicy, OpenOptions, open};
pub use vmdk::export_stream;
