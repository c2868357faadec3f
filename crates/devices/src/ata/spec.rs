//! Names of ACS-3.

/// Bytes of a sector.
pub const SECTOR: u64 = 512;
/// Sectors that one command moves at most.
pub const SECTORS_MAX: u64 = 0x1_0000;
/// Sectors of a READ or WRITE MULTIPLE block at most.
pub const MULTIPLE_MAX: u8 = 16;
/// Blocks of 512 bytes that one DATA SET MANAGEMENT takes at most.
pub const TRIM_BLOCKS_MAX: u16 = 8;
/// Commands that may be queued.
pub const QUEUE_DEPTH: u16 = 32;
/// Heads and sectors of a track, of a disk that is addressed as in old times.
pub const HEADS: u64 = 16;
/// See [`HEADS`].
pub const SECTORS_PER_TRACK: u64 = 63;

/// Command codes (ACS-3 §7).
pub mod op {
    /// Trim.
    pub const DATA_SET_MANAGEMENT: u8 = 0x06;
    /// Resets a packet device.
    pub const DEVICE_RESET: u8 = 0x08;
    /// Moves the head home.
    pub const RECALIBRATE: u8 = 0x10;
    /// By PIO, with 28 bits.
    pub const READ_SECTORS: u8 = 0x20;
    /// As above; an old form.
    pub const READ_SECTORS_ONCE: u8 = 0x21;
    /// By PIO.
    pub const READ_SECTORS_EXT: u8 = 0x24;
    /// By DMA.
    pub const READ_DMA_EXT: u8 = 0x25;
    /// The last sector.
    pub const READ_NATIVE_MAX_EXT: u8 = 0x27;
    /// By PIO.
    pub const READ_MULTIPLE_EXT: u8 = 0x29;
    /// By PIO.
    pub const READ_LOG_EXT: u8 = 0x2f;
    /// By PIO, with 28 bits.
    pub const WRITE_SECTORS: u8 = 0x30;
    /// As above; an old form.
    pub const WRITE_SECTORS_ONCE: u8 = 0x31;
    /// By PIO.
    pub const WRITE_SECTORS_EXT: u8 = 0x34;
    /// By DMA.
    pub const WRITE_DMA_EXT: u8 = 0x35;
    /// By PIO.
    pub const WRITE_MULTIPLE_EXT: u8 = 0x39;
    /// By DMA, past the cache.
    pub const WRITE_DMA_FUA_EXT: u8 = 0x3d;
    /// With 28 bits.
    pub const READ_VERIFY: u8 = 0x40;
    /// As above; an old form.
    pub const READ_VERIFY_ONCE: u8 = 0x41;
    /// Are sectors readable?
    pub const READ_VERIFY_EXT: u8 = 0x42;
    /// By DMA.
    pub const READ_LOG_DMA_EXT: u8 = 0x47;
    /// Queued.
    pub const READ_FPDMA_QUEUED: u8 = 0x60;
    /// Queued.
    pub const WRITE_FPDMA_QUEUED: u8 = 0x61;
    /// Moves the head.
    pub const SEEK: u8 = 0x70;
    /// Tests oneself.
    pub const EXECUTE_DIAGNOSTIC: u8 = 0x90;
    /// Sets heads and sectors.
    pub const INITIALIZE_PARAMETERS: u8 = 0x91;
    /// A command block for a packet device.
    pub const PACKET: u8 = 0xa0;
    /// Who a packet device is.
    pub const IDENTIFY_PACKET: u8 = 0xa1;
    /// By PIO, with 28 bits.
    pub const READ_MULTIPLE: u8 = 0xc4;
    /// By PIO, with 28 bits.
    pub const WRITE_MULTIPLE: u8 = 0xc5;
    /// Sectors of a block.
    pub const SET_MULTIPLE: u8 = 0xc6;
    /// By DMA, with 28 bits.
    pub const READ_DMA: u8 = 0xc8;
    /// As above; an old form.
    pub const READ_DMA_ONCE: u8 = 0xc9;
    /// By DMA, with 28 bits.
    pub const WRITE_DMA: u8 = 0xca;
    /// As above; an old form.
    pub const WRITE_DMA_ONCE: u8 = 0xcb;
    /// By PIO, past the cache.
    pub const WRITE_MULTIPLE_FUA_EXT: u8 = 0xce;
    /// To standby.
    pub const STANDBY_IMMEDIATE: u8 = 0xe0;
    /// To idle.
    pub const IDLE_IMMEDIATE: u8 = 0xe1;
    /// Standby after a time.
    pub const STANDBY: u8 = 0xe2;
    /// Idle after a time.
    pub const IDLE: u8 = 0xe3;
    /// Which power mode is it?
    pub const CHECK_POWER_MODE: u8 = 0xe5;
    /// To sleep.
    pub const SLEEP: u8 = 0xe6;
    /// What was written survives.
    pub const FLUSH_CACHE: u8 = 0xe7;
    /// As above.
    pub const FLUSH_CACHE_EXT: u8 = 0xea;
    /// Who a disk is.
    pub const IDENTIFY: u8 = 0xec;
    /// Turns things on and off.
    pub const SET_FEATURES: u8 = 0xef;
    /// The last sector, with 28 bits.
    pub const READ_NATIVE_MAX: u8 = 0xf8;
}

/// Subcommands of SET FEATURES (§7.45), and bits of the feature field of other commands.
pub mod feature {
    /// Write cache on.
    pub const WRITE_CACHE_ON: u16 = 0x02;
    /// The mode of transfers, which means nothing here.
    pub const TRANSFER_MODE: u16 = 0x03;
    /// Read look-ahead off.
    pub const LOOK_AHEAD_OFF: u16 = 0x55;
    /// Settings survive a reset.
    pub const KEEP_SETTINGS: u16 = 0x66;
    /// Write cache off.
    pub const WRITE_CACHE_OFF: u16 = 0x82;
    /// Read look-ahead on.
    pub const LOOK_AHEAD_ON: u16 = 0xaa;
    /// Settings do not survive a reset.
    pub const LOSE_SETTINGS: u16 = 0xcc;
    /// DATA SET MANAGEMENT: trim.
    pub const TRIM: u16 = 1 << 0;
    /// PACKET: data goes by DMA.
    pub const PACKET_DMA: u16 = 1 << 0;
}

/// Status field (§6.2).
pub mod status {
    /// The command failed.
    pub const ERROR: u8 = 1 << 0;
    /// Data is to be moved.
    pub const DATA_REQUEST: u8 = 1 << 3;
    /// The head is where it should be.
    pub const SEEK_COMPLETE: u8 = 1 << 4;
    /// The device failed.
    pub const FAULT: u8 = 1 << 5;
    /// The device is there.
    pub const READY: u8 = 1 << 6;
    /// The device works.
    pub const BUSY: u8 = 1 << 7;
    /// After a command that was done.
    pub const GOOD: u8 = READY | SEEK_COMPLETE;
}

/// Error field (§6.3).
pub mod error {
    /// The command is not known, or not possible.
    pub const ABORT: u8 = 1 << 2;
    /// No such sector.
    pub const NO_SECTOR: u8 = 1 << 4;
    /// The sector cannot be read; of writes, the medium is protected.
    pub const UNCORRECTABLE: u8 = 1 << 6;
    /// Of writes: the medium is protected.
    pub const WRITE_PROTECTED: u8 = 1 << 6;
}

/// Device field: the address is a number.
pub const DEVICE_LBA: u8 = 1 << 6;
/// Device field of queued commands: past the cache.
pub const DEVICE_FUA: u8 = 1 << 7;

/// What devices say of themselves after a reset: the LBA field (§9.2.2).
pub mod signature {
    /// A disk.
    pub const DISK: u64 = 0x00_00_01;
    /// A packet device.
    pub const PACKET: u64 = 0xeb_14_01;
}

/// Logs (§A).
pub mod log {
    /// Which logs there are.
    pub const DIRECTORY: u8 = 0x00;
    /// What was wrong with a queued command.
    pub const QUEUE_ERROR: u8 = 0x10;
}

/// Whether a command's data goes by PIO.
pub const fn is_pio(command: u8) -> bool {
    matches!(
        command,
        op::READ_SECTORS
            | op::READ_SECTORS_ONCE
            | op::READ_SECTORS_EXT
            | op::READ_MULTIPLE
            | op::READ_MULTIPLE_EXT
            | op::READ_LOG_EXT
            | op::WRITE_SECTORS
            | op::WRITE_SECTORS_ONCE
            | op::WRITE_SECTORS_EXT
            | op::WRITE_MULTIPLE
            | op::WRITE_MULTIPLE_EXT
            | op::WRITE_MULTIPLE_FUA_EXT
            | op::IDENTIFY
            | op::IDENTIFY_PACKET
    )
}

/// Whether a command is queued.
pub const fn is_queued(command: u8) -> bool {
    matches!(command, op::READ_FPDMA_QUEUED | op::WRITE_FPDMA_QUEUED)
}
