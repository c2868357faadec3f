//! Memory operands of code that reaches memory through windows ([`crate::mmu::window`]): the delta of the window is found
//! by the address itself, without a comparison and without touching the flags.
//!
//! [`Cpu::stack_window`] holds the delta of the window that RSP lies in, or has left by so little that an access still
//! falls into the guard around it. Hence an instruction that moves RSP anywhere renews it; one that moves it by a small
//! constant need not, if its block also accesses the stack near RSP: then RSP cannot creep past the guard unseen.
use std::mem::offset_of;

use iced_x86::{Instruction, Mnemonic, OpKind, Register};

use super::block::Lowering;
use super::decode::{Decoded, Way};
use super::memory::number;
use crate::cpu::Cpu;
use crate::emit::asm::{Mem, Reg, T0, T1};
use crate::emit::rewrite::Operand;
use crate::mmu::view::WINDOW_OFFSET;
use crate::mmu::window::WINDOW_SHIFT;
use x86::reg::RSP;

const STACK_WINDOW: usize = offset_of!(Cpu, stack_window);
/// The furthest that counts as near the stack pointer, and the largest step that counts as small.
const NEAR: i64 = 1 << 16;

impl Lowering {
    /// `delta` = what is added to the linear address in `address` to make a host address.
    pub(super) fn window_of(&mut self, delta: Reg, address: Reg) {
        self.asm.rorx(delta, address, WINDOW_SHIFT as u8);
        self.asm.op_reg(false, &[0x0f, 0xb6], delta, delta); // movzx
        self.asm.load(delta, Mem::gs_index8(delta, WINDOW_OFFSET));
    }

    /// The 8 bytes at a small distance from the stack pointer; clobbers T0, which the operand uses.
    pub(super) fn windowed_stack(&mut self, distance: i32) -> Mem {
        self.asm.load(T0, Mem::gs(STACK_WINDOW));
        Mem { base: Some(RSP as Reg), index: Some((T0, 0)), disp: distance, gs: false }
    }

    /// RSP is somewhere else now; clobbers T0.
    pub(super) fn renew_stack_window(&mut self) {
        self.window_of(T0, RSP as Reg);
        self.asm.store(Mem::gs(STACK_WINDOW), T0);
    }

    /// The delta in `delta` becomes that of the stack pointer's window.
    pub(super) fn take_stack_window(&mut self, delta: Reg) {
        self.asm.store(Mem::gs(STACK_WINDOW), delta);
    }

    /// The memory operand of an instruction that is copied, for use beside the registers in `named` (the guest's R10 and
    /// R11, which are loaded).
    pub(super) fn windowed_operand(
        &mut self,
        instruction: &Instruction,
        address: Reg,
        other: Reg,
    ) -> Operand {
        if let Some(base) = plain_base(instruction) {
            if base == RSP as Reg {
                self.asm.load(address, Mem::gs(STACK_WINDOW));
            } else {
                self.window_of(address, base);
            }
            let disp = instruction.memory_displacement64() as i32;
            return Operand { base, index: Some(address), disp };
        }
        self.effective_address(instruction, address);
        self.window_of(other, address);
        self.asm.lea(address, Mem { base: Some(address), index: Some((other, 0)), disp: 0, gs: false });
        Operand { base: address, index: None, disp: 0 }
    }

    /// After an instruction that is copied: did it move the stack pointer?
    pub(super) fn follow_stack_pointer(&mut self, instruction: &Instruction) {
        if self.mode.windows && writes_stack_pointer(instruction) {
            let creeps = self.anchored && is_small_step(instruction);
            if !creeps {
                self.renew_stack_window();
            }
        }
    }
}

/// The base register of an operand that is nothing but a base register and a displacement.
fn plain_base(instruction: &Instruction) -> Option<Reg> {
    let base = instruction.memory_base();
    let plain = base.is_gpr64()
        && instruction.memory_index() == Register::None
        && !matches!(instruction.memory_segment(), Register::FS | Register::GS);
    let number = plain.then(|| number(base))?;
    (number != T0 && number != T1).then_some(number)
}

/// Whether a block's accesses keep the stack pointer from creeping away: one of them is near it.
pub(super) fn is_anchored(code: &[Decoded]) -> bool {
    code.iter().any(|decoded| match decoded.way {
        Way::Push | Way::Pop | Way::Call | Way::CallIndirect | Way::Return => true,
        Way::CopyMemory { .. } => {
            let instruction = &decoded.instruction;
            let near = (instruction.memory_displacement64() as i64).abs() <= NEAR;
            near && plain_base(instruction) == Some(RSP as Reg)
        }
        _ => false,
    })
}

fn writes_stack_pointer(instruction: &Instruction) -> bool {
    let is = |operand: u32| {
        instruction.op_count() > operand
            && instruction.op_kind(operand) == OpKind::Register
            && instruction.op_register(operand).full_register() == Register::RSP
    };
    let only_reads = matches!(instruction.mnemonic(), Mnemonic::Cmp | Mnemonic::Test | Mnemonic::Bt);
    let writes_second = matches!(instruction.mnemonic(), Mnemonic::Xchg | Mnemonic::Xadd | Mnemonic::Mulx);
    (is(0) && !only_reads) || (is(1) && writes_second)
}

fn is_small_step(instruction: &Instruction) -> bool {
    let wide = instruction.op0_kind() == OpKind::Register && instruction.op0_register() == Register::RSP;
    match instruction.mnemonic() {
        Mnemonic::Add | Mnemonic::Sub if is_immediate(instruction) => {
            wide && (instruction.immediate(1) as i64).abs() <= NEAR
        }
        // Down to a multiple of a power of two that is small.
        Mnemonic::And if is_immediate(instruction) => {
            wide && (-NEAR..0).contains(&(instruction.immediate(1) as i64))
        }
        Mnemonic::Lea => {
            let near = (instruction.memory_displacement64() as i64).abs() <= NEAR;
            wide && near
                && instruction.memory_base() == Register::RSP
                && instruction.memory_index() == Register::None
        }
        _ => false,
    }
}

fn is_immediate(instruction: &Instruction) -> bool {
    matches!(instruction.op1_kind(), OpKind::Immediate8to64 | OpKind::Immediate32to64)
}
