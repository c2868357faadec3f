//! Names and layout of "QCow2 image file format" (QEMU, docs/interop/qcow2.rst). All numbers are big-endian.

/// "Header": magic, "QFI\xfb".
pub const MAGIC: u32 = 0x5146_49fb;

/// Offsets of the header's fields.
pub mod field {
    pub const MAGIC: usize = 0;
    pub const VERSION: usize = 4;
    pub const BACKING_FILE_OFFSET: usize = 8;
    pub const BACKING_FILE_SIZE: usize = 16;
    pub const CLUSTER_BITS: usize = 20;
    pub const SIZE: usize = 24;
    pub const CRYPT_METHOD: usize = 32;
    pub const L1_SIZE: usize = 36;
    pub const L1_TABLE_OFFSET: usize = 40;
    pub const REFCOUNT_TABLE_OFFSET: usize = 48;
    pub const REFCOUNT_TABLE_CLUSTERS: usize = 56;
    pub const NB_SNAPSHOTS: usize = 60;
    pub const SNAPSHOTS_OFFSET: usize = 64;
    /// From here on in version 3 only.
    pub const INCOMPATIBLE_FEATURES: usize = 72;
    pub const COMPATIBLE_FEATURES: usize = 80;
    pub const AUTOCLEAR_FEATURES: usize = 88;
    pub const REFCOUNT_ORDER: usize = 96;
    pub const HEADER_LENGTH: usize = 100;
    /// "Additional fields": there if the header is long enough.
    pub const COMPRESSION_TYPE: usize = 104;
}
/// Bytes of a header of version 2, and the least and the usual ones of version 3.
pub const HEADER_LENGTH_V2: usize = 72;
pub const HEADER_LENGTH_V3: usize = 104;
pub const HEADER_LENGTH_WRITTEN: usize = 112;

/// Bounds that QEMU has, too.
pub const CLUSTER_BITS: std::ops::RangeInclusive<u32> = 9..=21;
pub const L1_BYTES_MAX: u64 = 32 << 20;
pub const REFCOUNT_TABLE_BYTES_MAX: u64 = 8 << 20;
pub const REFCOUNT_ORDER_MAX: u32 = 6;
pub const BACKING_NAME_MAX: u32 = 1023;
pub const SNAPSHOTS_MAX: u32 = 65536;
pub const SNAPSHOT_EXTRA_MAX: u32 = 1024;
/// Refcounts of images of version 2 have 16 bits.
pub const REFCOUNT_ORDER_V2: u32 = 4;

/// "Incompatible features".
pub mod incompatible {
    pub const DIRTY: u64 = 1 << 0;
    pub const CORRUPT: u64 = 1 << 1;
    pub const EXTERNAL_DATA: u64 = 1 << 2;
    pub const COMPRESSION_TYPE: u64 = 1 << 3;
    pub const EXTENDED_L2: u64 = 1 << 4;
    /// Those that are dealt with here.
    pub const KNOWN: u64 = DIRTY | CORRUPT | COMPRESSION_TYPE | EXTENDED_L2;
}
/// "Compatible features".
pub mod compatible {
    pub const LAZY_REFCOUNTS: u64 = 1 << 0;
}
/// "Autoclear features".
pub mod autoclear {
    pub const BITMAPS: u64 = 1 << 0;
}

/// "Header extensions": type (4 bytes), length (4 bytes), data padded to 8 bytes.
pub mod extension {
    pub const END: u32 = 0;
    pub const BACKING_FORMAT: u32 = 0xe279_2aca;
    pub const FEATURE_NAMES: u32 = 0x6803_f857;
    pub const BITMAPS: u32 = 0x2385_2875;
}
/// "Feature name table": bytes of an entry, which are type, bit and name; the type of incompatible features.
pub const FEATURE_NAME_BYTES: usize = 48;
pub const FEATURE_INCOMPATIBLE: u8 = 0;

/// "Compressed Clusters Descriptor": the unit of lengths.
pub const SECTOR_BYTES: u64 = 512;

/// "Compression type".
pub mod compression {
    pub const ZLIB: u8 = 0;
    pub const ZSTD: u8 = 1;
}

/// "L1 table entry", "Standard Cluster Descriptor" and "refcount table entry": the offset in it.
pub const OFFSET_MASK: u64 = 0x00ff_ffff_ffff_fe00;
pub const REFCOUNT_TABLE_MASK: u64 = 0xffff_ffff_ffff_fe00;
/// "L1 table entry", "L2 table entry": the refcount is exactly one.
pub const COPIED: u64 = 1 << 63;
/// "L2 table entry": a compressed cluster.
pub const COMPRESSED: u64 = 1 << 62;
/// "Standard Cluster Descriptor": all zeros, whatever the offset.
pub const ZERO: u64 = 1 << 0;

/// "Extended L2 Entries": parts of a cluster; the upper half of the bitmap says that a part is zeros.
pub const SUBCLUSTERS: u64 = 32;
pub const EXTENDED_CLUSTER_BITS_MIN: u32 = 14;

/// "Snapshots": offsets of the fields of a table entry.
pub mod snapshot {
    pub const L1_TABLE_OFFSET: usize = 0;
    pub const L1_SIZE: usize = 8;
    pub const ID_SIZE: usize = 12;
    pub const NAME_SIZE: usize = 14;
    pub const EXTRA_SIZE: usize = 36;
    /// Bytes before the extra data.
    pub const LENGTH: usize = 40;
    /// In the extra data.
    pub const DISK_SIZE: usize = 8;
}

/// "Bitmaps extension" and "Bitmap directory": offsets of fields.
pub mod bitmap {
    /// In the extension.
    pub const DIRECTORY_SIZE: usize = 8;
    pub const DIRECTORY_OFFSET: usize = 16;
    pub const EXTENSION_LENGTH: usize = 24;
    /// In a directory entry.
    pub const TABLE_OFFSET: usize = 0;
    pub const TABLE_SIZE: usize = 8;
    pub const NAME_SIZE: usize = 18;
    pub const EXTRA_SIZE: usize = 20;
    pub const ENTRY_LENGTH: usize = 24;
    /// QEMU's bounds of a directory, and of the entries of a table.
    pub const DIRECTORY_BYTES_MAX: u64 = 64 << 20;
    pub const TABLE_SIZE_MAX: u32 = 0x800_0000;
}

/// A big-endian number; zero if it is not all there.
pub fn be32(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..).and_then(<[u8]>::first_chunk).map_or(0, |bytes| u32::from_be_bytes(*bytes))
}
/// The same with 16 bits.
pub fn be16(bytes: &[u8], at: usize) -> u16 {
    bytes.get(at..).and_then(<[u8]>::first_chunk).map_or(0, |bytes| u16::from_be_bytes(*bytes))
}
/// The same with 64 bits.
pub fn be64(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..).and_then(<[u8]>::first_chunk).map_or(0, |bytes| u64::from_be_bytes(*bytes))
}
