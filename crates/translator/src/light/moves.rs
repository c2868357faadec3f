//! Moves, extensions, exchanges and addresses.
use x86::reg::{RAX, RDX};

use super::alu::{holds, sign_extend};
use super::code::{Code, Operand};
use super::{Light, NotServed, Served};

impl Light<'_> {
    /// MOV of a register to an operand.
    pub(super) fn move_from_register(&mut self, code: &mut Code, opcode: u8) -> Served {
        code.set_bytes(opcode);
        let (register, to) = self.operands(code, 0)?;
        let value = self.get(register, code.size(), code);
        self.write(to, code.size(), value, code)
    }

    /// MOV of an operand to a register.
    pub(super) fn move_to_register(&mut self, code: &mut Code, opcode: u8) -> Served {
        code.set_bytes(opcode);
        let (to, from) = self.operands(code, 0)?;
        let value = self.read(from, code.size(), code)?;
        self.set(to, code.size(), value, code);
        Ok(())
    }

    /// MOV of an immediate to an operand.
    pub(super) fn move_immediate(&mut self, code: &mut Code, opcode: u8) -> Served {
        code.set_bytes(opcode);
        if code.peek_register() != 0 {
            return Err(NotServed);
        }
        let behind = code.immediate_bytes();
        let (_, to) = self.operands(code, behind)?;
        let value = code.immediate() as u64;
        self.write(to, code.size(), value, code)
    }

    /// MOV of an immediate, of 64 bits if the operand has so many, to a register that the opcode names.
    pub(super) fn move_immediate_to_register(&mut self, code: &mut Code, opcode: u8) {
        if opcode < 0xb8 {
            code.set_bytes(0);
        }
        let value = if code.size() == 8 { code.u64() } else { code.immediate() as u64 };
        self.set(code.low_register(opcode), code.size(), value, code);
    }

    /// MOVSXD.
    pub(super) fn move_sign_extended(&mut self, code: &mut Code) -> Served {
        code.is_plain()?;
        let (to, from) = self.operands(code, 0)?;
        let value = sign_extend(self.read(from, 4, code)?, 4);
        self.set(to, code.size(), value, code);
        Ok(())
    }

    /// MOVZX and MOVSX.
    pub(super) fn move_extended(&mut self, code: &mut Code, opcode: u8) -> Served {
        let from_size = if opcode & 1 == 0 { 1 } else { 2 };
        let (to, from) = self.operands(code, 0)?;
        let value = self.read(from, from_size, code)?;
        let value = if opcode >= 0xbe { sign_extend(value, from_size) } else { value };
        self.set(to, code.size(), value, code);
        Ok(())
    }

    /// CMOVcc: the operand is read in any case, and 32 bits clear the upper half.
    pub(super) fn move_if(&mut self, code: &mut Code, opcode: u8) -> Served {
        let (to, from) = self.operands(code, 0)?;
        let size = code.size();
        let value = self.read(from, size, code)?;
        let value = if holds(opcode, self.cpu.status_flags) { value } else { self.get(to, size, code) };
        self.set(to, size, value, code);
        Ok(())
    }

    /// SETcc.
    pub(super) fn set_if(&mut self, code: &mut Code, opcode: u8) -> Served {
        code.set_bytes(0);
        let (_, to) = self.operands(code, 0)?;
        let value = u64::from(holds(opcode, self.cpu.status_flags));
        self.write(to, 1, value, code)
    }

    /// LEA.
    pub(super) fn load_address(&mut self, code: &mut Code) -> Served {
        let (to, from) = self.operands(code, 0)?;
        let Operand::Memory(address) = from else { return Err(NotServed) };
        self.set(to, code.size(), address.wrapping_sub(code.base), code);
        Ok(())
    }

    /// XCHG of registers; with memory it is LOCKed.
    pub(super) fn exchange_registers(&mut self, code: &mut Code, opcode: u8) -> Served {
        code.set_bytes(opcode);
        let (register, other) = self.operands(code, 0)?;
        let Operand::Register(other) = other else { return Err(NotServed) };
        self.exchange(register, other, code);
        Ok(())
    }

    /// XCHG.
    pub(super) fn exchange(&mut self, one: usize, other: usize, code: &Code) {
        let size = code.size();
        let (first, second) = (self.get(one, size, code), self.get(other, size, code));
        self.set(one, size, second, code);
        self.set(other, size, first, code);
    }

    /// CBW, CWDE and CDQE.
    pub(super) fn extend_accumulator(&mut self, code: &Code) {
        let value = sign_extend(self.cpu.gpr[RAX], code.size() / 2);
        self.set(RAX, code.size(), value, code);
    }

    /// CWD, CDQ and CQO.
    pub(super) fn extend_into_data_register(&mut self, code: &Code) {
        let sign = sign_extend(self.cpu.gpr[RAX], code.size()) as i64 >> 63;
        self.set(RDX, code.size(), sign as u64, code);
    }

    /// BSWAP; of 16 bits it is not defined.
    pub(super) fn swap_bytes(&mut self, code: &Code, opcode: u8) -> Served {
        let size = code.size();
        if size < 4 {
            return Err(NotServed);
        }
        let register = code.low_register(opcode);
        let value = self.cpu.gpr[register].swap_bytes() >> (64 - 8 * size);
        self.set(register, size, value, code);
        Ok(())
    }

    /// NOP and PREFETCH, whose memory operand is not looked at.
    pub(super) fn hint(&mut self, code: &mut Code) -> Served {
        match self.operands(code, 0)? {
            (_, Operand::Memory(_)) => Ok(()),
            (_, Operand::Register(_)) => Err(NotServed),
        }
    }
}
