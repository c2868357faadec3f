//! Arithmetic on operands.
use x86::flags;
use x86::reg::{RAX, RCX};

use super::alu::{self, Kind};
use super::code::{Code, Operand};
use super::shift;
use super::{Light, NotServed, Served};

impl Light<'_> {
    /// ADD, OR, ADC, SBB, AND, SUB, XOR and CMP of a register and an operand, or of the accumulator and an immediate.
    pub(super) fn two_operands(&mut self, code: &mut Code, opcode: u8) -> Served {
        let kind = Kind::of(opcode >> 3);
        code.set_bytes(opcode);
        let size = code.size();
        match opcode & 7 {
            0 | 1 => {
                let (register, operand) = self.operands(code, 0)?;
                let right = self.get(register, size, code);
                self.modify(operand, kind, right, code)
            }
            2 | 3 => {
                let (register, operand) = self.operands(code, 0)?;
                let right = self.read(operand, size, code)?;
                self.modify(Operand::Register(register), kind, right, code)
            }
            4 | 5 => {
                let right = code.immediate() as u64;
                self.modify(Operand::Register(RAX), kind, right, code)
            }
            _ => Err(NotServed),
        }
    }

    /// The same of an operand and an immediate.
    pub(super) fn group_1(&mut self, code: &mut Code, opcode: u8) -> Served {
        code.set_bytes(opcode);
        let kind = Kind::of(code.peek_register());
        let is_short = opcode != 0x81;
        let (_, operand) = self.operands(code, if is_short { 1 } else { code.immediate_bytes() })?;
        let right = if is_short { code.i8() } else { code.immediate() };
        self.modify(operand, kind, right as u64, code)
    }

    /// TEST with an immediate, NOT and NEG.
    pub(super) fn group_3(&mut self, code: &mut Code, opcode: u8) -> Served {
        code.set_bytes(opcode);
        let size = code.size();
        match code.peek_register() {
            0 | 1 => {
                let (_, operand) = self.operands(code, code.immediate_bytes())?;
                let right = code.immediate() as u64;
                let left = self.read(operand, size, code)?;
                self.compute(Kind::And, left, right, size);
            }
            what @ (2 | 3) => {
                let (_, operand) = self.operands(code, 0)?;
                let place = self.place_of(operand, size)?;
                let old = self.read_place(place, size, code);
                let new = if what == 2 { !old } else { self.compute(Kind::Sub, 0, old, size) };
                self.write_place(place, size, new, code);
            }
            _ => return Err(NotServed),
        }
        Ok(())
    }

    /// TEST of a register and an operand.
    pub(super) fn test(&mut self, code: &mut Code, opcode: u8) -> Served {
        code.set_bytes(opcode);
        let (register, other) = self.operands(code, 0)?;
        let left = self.read(other, code.size(), code)?;
        let right = self.get(register, code.size(), code);
        self.compute(Kind::And, left, right, code.size());
        Ok(())
    }

    /// TEST of the accumulator and an immediate.
    pub(super) fn test_accumulator(&mut self, code: &mut Code, opcode: u8) {
        code.set_bytes(opcode);
        let right = code.immediate() as u64;
        let left = self.get(RAX, code.size(), code);
        self.compute(Kind::And, left, right, code.size());
    }

    /// BT of a register, or of memory by an immediate.
    pub(super) fn bit_test(&mut self, code: &mut Code, opcode: u8) -> Served {
        let by_immediate = opcode == 0xba;
        if by_immediate && code.peek_register() != 4 {
            return Err(NotServed);
        }
        let (index, operand) = self.operands(code, u64::from(by_immediate))?;
        let index = match operand {
            _ if by_immediate => code.i8() as u64,
            Operand::Register(_) => self.cpu.gpr[index],
            // The index reaches beyond the operand.
            Operand::Memory(_) => return Err(NotServed),
        };
        let value = self.read(operand, code.size(), code)?;
        let carry = value >> (index & (8 * code.size() - 1)) & 1;
        self.cpu.status_flags = self.cpu.status_flags & !flags::CF | carry;
        Ok(())
    }

    /// IMUL of an operand and an immediate.
    pub(super) fn multiply_immediate(&mut self, code: &mut Code, opcode: u8) -> Served {
        let is_long = opcode == 0x69;
        let behind = if is_long { code.immediate_bytes() } else { 1 };
        let (to, from) = self.operands(code, behind)?;
        let right = if is_long { code.immediate() } else { code.i8() };
        let left = self.read(from, code.size(), code)?;
        self.multiply(to, left, right as u64, code);
        Ok(())
    }

    /// IMUL of a register and an operand.
    pub(super) fn multiply_register(&mut self, code: &mut Code) -> Served {
        let (to, from) = self.operands(code, 0)?;
        let right = self.read(from, code.size(), code)?;
        let left = self.get(to, code.size(), code);
        self.multiply(to, left, right, code);
        Ok(())
    }

    /// Shifts and rotations.
    pub(super) fn shift(&mut self, code: &mut Code, opcode: u8) -> Served {
        code.set_bytes(opcode);
        let what = code.peek_register();
        let by_immediate = opcode < 0xd0;
        let (_, operand) = self.operands(code, u64::from(by_immediate))?;
        let count = match opcode {
            0xd0 | 0xd1 => 1,
            0xd2 | 0xd3 => self.cpu.gpr[RCX] as u8,
            _ => code.i8() as u8,
        };
        let size = code.size();
        let place = self.place_of(operand, size)?;
        let old = self.read_place(place, size, code);
        let (new, status) = shift::shift(what, old, count, size, self.cpu.status_flags).ok_or(NotServed)?;
        self.cpu.status_flags = status;
        self.write_place(place, size, new, code);
        Ok(())
    }

    /// An operand becomes what an operation makes of it, but for CMP.
    fn modify(&mut self, operand: Operand, kind: Kind, right: u64, code: &Code) -> Served {
        let size = code.size();
        if kind == Kind::Compare {
            let left = self.read(operand, size, code)?;
            self.compute(kind, left, right, size);
            return Ok(());
        }
        let place = self.place_of(operand, size)?;
        let left = self.read_place(place, size, code);
        let result = self.compute(kind, left, right, size);
        self.write_place(place, size, result, code);
        Ok(())
    }

    fn multiply(&mut self, to: usize, left: u64, right: u64, code: &Code) {
        let (value, status) = shift::multiply(left, right, code.size(), self.cpu.status_flags);
        self.cpu.status_flags = status;
        self.set(to, code.size(), value, code);
    }

    pub(super) fn compute(&mut self, kind: Kind, left: u64, right: u64, size: u64) -> u64 {
        let (result, status) = alu::compute(kind, left, right, size, self.cpu.status_flags);
        self.cpu.status_flags = status;
        result
    }
}
