//! Making a VMDK image in one file.
use std::fmt::Write;
use std::path::Path;

use platform::disk::SECTOR_BYTES;

use super::header::Header;
use super::spec;
use crate::ImageError;
use crate::file::HostFile;

/// Heads and sectors per track that the descriptor tells of, and the most cylinders.
const HEADS: u64 = 16;
const SECTORS: u64 = 63;
const CYLINDERS_MAX: u64 = 16383;

/// Fills an empty file with a new disk of the kind monolithicSparse, with no grain.
pub fn create(file: &HostFile, length: u64) -> Result<(), ImageError> {
    let header = Header::new(length)?;
    file.set_length(header.overhead)?;
    let text = descriptor(file.path(), length / SECTOR_BYTES, "monolithicSparse");
    file.write(header.descriptor_offset, text.as_bytes())?;
    for directory in [header.redundant_offset.unwrap_or(header.directory_offset), header.directory_offset] {
        let first = (directory + header.directory_bytes()) / SECTOR_BYTES;
        let table = |number| first + number * (header.table_bytes() / SECTOR_BYTES);
        let entries = (0..header.directory_entries()).flat_map(|number| (table(number) as u32).to_le_bytes());
        file.write(directory, &entries.collect::<Vec<u8>>())?;
    }
    Ok(file.write(0, &header.bytes())?)
}

/// The descriptor of a disk that is all in one file.
pub fn descriptor(path: &Path, sectors: u64, kind: &str) -> String {
    let name = path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
    // Nobody looks for the file by this name: it is the one that the name stands in.
    let name: String = name.chars().filter(|c| *c != '"' && !c.is_control()).take(255).collect();
    let cylinders = (sectors / (HEADS * SECTORS)).clamp(1, CYLINDERS_MAX);
    let mut text = format!("{}\nversion=1\n", spec::DESCRIPTOR_TITLE);
    let lines = [
        format!("CID={:08x}", rand::random::<u32>() & 0x7fff_ffff),
        format!("parentCID={}", spec::NO_PARENT),
        format!("createType=\"{kind}\""),
        String::new(),
        "# Extent description".to_owned(),
        format!("RW {sectors} SPARSE \"{name}\""),
        String::new(),
        "# The Disk Data Base".to_owned(),
        "#DDB".to_owned(),
        String::new(),
        "ddb.virtualHWVersion = \"4\"".to_owned(),
        format!("ddb.geometry.cylinders = \"{cylinders}\""),
        format!("ddb.geometry.heads = \"{HEADS}\""),
        format!("ddb.geometry.sectors = \"{SECTORS}\""),
        "ddb.adapterType = \"ide\"".to_owned(),
    ];
    for line in lines {
        // Text of our own takes whatever it is given.
        let _ = writeln!(text, "{line}");
    }
    text
}
