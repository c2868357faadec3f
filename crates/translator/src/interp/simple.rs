//! Frequent forms in plain Rust: moves, extensions, LEA, and two-operand arithmetic without LOCK.
use iced_x86::{Instruction, Mnemonic, OpKind};
use x86::flags;
use x86::reg::{RAX, RBX};

use super::core::{Core, Fallible, mask, sign_extend};
use super::operand::{address_size, operand_size};

impl Core<'_> {
    /// MOV between general-purpose registers, memory and immediates.
    pub fn plain_move(&mut self, instruction: &Instruction) -> Fallible {
        let size = operand_size(instruction, 0);
        let value = self.read_operand(instruction, 1, size)?;
        self.write_operand(instruction, 0, size, value)
    }

    /// The instructions of this file.
    pub fn simple_instruction(&mut self, instruction: &Instruction) -> Fallible {
        let size = operand_size(instruction, 0);
        match instruction.mnemonic() {
            Mnemonic::Lea => {
                let offset = self.effective_offset(instruction);
                self.set_register(instruction.op0_register(), offset);
            }
            Mnemonic::Movzx => {
                let value = self.read_operand(instruction, 1, operand_size(instruction, 1))?;
                self.set_register(instruction.op0_register(), value);
            }
            Mnemonic::Movsx | Mnemonic::Movsxd => {
                let from = operand_size(instruction, 1);
                let value = self.read_operand(instruction, 1, from)?;
                self.set_register(instruction.op0_register(), sign_extend(value, from));
            }
            Mnemonic::Cld => self.cpu.direction_flag = 0,
            Mnemonic::Std => self.cpu.direction_flag = flags::DF,
            Mnemonic::Salc => {
                let value = if self.status() & flags::CF != 0 { 0xff } else { 0 };
                self.set_register(iced_x86::Register::AL, value);
            }
            Mnemonic::Xlatb => {
                let width = address_size(instruction);
                let offset = self.gpr(RBX, width).wrapping_add(self.cpu.gpr[RAX] & 0xff) & mask(width);
                let value = self.read_number(self.memory_segment(instruction), offset, 1)?;
                self.set_register(iced_x86::Register::AL, value);
            }
            Mnemonic::Inc | Mnemonic::Dec => return self.count(instruction, size),
            _ => return self.arithmetic(instruction, size),
        }
        Ok(())
    }

    fn count(&mut self, instruction: &Instruction, size: usize) -> Fallible {
        self.probe_operand(instruction, 0, size)?;
        let old = self.read_operand(instruction, 0, size)?;
        let carry = self.status() & flags::CF;
        let status = self.status();
        let result = if instruction.mnemonic() == Mnemonic::Inc {
            self.add(old, 1, size)
        } else {
            self.subtract(old, 1, size)
        };
        self.set_status(flags::CF, carry != 0);
        self.write_operand(instruction, 0, size, result).inspect_err(|_| self.cpu.status_flags = status)
    }

    fn arithmetic(&mut self, instruction: &Instruction, size: usize) -> Fallible {
        let mnemonic = instruction.mnemonic();
        let writes = !matches!(mnemonic, Mnemonic::Cmp | Mnemonic::Test);
        if writes {
            self.probe_operand(instruction, 0, size)?;
        }
        let left = self.read_operand(instruction, 0, size)?;
        let right = match instruction.op1_kind() {
            OpKind::Register | OpKind::Memory => self.read_operand(instruction, 1, size)?,
            _ => instruction.immediate(1) & mask(size),
        };
        let status = self.status();
        let result = match mnemonic {
            Mnemonic::Add => self.add(left, right, size),
            Mnemonic::Sub | Mnemonic::Cmp => self.subtract(left, right, size),
            Mnemonic::Or => self.logic(left | right, size),
            Mnemonic::Xor => self.logic(left ^ right, size),
            _ => self.logic(left & right, size),
        };
        if writes {
            self.write_operand(instruction, 0, size, result)
                .inspect_err(|_| self.cpu.status_flags = status)?;
        }
        Ok(())
    }

    fn add(&mut self, left: u64, right: u64, size: usize) -> u64 {
        let result = left.wrapping_add(right) & mask(size);
        let overflow = (left ^ result) & (right ^ result);
        self.arithmetic_flags(result, size, result < left, overflow, left ^ right ^ result);
        result
    }
    fn subtract(&mut self, left: u64, right: u64, size: usize) -> u64 {
        let result = left.wrapping_sub(right) & mask(size);
        let overflow = (left ^ right) & (left ^ result);
        self.arithmetic_flags(result, size, left < right, overflow, left ^ right ^ result);
        result
    }
    /// AF is undefined here; CPUs clear it.
    fn logic(&mut self, result: u64, size: usize) -> u64 {
        self.arithmetic_flags(result, size, false, 0, 0);
        result
    }
    fn arithmetic_flags(&mut self, result: u64, size: usize, carry: bool, overflow: u64, half: u64) {
        let sign = 1_u64 << (8 * size - 1);
        let mut status = u64::from(carry);
        if result == 0 {
            status |= flags::ZF;
        }
        if result & sign != 0 {
            status |= flags::SF;
        }
        if overflow & sign != 0 {
            status |= flags::OF;
        }
        status |= half & flags::AF;
        if (result as u8).count_ones().is_multiple_of(2) {
            status |= flags::PF;
        }
        self.cpu.status_flags = status;
    }
}
