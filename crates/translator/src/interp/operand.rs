//! Operands of decoded instructions: effective addresses, and reading and writing registers, memory and immediates.
//!
//! Instructions are decoded as if they lay at address 0, so that one decoding serves every mapping of its bytes: relative
//! operands are completed here with the instruction pointer.
use iced_x86::{Instruction, OpKind, Register};
use x86::segment::{DS, FS, SS};

use super::core::{Core, Fallible, mask, segment_number};

impl Core<'_> {
    /// The offset of the memory operand inside its segment, truncated to the address size.
    pub fn effective_offset(&self, instruction: &Instruction) -> u64 {
        let base = match instruction.memory_base() {
            Register::None => 0,
            Register::RIP | Register::EIP => self.cpu.rip,
            register => self.register(register),
        };
        let index = match instruction.memory_index() {
            Register::None => 0,
            register => self.register(register).wrapping_mul(u64::from(instruction.memory_index_scale())),
        };
        let sum = base.wrapping_add(index).wrapping_add(instruction.memory_displacement64());
        sum & mask(address_size(instruction))
    }
    /// The number of the memory operand's segment register. In 64-bit mode prefixes other than FS and GS are void
    /// (SDM 1 §3.3.7.1): the base register alone decides.
    pub fn memory_segment(&self, instruction: &Instruction) -> usize {
        let on_stack = matches!(instruction.memory_base(), Register::RSP | Register::RBP);
        let on_stack = on_stack || matches!(instruction.memory_base(), Register::ESP | Register::EBP);
        match self.implied_segment(instruction) {
            DS if self.is_64() && on_stack => SS,
            segment => segment,
        }
    }
    /// As [`Core::memory_segment`], for operands that no base register describes: those of string instructions.
    pub fn implied_segment(&self, instruction: &Instruction) -> usize {
        match segment_number(instruction.memory_segment()) {
            Some(segment) if !self.is_64() || segment >= FS => segment,
            _ => DS,
        }
    }
    /// An operand as a number of `size` bytes; immediates are sign-extended by their form.
    pub fn read_operand(&mut self, instruction: &Instruction, operand: u32, size: usize) -> Fallible<u64> {
        match instruction.op_kind(operand) {
            OpKind::Register => Ok(self.register(instruction.op_register(operand)) & mask(size)),
            OpKind::Memory => {
                let offset = self.effective_offset(instruction);
                self.read_number(self.memory_segment(instruction), offset, size)
            }
            _ => Ok(instruction.immediate(operand) & mask(size)),
        }
    }
    /// Writes a register or memory operand of `size` bytes.
    pub fn write_operand(
        &mut self,
        instruction: &Instruction,
        operand: u32,
        size: usize,
        value: u64,
    ) -> Fallible {
        if instruction.op_kind(operand) == OpKind::Register {
            self.set_register(instruction.op_register(operand), value);
            return Ok(());
        }
        let offset = self.effective_offset(instruction);
        self.write_number(self.memory_segment(instruction), offset, size, value)
    }
    /// `#PF` and the like of a destination that will be written after other effects.
    pub fn probe_operand(&mut self, instruction: &Instruction, operand: u32, size: usize) -> Fallible {
        if instruction.op_kind(operand) == OpKind::Register {
            return Ok(());
        }
        let offset = self.effective_offset(instruction);
        self.probe_write(self.memory_segment(instruction), offset, size)
    }
    /// Where a near branch leads: truncated to the operand size.
    pub fn branch_target(&self, instruction: &Instruction) -> u64 {
        let size = match instruction.op0_kind() {
            OpKind::NearBranch16 => 2,
            OpKind::NearBranch32 => 4,
            _ => 8,
        };
        self.cpu.rip.wrapping_add(instruction.near_branch_target()) & mask(size)
    }
}

/// Bytes of an operand: its register, its memory, its immediate.
pub(super) fn operand_size(instruction: &Instruction, operand: u32) -> usize {
    match instruction.op_kind(operand) {
        OpKind::Register => instruction.op_register(operand).size(),
        OpKind::Memory => instruction.memory_size().size(),
        OpKind::Immediate8 => 1,
        OpKind::Immediate16 | OpKind::Immediate8to16 => 2,
        OpKind::Immediate32 | OpKind::Immediate8to32 => 4,
        _ => 8,
    }
}

/// Bytes of the address of a memory operand: 2, 4 or 8.
pub(super) fn address_size(instruction: &Instruction) -> usize {
    let register = [instruction.memory_base(), instruction.memory_index()]
        .into_iter()
        .find(|register| *register != Register::None && !register.is_vector_register());
    match register {
        Some(Register::RIP) => 8,
        Some(Register::EIP) => 4,
        Some(register) => register.size(),
        None => match instruction.memory_displ_size() {
            2 => 2,
            4 => 4,
            _ => 8,
        },
    }
}
