//! Registers of the local APIC, numbered as the x2APIC does: MSR 0x800 plus the number, or the xAPIC page at sixteen
//! times the number (SDM 3A table 11-6).

/// Input clock of the timer before its divider. CPUID leaf 0x15 tells guests so.
pub const TIMER_HZ: u64 = 10_000_000;
/// Length of its period.
pub const TICK_NS: u64 = 1_000_000_000 / TIMER_HZ;
/// Shortest period of the periodic timer: a guest must not be able to make the host do nothing else.
pub const SHORTEST_PERIOD_NS: u64 = 20_000;

pub const ID: u32 = 0x02;
pub const VERSION: u32 = 0x03;
pub const TPR: u32 = 0x08;
pub const APR: u32 = 0x09;
pub const PPR: u32 = 0x0a;
pub const EOI: u32 = 0x0b;
pub const REMOTE_READ: u32 = 0x0c;
pub const LDR: u32 = 0x0d;
pub const DFR: u32 = 0x0e;
pub const SVR: u32 = 0x0f;
pub const ISR: u32 = 0x10;
pub const TMR: u32 = 0x18;
pub const IRR: u32 = 0x20;
pub const ESR: u32 = 0x28;
pub const ICR_LOW: u32 = 0x30;
pub const ICR_HIGH: u32 = 0x31;
pub const LVT_TIMER: u32 = 0x32;
pub const LVT_ERROR: u32 = 0x37;
pub const INITIAL_COUNT: u32 = 0x38;
pub const CURRENT_COUNT: u32 = 0x39;
pub const DIVIDE: u32 = 0x3e;
pub const SELF_IPI: u32 = 0x3f;

/// An integrated APIC with six local vectors.
pub const VERSION_VALUE: u32 = 0x14 | 5 << 16;

/// Spurious-interrupt vector register: the APIC is software-enabled.
pub const SVR_ENABLED: u32 = 1 << 8;
/// Spurious-interrupt vector register: what can be written.
pub const SVR_WRITABLE: u32 = 0x3ff;

/// Local vectors in the order of their registers.
pub mod lvt {
    pub const TIMER: usize = 0;
    pub const LINT0: usize = 3;
    pub const ERROR: usize = 5;
    pub const COUNT: usize = 6;
    /// The entry is masked.
    pub const MASKED: u32 = 1 << 16;
    /// What can be written in each entry.
    pub const WRITABLE: [u32; COUNT] = [0x7_00ff, 0x1_07ff, 0x1_07ff, 0x1_a7ff, 0x1_a7ff, 0x1_00ff];
    /// Timer mode: bits 18:17.
    pub const TIMER_MODE_SHIFT: u32 = 17;
    pub const ONE_SHOT: u32 = 0;
    pub const PERIODIC: u32 = 1;
    pub const TSC_DEADLINE: u32 = 2;
    /// What firmware leaves in LINT0 of the bootstrap CPU: external interrupts from the 8259A (virtual wire).
    pub const LINT0_EXTINT: u32 = 0x700;
}

/// Error status register.
pub mod esr {
    pub const SEND_ILLEGAL_VECTOR: u32 = 1 << 5;
    pub const RECEIVE_ILLEGAL_VECTOR: u32 = 1 << 6;
    pub const ILLEGAL_REGISTER: u32 = 1 << 7;
}

/// Interrupt command register.
pub mod icr {
    pub const LOGICAL: u32 = 1 << 11;
    pub const ASSERT: u32 = 1 << 14;
    pub const LEVEL: u32 = 1 << 15;
    pub const SHORTHAND_SHIFT: u32 = 18;
    /// What can be written in the low half; delivery is never pending.
    pub const WRITABLE: u32 = 0xc_cfff;
}

/// `IA32_APIC_BASE`.
pub mod base {
    /// Where the page is after reset.
    pub const DEFAULT: u64 = 0xfee0_0000;
    pub const BOOTSTRAP: u64 = 1 << 8;
    pub const X2APIC: u64 = 1 << 10;
    pub const ENABLED: u64 = 1 << 11;
    /// The address bits: 46 bits of physical address space.
    pub const ADDRESS: u64 = 0x3fff_ffff_f000;
}

/// Vectors below this are exceptions.
pub const FIRST_LEGAL_VECTOR: u8 = 16;
