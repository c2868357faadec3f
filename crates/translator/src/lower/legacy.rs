//! Code that is not 64-bit ([`crate::legacy`]): what differs from 64-bit code is here, by the same parts.
//!
//! Instructions are encoded anew ([`crate::emit::long_form`]); addresses are offsets of 16 or 32 bits in segments, of which
//! only those that are not flat are looked at. R8 to R15 do not exist here: both scratch registers are free throughout.
//! Whatever a segment forbids is the interpreter's, before anything was done.

mod address;
mod choice;
mod flow;
mod plain;
mod stack;
mod string;
#[cfg(test)]
mod tests;

pub(super) use choice::choose;

use super::block::Lowering;
use super::decode::{Decoded, Way};

impl Lowering {
    /// One instruction of legacy code.
    pub(super) fn lower_legacy(&mut self, decoded: &Decoded) {
        let Some(legacy) = self.mode.legacy else { return };
        match decoded.way {
            Way::Nothing => {}
            Way::Copy => self.legacy_copy(decoded),
            Way::CopyMemory { size, access } => self.legacy_copy_memory(decoded, size, access),
            Way::BitString => self.legacy_bit_string(decoded),
            Way::Lea => self.legacy_lea(decoded),
            Way::Push => self.legacy_push(decoded, legacy),
            Way::Pop => self.legacy_pop(decoded, legacy),
            Way::Leave => self.legacy_leave(decoded, legacy),
            Way::Jump => self.jump(decoded),
            Way::JumpIf => self.jump_if(decoded),
            Way::CountedJump => self.counted_jump(decoded),
            Way::Call => self.legacy_call(decoded, legacy),
            Way::JumpIndirect => self.legacy_jump_indirect(decoded, legacy),
            Way::CallIndirect => self.legacy_call_indirect(decoded, legacy),
            Way::Return => self.legacy_return(decoded, legacy),
            Way::System(what) => self.system(decoded, what),
            Way::String(what) => self.legacy_string(decoded, what),
            Way::Interpret => self.interpret(),
        }
    }
}
