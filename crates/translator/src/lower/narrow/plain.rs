//! Instructions of narrow code that run as they are but for their encoding and their memory operand.
use iced_x86::{Instruction, Mnemonic};

use super::address::segment_of;
use crate::emit::asm::{T0, T1};
use crate::emit::long_form;
use crate::emit::rewrite::Operand;
use crate::lower::block::Lowering;
use crate::lower::copy::names_high_byte;
use crate::lower::decode::Decoded;
use crate::lower::memory::number;
use crate::mmu::Access;

impl Lowering {
    pub(super) fn narrow_copy(&mut self, decoded: &Decoded) {
        self.settle_flags(decoded, T1);
        self.encode_long(&decoded.instruction, None);
    }

    pub(super) fn narrow_copy_memory(&mut self, decoded: &Decoded, size: u32, access: Access) {
        let instruction = &decoded.instruction;
        self.narrow_operand(decoded, size, access, T0);
        self.settle_flags(decoded, T1);
        if names_high_byte(instruction) {
            self.copy_with_low_base(instruction, T0);
        } else {
            self.encode_long(instruction, Some(Operand::at(T0)));
        }
    }

    /// The instruction itself in 64-bit mode.
    pub(in crate::lower) fn encode_long(&mut self, instruction: &Instruction, operand: Option<Operand>) {
        let mut out = std::mem::take(&mut self.scratch);
        if long_form::encode(instruction, operand, &mut out).is_some() {
            self.mark();
            self.asm.raw(&out);
        } else {
            self.interpret();
        }
        self.scratch = out;
    }

    pub(super) fn narrow_lea(&mut self, decoded: &Decoded) {
        let instruction = &decoded.instruction;
        let to = instruction.op0_register();
        self.narrow_offset(instruction, T0);
        self.asm.mov_sized(to.size() as u32, number(to), T0);
    }

    pub(super) fn narrow_bit_string(&mut self, decoded: &Decoded) {
        let instruction = &decoded.instruction;
        let source = instruction.op1_register();
        let size = source.size() as u32;
        let access = if instruction.mnemonic() == Mnemonic::Bt { Access::Read } else { Access::Write };
        // The bit offset is cut by a shift.
        self.spill_if_live(decoded);
        self.asm.mov(T1, number(source));
        if size == 2 {
            self.asm.raw(&[0x4d, 0x0f, 0xbf, 0xdb]); // movsx r11, r11w
        }
        let shift = (size * 8).trailing_zeros() as u8;
        self.asm.raw(&[0x41, 0xc1, 0xfb, shift]); // sar r11d, shift
        self.narrow_offset_plus(instruction, T0, T1, size.trailing_zeros() as u8);
        self.narrow_reach(segment_of(instruction), access, size, T0, T1);
        self.settle_flags(decoded, T1);
        self.asm.mov(T1, number(source));
        self.emit_bit_operation(instruction, size);
    }
}
