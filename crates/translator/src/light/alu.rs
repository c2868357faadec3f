//! Arithmetic and its status flags (SDM 1 §3.4.3.1).
use x86::flags;

/// What is computed of two operands, in the order of opcodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// ADD.
    Add,
    /// OR.
    Or,
    /// ADC.
    AddCarry,
    /// SBB.
    SubBorrow,
    /// AND and TEST.
    And,
    /// SUB and NEG.
    Sub,
    /// XOR.
    Xor,
    /// CMP.
    Compare,
}

impl Kind {
    /// By the bits of an opcode, or of the register field of ModRM.
    #[inline(always)]
    pub const fn of(bits: u8) -> Self {
        match bits & 7 {
            0 => Self::Add,
            1 => Self::Or,
            2 => Self::AddCarry,
            3 => Self::SubBorrow,
            4 => Self::And,
            5 => Self::Sub,
            6 => Self::Xor,
            _ => Self::Compare,
        }
    }
}

/// The result of `size` bytes, what is above them not defined, and the status flags. AF is undefined after AND, OR and XOR;
/// CPUs clear it.
#[inline(always)]
pub(super) fn compute(kind: Kind, left: u64, right: u64, size: u64, before: u64) -> (u64, u64) {
    // At the upper end of a word, carry and overflow are those of the word.
    let up = 64 - 8 * size;
    let (l, r) = (left << up, right << up);
    let carry_in = (before & flags::CF) << up;
    let (result, carry, overflow) = match kind {
        Kind::Add => {
            let (sum, carry) = l.overflowing_add(r);
            (sum, carry, (l ^ sum) & (r ^ sum))
        }
        Kind::AddCarry => {
            let (sum, first) = l.overflowing_add(r);
            let (sum, second) = sum.overflowing_add(carry_in);
            (sum, first | second, (l ^ sum) & (r ^ sum))
        }
        Kind::Sub | Kind::Compare => {
            let (difference, borrow) = l.overflowing_sub(r);
            (difference, borrow, (l ^ r) & (l ^ difference))
        }
        Kind::SubBorrow => {
            let (difference, first) = l.overflowing_sub(r);
            let (difference, second) = difference.overflowing_sub(carry_in);
            (difference, first | second, (l ^ r) & (l ^ difference))
        }
        Kind::And => (l & r, false, 0),
        Kind::Or => (l | r, false, 0),
        Kind::Xor => (l ^ r, false, 0),
    };
    let is_logic = matches!(kind, Kind::And | Kind::Or | Kind::Xor);
    let value = result >> up;
    let half = if is_logic { 0 } else { (left ^ right ^ value) & flags::AF };
    let parity = if (value as u8).count_ones().is_multiple_of(2) { flags::PF } else { 0 };
    let zero = if result == 0 { flags::ZF } else { 0 };
    let sign = if result >> 63 != 0 { flags::SF } else { 0 };
    let overflow = if overflow >> 63 != 0 { flags::OF } else { 0 };
    let status = u64::from(carry) | half | parity | zero | sign | overflow;
    (value, status)
}

/// Whether the condition in the lowest four bits of an opcode holds (SDM 2D B.1.4.7).
#[inline(always)]
pub(super) const fn holds(opcode: u8, status: u64) -> bool {
    let is_less = has_flag(status, flags::SF) != has_flag(status, flags::OF);
    let holds = match opcode >> 1 & 7 {
        0 => has_flag(status, flags::OF),
        1 => has_flag(status, flags::CF),
        2 => has_flag(status, flags::ZF),
        3 => has_flag(status, flags::CF | flags::ZF),
        4 => has_flag(status, flags::SF),
        5 => has_flag(status, flags::PF),
        6 => is_less,
        _ => is_less || has_flag(status, flags::ZF),
    };
    holds != (opcode & 1 != 0)
}

const fn has_flag(status: u64, which: u64) -> bool {
    status & which != 0
}

/// Sign-extends a value of `size` bytes.
#[inline(always)]
pub(super) const fn sign_extend(value: u64, size: u64) -> u64 {
    let up = 64 - 8 * size;
    ((value << up) as i64 >> up) as u64
}
