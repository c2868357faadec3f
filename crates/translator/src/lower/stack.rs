//! PUSH, POP, LEAVE, and the stack side of CALL and RET.
use iced_x86::OpKind;

use super::block::Lowering;
use super::decode::{Decoded, Way};
use super::memory::number;
use crate::emit::asm::{Mem, Reg, T0, T1};
use crate::mmu::Access;
use std::mem::offset_of;
use x86::reg::{RBP, RSP};

use crate::cpu::Cpu;

/// The most pushes or pops that share a look-up.
const LONGEST_RUN: usize = 16;

/// How many of the first instructions are pushes of registers, or pops to registers, that one look-up serves; 1 if it is
/// not worth it.
pub(super) fn run_length(code: &[Decoded]) -> usize {
    let register = |decoded: &Decoded| {
        decoded.instruction.op0_kind() == OpKind::Register
            && number(decoded.instruction.op0_register()) != RSP as Reg
    };
    let way = code[0].way;
    if !matches!(way, Way::Push | Way::Pop) {
        return 1;
    }
    code.iter().take(LONGEST_RUN).take_while(|decoded| decoded.way == way && register(decoded)).count().max(1)
}

impl Lowering {
    /// A run of pushes or pops: one look-up for all, and RSP moves once. If the look-up fails, the first of them starts
    /// over alone, by the interpreter.
    pub(super) fn stack_run(&mut self, run: &[Decoded]) {
        let bytes = 8 * run.len() as i32;
        let pushes = run[0].way == Way::Push;
        self.begin(&run[0]);
        self.clobber_both();
        self.looks_up_twice = false;
        self.spill_if_live(&run[0]);
        let (access, distance) = if pushes { (Access::Write, -bytes) } else { (Access::Read, bytes) };
        self.asm.lea(T0, Mem::base(RSP as Reg, distance.min(0)));
        self.look_up(access, bytes as u32, T0, T1);
        for (index, decoded) in run.iter().enumerate() {
            let register = number(decoded.instruction.op0_register());
            let home = register == T0 || register == T1;
            let through = if home { T1 } else { register };
            let above = 8 * index as i32;
            if pushes {
                if home {
                    self.asm.load(T1, Self::home(register));
                }
                self.asm.store(Mem::base(T0, bytes - 8 - above), through);
            } else {
                self.asm.load(through, Mem::base(T0, above));
                if home {
                    self.asm.store(Self::home(register), T1);
                }
            }
        }
        self.move_stack(distance);
    }

    /// The 8 bytes below the stack pointer, by way of T0; T1 is clobbered.
    pub(super) fn reach_push(&mut self, decoded: &Decoded) -> Mem {
        if self.mode.windows {
            return self.windowed_stack(-8);
        }
        self.spill_if_live(decoded);
        self.asm.lea(T0, Mem::base(RSP as Reg, -8));
        self.look_up(Access::Write, 8, T0, T1);
        Mem::base(T0, 0)
    }

    /// The 8 bytes at the stack pointer, by way of T0; T1 is clobbered.
    pub(super) fn reach_pop(&mut self, decoded: &Decoded) -> Mem {
        if self.mode.windows {
            return self.windowed_stack(0);
        }
        self.spill_if_live(decoded);
        self.asm.mov(T0, RSP as Reg);
        self.look_up(Access::Read, 8, T0, T1);
        Mem::base(T0, 0)
    }

    /// RSP += distance.
    pub(super) fn move_stack(&mut self, distance: i32) {
        self.asm.lea(RSP as Reg, Mem::base(RSP as Reg, distance));
    }

    pub(super) fn push(&mut self, decoded: &Decoded) {
        let instruction = &decoded.instruction;
        if instruction.op0_kind() == OpKind::Memory {
            if !self.by_window {
                // It may be started over, and then the scratch registers hold anything.
                self.clobber_both();
            }
            self.reach_operand(decoded, 8, Access::Read, T0);
            self.clobber_both();
            self.asm.load(T0, Mem::base(T0, 0));
            self.asm.store(Mem::gs(offset_of!(Cpu, spill)), T0);
        }
        let slot = self.reach_push(decoded);
        match instruction.op0_kind() {
            OpKind::Memory => {
                self.clobber(T1);
                self.asm.load(T1, Mem::gs(offset_of!(Cpu, spill)));
                self.asm.store(slot, T1);
            }
            OpKind::Register => {
                let register = number(instruction.op0_register());
                if register == T0 || register == T1 {
                    self.clobber(T1);
                    self.asm.load(T1, Self::home(register));
                    self.asm.store(slot, T1);
                } else {
                    self.asm.store(slot, register);
                }
            }
            _ => {
                self.asm.store_imm(slot, instruction.immediate(0) as i32);
                self.note_last_immediate();
            }
        }
        self.move_stack(-8);
    }

    pub(super) fn pop(&mut self, decoded: &Decoded) {
        let register = number(decoded.instruction.op0_register());
        let slot = self.reach_pop(decoded);
        self.asm.load(register, slot);
        if register == T0 || register == T1 {
            self.store_guest(register);
        }
        if register != RSP as Reg {
            self.move_stack(8);
        } else if self.mode.windows {
            self.renew_stack_window();
        }
    }

    pub(super) fn leave(&mut self, decoded: &Decoded) {
        if self.mode.windows {
            return self.leave_by_window();
        }
        self.spill_if_live(decoded);
        self.asm.mov(T0, RBP as Reg);
        self.look_up(Access::Read, 8, T0, T1);
        self.asm.lea(RSP as Reg, Mem::base(RBP as Reg, 8));
        self.asm.load(RBP as Reg, Mem::base(T0, 0));
    }

    fn leave_by_window(&mut self) {
        self.window_of(T0, RBP as Reg);
        self.asm.load(T1, Mem { base: Some(RBP as Reg), index: Some((T0, 0)), disp: 0, gs: false });
        self.take_stack_window(T0);
        self.asm.lea(RSP as Reg, Mem::base(RBP as Reg, 8));
        self.asm.mov(RBP as Reg, T1);
    }
}
