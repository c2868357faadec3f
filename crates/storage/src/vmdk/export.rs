//! Writing a stream-optimized VMDK image, from its first byte to its last ("Stream-Optimized Compressed Sparse Extents").
use std::io::Write;
use std::path::Path;

use flate2::Compression;
use flate2::write::ZlibEncoder;
use platform::Buffers;
use platform::disk::SECTOR_BYTES;

use super::create::descriptor;
use super::header::Header;
use super::spec::{grain_marker, marker};
use crate::convert::Progress;
use crate::fields::put;
use crate::file::HostFile;
use crate::image::ExtentKind;
use crate::{Image, ImageError};

/// Makes a new stream-optimized VMDK image of what is in another, with its grains compressed; the kind that appliances
/// (OVF) are shipped in. It can only be read afterwards. Nothing is left behind if that fails, and a file that is there
/// already stays as it is.
pub fn export_stream(source: &dyn Image, path: &Path, progress: Progress<'_>) -> Result<(), ImageError> {
    let file = HostFile::create(path)?;
    let done = Export::begin(&file, source.shape().length)
        .and_then(|mut export| export.grains(source, progress).and_then(|()| export.finish()));
    if done.is_err() {
        // It did not exist before; whoever reads the error knows more than whoever failed to remove it.
        let _ = std::fs::remove_file(path);
    }
    done
}

/// An image that is being written.
struct Export<'a> {
    file: &'a HostFile,
    header: Header,
    /// Where the next byte comes.
    at: u64,
    /// Sectors of the tables that are written.
    directory: Vec<u32>,
    /// Sectors of the grains of the next table.
    table: Vec<u32>,
}

impl<'a> Export<'a> {
    fn begin(file: &'a HostFile, length: u64) -> Result<Self, ImageError> {
        let header = Header::new_stream(length)?;
        file.write(0, &header.bytes())?;
        let text = descriptor(file.path(), length / SECTOR_BYTES, "streamOptimized");
        file.write(header.descriptor_offset, text.as_bytes())?;
        Ok(Self { file, header, at: header.overhead, directory: Vec::new(), table: Vec::new() })
    }
    /// Writes all grains, and tables behind the grains that they name.
    fn grains(&mut self, source: &dyn Image, progress: Progress<'_>) -> Result<(), ImageError> {
        let (length, grain_bytes) = (self.header.capacity, self.header.grain_bytes);
        // Bytes up to here are known to be zeros.
        let mut zeros_end = 0;
        for start in (0..length).step_by(grain_bytes as usize) {
            let end = (start + grain_bytes).min(length);
            while zeros_end < end {
                let extent = source.extent(start.max(zeros_end))?;
                if extent.kind == ExtentKind::Data {
                    break;
                }
                zeros_end = start.max(zeros_end) + extent.length.max(1);
            }
            let sector = if zeros_end < end { self.grain(source, start, end)? } else { 0 };
            self.table.push(sector);
            if self.table.len() == self.header.table_entries as usize || end == length {
                self.table()?;
            }
            progress(end, length);
        }
        Ok(())
    }
    /// Writes a grain unless it is zeros; returns its sector.
    fn grain(&mut self, source: &dyn Image, start: u64, end: u64) -> Result<u32, ImageError> {
        let grain = Buffers::of_bytes(vec![0; self.header.grain_bytes as usize]);
        source.read(start, grain.part(0..(end - start) as usize))?;
        if grain.all().is_zero() {
            return Ok(0);
        }
        let mut bytes = vec![0; grain_marker::BYTES];
        let mut encoder = ZlibEncoder::new(&mut bytes, Compression::default());
        encoder.write_all(&grain.into_bytes())?;
        encoder.finish()?;
        let size = (bytes.len() - grain_marker::BYTES) as u32;
        put(&mut bytes, grain_marker::LBA, &(start / SECTOR_BYTES).to_le_bytes());
        put(&mut bytes, grain_marker::SIZE, &size.to_le_bytes());
        self.append(bytes)
    }
    /// Writes a table, unless all of its grains are zeros.
    fn table(&mut self) -> Result<(), ImageError> {
        let mut table = std::mem::take(&mut self.table);
        let is_empty = table.iter().all(|sector| *sector == 0);
        table.resize(self.header.table_entries as usize, 0);
        let sector = if is_empty { 0 } else { self.marked(marker::TABLE, &numbers(&table))? };
        self.directory.push(sector);
        Ok(())
    }
    /// Writes the directory, the footer and the end.
    fn finish(&mut self) -> Result<(), ImageError> {
        let directory = numbers(&self.directory);
        let sector = self.marked(marker::DIRECTORY, &directory)?;
        let footer = Header { directory_offset: u64::from(sector) * SECTOR_BYTES, ..self.header };
        self.marked(marker::FOOTER, &footer.bytes())?;
        self.marked(marker::END, &[])?;
        Ok(self.file.sync()?)
    }

    /// Writes something with a marker in front; returns the sector behind the marker.
    fn marked(&mut self, kind: u32, bytes: &[u8]) -> Result<u32, ImageError> {
        let mut sector = vec![0; SECTOR_BYTES as usize];
        let sectors = (bytes.len() as u64).div_ceil(SECTOR_BYTES);
        put(&mut sector, marker::SECTORS, &sectors.to_le_bytes());
        put(&mut sector, marker::TYPE, &kind.to_le_bytes());
        self.append(sector)?;
        self.append(bytes.to_vec())
    }
    /// Writes whole sectors; returns the first.
    fn append(&mut self, mut bytes: Vec<u8>) -> Result<u32, ImageError> {
        let sector = u32::try_from(self.at / SECTOR_BYTES).map_err(|_| ImageError::Length {
            format: crate::Format::Vmdk,
            length: self.header.capacity,
            reason: "it does not become short enough",
        })?;
        bytes.resize(bytes.len().next_multiple_of(SECTOR_BYTES as usize), 0);
        self.file.write(self.at, &bytes)?;
        self.at += bytes.len() as u64;
        Ok(sector)
    }
}

fn numbers(sectors: &[u32]) -> Vec<u8> {
    sectors.iter().flat_map(|sector| sector.to_le_bytes()).collect()
}
