//! Bits of CR0, CR3, CR4, EFER and XCR0 (SDM 3A §2.5, §2.6, §2.2.1).

/// Protection enable.
pub const CR0_PE: u64 = 1 << 0;
/// Monitor coprocessor.
pub const CR0_MP: u64 = 1 << 1;
/// x87 emulation.
pub const CR0_EM: u64 = 1 << 2;
/// Task switched.
pub const CR0_TS: u64 = 1 << 3;
/// Extension type: always one.
pub const CR0_ET: u64 = 1 << 4;
/// Native x87 error reporting.
pub const CR0_NE: u64 = 1 << 5;
/// Write protect: supervisor writes honour read-only pages.
pub const CR0_WP: u64 = 1 << 16;
/// Alignment mask.
pub const CR0_AM: u64 = 1 << 18;
/// Not write-through.
pub const CR0_NW: u64 = 1 << 29;
/// Cache disable.
pub const CR0_CD: u64 = 1 << 30;
/// Paging.
pub const CR0_PG: u64 = 1 << 31;
/// Every bit of CR0 that exists.
pub const CR0_DEFINED: u64 =
    CR0_PE | CR0_MP | CR0_EM | CR0_TS | CR0_ET | CR0_NE | CR0_WP | CR0_AM | CR0_NW | CR0_CD | CR0_PG;

/// The PCID field of CR3 while CR4.PCIDE is set.
pub const CR3_PCID: u64 = 0xfff;
/// In a value moved to CR3 while CR4.PCIDE is set: keep the cached translations of that PCID.
pub const CR3_NOFLUSH: u64 = 1 << 63;

/// Virtual-8086 extensions.
pub const CR4_VME: u64 = 1 << 0;
/// Protected-mode virtual interrupts.
pub const CR4_PVI: u64 = 1 << 1;
/// RDTSC in ring 0 only.
pub const CR4_TSD: u64 = 1 << 2;
/// Debugging extensions: DR4 and DR5 do not exist.
pub const CR4_DE: u64 = 1 << 3;
/// 4 MiB pages in 32-bit paging.
pub const CR4_PSE: u64 = 1 << 4;
/// Physical-address extension.
pub const CR4_PAE: u64 = 1 << 5;
/// Machine check.
pub const CR4_MCE: u64 = 1 << 6;
/// Global pages.
pub const CR4_PGE: u64 = 1 << 7;
/// RDPMC in every ring.
pub const CR4_PCE: u64 = 1 << 8;
/// FXSAVE, FXRSTOR and SSE.
pub const CR4_OSFXSR: u64 = 1 << 9;
/// Unmasked SIMD floating-point exceptions raise #XM.
pub const CR4_OSXMMEXCPT: u64 = 1 << 10;
/// SGDT, SIDT, SLDT, SMSW and STR in ring 0 only.
pub const CR4_UMIP: u64 = 1 << 11;
/// 57-bit linear addresses.
pub const CR4_LA57: u64 = 1 << 12;
/// VMX.
pub const CR4_VMXE: u64 = 1 << 13;
/// RDFSBASE and friends.
pub const CR4_FSGSBASE: u64 = 1 << 16;
/// Process-context identifiers.
pub const CR4_PCIDE: u64 = 1 << 17;
/// XSAVE and extended states.
pub const CR4_OSXSAVE: u64 = 1 << 18;
/// Supervisor-mode execution prevention.
pub const CR4_SMEP: u64 = 1 << 20;
/// Supervisor-mode access prevention.
pub const CR4_SMAP: u64 = 1 << 21;
/// Protection keys for user pages.
pub const CR4_PKE: u64 = 1 << 22;

/// SYSCALL and SYSRET.
pub const EFER_SCE: u64 = 1 << 0;
/// Long mode enabled.
pub const EFER_LME: u64 = 1 << 8;
/// Long mode active.
pub const EFER_LMA: u64 = 1 << 10;
/// No-execute pages.
pub const EFER_NXE: u64 = 1 << 11;

/// x87 state.
pub const XCR0_X87: u64 = 1 << 0;
/// XMM registers and MXCSR.
pub const XCR0_SSE: u64 = 1 << 1;
/// Upper halves of the YMM registers.
pub const XCR0_AVX: u64 = 1 << 2;
