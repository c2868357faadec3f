//! PUSH, POP and LEAVE in narrow code: stack pointer and operands have 16 or 32 bits each.
use std::mem::offset_of;

use iced_x86::{Code, OpKind, Register};

use crate::cpu::Cpu;
use crate::emit::asm::{Mem, Reg, T0, T1};
use crate::lower::block::Lowering;
use crate::lower::decode::Decoded;
use crate::lower::memory::number;
use crate::mmu::Access;
use crate::narrow::Narrow;
use x86::Segment;
use x86::reg::{RBP, RSP};
use x86::segment::SS;

const POINTER: Reg = RSP as Reg;
const VALUE: Mem = Mem::gs(offset_of!(Cpu, spill));
const SLOT: Mem = Mem::base(T0, 0);

/// Where an event or instruction finds the visible part of a segment register.
fn selector(segment: Register) -> Mem {
    let number = (segment as usize).wrapping_sub(Register::ES as usize) % 6;
    Mem::gs(offset_of!(Cpu, segments) + number * size_of::<Segment>() + offset_of!(Segment, selector))
}

impl Narrow {
    /// Bytes of the stack pointer.
    fn stack_size(self) -> u32 {
        if self.stack_32 { 4 } else { 2 }
    }
}

impl Lowering {
    /// T0 = host address of `size` bytes at a small distance from the stack pointer.
    pub(super) fn narrow_stack(
        &mut self,
        decoded: &Decoded,
        narrow: Narrow,
        distance: i32,
        size: u32,
        access: Access,
    ) {
        self.spill_if_live(decoded);
        if distance == 0 {
            self.asm.mov_extended(narrow.stack_size(), T0, POINTER);
        } else {
            self.asm.lea32(T0, Mem::base(POINTER, distance));
            if !narrow.stack_32 {
                self.asm.mov_extended(2, T0, T0);
            }
        }
        self.narrow_reach(SS, access, size, T0, T1);
    }

    /// The stack pointer moves.
    pub(super) fn move_narrow_stack(&mut self, narrow: Narrow, distance: i32) {
        self.asm.lea_sized(narrow.stack_size(), POINTER, Mem::base(POINTER, distance));
    }

    pub(super) fn narrow_push(&mut self, decoded: &Decoded, narrow: Narrow) {
        let instruction = &decoded.instruction;
        let bytes = instruction.stack_pointer_increment();
        let size = bytes.unsigned_abs();
        let kind = instruction.op0_kind();
        if kind == OpKind::Memory {
            self.narrow_operand(decoded, size, Access::Read, T0);
            self.asm.load_extended(size, T0, SLOT);
            self.asm.store(VALUE, T0);
        }
        let segment = kind == OpKind::Register && instruction.op0_register().is_segment_register();
        // Of a segment register 16 bits are written, the rest of the slot stays (SDM 2B, PUSH).
        let written = if segment { 2 } else { size };
        self.narrow_stack(decoded, narrow, bytes, written, Access::Write);
        match kind {
            OpKind::Memory => {
                self.asm.load(T1, VALUE);
                self.asm.store_sized(size, SLOT, T1);
            }
            OpKind::Register if segment => {
                self.asm.load_extended(2, T1, selector(instruction.op0_register()));
                self.asm.store_sized(2, SLOT, T1);
            }
            OpKind::Register => self.asm.store_sized(size, SLOT, number(instruction.op0_register())),
            _ => self.asm.store_imm_sized(size, SLOT, instruction.immediate(0) as u32),
        }
        self.move_narrow_stack(narrow, bytes);
    }

    pub(super) fn narrow_pop(&mut self, decoded: &Decoded, narrow: Narrow) {
        let register = number(decoded.instruction.op0_register());
        let bytes = decoded.instruction.stack_pointer_increment();
        let size = bytes.unsigned_abs();
        self.narrow_stack(decoded, narrow, 0, size, Access::Read);
        if register == POINTER {
            self.asm.load_extended(size, T1, SLOT);
            self.move_narrow_stack(narrow, bytes);
            self.asm.mov_sized(size, POINTER, T1);
        } else {
            self.asm.load_sized(size, register, SLOT);
            self.move_narrow_stack(narrow, bytes);
        }
    }

    pub(super) fn narrow_leave(&mut self, decoded: &Decoded, narrow: Narrow) {
        let frame = RBP as Reg;
        let size = if decoded.instruction.code() == Code::Leavew { 2 } else { 4 };
        self.spill_if_live(decoded);
        self.asm.mov_extended(narrow.stack_size(), T0, frame);
        self.narrow_reach(SS, Access::Read, size, T0, T1);
        self.asm.load_extended(size, T1, SLOT);
        self.asm.lea_sized(narrow.stack_size(), POINTER, Mem::base(frame, size as i32));
        self.asm.mov_sized(size, frame, T1);
    }

    /// PUSHF: RFLAGS is in T1, less than what is pushed.
    pub(in crate::lower) fn push_narrow_flags(&mut self, decoded: &Decoded, narrow: Narrow) {
        let bytes = decoded.instruction.stack_pointer_increment();
        self.narrow_stack(decoded, narrow, bytes, bytes.unsigned_abs(), Access::Write);
        Self::gather_flags(&mut self.asm);
        self.asm.store_sized(bytes.unsigned_abs(), SLOT, T1);
        self.move_narrow_stack(narrow, bytes);
    }
}
