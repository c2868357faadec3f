//! Code that is not 64-bit ([`crate::narrow`]): what differs from 64-bit code is here, by the same parts.
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
    /// One instruction of narrow code.
    pub(super) fn lower_narrow(&mut self, decoded: &Decoded) {
        let Some(narrow) = self.mode.narrow else { return };
        match decoded.way {
            Way::Nothing => {}
            Way::Copy => self.narrow_copy(decoded),
            Way::CopyMemory { size, access } => self.narrow_copy_memory(decoded, size, access),
            Way::BitString => self.narrow_bit_string(decoded),
            Way::Lea => self.narrow_lea(decoded),
            Way::Push => self.narrow_push(decoded, narrow),
            Way::Pop => self.narrow_pop(decoded, narrow),
            Way::Leave => self.narrow_leave(decoded, narrow),
            Way::Jump => self.jump(decoded),
            Way::JumpIf => self.jump_if(decoded),
            Way::CountedJump => self.counted_jump(decoded),
            Way::Call => self.narrow_call(decoded, narrow),
            Way::JumpIndirect => self.narrow_jump_indirect(decoded, narrow),
            Way::CallIndirect => self.narrow_call_indirect(decoded, narrow),
            Way::Return => self.narrow_return(decoded, narrow),
            Way::System(what) => self.system(decoded, what),
            Way::String(what) => self.narrow_string(decoded, what),
            Way::Interpret => self.interpret(),
        }
    }
}
