//! Jumps, calls, returns and loops of legacy code. Targets are offsets in CS, which is short where its limit is.
use std::mem::offset_of;

use iced_x86::{Code, Instruction, Mnemonic, OpKind};

use crate::cpu::Cpu;
use crate::emit::asm::{Mem, Reg, T0, T1, cond};
use crate::legacy::Legacy;
use crate::lower::block::Lowering;
use crate::lower::decode::Decoded;
use crate::lower::memory::number;
use crate::mmu::Access;
use x86::reg::RCX;

/// The bit of [`crate::legacy::TAG`].
const TAG_BIT: u8 = crate::legacy::TAG.trailing_zeros() as u8;

/// Bytes of the operand of a near jump, call or return.
fn operand_size(instruction: &Instruction) -> u32 {
    match instruction.code() {
        Code::Retnw | Code::Retnw_imm16 | Code::Jmp_rm16 | Code::Call_rm16 | Code::Call_rel16 => 2,
        _ => 4,
    }
}

impl Lowering {
    /// Where a direct jump leads, as a linear address.
    pub(in crate::lower) fn branch_target(&self, instruction: &Instruction) -> u64 {
        match self.mode.legacy {
            None => instruction.near_branch_target(),
            Some(legacy) => legacy.branch_target(instruction),
        }
    }

    /// Turns the offset in T0 into a target as jump tables have it. Destroys the flags, which are put aside.
    fn legacy_target(&mut self, legacy: Legacy) {
        if legacy.limit != u32::MAX {
            self.asm.cmp_imm32(T0, legacy.limit);
            let beyond = self.asm.jcc(cond::A);
            self.unusual(beyond);
        }
        if legacy.base != 0 {
            self.asm.lea32(T0, Mem::base(T0, legacy.base as i32));
        }
        self.asm.set_bit(T0, TAG_BIT);
    }

    /// T0 = the offset that an indirect jump or call leads to.
    fn load_legacy_target(&mut self, decoded: &Decoded) {
        let instruction = &decoded.instruction;
        let size = operand_size(instruction);
        if instruction.op0_kind() == OpKind::Memory {
            let place = self.legacy_operand(decoded, size, Access::Read);
            self.asm.load_extended(size, T0, place);
        } else {
            self.asm.mov_extended(size, T0, number(instruction.op0_register()));
        }
    }

    /// Stores the return address at a place, if it is not built in by way of T1, and moves the stack pointer.
    fn push_legacy_return(&mut self, instruction: &Instruction, legacy: Legacy, place: Mem) {
        let (next, size) = (instruction.next_ip(), operand_size(instruction));
        if self.is_pinned() {
            self.asm.store_imm_sized(size, place, legacy.offset_of(next));
        } else {
            // Such code is flat, and has no windows.
            let offset = self.offset_of(next) as i32;
            self.asm.load(T1, Mem::gs(offset_of!(Cpu, code_page)));
            self.asm.lea32(T1, Mem::base(T1, offset));
            self.asm.store_sized(size, place, T1);
        }
        self.move_legacy_stack(legacy, -(size as i32));
    }

    pub(super) fn legacy_call(&mut self, decoded: &Decoded, legacy: Legacy) {
        let instruction = &decoded.instruction;
        let place = self.legacy_push_place(decoded, legacy, operand_size(instruction));
        self.push_legacy_return(instruction, legacy, place);
        // What was live before the push and is not put aside is dead for the target too.
        self.direct_exit(legacy.branch_target(instruction));
    }

    pub(super) fn legacy_jump_indirect(&mut self, decoded: &Decoded, legacy: Legacy) {
        self.load_legacy_target(decoded);
        self.spill_for_table();
        self.legacy_target(legacy);
        self.find_target(self.ring(), Some(self.start));
        self.enter_target(self.ring());
    }

    pub(super) fn legacy_call_indirect(&mut self, decoded: &Decoded, legacy: Legacy) {
        let [target, slot, found] = [0, 8, 16].map(|at| Mem::gs(offset_of!(Cpu, spill) + at));
        let size = operand_size(&decoded.instruction);
        self.load_legacy_target(decoded);
        self.asm.store(target, T0);
        let place = self.legacy_push_slot(decoded, legacy, size, size);
        self.spill_for_table();
        self.asm.store(slot, T0);
        self.asm.load(T0, target);
        self.legacy_target(legacy);
        self.find_target(self.ring(), Some(self.start));
        self.asm.store(target, T0);
        self.asm.store(found, T1);
        self.asm.load(T0, slot);
        self.push_legacy_return(&decoded.instruction, legacy, place);
        self.asm.load(T0, target);
        self.asm.load(T1, found);
        self.enter_target(self.ring());
    }

    pub(super) fn legacy_return(&mut self, decoded: &Decoded, legacy: Legacy) {
        let instruction = &decoded.instruction;
        let size = operand_size(instruction);
        let extra = if instruction.op_count() == 1 { instruction.immediate16() } else { 0 };
        let place = self.legacy_pop_place(decoded, legacy, size);
        self.asm.load_extended(size, T0, place);
        self.spill_for_table();
        self.legacy_target(legacy);
        self.find_target(self.ring(), Some(self.start));
        self.move_legacy_stack(legacy, size as i32 + i32::from(extra));
        self.enter_target(self.ring());
    }

    /// LOOP and its like, and JCXZ: the flags stay as they are. JRCXZ and JECXZ look at 64 and 32 bits; where the counter has
    /// 16, it is alone in RCX for that look, and T0 keeps the whole.
    pub(super) fn counted_jump(&mut self, decoded: &Decoded) {
        let instruction = &decoded.instruction;
        self.restore_flags();
        let (count, size) = (RCX as Reg, counter_size(instruction));
        let counts = !matches!(instruction.mnemonic(), Mnemonic::Jcxz | Mnemonic::Jecxz);
        if counts {
            self.asm.lea_sized(size, count, Mem::base(count, -1));
        }
        if size == 2 {
            self.asm.mov(T0, count);
            self.asm.mov_extended(2, count, count);
        }
        let zero = self.asm.jump_if_count_is_zero(size == 4);
        self.take_counter_back(size);
        let out = match instruction.mnemonic() {
            Mnemonic::Loop => None,
            Mnemonic::Loope => Some(self.asm.jcc(cond::NE)),
            Mnemonic::Loopne => Some(self.asm.jcc(cond::E)),
            _ => Some(self.asm.jmp()),
        };
        let target = self.branch_target(instruction);
        if counts {
            let from = self.asm.jmp_to_link();
            self.branch(from, target);
        }
        self.asm.bind_short(zero);
        self.take_counter_back(size);
        if !counts {
            let from = self.asm.jmp_to_link();
            self.branch(from, target);
        }
        if let Some(out) = out {
            self.asm.bind(out);
        }
    }

    fn take_counter_back(&mut self, size: u32) {
        if size == 2 {
            self.asm.mov(RCX as Reg, T0);
        }
    }
}

/// Bytes of the counter of LOOP and JCXZ.
fn counter_size(instruction: &Instruction) -> u32 {
    use Code::*;
    match instruction.code() {
        Loop_rel8_16_CX | Loop_rel8_32_CX | Loope_rel8_16_CX | Loope_rel8_32_CX | Loopne_rel8_16_CX
        | Loopne_rel8_32_CX | Jcxz_rel8_16 | Jcxz_rel8_32 => 2,
        _ => 4,
    }
}
