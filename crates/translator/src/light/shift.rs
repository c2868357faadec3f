//! Shifts and products: the host computes them, so that flags that are undefined are its own.
#![expect(unsafe_code, reason = "reads the host's status flags")]
use std::arch::asm;

use x86::flags;

/// Any others of the host's flags, as programs have them.
const HOST_FLAGS: u64 = flags::FIXED | flags::IF;

/// One instruction on a value with CL, with the status flags before and after.
macro_rules! by_count {
    ($class:ident, $template:expr, $value:ident, $count:ident, $flags:ident) => {
        // SAFETY: status flags and the two operands are all that the instruction uses; the stack is left as it was.
        unsafe {
            asm!("push {f}", "popfq", $template, "pushfq", "pop {f}",
                v = inout($class) $value, f = inout(reg) $flags, in("cl") $count);
        }
    };
}

/// The four sizes of one shift.
macro_rules! sizes {
    ($name:literal, $value:ident, $count:ident, $size:ident, $flags:ident) => {
        match $size {
            1 => {
                let mut v = $value as u8;
                by_count!(reg_byte, concat!($name, " {v}, cl"), v, $count, $flags);
                u64::from(v)
            }
            2 => {
                let mut v = $value as u16;
                by_count!(reg, concat!($name, " {v:x}, cl"), v, $count, $flags);
                u64::from(v)
            }
            4 => {
                let mut v = $value as u32;
                by_count!(reg, concat!($name, " {v:e}, cl"), v, $count, $flags);
                u64::from(v)
            }
            _ => {
                let mut v = $value;
                by_count!(reg, concat!($name, " {v:r}, cl"), v, $count, $flags);
                v
            }
        }
    };
}

/// What a shift or rotation by the register field of ModRM makes of a value, and the status flags; `None` for rotations
/// through CF.
pub(super) fn shift(what: u8, value: u64, count: u8, size: u64, status: u64) -> Option<(u64, u64)> {
    let mut now = status | HOST_FLAGS;
    let value = match what {
        0 => sizes!("rol", value, count, size, now),
        1 => sizes!("ror", value, count, size, now),
        4 | 6 => sizes!("shl", value, count, size, now),
        5 => sizes!("shr", value, count, size, now),
        7 => sizes!("sar", value, count, size, now),
        _ => return None,
    };
    Some((value, now & flags::STATUS))
}

/// The product of two values, signed, cut to their size, and the status flags.
pub(super) fn multiply(left: u64, right: u64, size: u64, status: u64) -> (u64, u64) {
    let (mut product, mut now) = (left, status | HOST_FLAGS);
    macro_rules! product {
        ($template:literal) => {
            // SAFETY: as above.
            unsafe {
                asm!("push {f}", "popfq", $template, "pushfq", "pop {f}",
                    v = inout(reg) product, f = inout(reg) now, r = in(reg) right);
            }
        };
    }
    match size {
        2 => product!("imul {v:x}, {r:x}"),
        4 => product!("imul {v:e}, {r:e}"),
        _ => product!("imul {v:r}, {r:r}"),
    }
    (product, now & flags::STATUS)
}
