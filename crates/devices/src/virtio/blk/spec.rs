//! Names of VirtIO 1.2 §5.2.

/// Number of the kind of device.
pub const KIND: u16 = 2;
/// PCI class: mass storage.
pub const CLASS: u32 = 0x01_00_00;

/// Feature bits (§5.2.3).
pub mod feature {
    /// The configuration says how many buffers a request may have.
    pub const SEG_MAX: u64 = 1 << 2;
    /// The disk cannot be written.
    pub const RO: u64 = 1 << 5;
    /// The configuration says how long a block is.
    pub const BLK_SIZE: u64 = 1 << 6;
    /// Writes can be flushed.
    pub const FLUSH: u64 = 1 << 9;
    /// The configuration says which blocks are written best.
    pub const TOPOLOGY: u64 = 1 << 10;
    /// The driver chooses whether writes are cached.
    pub const CONFIG_WCE: u64 = 1 << 11;
    /// There are several queues.
    pub const MQ: u64 = 1 << 12;
    /// Ranges can be discarded.
    pub const DISCARD: u64 = 1 << 13;
    /// Ranges can be made zero.
    pub const WRITE_ZEROES: u64 = 1 << 14;
}

/// Offsets in the configuration (§5.2.4).
pub mod config {
    /// Sectors of 512 bytes, 8 bytes.
    pub const CAPACITY: usize = 0;
    /// Buffers of a request, 4 bytes.
    pub const SEG_MAX: usize = 12;
    /// Bytes of a block, 4 bytes.
    pub const BLK_SIZE: usize = 20;
    /// Blocks of a physical block, as a power of two, 1 byte.
    pub const PHYSICAL_BLOCK_EXP: usize = 24;
    /// Blocks that are written best together, 2 bytes.
    pub const MIN_IO_SIZE: usize = 26;
    /// Whether writes are cached, 1 byte; the driver may write it.
    pub const WRITEBACK: usize = 32;
    /// Number of queues, 2 bytes.
    pub const NUM_QUEUES: usize = 34;
    /// Sectors of one range to discard, 4 bytes.
    pub const MAX_DISCARD_SECTORS: usize = 36;
    /// Ranges of one request to discard, 4 bytes.
    pub const MAX_DISCARD_SEG: usize = 40;
    /// Sectors in units of which discarding frees, 4 bytes.
    pub const DISCARD_SECTOR_ALIGNMENT: usize = 44;
    /// Sectors of one range to make zero, 4 bytes.
    pub const MAX_WRITE_ZEROES_SECTORS: usize = 48;
    /// Ranges of one request to make zero, 4 bytes.
    pub const MAX_WRITE_ZEROES_SEG: usize = 52;
    /// Whether making zero may free, 1 byte.
    pub const WRITE_ZEROES_MAY_UNMAP: usize = 56;
    /// Bytes of all that.
    pub const BYTES: usize = 60;
}

/// Types of requests (§5.2.6).
pub mod request {
    /// Bytes of the header: type, reserved, sector.
    pub const HEADER_BYTES: u32 = 16;
    /// Read.
    pub const IN: u32 = 0;
    /// Write.
    pub const OUT: u32 = 1;
    /// Writes that were completed are to survive.
    pub const FLUSH: u32 = 4;
    /// Tell the serial number.
    pub const GET_ID: u32 = 8;
    /// Discard ranges.
    pub const DISCARD: u32 = 11;
    /// Make ranges zero.
    pub const WRITE_ZEROES: u32 = 13;
    /// Bytes of a serial number.
    pub const ID_BYTES: usize = 20;
    /// Bytes of a range: sector, number of sectors, flags.
    pub const RANGE_BYTES: usize = 16;
    /// Flag of a range: it may be freed.
    pub const UNMAP: u32 = 1 << 0;
}

/// The last byte of a request.
pub mod status {
    /// Done.
    pub const OK: u8 = 0;
    /// Failed.
    pub const IOERR: u8 = 1;
    /// The device does not know such requests.
    pub const UNSUPP: u8 = 2;
}
