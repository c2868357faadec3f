//! Addresses of legacy code: an offset, its segment, and then the look-up.
use std::mem::offset_of;

use iced_x86::{Instruction, Register};

use crate::cpu::Cpu;
use crate::emit::asm::{Mem, Reg, T0, T1, cond};
use crate::lower::block::Lowering;
use crate::lower::decode::Decoded;
use crate::lower::memory::number;
use crate::lower::scratch::Holds;
use crate::mmu::Access;
use crate::mmu::view::window_offset;
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
    pub(super) fn legacy_offset(&mut self, instruction: &Instruction, to: Reg) {
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
    pub(super) fn legacy_offset_plus(&mut self, instruction: &Instruction, to: Reg, addend: Reg, scale: u8) {
        self.legacy_offset(instruction, to);
        self.asm.lea32(to, Mem { base: Some(to), index: Some((addend, scale)), disp: 0, gs: false });
        if address_size(instruction) == 2 {
            self.asm.mov_extended(2, to, to);
        }
    }

    /// Before an access to a segment: whatever compares destroys the flags.
    pub(super) fn before_legacy(&mut self, decoded: &Decoded, segment: usize) {
        if !self.by_window || !self.is_flat(segment) {
            self.spill_if_live(decoded);
        }
    }

    fn is_flat(&self, segment: usize) -> bool {
        self.mode.legacy.is_some_and(|legacy| legacy.is_flat(segment))
    }

    /// The host's operand for `size` bytes at the offset in T0; T1 is clobbered, or part of it. See
    /// [`Lowering::before_legacy`].
    pub(super) fn legacy_access(&mut self, segment: usize, access: Access, size: u32) -> Mem {
        if !self.by_window {
            self.legacy_look_up(segment, access, size);
            return Mem::base(T0, 0);
        }
        self.legacy_linear(segment, access, size);
        self.hold_low_window();
        Mem { base: Some(T0), index: Some((T1, 0)), disp: 0, gs: false }
    }

    /// The same by T0 alone, with T1 free.
    pub(super) fn legacy_slot(&mut self, segment: usize, access: Access, size: u32) -> Mem {
        let place = self.legacy_access(segment, access, size);
        if place.index.is_some() {
            self.asm.lea(T0, place);
        }
        self.clobber_both();
        Mem::base(T0, 0)
    }

    /// T0 = host address of the `size` bytes at the offset in T0, found by look-up. It will not fault.
    pub(super) fn legacy_look_up(&mut self, segment: usize, access: Access, size: u32) {
        self.clobber_both();
        self.legacy_linear(segment, access, size);
        self.look_up(access, size, T0, T1);
    }

    /// T0 = linear address of the offset in T0, if the segment allows the access. Clobbers T1 unless the segment is flat.
    fn legacy_linear(&mut self, segment: usize, access: Access, size: u32) {
        if self.is_flat(segment) {
            return;
        }
        self.clobber(T1);
        self.asm.lea(T1, Mem::base(T0, size as i32));
        self.asm.cmp_mem(T1, end(segment, access));
        let from = self.asm.jcc(cond::A);
        self.unusual(from);
        self.asm.op_mem(0, false, &[0x03], T0, Mem::gs(segment_base(segment))); // add, 32 bits
    }

    /// T1 = the delta of the lowest window, which has all linear addresses of legacy code.
    pub(super) fn hold_low_window(&mut self) {
        if self.holds(T1) != Holds::LowWindow {
            self.asm.load(T1, Mem::gs(window_offset(self.ring())));
            self.set_holds(T1, Holds::LowWindow);
        }
    }

    /// The host's operand for an instruction's own memory operand, by way of T0 and T1.
    pub(super) fn legacy_operand(&mut self, decoded: &Decoded, size: u32, access: Access) -> Mem {
        let segment = segment_of(&decoded.instruction);
        self.before_legacy(decoded, segment);
        self.legacy_offset(&decoded.instruction, T0);
        self.legacy_access(segment, access, size)
    }

    /// `address` = host address of an instruction's own memory operand.
    pub(in crate::lower) fn legacy_operand_at(
        &mut self,
        decoded: &Decoded,
        size: u32,
        access: Access,
        address: Reg,
    ) {
        let place = self.legacy_operand(decoded, size, access);
        if place.index.is_some() || address != T0 {
            self.asm.lea(address, place);
        }
        self.clobber_both();
    }
}
