//! Addresses of narrow code: an offset, its segment, and then the look-up.
use std::mem::offset_of;

use iced_x86::{Instruction, Register};

use crate::cpu::Cpu;
use crate::emit::asm::{Mem, Reg, T0, T1, cond};
use crate::lower::block::Lowering;
use crate::lower::decode::Decoded;
use crate::lower::memory::number;
use crate::mmu::Access;
use crate::runtime::thunks::segment_base;
use x86::segment::DS;

/// Offset in [`Cpu`] of the end of a segment for reads or for writes.
fn end(segment: usize, access: Access) -> Mem {
    let which = usize::from(access == Access::Write);
    Mem::gs(offset_of!(Cpu, segment_ends) + size_of::<[u64; 2]>() * segment + size_of::<u64>() * which)
}

/// Bytes of the offset of a memory operand: 2 or 4.
fn address_size(instruction: &Instruction) -> u32 {
    let registers = [instruction.memory_base(), instruction.memory_index()];
    match registers.into_iter().find(|register| *register != Register::None) {
        Some(register) => register.size() as u32,
        None => instruction.memory_displ_size(),
    }
}

/// The number of the segment register of a memory operand.
pub(super) fn segment_of(instruction: &Instruction) -> usize {
    let number = (instruction.memory_segment() as usize).wrapping_sub(Register::ES as usize);
    if number < 6 { number } else { DS }
}

impl Lowering {
    /// `to` = the offset of a memory operand, cut to its size and zero-extended.
    pub(super) fn narrow_offset(&mut self, instruction: &Instruction, to: Reg) {
        let size = address_size(instruction);
        let named = |register: Register| (register != Register::None).then(|| number(register));
        let (base, index) = (named(instruction.memory_base()), named(instruction.memory_index()));
        let scale = instruction.memory_index_scale().trailing_zeros() as u8;
        let disp = instruction.memory_displacement64() as i32;
        match (base, index, disp) {
            (None, None, disp) => {
                let mask = if size == 2 { 0xffff } else { u32::MAX };
                self.asm.mov_imm(to, u64::from(disp as u32 & mask));
                return;
            }
            (Some(base), None, 0) => return self.asm.mov_extended(size, to, base),
            _ => {
                let index = index.map(|index| (index, scale));
                self.asm.lea32(to, Mem { base, index, disp, gs: false });
            }
        }
        if size == 2 {
            self.asm.mov_extended(2, to, to);
        }
    }

    /// The same with something added to it, from `addend` times a power of two.
    pub(super) fn narrow_offset_plus(&mut self, instruction: &Instruction, to: Reg, addend: Reg, scale: u8) {
        self.narrow_offset(instruction, to);
        self.asm.lea32(to, Mem { base: Some(to), index: Some((addend, scale)), disp: 0, gs: false });
        if address_size(instruction) == 2 {
            self.asm.mov_extended(2, to, to);
        }
    }

    /// Turns the offset in `address` into a host address that is good for `size` bytes; clobbers `index` and the flags,
    /// which are put aside if they are live.
    pub(super) fn narrow_reach(
        &mut self,
        segment: usize,
        access: Access,
        size: u32,
        address: Reg,
        index: Reg,
    ) {
        let is_flat = self.mode.narrow.is_some_and(|narrow| narrow.is_flat(segment));
        if !is_flat {
            self.asm.lea(index, Mem::base(address, size as i32));
            self.asm.cmp_mem(index, end(segment, access));
            let from = self.asm.jcc(cond::A);
            self.unusual(from);
            self.asm.op_mem(0, false, &[0x03], address, Mem::gs(segment_base(segment))); // add, 32 bits
        }
        self.look_up(access, size, address, index);
    }

    /// `address` = host address of an instruction's own memory operand.
    pub(in crate::lower) fn narrow_operand(
        &mut self,
        decoded: &Decoded,
        size: u32,
        access: Access,
        address: Reg,
    ) {
        self.spill_if_live(decoded);
        self.narrow_offset(&decoded.instruction, address);
        let index = if address == T0 { T1 } else { T0 };
        self.narrow_reach(segment_of(&decoded.instruction), access, size, address, index);
    }
}
