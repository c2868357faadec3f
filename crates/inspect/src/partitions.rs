//! Tables of partitions.
pub mod gpt;
pub mod mbr;
mod types;

use serde::Serialize;

use crate::FileSystem;

/// How a disk is divided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Scheme {
    /// A GUID partition table.
    Gpt,
    /// A table in the master boot record.
    Mbr,
}

/// A part of a disk, or all of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Partition {
    /// As Linux counts; `None` for the whole disk.
    pub number: Option<u32>,
    /// First byte.
    pub start: u64,
    /// Bytes, which the table says; it may promise more than the disk has.
    pub length: u64,
    /// What the table says that it is for.
    pub type_name: String,
    /// Its name in the table.
    pub name: Option<String>,
    /// What is on it.
    pub file_system: Option<FileSystem>,
}
