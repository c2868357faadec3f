//! Names of the 8259A data sheet, and of the chip set's edge/level control registers.

/// ICW1: this write starts an initialisation.
pub const ICW1_INIT: u8 = 1 << 4;
/// ICW1: inputs are level triggered (obeyed by no PC; ELCR decides).
pub const ICW1_SINGLE: u8 = 1 << 1;
/// ICW1: an ICW4 will follow.
pub const ICW1_ICW4: u8 = 1 << 0;
/// ICW2: the part of the vector that software chooses.
pub const ICW2_BASE: u8 = 0xf8;
/// ICW4: special fully nested mode.
pub const ICW4_SPECIAL_NESTED: u8 = 1 << 4;
/// ICW4: automatic end of interrupt.
pub const ICW4_AUTO_EOI: u8 = 1 << 1;

/// OCW3 rather than OCW2.
pub const OCW3_SELECT: u8 = 1 << 3;
/// OCW3: the special mask bit below counts.
pub const OCW3_SPECIAL_MASK_ENABLE: u8 = 1 << 6;
/// OCW3: special mask mode on.
pub const OCW3_SPECIAL_MASK: u8 = 1 << 5;
/// OCW3: the next read polls.
pub const OCW3_POLL: u8 = 1 << 2;
/// OCW3: the register choice below counts.
pub const OCW3_READ_ENABLE: u8 = 1 << 1;
/// OCW3: reads return ISR rather than IRR.
pub const OCW3_READ_ISR: u8 = 1 << 0;

/// OCW2, bits 7:5: what to do; bits 2:0 the level where it takes one.
pub mod ocw2 {
    /// Stop rotating in automatic EOI mode.
    pub const CLEAR_ROTATE_IN_AUTO_EOI: u8 = 0;
    /// End of the most urgent interrupt in service.
    pub const EOI: u8 = 1;
    /// End of the given interrupt.
    pub const SPECIFIC_EOI: u8 = 3;
    /// Rotate in automatic EOI mode.
    pub const SET_ROTATE_IN_AUTO_EOI: u8 = 4;
    /// [`EOI`], then that level becomes the least urgent.
    pub const ROTATE_EOI: u8 = 5;
    /// The given level becomes the least urgent.
    pub const SET_PRIORITY: u8 = 6;
    /// [`SPECIFIC_EOI`], then that level becomes the least urgent.
    pub const ROTATE_SPECIFIC_EOI: u8 = 7;
}

/// A poll found an interrupt, whose level is in bits 2:0.
pub const POLL_FOUND: u8 = 1 << 7;
/// The level of an interrupt that went away before its acknowledgement.
pub const SPURIOUS_LEVEL: u8 = 7;
/// The master's input that the slave's output is wired to.
pub const CASCADE: u8 = 2;
/// Master inputs that can be made level triggered (ICH9 §13.4.9).
pub const ELCR_MASTER: u8 = 0xf8;
/// Slave inputs that can be made level triggered (ICH9 §13.4.10).
pub const ELCR_SLAVE: u8 = 0xde;
