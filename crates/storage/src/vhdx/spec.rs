//! \[MS-VHDX\], "Virtual Hard Disk v2 (VHDX) File Format". Numbers are little-endian; GUIDs are in the order of the file.

/// A GUID as it is in the file.
pub type Guid = [u8; 16];

/// "File Type Identifier": `Signature`, at the file's beginning.
pub const FILE_SIGNATURE: &[u8] = b"vhdxfile";
/// Where the two headers are ("Header Section").
pub const HEADERS: [u64; 2] = [64 << 10, 128 << 10];
/// Bytes of a header.
pub const HEADER_BYTES: usize = 4096;
/// Where the two region tables are.
pub const REGION_TABLES: [u64; 2] = [192 << 10, 256 << 10];
/// Bytes of a region table.
pub const REGION_TABLE_BYTES: usize = 64 << 10;
/// All structures with checksums have them here.
pub const CHECKSUM: usize = 4;
/// Regions, the log and blocks begin at multiples of this.
pub const ALIGNMENT: u64 = 1 << 20;

/// "Headers": where their fields are.
pub mod header {
    /// `Signature`.
    pub const SIGNATURE: &[u8] = b"head";
    /// `SequenceNumber`: the header with the higher one counts.
    pub const SEQUENCE: usize = 8;
    /// `LogGuid`: that of the log's entries, or zeros if nothing is in the log.
    pub const LOG_GUID: usize = 48;
    /// `LogVersion`.
    pub const LOG_VERSION: usize = 64;
    /// `Version`.
    pub const VERSION: usize = 66;
    /// `LogLength`.
    pub const LOG_LENGTH: usize = 68;
    /// `LogOffset`.
    pub const LOG_OFFSET: usize = 72;
}

/// "Region Table": where its fields are.
pub mod regions {
    use super::Guid;
    /// `Signature`.
    pub const SIGNATURE: &[u8] = b"regi";
    /// `EntryCount`.
    pub const COUNT: usize = 8;
    /// The first entry.
    pub const ENTRIES: usize = 16;
    /// Bytes of an entry: `Guid`, `FileOffset` (8 bytes), `Length` (4), `Required` (bit 0 of 4).
    pub const ENTRY_BYTES: usize = 32;
    /// Where in an entry its offset, length and flag are.
    pub const ENTRY_FIELDS: [usize; 3] = [16, 24, 28];
    /// `EntryCount` is less than this.
    pub const COUNT_END: u32 = 2048;
    /// 2DC27766-F623-4200-9D64-115E9BFD4A08: the Block Allocation Table.
    pub const BAT: Guid = *b"\x66\x77\xc2\x2d\x23\xf6\x00\x42\x9d\x64\x11\x5e\x9b\xfd\x4a\x08";
    /// 8B7CA206-4790-4B9A-B8FE-575F050F886E: the metadata.
    pub const METADATA: Guid = *b"\x06\xa2\x7c\x8b\x90\x47\x9a\x4b\xb8\xfe\x57\x5f\x05\x0f\x88\x6e";
}

/// "Metadata Region": where the fields of its table are.
pub mod metadata {
    use super::Guid;
    /// `Signature`.
    pub const SIGNATURE: &[u8] = b"metadata";
    /// Bytes of the table.
    pub const TABLE_BYTES: usize = 64 << 10;
    /// `EntryCount`.
    pub const COUNT: usize = 10;
    /// The first entry.
    pub const ENTRIES: usize = 32;
    /// Bytes of an entry: `ItemId`, `Offset` (4 bytes), `Length` (4), flags (4).
    pub const ENTRY_BYTES: usize = 32;
    /// Where in an entry its offset, length and flags are.
    pub const ENTRY_FIELDS: [usize; 3] = [16, 20, 24];
    /// `EntryCount` is less than this.
    pub const COUNT_END: u16 = 2048;
    /// The flag `IsRequired`.
    pub const REQUIRED: u32 = 1 << 2;
    /// CAA16737-FA36-4D43-B3B6-33F0AA44E76B: File Parameters: `BlockSize`, and flags.
    pub const FILE_PARAMETERS: Guid = *b"\x37\x67\xa1\xca\x36\xfa\x43\x4d\xb3\xb6\x33\xf0\xaa\x44\xe7\x6b";
    /// `LeaveBlockAllocated`, a flag of the File Parameters.
    pub const LEAVE_BLOCKS_ALLOCATED: u32 = 1 << 0;
    /// `HasParent`, a flag of the File Parameters.
    pub const HAS_PARENT: u32 = 1 << 1;
    /// 2FA54224-CD1B-4876-B211-5DBED83BF4B8: Virtual Disk Size.
    pub const DISK_SIZE: Guid = *b"\x24\x42\xa5\x2f\x1b\xcd\x76\x48\xb2\x11\x5d\xbe\xd8\x3b\xf4\xb8";
    /// BECA12AB-B2E6-4523-93EF-C309E000C746: Virtual Disk ID.
    pub const DISK_ID: Guid = *b"\xab\x12\xca\xbe\xe6\xb2\x23\x45\x93\xef\xc3\x09\xe0\x00\xc7\x46";
    /// 8141BF1D-A96F-4709-BA47-F233A8FAAB5F: Logical Sector Size.
    pub const LOGICAL_SECTOR: Guid = *b"\x1d\xbf\x41\x81\x6f\xa9\x09\x47\xba\x47\xf2\x33\xa8\xfa\xab\x5f";
    /// CDA348C7-445D-4471-9CC9-E9885251C556: Physical Sector Size.
    pub const PHYSICAL_SECTOR: Guid = *b"\xc7\x48\xa3\xcd\x5d\x44\x71\x44\x9c\xc9\xe9\x88\x52\x51\xc5\x56";
    /// A8D35F2D-B30B-454D-ABF7-D3D84834AB0C: Parent Locator.
    pub const PARENT_LOCATOR: Guid = *b"\x2d\x5f\xd3\xa8\x0b\xb3\x4d\x45\xab\xf7\xd3\xd8\x48\x34\xab\x0c";
}

/// "Block Allocation Table": its entries of 8 bytes.
pub mod bat {
    /// `State`: the lowest bits.
    pub const STATE: u64 = 7;
    /// `FileOffsetMB`: the place in bytes, once the other bits are off.
    pub const PLACE: u64 = !((1 << 20) - 1);
    /// States of blocks that are zeros: NOT_PRESENT, UNDEFINED, ZERO, UNMAPPED.
    pub const NOWHERE: std::ops::RangeInclusive<u64> = 0..=3;
    /// FULLY_PRESENT.
    pub const FULLY_PRESENT: u64 = 6;
    /// Sectors whose presence one sector bitmap tells, which follows their blocks' entries in the table.
    pub const SECTORS_PER_BITMAP: u64 = 1 << 23;
}

/// "Log": its entries.
pub mod log {
    /// Entries and data are whole sectors of this.
    pub const SECTOR_BYTES: usize = 4096;
    /// `Signature` of an entry.
    pub const SIGNATURE: &[u8] = b"loge";
    /// `EntryLength`.
    pub const LENGTH: usize = 8;
    /// `Tail`: where in the log the oldest entry is that still counts.
    pub const TAIL: usize = 12;
    /// `SequenceNumber`.
    pub const SEQUENCE: usize = 16;
    /// `DescriptorCount`.
    pub const COUNT: usize = 24;
    /// `LogGuid`.
    pub const GUID: usize = 32;
    /// `FlushedFileOffset`: the file is at least that long.
    pub const FLUSHED_OFFSET: usize = 48;
    /// `LastFileOffset`: and has to become at least that long.
    pub const LAST_OFFSET: usize = 56;
    /// The first descriptor.
    pub const DESCRIPTORS: usize = 64;
    /// Bytes of a descriptor.
    pub const DESCRIPTOR_BYTES: usize = 32;

    /// Fields of descriptors, which begin with "zero" or "desc".
    pub mod descriptor {
        /// `ZeroSignature`.
        pub const ZERO: &[u8] = b"zero";
        /// `DataSignature`.
        pub const DATA: &[u8] = b"desc";
        /// `TrailingBytes` of data: the page's last 4.
        pub const TRAILING: usize = 4;
        /// `LeadingBytes` of data, the page's first 8; `ZeroLength` of zeros.
        pub const LEADING: usize = 8;
        /// `FileOffset`.
        pub const OFFSET: usize = 16;
        /// `SequenceNumber`.
        pub const SEQUENCE: usize = 24;
    }

    /// Fields of data sectors.
    pub mod data {
        /// `DataSignature`.
        pub const SIGNATURE: &[u8] = b"data";
        /// `SequenceHigh`.
        pub const SEQUENCE_HIGH: usize = 4;
        /// `Data`, up to [`SEQUENCE_LOW`].
        pub const DATA: usize = 8;
        /// `SequenceLow`.
        pub const SEQUENCE_LOW: usize = 4092;
    }
}
