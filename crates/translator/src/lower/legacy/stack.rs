//! PUSH, POP and LEAVE in legacy code: stack pointer and operands have 16 or 32 bits each.
use std::mem::offset_of;

use iced_x86::{Code, OpKind, Register};

use crate::cpu::Cpu;
use crate::emit::asm::{Mem, Reg, T0, T1};
use crate::legacy::Legacy;
use crate::lower::block::Lowering;
use crate::lower::decode::Decoded;
use crate::lower::memory::number;
use crate::mmu::Access;
use x86::Segment;
use x86::reg::{RBP, RSP};
use x86::segment::SS;

const POINTER: Reg = RSP as Reg;
const VALUE: Mem = Mem::gs(offset_of!(Cpu, spill));

/// Where an event or instruction finds the visible part of a segment register.
fn selector(segment: Register) -> Mem {
    let number = (segment as usize).wrapping_sub(Register::ES as usize) % 6;
    Mem::gs(offset_of!(Cpu, segments) + number * size_of::<Segment>() + offset_of!(Segment, selector))
}

impl Legacy {
    /// Bytes of the stack pointer.
    fn stack_size(self) -> u32 {
        if self.stack_32 { 4 } else { 2 }
    }
}

impl Lowering {
    /// T0 = offset of what lies at a small distance from the stack pointer, which is about to be accessed.
    fn stack_offset(&mut self, decoded: &Decoded, legacy: Legacy, distance: i32) {
        self.before_legacy(decoded, SS);
        if distance == 0 {
            self.asm.mov_extended(legacy.stack_size(), T0, POINTER);
        } else {
            self.asm.lea32(T0, Mem::base(POINTER, distance));
            if !legacy.stack_32 {
                self.asm.mov_extended(2, T0, T0);
            }
        }
    }

    /// The host's operand for `size` bytes to push, by way of T0 and T1.
    pub(super) fn legacy_push_place(&mut self, decoded: &Decoded, legacy: Legacy, size: u32) -> Mem {
        self.stack_offset(decoded, legacy, -(size as i32));
        self.legacy_access(SS, Access::Write, size)
    }

    /// The same by way of T0 alone, for `written` of `size` bytes.
    pub(super) fn legacy_push_slot(
        &mut self,
        decoded: &Decoded,
        legacy: Legacy,
        size: u32,
        written: u32,
    ) -> Mem {
        self.stack_offset(decoded, legacy, -(size as i32));
        self.legacy_slot(SS, Access::Write, written)
    }

    /// The host's operand for `size` bytes to pop, by way of T0 and T1.
    pub(super) fn legacy_pop_place(&mut self, decoded: &Decoded, legacy: Legacy, size: u32) -> Mem {
        self.stack_offset(decoded, legacy, 0);
        self.legacy_access(SS, Access::Read, size)
    }

    /// The stack pointer moves.
    pub(super) fn move_legacy_stack(&mut self, legacy: Legacy, distance: i32) {
        self.asm.lea_sized(legacy.stack_size(), POINTER, Mem::base(POINTER, distance));
    }

    pub(super) fn legacy_push(&mut self, decoded: &Decoded, legacy: Legacy) {
        let instruction = &decoded.instruction;
        let size = instruction.stack_pointer_increment().unsigned_abs();
        let register = match instruction.op0_kind() {
            OpKind::Memory => {
                let place = self.legacy_operand(decoded, size, Access::Read);
                self.asm.load_extended(size, T0, place);
                self.asm.store(VALUE, T0);
                let slot = self.legacy_push_slot(decoded, legacy, size, size);
                self.asm.load(T1, VALUE);
                self.asm.store_sized(size, slot, T1);
                return self.move_legacy_stack(legacy, -(size as i32));
            }
            OpKind::Register => instruction.op0_register(),
            _ => {
                let place = self.legacy_push_place(decoded, legacy, size);
                self.asm.store_imm_sized(size, place, instruction.immediate(0) as u32);
                return self.move_legacy_stack(legacy, -(size as i32));
            }
        };
        if register.is_segment_register() {
            // 16 bits are written, the rest of the slot stays (SDM 2B, PUSH).
            let slot = self.legacy_push_slot(decoded, legacy, size, 2);
            self.asm.load_extended(2, T1, selector(register));
            self.asm.store_sized(2, slot, T1);
        } else {
            let place = self.legacy_push_place(decoded, legacy, size);
            self.asm.store_sized(size, place, number(register));
        }
        self.move_legacy_stack(legacy, -(size as i32));
    }

    pub(super) fn legacy_pop(&mut self, decoded: &Decoded, legacy: Legacy) {
        let register = number(decoded.instruction.op0_register());
        let bytes = decoded.instruction.stack_pointer_increment();
        let size = bytes.unsigned_abs();
        let place = self.legacy_pop_place(decoded, legacy, size);
        if register == POINTER {
            self.asm.load_extended(size, T0, place);
            self.move_legacy_stack(legacy, bytes);
            self.asm.mov_sized(size, POINTER, T0);
        } else {
            self.asm.load_sized(size, register, place);
            self.move_legacy_stack(legacy, bytes);
        }
    }

    pub(super) fn legacy_leave(&mut self, decoded: &Decoded, legacy: Legacy) {
        let frame = RBP as Reg;
        let size = if decoded.instruction.code() == Code::Leavew { 2 } else { 4 };
        self.before_legacy(decoded, SS);
        self.asm.mov_extended(legacy.stack_size(), T0, frame);
        let place = self.legacy_access(SS, Access::Read, size);
        self.asm.load_extended(size, T0, place);
        self.asm.lea_sized(legacy.stack_size(), POINTER, Mem::base(frame, size as i32));
        self.asm.mov_sized(size, frame, T0);
    }

    /// PUSHF. The status flags are put aside.
    pub(in crate::lower) fn push_legacy_flags(&mut self, decoded: &Decoded, legacy: Legacy) {
        let bytes = decoded.instruction.stack_pointer_increment();
        let size = bytes.unsigned_abs();
        let slot = self.legacy_push_slot(decoded, legacy, size, size);
        Self::gather_flags(&mut self.asm);
        self.asm.store_sized(size, slot, T1);
        self.move_legacy_stack(legacy, bytes);
    }
}
