//! Exceptions that an instruction raises (SDM 3A §6.15).
use crate::address::Gva;

/// Vectors of the architecture's exceptions.
pub mod vector {
    /// Divide error.
    pub const DE: u8 = 0;
    /// Debug.
    pub const DB: u8 = 1;
    /// Non-maskable interrupt.
    pub const NMI: u8 = 2;
    /// Breakpoint.
    pub const BP: u8 = 3;
    /// Overflow.
    pub const OF: u8 = 4;
    /// BOUND range exceeded.
    pub const BR: u8 = 5;
    /// Invalid opcode.
    pub const UD: u8 = 6;
    /// Device not available.
    pub const NM: u8 = 7;
    /// Double fault.
    pub const DF: u8 = 8;
    /// Invalid TSS.
    pub const TS: u8 = 10;
    /// Segment not present.
    pub const NP: u8 = 11;
    /// Stack fault.
    pub const SS: u8 = 12;
    /// General protection.
    pub const GP: u8 = 13;
    /// Page fault.
    pub const PF: u8 = 14;
    /// x87 floating point.
    pub const MF: u8 = 16;
    /// Alignment check.
    pub const AC: u8 = 17;
    /// Machine check.
    pub const MC: u8 = 18;
    /// SIMD floating point.
    pub const XM: u8 = 19;
}

/// One exception, as it is about to be delivered through the IDT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exception {
    /// Which one: a constant of [`vector`].
    pub vector: u8,
    /// The error code to push, for those that have one.
    pub error_code: Option<u32>,
    /// For a page fault: the linear address that CR2 takes.
    pub address: Option<Gva>,
}

impl Exception {
    /// An exception without an error code.
    pub const fn plain(vector: u8) -> Self {
        Self { vector, error_code: None, address: None }
    }
    /// An exception with an error code.
    pub const fn with_code(vector: u8, code: u32) -> Self {
        Self { vector, error_code: Some(code), address: None }
    }
    /// `#UD`.
    pub const fn invalid_opcode() -> Self {
        Self::plain(vector::UD)
    }
    /// `#GP(code)`.
    pub const fn general_protection(code: u32) -> Self {
        Self::with_code(vector::GP, code)
    }
    /// `#SS(code)`.
    pub const fn stack_fault(code: u32) -> Self {
        Self::with_code(vector::SS, code)
    }
    /// `#PF(code)` at `address`.
    pub const fn page_fault(address: Gva, code: u32) -> Self {
        Self { vector: vector::PF, error_code: Some(code), address: Some(address) }
    }
}
