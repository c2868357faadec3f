//! The files of rows.

/// Name and text of each file, by family.
pub const FILES: &[(&str, &str)] = &[];
