//! Making a new image.
use std::path::PathBuf;

use crate::file::HostFile;
use crate::{BackingPolicy, Format, ImageError, OpenOptions};

use super::backing;
use super::geometry::Geometry;
use super::image::Qcow2Image;
use super::rebuild::{Placed, write_refcounts};
use super::spec::{self, extension, field, incompatible};

/// Bytes of a backing file's name, which has to be in the first cluster with the header.
const NAME_MAX: usize = 256;

/// How a new image is cut up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// A cluster has two to the power of these bytes, 9 to 21.
    pub cluster_bits: u32,
    /// Clusters are cut into 32 parts, so that less is copied; from 16 KiB clusters on.
    pub extended: bool,
    /// A refcount has two to the power of these bits, 0 to 6.
    pub refcount_order: u32,
}

impl Default for Layout {
    /// What QEMU chooses, too: clusters of 64 KiB, refcounts of 16 bits.
    fn default() -> Self {
        Self { cluster_bits: 16, extended: false, refcount_order: 4 }
    }
}

impl Qcow2Image {
    /// A new image of version 3 in an empty file. The backing file's path is written down as it is.
    pub fn create(
        file: HostFile,
        length: u64,
        backing: Option<&(PathBuf, Format)>,
        layout: Layout,
    ) -> Result<Self, ImageError> {
        let Layout { cluster_bits, extended, refcount_order } = layout;
        let geometry = Geometry { version: 3, cluster_bits, extended, refcount_order };
        let refuse = |reason| Err(ImageError::Length { format: Format::Qcow2, length, reason });
        let l1_size = geometry.l1_entries(length).max(1);
        if l1_size * 8 > spec::L1_BYTES_MAX || length > i64::MAX as u64 {
            return refuse("its clusters are too small for that");
        }
        let name = match backing {
            Some((path, format)) => Some((name_of(path)?, *format)),
            None => None,
        };
        // Header, L1 table, refcounts. The L1 table is zeros, which a new file has already.
        let base = 1 + geometry.clusters(l1_size * 8);
        let placed = write_refcounts(&file, geometry, base, |cluster| u64::from(cluster < base))?;
        file.write(0, &header(geometry, length, l1_size as u32, placed, name))?;
        file.sync()?;
        let options = OpenOptions {
            read_only: false,
            format: Some(Format::Qcow2),
            // Whoever makes an image says what is behind it.
            backing: BackingPolicy::Anywhere,
        };
        Self::open(file, options, 0)
    }
}

fn name_of(path: &std::path::Path) -> Result<&str, ImageError> {
    let is_short = |name: &&str| name.len() <= NAME_MAX;
    let what = "created with a backing file whose name is no text or longer than 256 bytes";
    let cannot = || ImageError::Cannot { format: Format::Qcow2, what };
    path.to_str().filter(is_short).ok_or_else(cannot)
}

/// The first bytes of the file.
fn header(
    geometry: Geometry,
    length: u64,
    l1_size: u32,
    placed: Placed,
    backing: Option<(&str, Format)>,
) -> Vec<u8> {
    let mut bytes = vec![0; spec::HEADER_LENGTH_WRITTEN];
    let features = if geometry.extended { incompatible::EXTENDED_L2 } else { 0 };
    put32(&mut bytes, field::MAGIC, spec::MAGIC);
    put32(&mut bytes, field::VERSION, geometry.version);
    put32(&mut bytes, field::CLUSTER_BITS, geometry.cluster_bits);
    put64(&mut bytes, field::SIZE, length);
    put32(&mut bytes, field::L1_SIZE, l1_size);
    put64(&mut bytes, field::L1_TABLE_OFFSET, geometry.cluster());
    put64(&mut bytes, field::REFCOUNT_TABLE_OFFSET, placed.table);
    put32(&mut bytes, field::REFCOUNT_TABLE_CLUSTERS, placed.table_clusters);
    put64(&mut bytes, field::INCOMPATIBLE_FEATURES, features);
    put32(&mut bytes, field::REFCOUNT_ORDER, geometry.refcount_order);
    put32(&mut bytes, field::HEADER_LENGTH, spec::HEADER_LENGTH_WRITTEN as u32);
    if let Some((name, format)) = backing {
        let format = backing::name_of(format);
        bytes.extend(extension::BACKING_FORMAT.to_be_bytes());
        bytes.extend((format.len() as u32).to_be_bytes());
        bytes.extend(format.as_bytes());
        bytes.resize(bytes.len().next_multiple_of(8), 0);
        bytes.extend([0; 8]);
        let offset = bytes.len() as u64;
        put64(&mut bytes, field::BACKING_FILE_OFFSET, offset);
        put32(&mut bytes, field::BACKING_FILE_SIZE, name.len() as u32);
        bytes.extend(name.as_bytes());
    } else {
        bytes.extend([0; 8]);
    }
    bytes
}

fn put32(bytes: &mut [u8], at: usize, value: u32) {
    bytes[at..at + 4].copy_from_slice(&value.to_be_bytes());
}
fn put64(bytes: &mut [u8], at: usize, value: u64) {
    bytes[at..at + 8].copy_from_slice(&value.to_be_bytes());
}
