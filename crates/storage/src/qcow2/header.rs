//! What is in an image's header, checked.
use crate::file::HostFile;
use crate::{Format, ImageError};

use super::geometry::Geometry;
use super::spec::{self, be32, be64, extension, field, incompatible};

/// How a compressed cluster is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// Raw deflate.
    Zlib,
    /// Zstandard frames.
    Zstd,
}

/// The bitmaps that an image keeps; their clusters are in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BitmapDirectory {
    /// Where it is.
    pub offset: u64,
    /// Bytes.
    pub length: u64,
}

/// A header that makes sense by itself.
#[derive(Clone, Debug)]
pub struct Header {
    /// How the image is cut up.
    pub geometry: Geometry,
    /// Bytes of the disk.
    pub length: u64,
    /// The backing file's name.
    pub backing: Option<String>,
    /// The backing file's format, as it is written down.
    pub backing_format: Option<String>,
    /// Entries of the L1 table, and where it is.
    pub l1_size: u32,
    /// Where it is.
    pub l1_offset: u64,
    /// Where the refcount table is.
    pub refcount_offset: u64,
    /// Clusters of the refcount table.
    pub refcount_clusters: u32,
    /// Internal snapshots.
    pub snapshots: u32,
    /// Where their table is.
    pub snapshots_offset: u64,
    /// "Incompatible features".
    pub incompatible: u64,
    /// "Compatible features".
    pub compatible: u64,
    /// "Autoclear features".
    pub autoclear: u64,
    /// Of compressed clusters.
    pub compression: Compression,
    /// Bitmaps that are up to date.
    pub bitmaps: Option<BitmapDirectory>,
}

impl Header {
    /// Reads and checks the header of the image in a file.
    pub fn read(file: &HostFile) -> Result<Self, ImageError> {
        let malformed = |problem: String| malformed(file, problem);
        let head = file.read_some(0, 1 << spec::CLUSTER_BITS.end())?;
        if be32(&head, field::MAGIC) != spec::MAGIC || head.len() < spec::HEADER_LENGTH_V2 {
            return Err(malformed("it has no header".into()));
        }
        let version = be32(&head, field::VERSION);
        if !(2..=3).contains(&version) {
            return Err(unsupported(file, format!("version {version} of the format")));
        }
        let (header_length, head) = bounds(version, &head).map_err(malformed)?;
        let mut header = fields(version, head);
        header.check_features(file, head, header_length)?;
        header.check_layout(head, header_length).map_err(malformed)?;
        header.read_extensions(head, header_length).map_err(malformed)?;
        header.read_backing(head, header_length).map_err(malformed)?;
        Ok(header)
    }

    /// Refuses what would be read wrongly.
    fn check_features(
        &mut self,
        file: &HostFile,
        head: &[u8],
        header_length: usize,
    ) -> Result<(), ImageError> {
        let unknown = self.incompatible & !incompatible::KNOWN & !incompatible::EXTERNAL_DATA;
        if self.incompatible & incompatible::EXTERNAL_DATA != 0 {
            return Err(unsupported(file, "a data file of its own".into()));
        }
        if unknown != 0 {
            let bit = unknown.trailing_zeros() as u8;
            let name = feature_name(head, header_length, bit);
            return Err(unsupported(file, name.unwrap_or_else(|| format!("incompatible feature {bit}"))));
        }
        let encryption = be32(head, field::CRYPT_METHOD);
        if encryption != 0 {
            let name = match encryption {
                1 => "AES",
                2 => "LUKS",
                _ => "unknown",
            };
            return Err(unsupported(file, format!("{name} encryption")));
        }
        let has_type = self.incompatible & incompatible::COMPRESSION_TYPE != 0;
        let kind = match header_length > field::COMPRESSION_TYPE {
            true => head[field::COMPRESSION_TYPE],
            false => spec::compression::ZLIB,
        };
        self.compression = match (kind, has_type) {
            (spec::compression::ZLIB, false) => Compression::Zlib,
            (spec::compression::ZSTD, true) => Compression::Zstd,
            (spec::compression::ZLIB | spec::compression::ZSTD, _) => {
                return Err(malformed(file, "compression type and features contradict one another".into()));
            }
            _ => return Err(unsupported(file, format!("compression type {kind}"))),
        };
        Ok(())
    }

    fn check_layout(&self, head: &[u8], header_length: usize) -> Result<(), String> {
        let geometry = self.geometry;
        if header_length < spec::HEADER_LENGTH_V2 || header_length > head.len() {
            return Err(format!("its header has {header_length} bytes"));
        }
        if geometry.refcount_order > spec::REFCOUNT_ORDER_MAX {
            return Err(format!("refcounts of 2^{} bits", geometry.refcount_order));
        }
        if geometry.extended && geometry.cluster_bits < spec::EXTENDED_CLUSTER_BITS_MIN {
            return Err("its clusters are too small for subclusters".into());
        }
        if self.length > i64::MAX as u64 {
            return Err(format!("a disk of {} bytes", self.length));
        }
        let l1_bytes = u64::from(self.l1_size) * 8;
        self.check_table("an L1 table", self.l1_offset, l1_bytes, spec::L1_BYTES_MAX)?;
        if u64::from(self.l1_size) < geometry.l1_entries(self.length) {
            return Err("its L1 table is too small for the disk".into());
        }
        let refcount_bytes = u64::from(self.refcount_clusters) << geometry.cluster_bits;
        if refcount_bytes == 0 {
            return Err("it has no refcount table".into());
        }
        let most = spec::REFCOUNT_TABLE_BYTES_MAX;
        self.check_table("a refcount table", self.refcount_offset, refcount_bytes, most)?;
        if self.snapshots > spec::SNAPSHOTS_MAX {
            return Err(format!("{} snapshots", self.snapshots));
        }
        if self.snapshots > 0 && !geometry.is_start(self.snapshots_offset) {
            return Err(format!("a snapshot table at {:#x}", self.snapshots_offset));
        }
        Ok(())
    }
    fn check_table(&self, name: &str, offset: u64, bytes: u64, most: u64) -> Result<(), String> {
        let is_placed = offset != 0
            && self.geometry.is_start(offset)
            && offset.checked_add(bytes).is_some_and(|end| end <= spec::OFFSET_MASK);
        if bytes > most || (bytes > 0 && !is_placed) {
            return Err(format!("{name} of {bytes} bytes at {offset:#x}"));
        }
        Ok(())
    }

    fn read_extensions(&mut self, head: &[u8], header_length: usize) -> Result<(), String> {
        for found in extensions(head, header_length) {
            let (kind, data) = found?;
            match kind {
                extension::BACKING_FORMAT => {
                    self.backing_format = Some(String::from_utf8_lossy(data).into_owned());
                }
                extension::BITMAPS if self.autoclear & spec::autoclear::BITMAPS != 0 => {
                    if data.len() < spec::bitmap::EXTENSION_LENGTH {
                        return Err("its bitmap extension is too short".into());
                    }
                    self.bitmaps = Some(BitmapDirectory {
                        offset: be64(data, spec::bitmap::DIRECTORY_OFFSET),
                        length: be64(data, spec::bitmap::DIRECTORY_SIZE),
                    });
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn read_backing(&mut self, head: &[u8], header_length: usize) -> Result<(), String> {
        let (offset, size) = (be64(head, field::BACKING_FILE_OFFSET), be32(head, field::BACKING_FILE_SIZE));
        if offset == 0 || size == 0 {
            return Ok(());
        }
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let name = head.get(start..start.saturating_add(size as usize));
        match name {
            Some(name) if size <= spec::BACKING_NAME_MAX && start >= header_length => {
                let name = std::str::from_utf8(name).map_err(|_| "its backing file's name is no text")?;
                self.backing = Some(name.to_owned());
                Ok(())
            }
            _ => Err(format!("its backing file's name has {size} bytes at {offset:#x}")),
        }
    }
}

/// The header's length, and the first cluster, which everything in the header is in.
fn bounds(version: u32, head: &[u8]) -> Result<(usize, &[u8]), String> {
    let cluster_bits = be32(head, field::CLUSTER_BITS);
    if !spec::CLUSTER_BITS.contains(&cluster_bits) {
        return Err(format!("clusters of 2^{cluster_bits} bytes"));
    }
    let header_length = match version {
        2 => spec::HEADER_LENGTH_V2,
        _ => be32(head, field::HEADER_LENGTH) as usize,
    };
    let head = &head[..head.len().min(1 << cluster_bits)];
    let least = if version == 2 { spec::HEADER_LENGTH_V2 } else { spec::HEADER_LENGTH_V3 };
    if header_length < least || header_length > head.len() || !header_length.is_multiple_of(8) {
        return Err(format!("its header has {header_length} bytes"));
    }
    Ok((header_length, head))
}

/// The numbers, as they are.
fn fields(version: u32, head: &[u8]) -> Header {
    let newer64 = |at| if version >= 3 { be64(head, at) } else { 0 };
    let features = newer64(field::INCOMPATIBLE_FEATURES);
    let refcount_order = match version {
        2 => spec::REFCOUNT_ORDER_V2,
        _ => be32(head, field::REFCOUNT_ORDER),
    };
    Header {
        geometry: Geometry {
            version,
            cluster_bits: be32(head, field::CLUSTER_BITS),
            extended: features & incompatible::EXTENDED_L2 != 0,
            refcount_order,
        },
        length: be64(head, field::SIZE),
        backing: None,
        backing_format: None,
        l1_size: be32(head, field::L1_SIZE),
        l1_offset: be64(head, field::L1_TABLE_OFFSET),
        refcount_offset: be64(head, field::REFCOUNT_TABLE_OFFSET),
        refcount_clusters: be32(head, field::REFCOUNT_TABLE_CLUSTERS),
        snapshots: be32(head, field::NB_SNAPSHOTS),
        snapshots_offset: be64(head, field::SNAPSHOTS_OFFSET),
        incompatible: features,
        compatible: newer64(field::COMPATIBLE_FEATURES),
        autoclear: newer64(field::AUTOCLEAR_FEATURES),
        compression: Compression::Zlib,
        bitmaps: None,
    }
}

/// The header's extensions: type and data.
fn extensions(head: &[u8], header_length: usize) -> impl Iterator<Item = Result<(u32, &[u8]), String>> {
    let backing = be64(head, field::BACKING_FILE_OFFSET);
    let end = match usize::try_from(backing) {
        Ok(backing) if backing >= header_length => backing.min(head.len()),
        _ => head.len(),
    };
    let mut at = header_length;
    std::iter::from_fn(move || {
        let kind = be32(head, at);
        if at + 8 > end || kind == extension::END {
            return None;
        }
        let (start, length) = (at + 8, be32(head, at + 4) as usize);
        let Some(data) = head[..end].get(start..start.saturating_add(length)) else {
            at = end;
            return Some(Err(format!("its header extension {kind:#x} has {length} bytes")));
        };
        at = start + length.next_multiple_of(8);
        Some(Ok((kind, data)))
    })
}

/// What the image calls an incompatible feature.
fn feature_name(head: &[u8], header_length: usize, bit: u8) -> Option<String> {
    let names = extensions(head, header_length).filter_map(Result::ok);
    let names = names.filter(|(kind, _)| *kind == extension::FEATURE_NAMES);
    let entries = names.flat_map(|(_, data)| data.chunks_exact(spec::FEATURE_NAME_BYTES));
    let mut found = entries.filter(|entry| entry[..2] == [spec::FEATURE_INCOMPATIBLE, bit]);
    let name = String::from_utf8_lossy(&found.next()?[2..]).into_owned();
    let name: String = name.chars().take_while(|letter| *letter != '\0' && !letter.is_control()).collect();
    (!name.is_empty()).then(|| format!("the feature \"{name}\""))
}

/// The image in this file makes no sense.
pub fn malformed(file: &HostFile, problem: String) -> ImageError {
    ImageError::Malformed { path: file.path().to_owned(), format: Format::Qcow2, problem }
}
fn unsupported(file: &HostFile, feature: String) -> ImageError {
    ImageError::Unsupported { path: file.path().to_owned(), feature }
}
