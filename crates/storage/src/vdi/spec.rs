//! VDI 1.1, as VirtualBox defines it in `VDICore.h`. Numbers are little-endian; offsets count from the file's beginning.

/// Bytes of the two headers together, up to a whole sector.
pub const HEADER_BYTES: usize = 512;

/// VDIPREHEADER: the first fields.
pub mod preheader {
    /// `szFileInfo`: text for whoever looks at the file.
    pub const FILE_INFO: usize = 0x00;
    /// `u32Signature`.
    pub const SIGNATURE: usize = 0x40;
    /// `u32Version`: the major number in the upper half.
    pub const VERSION: usize = 0x44;
}

/// VDIHEADER1PLUS: what follows, of version 1.1.
pub mod header {
    /// `cbHeader`: bytes of this header.
    pub const BYTES: usize = 0x48;
    /// `u32Type`.
    pub const TYPE: usize = 0x4c;
    /// `offBlocks`: where the block table is.
    pub const BLOCKS_OFFSET: usize = 0x154;
    /// `offData`: where block 0 is.
    pub const DATA_OFFSET: usize = 0x158;
    /// `LegacyGeometry.cbSector`.
    pub const SECTOR_BYTES: usize = 0x168;
    /// `cbDisk`: bytes of the disk.
    pub const DISK_BYTES: usize = 0x170;
    /// `cbBlock`: bytes of a block.
    pub const BLOCK_BYTES: usize = 0x178;
    /// `cbBlockExtra`: bytes in front of every block's data.
    pub const BLOCK_EXTRA: usize = 0x17c;
    /// `cBlocks`: entries of the block table.
    pub const BLOCKS: usize = 0x180;
    /// `cBlocksAllocated`: blocks that are in the file.
    pub const BLOCKS_ALLOCATED: usize = 0x184;
    /// `uuidCreate`.
    pub const UUID_CREATE: usize = 0x188;
    /// `uuidModify`.
    pub const UUID_MODIFY: usize = 0x198;
    /// `uuidLinkage`: the parent's `uuidCreate`.
    pub const UUID_LINKAGE: usize = 0x1a8;
    /// `uuidParentModify`.
    pub const UUID_PARENT_MODIFY: usize = 0x1b8;
}

/// VDI_IMAGE_SIGNATURE.
pub const SIGNATURE: u32 = 0xbeda_107f;
/// VDI_IMAGE_VERSION of 1.1.
pub const VERSION_1_1: u32 = 0x0001_0001;
/// `cbHeader` of 1.1.
pub const HEADER_LENGTH: u32 = 0x190;
/// VDI_IMAGE_TYPE_NORMAL: blocks get room when they are written.
pub const TYPE_NORMAL: u32 = 1;
/// VDI_IMAGE_TYPE_FIXED: all blocks have room.
pub const TYPE_FIXED: u32 = 2;
/// VDI_IMAGE_BLOCK_FREE: a block that is nowhere.
pub const BLOCK_FREE: u32 = 0xffff_ffff;
/// VDI_IMAGE_BLOCK_ZERO: a block that was made zeros; all entries from here on are no places.
pub const BLOCK_ZERO: u32 = 0xffff_fffe;
/// VDI_IMAGE_DEFAULT_BLOCK_SIZE.
pub const DEFAULT_BLOCK_BYTES: u32 = 1 << 20;
