//! Jumps of the assembler.
use std::mem::offset_of;

use super::asm::{Asm, Mem, Offset, Reg};
use super::fixups::FixupKind;
use crate::cache::code::may_be_patched;
use crate::cpu::Cpu;
use crate::mmu::table::{JUMP_PLACE_SHIFT, Ring};
use x86::address::{PAGE_OFFSET, PAGE_SHIFT, PAGE_SIZE};

/// A segment prefix, which means nothing before a jump.
const PADDING: u8 = 0x2e;

impl Asm {
    /// `place` = the place of a target in a jump table ([`crate::mmu::table::jump_index`]), or
    /// [`ATTENTION_PLACE`](crate::mmu::table::ATTENTION_PLACE) if somebody wants the CPU's attention. Destroys the flags.
    pub fn jump_place(&mut self, place: Reg, target: Reg) {
        self.rorx(place, target, PAGE_SHIFT as u8);
        self.op_reg(false, &[0x33], place, target); // xor
        self.op_reg(false, &[0xc1], 4, place); // shl …
        self.byte(16 + JUMP_PLACE_SHIFT as u8);
        self.op_reg(false, &[0xc1], 5, place); // shr …
        self.byte(16);
        self.plain(false, 0x0b, place, Mem::gs(offset_of!(Cpu, attention))); // or
    }
    /// The place of a target in a jump table becomes the target's offset in its page; `page` holds the target or its page.
    /// Destroys the flags.
    pub fn target_offset(&mut self, place: Reg, page: Reg) {
        // The lowest bits of the place are those of the offset and of the number of the page.
        self.op_reg(false, &[0xc1], 4, place); // shl …
        self.byte((PAGE_SHIFT - JUMP_PLACE_SHIFT) as u8);
        self.op_reg(false, &[0x33], place, page); // xor
        self.op_reg(false, &[0xc1], 5, place); // shr …
        self.byte(PAGE_SHIFT as u8);
        self.and_imm32(place, PAGE_OFFSET as u32);
    }
    /// Code of a ring at the address in `target` is entered: `target` becomes its page, if that is to be known
    /// ([`Cpu::code_page`]). Destroys the flags.
    pub fn enter_page(&mut self, ring: Ring, target: Reg) {
        if ring == Ring::User {
            self.op_reg(true, &[0x81], 4, target); // and …
            self.dword(-(PAGE_SIZE as i32));
            self.store(Mem::gs(offset_of!(Cpu, code_page)), target);
        }
    }
    /// `jmp [mem]`.
    pub fn jmp_mem(&mut self, mem: Mem) {
        self.plain(false, 0xff, 4, mem);
    }
    /// `jmp` to a thunk.
    pub fn jmp_thunk(&mut self, thunk: u64) {
        self.jmp_address(thunk);
        self.fix_up(self.here() - 4, FixupKind::Thunk);
    }
    /// `jmp` to a fixed address.
    pub fn jmp_address(&mut self, target: u64) {
        self.raw(&[0xe9]);
        self.relative(target);
    }
    /// `jcc` to a fixed address.
    pub fn jcc_address(&mut self, condition: u8, target: u64) {
        self.raw(&[0x0f, 0x80 | condition]);
        self.relative(target);
    }
    fn relative(&mut self, target: u64) {
        let next = self.address(self.here() + 4);
        self.dword(target.wrapping_sub(next) as i32);
    }
    /// `jmp rel32`; returns the place of its displacement for [`Asm::bind`].
    pub fn jmp(&mut self) -> Offset {
        self.raw(&[0xe9, 0, 0, 0, 0]);
        self.here() - 4
    }
    /// `jcc rel32`; returns the place of its displacement for [`Asm::bind`].
    pub fn jcc(&mut self, condition: u8) -> Offset {
        self.raw(&[0x0f, 0x80 | condition, 0, 0, 0, 0]);
        self.here() - 4
    }
    /// As [`Asm::jmp`], for a jump that will be changed while others execute it.
    pub fn jmp_to_link(&mut self) -> Offset {
        self.pad_before(1);
        self.jmp()
    }
    /// As [`Asm::jcc`], for a jump that will be changed while others execute it.
    pub fn jcc_to_link(&mut self, condition: u8) -> Offset {
        self.pad_before(2);
        self.jcc(condition)
    }
    /// One instruction that is not shorter than a jump: the one that follows, MOV of a register to another, or else a NOP.
    pub fn room_for_jump(&mut self, mov_follows: bool) {
        match mov_follows {
            true => self.raw(&[PADDING, PADDING]),
            false => self.raw(&[0x0f, 0x1f, 0x44, 0x00, 0x00]),
        }
    }
    /// So many bytes behind the padding, there may be a displacement that will be changed.
    fn pad_before(&mut self, opcode: usize) {
        while !may_be_patched(self.here() + opcode) {
            self.raw(&[PADDING]);
        }
    }
    /// Makes the jump whose displacement is at `place` lead here.
    pub fn bind(&mut self, place: Offset) {
        let distance = (self.here() - (place + 4)) as i32;
        self.bytes[place..place + 4].copy_from_slice(&distance.to_le_bytes());
    }
    /// `jecxz rel8` or `jrcxz rel8`; returns the place of its displacement for [`Asm::bind_short`].
    pub fn jump_if_count_is_zero(&mut self, only_32_bits: bool) -> Offset {
        if only_32_bits {
            self.byte(0x67);
        }
        self.raw(&[0xe3, 0]);
        self.here() - 1
    }
    /// As [`Asm::bind`] for a displacement of 8 bits, which must be enough.
    pub fn bind_short(&mut self, place: Offset) {
        let distance = self.here() - (place + 1);
        debug_assert!(distance < 0x80);
        self.bytes[place] = distance as u8;
    }
    /// `jmp` to a place already emitted.
    pub fn jmp_back(&mut self, target: Offset) {
        let address = self.address(target);
        self.jmp_address(address);
    }
}

#[cfg(test)]
mod tests {
    use iced_x86::{Decoder, DecoderOptions, FlowControl};

    use super::super::asm::cond;
    use super::*;

    #[test]
    fn jumps_that_are_changed_lie_inside_a_word() {
        for before in 0..16 {
            for condition in [None, Some(cond::NE)] {
                let mut asm = Asm::new();
                asm.restart(0x1000);
                (0..before).for_each(|_| asm.raw(&[0x90]));
                let place = match condition {
                    None => asm.jmp_to_link(),
                    Some(condition) => asm.jcc_to_link(condition),
                };
                asm.raw(&[0x90; 3]);
                asm.bind(place);
                assert!(may_be_patched(place) && place < before + 6);
                let code = Decoder::with_ip(64, asm.code(), 0x1000, DecoderOptions::NONE);
                let jump = code
                    .into_iter()
                    .find(|instruction| instruction.is_jmp_near() || instruction.is_jcc_near());
                let jump = jump.unwrap();
                let flow = if condition.is_none() {
                    FlowControl::UnconditionalBranch
                } else {
                    FlowControl::ConditionalBranch
                };
                assert_eq!((jump.near_branch_target(), jump.flow_control()), (asm.address(asm.here()), flow));
            }
        }
    }
}
