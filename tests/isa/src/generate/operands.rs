//! Operands: registers and immediates of each kind that an instruction form asks for.
use iced_x86::{Code, Instruction, Mnemonic, OpCodeOperandKind as K, OpKind, Register};
use rand::RngExt;
use x86::reg::{RCX, RDI, RSI};

use super::Generator;
use crate::layout::{DATA, STACK};

/// 64-bit registers in encoding order.
pub const GPR64: [Register; 16] = [
    Register::RAX,
    Register::RCX,
    Register::RDX,
    Register::RBX,
    Register::RSP,
    Register::RBP,
    Register::RSI,
    Register::RDI,
    Register::R8,
    Register::R9,
    Register::R10,
    Register::R11,
    Register::R12,
    Register::R13,
    Register::R14,
    Register::R15,
];

/// The number of the 64-bit register that a general-purpose register is part of.
pub fn gpr_index(register: Register) -> Option<usize> {
    let full = register.full_register();
    GPR64.iter().position(|known| *known == full)
}

/// Whether the generator can make an operand of a kind.
pub fn is_supported(kind: K) -> bool {
    kind_of(kind).is_some() || is_memory(kind)
}

fn is_memory(kind: K) -> bool {
    matches!(
        kind,
        K::mem
            | K::mem_offs
            | K::r8_or_mem
            | K::r16_or_mem
            | K::r32_or_mem
            | K::r64_or_mem
            | K::mm_or_mem
            | K::xmm_or_mem
            | K::ymm_or_mem
    )
}

enum Class {
    /// The first of 16 registers in encoding order.
    Bank(Register, u32),
    Byte,
    Fixed(Register),
    Implied(OpKind),
    Immediate(OpKind),
}

fn kind_of(kind: K) -> Option<Class> {
    use Class::{Bank, Byte, Fixed, Immediate, Implied};
    Some(match kind {
        K::r8_reg | K::r8_or_mem | K::r8_opcode => Byte,
        K::r16_reg | K::r16_or_mem | K::r16_rm | K::r16_opcode => Bank(Register::AX, 16),
        K::r32_reg | K::r32_or_mem | K::r32_rm | K::r32_opcode | K::r32_vvvv => Bank(Register::EAX, 16),
        K::r64_reg | K::r64_or_mem | K::r64_rm | K::r64_opcode | K::r64_vvvv => Bank(Register::RAX, 16),
        K::mm_reg | K::mm_rm | K::mm_or_mem => Bank(Register::MM0, 8),
        K::xmm_reg | K::xmm_rm | K::xmm_or_mem | K::xmm_vvvv | K::xmm_is4 => Bank(Register::XMM0, 16),
        K::ymm_reg | K::ymm_rm | K::ymm_or_mem | K::ymm_vvvv | K::ymm_is4 => Bank(Register::YMM0, 16),
        K::sti_opcode => Bank(Register::ST0, 8),
        K::al => Fixed(Register::AL),
        K::cl => Fixed(Register::CL),
        K::ax => Fixed(Register::AX),
        K::eax => Fixed(Register::EAX),
        K::rax => Fixed(Register::RAX),
        K::st0 => Fixed(Register::ST0),
        K::seg_rSI => Implied(OpKind::MemorySegRSI),
        K::es_rDI => Implied(OpKind::MemoryESRDI),
        K::imm8 | K::imm8_const_1 => Immediate(OpKind::Immediate8),
        K::imm8sex16 => Immediate(OpKind::Immediate8to16),
        K::imm8sex32 => Immediate(OpKind::Immediate8to32),
        K::imm8sex64 => Immediate(OpKind::Immediate8to64),
        K::imm16 => Immediate(OpKind::Immediate16),
        K::imm32 => Immediate(OpKind::Immediate32),
        K::imm32sex64 => Immediate(OpKind::Immediate32to64),
        K::imm64 => Immediate(OpKind::Immediate64),
        _ => return None,
    })
}

impl Generator {
    /// An instruction of this form with random operands; `None` if they do not go together.
    pub(super) fn instruction(&mut self, code: Code) -> Option<Instruction> {
        let mut instruction = Instruction::new();
        instruction.set_code(code);
        let kinds = code.op_code().op_kinds();
        for (index, kind) in (0_u32..).zip(kinds) {
            let optional = is_memory(*kind) && !matches!(kind, K::mem | K::mem_offs);
            if is_memory(*kind) && (!optional || self.rng.random_bool(0.5)) {
                instruction.set_op_kind(index, OpKind::Memory);
                self.memory_operand(&mut instruction, *kind == K::mem_offs);
            } else {
                self.register_or_immediate(&mut instruction, index, *kind)?;
            }
        }
        self.prefixes(&mut instruction);
        self.tame(&instruction);
        Some(instruction)
    }

    fn register_or_immediate(&mut self, instruction: &mut Instruction, index: u32, kind: K) -> Option<()> {
        match kind_of(kind)? {
            Class::Bank(first, count) => {
                let register =
                    Register::try_from(first as usize + self.register_number(count) as usize).ok()?;
                instruction.set_op_kind(index, OpKind::Register);
                instruction.set_op_register(index, register);
            }
            Class::Byte => {
                instruction.set_op_kind(index, OpKind::Register);
                // AL to R15L with AH, CH, DH and BH among them; some do not go with a REX prefix.
                let number = self.rng.random_range(0..20);
                instruction.set_op_register(index, Register::try_from(Register::AL as usize + number).ok()?);
            }
            Class::Fixed(register) => {
                instruction.set_op_kind(index, OpKind::Register);
                instruction.set_op_register(index, register);
            }
            Class::Implied(kind) => instruction.set_op_kind(index, kind),
            Class::Immediate(op_kind) => {
                instruction.set_op_kind(index, op_kind);
                let value = if kind == K::imm8_const_1 { 1 } else { self.number() };
                set_immediate(instruction, index, op_kind, value);
            }
        }
        Some(())
    }

    fn register_number(&mut self, count: u32) -> u32 {
        let number = self.rng.random_range(0..count);
        // R10 and R11 are the translator's scratch registers, RSP has code of its own everywhere.
        match (count, self.rng.random_range(0..8)) {
            (16, 0) => 10,
            (16, 1) => 11,
            (16, _) if number == 4 && self.rng.random_bool(0.7) => 3,
            _ => number,
        }
    }

    /// A number of a kind that programs use, or one that they fear.
    pub(super) fn number(&mut self) -> u64 {
        match self.rng.random_range(0..8) {
            0 | 1 => self.rng.random_range(0..256),
            2 => u64::MAX.wrapping_sub(self.rng.random_range(0..130)),
            3 => 1 << self.rng.random_range(0..64),
            4 => (1_u64 << self.rng.random_range(0..64)).wrapping_sub(1),
            _ => self.rng.random(),
        }
    }

    fn prefixes(&mut self, instruction: &mut Instruction) {
        let info = instruction.code().op_code();
        let memory_first = instruction.op_count() > 0 && instruction.op0_kind() == OpKind::Memory;
        if memory_first && info.can_use_lock_prefix() && self.rng.random_ratio(1, 5) {
            instruction.set_has_lock_prefix(true);
        }
        if info.can_use_rep_prefix() && self.rng.random_bool(0.5) {
            instruction.set_has_rep_prefix(true);
        } else if info.can_use_repne_prefix()
            && matches!(
                info.mnemonic(),
                Mnemonic::Scasb | Mnemonic::Scasd | Mnemonic::Cmpsb | Mnemonic::Cmpsq
            )
        {
            instruction.set_has_repne_prefix(true);
        }
    }

    /// Gives the registers that an instruction uses without naming them values with which it gets somewhere.
    fn tame(&mut self, instruction: &Instruction) {
        let implied = |kind| (0..instruction.op_count()).any(|i| instruction.op_kind(i) == kind);
        let (source, target) = (implied(OpKind::MemorySegRSI), implied(OpKind::MemoryESRDI));
        if !source && !target || self.rng.random_ratio(1, 10) {
            return;
        }
        if instruction.has_rep_prefix() || instruction.has_repne_prefix() {
            let count = if self.rng.random_ratio(1, 20) { 5000 } else { self.rng.random_range(0..40) };
            self.set_unless_reserved(RCX, count);
        }
        let base = if self.rng.random_ratio(1, 4) { STACK.base + 0x1000 } else { DATA.base + 0x1000 };
        let near = |this: &mut Self| match this.rng.random_range(0..4) {
            0 => base.wrapping_add(this.rng.random_range(0..64)).wrapping_sub(32),
            _ => base.wrapping_add(this.rng.random_range(0..0x1c00)).wrapping_sub(0xe00),
        };
        if source {
            let address = near(self);
            self.set_unless_reserved(RSI, address);
        }
        if target {
            let address = near(self);
            self.set_unless_reserved(RDI, address);
        }
    }

    fn set_unless_reserved(&mut self, index: usize, value: u64) {
        if !self.reserved.contains(&index) {
            self.set_known(index, value);
        }
    }
}

fn set_immediate(instruction: &mut Instruction, index: u32, kind: OpKind, value: u64) {
    let first_immediate = (0..index).all(|i| !is_immediate(instruction.op_kind(i)));
    match kind {
        OpKind::Immediate8 if first_immediate => instruction.set_immediate8(value as u8),
        OpKind::Immediate8 => instruction.set_immediate8_2nd(value as u8),
        OpKind::Immediate8to16 => instruction.set_immediate8to16(i16::from(value as i8)),
        OpKind::Immediate8to32 => instruction.set_immediate8to32(i32::from(value as i8)),
        OpKind::Immediate8to64 => instruction.set_immediate8to64(i64::from(value as i8)),
        OpKind::Immediate16 => instruction.set_immediate16(value as u16),
        OpKind::Immediate32 => instruction.set_immediate32(value as u32),
        OpKind::Immediate32to64 => instruction.set_immediate32to64(i64::from(value as i32)),
        _ => instruction.set_immediate64(value),
    }
}

fn is_immediate(kind: OpKind) -> bool {
    matches!(kind, OpKind::Immediate8 | OpKind::Immediate8_2nd)
}
