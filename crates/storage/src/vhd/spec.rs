//! "Virtual Hard Disk Image Format Specification", version 1.0. Numbers are big-endian.

/// Bytes of the footer, and of its copy at the beginning of dynamic images.
pub const FOOTER_BYTES: usize = 512;
/// Bytes of the dynamic disk header.
pub const HEADER_BYTES: usize = 1024;

/// "Hard Disk Footer Format": where its fields are.
pub mod footer {
    /// Cookie.
    pub const COOKIE: usize = 0;
    /// Features.
    pub const FEATURES: usize = 8;
    /// File Format Version.
    pub const VERSION: usize = 12;
    /// Data Offset: where the dynamic disk header is.
    pub const DATA_OFFSET: usize = 16;
    /// Time Stamp: seconds since the year 2000 began.
    pub const TIME_STAMP: usize = 24;
    /// Creator Application.
    pub const CREATOR: usize = 28;
    /// Creator Version.
    pub const CREATOR_VERSION: usize = 32;
    /// Creator Host OS.
    pub const CREATOR_HOST: usize = 36;
    /// Original Size.
    pub const ORIGINAL_SIZE: usize = 40;
    /// Current Size: bytes of the disk.
    pub const CURRENT_SIZE: usize = 48;
    /// Disk Geometry: cylinders (2 bytes), heads, sectors per track.
    pub const GEOMETRY: usize = 56;
    /// Disk Type.
    pub const TYPE: usize = 60;
    /// Checksum: the ones' complement of the sum of all bytes but these.
    pub const CHECKSUM: usize = 64;
    /// Unique Id.
    pub const UNIQUE_ID: usize = 68;
}

/// "Dynamic Disk Header Format": where its fields are.
pub mod header {
    /// Cookie.
    pub const COOKIE: usize = 0;
    /// Data Offset, which is not used.
    pub const DATA_OFFSET: usize = 8;
    /// Table Offset: where the Block Allocation Table is.
    pub const TABLE_OFFSET: usize = 16;
    /// Header Version.
    pub const VERSION: usize = 24;
    /// Max Table Entries.
    pub const TABLE_ENTRIES: usize = 28;
    /// Block Size, without the sector bitmap.
    pub const BLOCK_BYTES: usize = 32;
    /// Checksum, as that of the footer.
    pub const CHECKSUM: usize = 36;
}

/// Cookie of the footer.
pub const FOOTER_COOKIE: &[u8] = b"conectix";
/// Cookie of the dynamic disk header.
pub const HEADER_COOKIE: &[u8] = b"cxsparse";
/// The version of both.
pub const VERSION_1_0: u32 = 0x0001_0000;
/// Features: the bit that is always set.
pub const FEATURE_RESERVED: u32 = 2;
/// Disk Type: fixed hard disk.
pub const TYPE_FIXED: u32 = 2;
/// Disk Type: dynamic hard disk.
pub const TYPE_DYNAMIC: u32 = 3;
/// Disk Type: differencing hard disk.
pub const TYPE_DIFFERENCING: u32 = 4;
/// Block Size that is usual.
pub const DEFAULT_BLOCK_BYTES: u32 = 2 << 20;
/// An entry of the Block Allocation Table that is no place.
pub const UNUSED: u32 = 0xffff_ffff;
/// The year 2000 in seconds since 1970.
pub const EPOCH_UNIX_S: u64 = 946_684_800;
