//! Instructions of legacy code that run as they are but for their encoding and their memory operand.
use iced_x86::{Instruction, Mnemonic, Register};

use super::address::segment_of;
use crate::cache::blocks::FlagPlace;
use crate::emit::asm::{T0, T1};
use crate::emit::long_form;
use crate::emit::rewrite::Operand;
use crate::lower::block::Lowering;
use crate::lower::decode::Decoded;
use crate::lower::memory::number;
use crate::mmu::Access;

impl Lowering {
    pub(super) fn legacy_copy(&mut self, decoded: &Decoded) {
        self.settle_flags(decoded, T0);
        self.encode_long(&decoded.instruction, None);
    }

    pub(super) fn legacy_copy_memory(&mut self, decoded: &Decoded, size: u32, access: Access) {
        let instruction = &decoded.instruction;
        if decoded.names_high_byte {
            // A fault would lose the register that takes the address.
            self.by_window = false;
        }
        if let Some(operand) = self.fixed_operand(instruction) {
            self.settle_flags(decoded, T0);
            return self.encode_long(instruction, Some(operand));
        }
        let place = self.legacy_operand(decoded, size, access);
        // What the flags go through is not part of the operand.
        let index = place.index.map(|(index, _)| index);
        if index.is_some() && self.flags == FlagPlace::Spilled {
            self.asm.lea(T0, place);
            self.clobber(T1);
        }
        let index = index.filter(|_| self.flags == FlagPlace::Eflags);
        self.settle_flags(decoded, T1);
        if decoded.names_high_byte {
            self.copy_with_low_base(decoded, T0);
        } else {
            self.encode_long(instruction, Some(Operand { base: T0, index, scale: 0, disp: 0 }));
        }
    }

    /// An operand at a fixed address in the lowest window.
    fn fixed_operand(&mut self, instruction: &Instruction) -> Option<Operand> {
        let segment = segment_of(instruction);
        let fixed =
            instruction.memory_base() == Register::None && instruction.memory_index() == Register::None;
        let flat = self.mode.legacy.is_some_and(|legacy| legacy.is_flat(segment));
        if !(self.by_window && fixed && flat) {
            return None;
        }
        let disp = i32::try_from(instruction.memory_displacement64()).ok()?;
        self.hold_low_window();
        Some(Operand { base: T1, index: None, scale: 0, disp })
    }

    /// The instruction itself in 64-bit mode.
    pub(in crate::lower) fn encode_long(&mut self, instruction: &Instruction, operand: Option<Operand>) {
        let mut out = std::mem::take(&mut self.scratch);
        if long_form::encode(instruction, operand, &mut out).is_some() {
            self.mark();
            self.asm.copy(&out);
        } else {
            self.interpret();
        }
        self.scratch = out;
    }

    pub(super) fn legacy_lea(&mut self, decoded: &Decoded) {
        let instruction = &decoded.instruction;
        let to = instruction.op0_register();
        self.legacy_offset(instruction, T0);
        self.asm.mov_sized(to.size() as u32, number(to), T0);
    }

    pub(super) fn legacy_bit_string(&mut self, decoded: &Decoded) {
        let instruction = &decoded.instruction;
        let source = instruction.op1_register();
        let size = source.size() as u32;
        let access = if instruction.mnemonic() == Mnemonic::Bt { Access::Read } else { Access::Write };
        // The bit offset is cut by a shift.
        self.spill_if_live(decoded);
        self.clobber_both();
        self.asm.mov(T1, number(source));
        if size == 2 {
            self.asm.raw(&[0x4d, 0x0f, 0xbf, 0xdb]); // movsx r11, r11w
        }
        let shift = (size * 8).trailing_zeros() as u8;
        self.asm.raw(&[0x41, 0xc1, 0xfb, shift]); // sar r11d, shift
        self.legacy_offset_plus(instruction, T0, T1, size.trailing_zeros() as u8);
        self.legacy_slot(segment_of(instruction), access, size);
        self.settle_flags(decoded, T1);
        self.asm.mov(T1, number(source));
        self.emit_bit_operation(instruction, size);
    }
}
