//! "Virtual Disk Format 5.0", VMware's specification of VMDK. Numbers are little-endian; places are sectors of 512 bytes.

/// Bytes of SparseExtentHeader.
pub const HEADER_BYTES: usize = 512;

/// "Hosted Sparse Extent Header": where its fields are.
pub mod header {
    /// `magicNumber`.
    pub const MAGIC: usize = 0;
    /// `version`.
    pub const VERSION: usize = 4;
    /// `flags`.
    pub const FLAGS: usize = 8;
    /// `capacity`: sectors of the extent.
    pub const CAPACITY: usize = 12;
    /// `grainSize`: sectors of a grain.
    pub const GRAIN_SIZE: usize = 20;
    /// `descriptorOffset`: where the embedded descriptor is.
    pub const DESCRIPTOR_OFFSET: usize = 28;
    /// `descriptorSize`: its sectors.
    pub const DESCRIPTOR_SIZE: usize = 36;
    /// `numGTEsPerGT`: entries of a grain table.
    pub const TABLE_ENTRIES: usize = 44;
    /// `rgdOffset`: where the redundant grain directory is.
    pub const REDUNDANT_OFFSET: usize = 48;
    /// `gdOffset`: where the grain directory is.
    pub const DIRECTORY_OFFSET: usize = 56;
    /// `overHead`: sectors that are not data.
    pub const OVERHEAD: usize = 64;
    /// `singleEndLineChar` and the three after it, which tell a file that was moved as text.
    pub const LINE_ENDS: usize = 73;
    /// `compressAlgorithm`.
    pub const COMPRESSION: usize = 77;
}

/// "KDMV".
pub const MAGIC: u32 = 0x564d_444b;
/// Magic of extents of ESX's older kind.
pub const MAGIC_COWD: u32 = 0x4457_4f43;
/// The bytes at [`header::LINE_ENDS`].
pub const LINE_ENDS: [u8; 4] = *b"\n \r\n";
/// `flags`: [`header::LINE_ENDS`] is filled in.
pub const FLAG_LINE_ENDS: u32 = 1 << 0;
/// `flags`: the redundant grain directory is kept.
pub const FLAG_REDUNDANT: u32 = 1 << 1;
/// `flags`: entries of 1 are grains of zeros.
pub const FLAG_ZERO_GRAINS: u32 = 1 << 2;
/// `flags`: grains are compressed.
pub const FLAG_COMPRESSED: u32 = 1 << 16;
/// `flags`: markers stand in front of grains and tables.
pub const FLAG_MARKERS: u32 = 1 << 17;
/// `gdOffset`: the header at the file's end has the true one.
pub const DIRECTORY_AT_END: u64 = u64::MAX;
/// An entry of a grain table: a grain of zeros, with [`FLAG_ZERO_GRAINS`].
pub const GRAIN_OF_ZEROS: u32 = 1;
/// `compressAlgorithm`: deflate (RFC 1950 and 1951).
pub const COMPRESSION_DEFLATE: u16 = 1;

/// "Stream-Optimized Compressed Sparse Extents": the marker of a grain, whose data follows at once.
pub mod grain_marker {
    /// `lba`: the grain's first sector on the disk.
    pub const LBA: usize = 0;
    /// `size`: bytes of compressed data; 0 in markers of other kinds.
    pub const SIZE: usize = 8;
    /// Bytes of the marker itself.
    pub const BYTES: usize = 12;
}
/// The marker of anything else, which is a sector of its own.
pub mod marker {
    /// `numSectors`: sectors of what follows.
    pub const SECTORS: usize = 0;
    /// `type`.
    pub const TYPE: usize = 12;
    /// MARKER_EOS: nothing follows.
    pub const END: u32 = 0;
    /// MARKER_GT: a grain table.
    pub const TABLE: u32 = 1;
    /// MARKER_GD: the grain directory.
    pub const DIRECTORY: u32 = 2;
    /// MARKER_FOOTER: the header with the true `gdOffset`.
    pub const FOOTER: u32 = 3;
}
/// Bytes from the footer's beginning to the file's end: the footer and the end-of-stream marker.
pub const FOOTER_FROM_END: u64 = 1024;

/// Grain tables of new extents have as many entries.
pub const DEFAULT_TABLE_ENTRIES: u32 = 512;
/// Sectors of a grain of new extents.
pub const DEFAULT_GRAIN_SECTORS: u64 = 128;

/// "The Descriptor": the first line of the text.
pub const DESCRIPTOR_TITLE: &str = "# Disk DescriptorFile";
/// `parentCID` of an image that has no parent.
pub const NO_PARENT: &str = "ffffffff";
/// Kinds of images (`createType`) that can be read.
pub const KINDS: [&str; 6] = [
    "monolithicSparse",
    "monolithicFlat",
    "twoGbMaxExtentSparse",
    "twoGbMaxExtentFlat",
    "streamOptimized",
    "vmfs",
];
