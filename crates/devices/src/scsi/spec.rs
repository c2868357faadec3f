//! Names of SPC-4, SBC-3 and MMC-6.

/// Bytes of a disk's logical block.
pub const DISK_BLOCK: u64 = 512;
/// Bytes of a CD-ROM's logical block.
pub const CDROM_BLOCK: u64 = 2048;

/// Operation codes (SPC-4 annex E.3).
pub mod op {
    /// Is the medium there?
    pub const TEST_UNIT_READY: u8 = 0x00;
    /// Sense data that was not delivered.
    pub const REQUEST_SENSE: u8 = 0x03;
    /// 6 bytes.
    pub const READ_6: u8 = 0x08;
    /// 6 bytes.
    pub const WRITE_6: u8 = 0x0a;
    /// Who the unit is.
    pub const INQUIRY: u8 = 0x12;
    /// Sets mode pages.
    pub const MODE_SELECT_6: u8 = 0x15;
    /// For oneself alone.
    pub const RESERVE_6: u8 = 0x16;
    /// For everybody again.
    pub const RELEASE_6: u8 = 0x17;
    /// Reads mode pages.
    pub const MODE_SENSE_6: u8 = 0x1a;
    /// Spins and ejects.
    pub const START_STOP_UNIT: u8 = 0x1b;
    /// Locks the tray.
    pub const PREVENT_ALLOW: u8 = 0x1e;
    /// Number of blocks.
    pub const READ_CAPACITY_10: u8 = 0x25;
    /// 10 bytes.
    pub const READ_10: u8 = 0x28;
    /// 10 bytes.
    pub const WRITE_10: u8 = 0x2a;
    /// Moves the head.
    pub const SEEK_10: u8 = 0x2b;
    /// 10 bytes.
    pub const WRITE_VERIFY_10: u8 = 0x2e;
    /// 10 bytes.
    pub const VERIFY_10: u8 = 0x2f;
    /// 10 bytes.
    pub const SYNCHRONIZE_CACHE_10: u8 = 0x35;
    /// One block, many times.
    pub const WRITE_SAME_10: u8 = 0x41;
    /// Blocks that are not needed.
    pub const UNMAP: u8 = 0x42;
    /// Position of an audio disc, on CD-ROMs (the same code as UNMAP).
    pub const READ_SUBCHANNEL: u8 = 0x42;
    /// Table of contents.
    pub const READ_TOC: u8 = 0x43;
    /// Features of a drive.
    pub const GET_CONFIGURATION: u8 = 0x46;
    /// What happened to tray and medium.
    pub const GET_EVENT_STATUS: u8 = 0x4a;
    /// State of a disc.
    pub const READ_DISC_INFORMATION: u8 = 0x51;
    /// State of a track.
    pub const READ_TRACK_INFORMATION: u8 = 0x52;
    /// 10 bytes.
    pub const MODE_SELECT_10: u8 = 0x55;
    /// 10 bytes.
    pub const MODE_SENSE_10: u8 = 0x5a;
    /// 16 bytes.
    pub const READ_16: u8 = 0x88;
    /// 16 bytes.
    pub const WRITE_16: u8 = 0x8a;
    /// 16 bytes.
    pub const WRITE_VERIFY_16: u8 = 0x8e;
    /// 16 bytes.
    pub const VERIFY_16: u8 = 0x8f;
    /// 16 bytes.
    pub const SYNCHRONIZE_CACHE_16: u8 = 0x91;
    /// 16 bytes.
    pub const WRITE_SAME_16: u8 = 0x93;
    /// A family; the service action says which.
    pub const SERVICE_ACTION_IN_16: u8 = 0x9e;
    /// Units of a target.
    pub const REPORT_LUNS: u8 = 0xa0;
    /// 12 bytes.
    pub const READ_12: u8 = 0xa8;
    /// 12 bytes.
    pub const WRITE_12: u8 = 0xaa;
    /// 12 bytes.
    pub const WRITE_VERIFY_12: u8 = 0xae;
    /// 12 bytes.
    pub const VERIFY_12: u8 = 0xaf;
    /// Speed of a drive.
    pub const SET_CD_SPEED: u8 = 0xbb;
    /// What the drive's mechanism does.
    pub const MECHANISM_STATUS: u8 = 0xbd;
    /// Reads parts of sectors.
    pub const READ_CD: u8 = 0xbe;
}

/// Service action: number of blocks, 64 bits.
pub const READ_CAPACITY_16: u8 = 0x10;

/// Status codes (SAM-5 §5.3).
pub mod status {
    /// Done.
    pub const GOOD: u8 = 0x00;
    /// Sense data says why not.
    pub const CHECK_CONDITION: u8 = 0x02;
}

/// Sense keys (SPC-4 §4.5.6).
pub mod key {
    /// Nothing to tell.
    pub const NO_SENSE: u8 = 0x0;
    /// No medium.
    pub const NOT_READY: u8 = 0x2;
    /// The medium is damaged.
    pub const MEDIUM_ERROR: u8 = 0x3;
    /// The command is wrong.
    pub const ILLEGAL_REQUEST: u8 = 0x5;
    /// Something happened since the last command.
    pub const UNIT_ATTENTION: u8 = 0x6;
    /// Writing is not allowed.
    pub const DATA_PROTECT: u8 = 0x7;
    /// The unit gave up.
    pub const ABORTED_COMMAND: u8 = 0xb;
}

/// Additional sense codes with their qualifiers (SPC-4 annex E.2).
pub mod code {
    /// Nothing to tell.
    pub const NONE: (u8, u8) = (0x00, 0x00);
    /// Write error.
    pub const WRITE_ERROR: (u8, u8) = (0x0c, 0x00);
    /// Unrecovered read error.
    pub const READ_ERROR: (u8, u8) = (0x11, 0x00);
    /// Parameter list length error.
    pub const LIST_LENGTH: (u8, u8) = (0x1a, 0x00);
    /// Invalid command operation code.
    pub const OPCODE: (u8, u8) = (0x20, 0x00);
    /// Logical block address out of range.
    pub const OUT_OF_RANGE: (u8, u8) = (0x21, 0x00);
    /// Invalid field in CDB.
    pub const FIELD_IN_CDB: (u8, u8) = (0x24, 0x00);
    /// Logical unit not supported.
    pub const NO_UNIT: (u8, u8) = (0x25, 0x00);
    /// Invalid field in parameter list.
    pub const FIELD_IN_LIST: (u8, u8) = (0x26, 0x00);
    /// Write protected.
    pub const WRITE_PROTECTED: (u8, u8) = (0x27, 0x00);
    /// Not ready to ready change, medium may have changed.
    pub const MEDIUM_CHANGED: (u8, u8) = (0x28, 0x00);
    /// Power on, reset, or bus device reset occurred.
    pub const POWER_ON: (u8, u8) = (0x29, 0x00);
    /// Capacity data has changed.
    pub const CAPACITY_CHANGED: (u8, u8) = (0x2a, 0x09);
    /// Saving parameters not supported.
    pub const NO_SAVING: (u8, u8) = (0x39, 0x00);
    /// Medium not present, tray closed.
    pub const NO_MEDIUM: (u8, u8) = (0x3a, 0x01);
    /// Medium not present, tray open.
    pub const TRAY_OPEN: (u8, u8) = (0x3a, 0x02);
    /// Reported LUNs data has changed.
    pub const LUNS_CHANGED: (u8, u8) = (0x3f, 0x0e);
    /// Data phase error.
    pub const DATA_PHASE: (u8, u8) = (0x4b, 0x00);
    /// Medium removal prevented.
    pub const LOCKED: (u8, u8) = (0x53, 0x02);
}

/// Vital product data pages (SPC-4 §7.8).
pub mod vpd {
    /// Pages that there are.
    pub const SUPPORTED: u8 = 0x00;
    /// Unit serial number.
    pub const SERIAL: u8 = 0x80;
    /// Device identification.
    pub const IDENTIFICATION: u8 = 0x83;
    /// Block limits (SBC-3 §6.5.3).
    pub const BLOCK_LIMITS: u8 = 0xb0;
    /// Block device characteristics (SBC-3 §6.5.2).
    pub const CHARACTERISTICS: u8 = 0xb1;
    /// Logical block provisioning (SBC-3 §6.5.4).
    pub const PROVISIONING: u8 = 0xb2;
}

/// Mode pages (SPC-4 §7.5, SBC-3 §6.4, MMC-6 §7).
pub mod page {
    /// Read-write error recovery.
    pub const ERROR_RECOVERY: u8 = 0x01;
    /// Caching.
    pub const CACHING: u8 = 0x08;
    /// Control.
    pub const CONTROL: u8 = 0x0a;
    /// CD capabilities and mechanical status.
    pub const CAPABILITIES: u8 = 0x2a;
    /// All of them.
    pub const ALL: u8 = 0x3f;
    /// All subpages.
    pub const ALL_SUBPAGES: u8 = 0xff;
}

/// Caching page, byte 2: write cache enabled.
pub const WRITE_CACHE: u8 = 1 << 2;
/// Control page, byte 2: sense data comes as descriptors.
pub const DESCRIPTOR_SENSE: u8 = 1 << 2;
/// Mode parameter header, device-specific: writing is not allowed.
pub const MODE_WRITE_PROTECTED: u8 = 1 << 7;
/// Mode parameter header, device-specific: FUA is heeded.
pub const MODE_FUA: u8 = 1 << 4;

/// Bits of command blocks.
pub mod bit {
    /// READ and WRITE, byte 1: past caches.
    pub const FUA: u8 = 1 << 3;
    /// WRITE SAME, byte 1: blocks may be let go.
    pub const UNMAP: u8 = 1 << 3;
    /// WRITE SAME (16), byte 1: no data comes, zeros are meant.
    pub const NO_DATA_OUT: u8 = 1 << 0;
    /// WRITE SAME and UNMAP, byte 1: keep the room.
    pub const ANCHOR: u8 = 1 << 4;
    /// VERIFY, byte 1: compare with data that comes.
    pub const BYTE_CHECK: u8 = 3 << 1;
    /// INQUIRY, byte 1: a page of vital product data.
    pub const EVPD: u8 = 1 << 0;
    /// MODE SENSE, byte 1: no block descriptor.
    pub const DISABLE_DESCRIPTORS: u8 = 1 << 3;
    /// MODE SENSE (10), byte 1: descriptors may be long.
    pub const LONG_LBA: u8 = 1 << 4;
    /// REQUEST SENSE, byte 1: descriptor format.
    pub const DESCRIPTORS: u8 = 1 << 0;
    /// START STOP UNIT, byte 4: spin.
    pub const START: u8 = 1 << 0;
    /// START STOP UNIT, byte 4: load or eject.
    pub const LOAD_EJECT: u8 = 1 << 1;
    /// GET EVENT STATUS NOTIFICATION, byte 1: answer at once.
    pub const POLLED: u8 = 1 << 0;
    /// READ TOC and READ SUB-CHANNEL, byte 1: addresses as minutes, seconds and frames.
    pub const MSF: u8 = 1 << 1;
    /// READ SUB-CHANNEL, byte 2: the subchannel's data too.
    pub const SUBCHANNEL: u8 = 1 << 6;
}

/// Events of a medium (MMC-6 §6.6.2.6).
pub mod media_event {
    /// Nothing new.
    pub const NONE: u8 = 0;
    /// Somebody wants the medium.
    pub const EJECT_REQUEST: u8 = 1;
    /// A medium came.
    pub const NEW_MEDIUM: u8 = 2;
    /// The medium went.
    pub const REMOVED: u8 = 3;
    /// The class's number.
    pub const CLASS: u8 = 4;
}

/// Profiles of a drive (MMC-6 §5.3.1).
pub mod profile {
    /// No medium.
    pub const NONE: u16 = 0x0000;
    /// CD-ROM.
    pub const CD_ROM: u16 = 0x0008;
    /// DVD-ROM.
    pub const DVD_ROM: u16 = 0x0010;
}

/// Blocks of the longest CD there is, 99 minutes; what has more is a DVD.
pub const CD_BLOCKS_MAX: u64 = 99 * 60 * 75;
/// Track number of the lead-out area.
pub const LEAD_OUT: u8 = 0xaa;
/// A data track that may not be copied, with its position in subchannel Q.
pub const DATA_TRACK: u8 = 0x14;
