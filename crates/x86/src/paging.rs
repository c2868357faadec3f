//! Bits of page-table entries and of the page-fault error code (SDM 3A §4.5, §4.7).

/// Present.
pub const PTE_P: u64 = 1 << 0;
/// Writable.
pub const PTE_W: u64 = 1 << 1;
/// Accessible from user mode.
pub const PTE_U: u64 = 1 << 2;
/// Accessed.
pub const PTE_A: u64 = 1 << 5;
/// Dirty.
pub const PTE_D: u64 = 1 << 6;
/// This entry maps a large page.
pub const PTE_PS: u64 = 1 << 7;
/// Global.
pub const PTE_G: u64 = 1 << 8;
/// No execute.
pub const PTE_NX: u64 = 1 << 63;
/// The physical address in a 64-bit entry, for 52 physical bits at most.
pub const PTE_ADDRESS: u64 = 0x000f_ffff_ffff_f000;

/// The page was present: a protection violation.
pub const PF_PRESENT: u32 = 1 << 0;
/// The access was a write.
pub const PF_WRITE: u32 = 1 << 1;
/// The access came from user mode.
pub const PF_USER: u32 = 1 << 2;
/// A reserved bit was set.
pub const PF_RESERVED: u32 = 1 << 3;
/// The access was an instruction fetch.
pub const PF_FETCH: u32 = 1 << 4;
