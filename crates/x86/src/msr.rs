//! Numbers of the model-specific registers that the CPU model knows (SDM 4).

/// Time-stamp counter.
pub const TSC: u32 = 0x10;
/// Local APIC base and mode.
pub const APIC_BASE: u32 = 0x1b;
/// Feature control.
pub const FEATURE_CONTROL: u32 = 0x3a;
/// Adjustment that software made to the TSC.
pub const TSC_ADJUST: u32 = 0x3b;
/// Speculation control.
pub const SPEC_CTRL: u32 = 0x48;
/// Prediction command.
pub const PRED_CMD: u32 = 0x49;
/// Microcode revision.
pub const BIOS_SIGN_ID: u32 = 0x8b;
/// MTRR capabilities.
pub const MTRR_CAP: u32 = 0xfe;
/// What the CPU is not vulnerable to.
pub const ARCH_CAPABILITIES: u32 = 0x10a;
/// SYSENTER code segment.
pub const SYSENTER_CS: u32 = 0x174;
/// SYSENTER stack pointer.
pub const SYSENTER_ESP: u32 = 0x175;
/// SYSENTER entry point.
pub const SYSENTER_EIP: u32 = 0x176;
/// Machine-check capabilities.
pub const MCG_CAP: u32 = 0x179;
/// Machine-check status.
pub const MCG_STATUS: u32 = 0x17a;
/// Miscellaneous enables.
pub const MISC_ENABLE: u32 = 0x1a0;
/// First variable MTRR base; masks and further ones follow.
pub const MTRR_PHYS_BASE0: u32 = 0x200;
/// First fixed MTRR.
pub const MTRR_FIX64K_00000: u32 = 0x250;
/// Page attribute table.
pub const PAT: u32 = 0x277;
/// Default memory type.
pub const MTRR_DEF_TYPE: u32 = 0x2ff;
/// Deadline of the local APIC timer, in TSC ticks.
pub const TSC_DEADLINE: u32 = 0x6e0;
/// First x2APIC register.
pub const X2APIC_FIRST: u32 = 0x800;
/// Last x2APIC register.
pub const X2APIC_LAST: u32 = 0x8ff;
/// Supervisor state components.
pub const XSS: u32 = 0xda0;
/// Extended features.
pub const EFER: u32 = 0xc000_0080;
/// SYSCALL selectors and legacy target.
pub const STAR: u32 = 0xc000_0081;
/// SYSCALL target in 64-bit mode.
pub const LSTAR: u32 = 0xc000_0082;
/// SYSCALL target in compatibility mode.
pub const CSTAR: u32 = 0xc000_0083;
/// Flags that SYSCALL clears.
pub const SFMASK: u32 = 0xc000_0084;
/// FS base.
pub const FS_BASE: u32 = 0xc000_0100;
/// GS base.
pub const GS_BASE: u32 = 0xc000_0101;
/// What SWAPGS exchanges with the GS base.
pub const KERNEL_GS_BASE: u32 = 0xc000_0102;
/// What RDTSCP and RDPID return.
pub const TSC_AUX: u32 = 0xc000_0103;
