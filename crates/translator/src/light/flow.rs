//! Jumps, calls and the stack.
use x86::flags;
use x86::reg::{RBP, RSP};

use super::alu::{Kind, holds};
use super::code::Code;
use super::{Light, Next, NotServed, Served, canonical};

impl Light<'_> {
    /// PUSH of a register.
    pub(super) fn push_register(&mut self, code: &Code, opcode: u8) -> Served {
        code.is_plain()?;
        self.push(self.cpu.gpr[code.low_register(opcode)])
    }

    /// POP to a register.
    pub(super) fn pop_register(&mut self, code: &Code, opcode: u8) -> Served {
        code.is_plain()?;
        let value = self.pop()?;
        self.cpu.gpr[code.low_register(opcode)] = value;
        Ok(())
    }

    /// PUSH of an immediate.
    pub(super) fn push_immediate(&mut self, code: &mut Code, opcode: u8) -> Served {
        code.is_plain()?;
        let value = if opcode == 0x68 { code.i32() } else { code.i8() };
        self.push(value as u64)
    }

    /// LEAVE.
    pub(super) fn leave(&mut self, code: &Code) -> Served {
        code.is_plain()?;
        let frame = self.cpu.gpr[RBP];
        self.cpu.gpr[RBP] = self.load(frame, 8)?;
        self.cpu.gpr[RSP] = frame.wrapping_add(8);
        Ok(())
    }

    /// CALL.
    pub(super) fn call(&mut self, code: &mut Code) -> Served<Next> {
        code.is_plain()?;
        let by = code.i32();
        let after = self.after(code);
        let target = canonical(after.wrapping_add(by as u64))?;
        self.push(after)?;
        Ok(Next::jump(target))
    }

    /// JMP.
    pub(super) fn jump(&mut self, code: &mut Code, opcode: u8) -> Served<Next> {
        code.is_plain()?;
        let by = if opcode == 0xe9 { code.i32() } else { code.i8() };
        Ok(Next::jump(canonical(self.after(code).wrapping_add(by as u64))?))
    }

    /// Jcc.
    pub(super) fn jump_if(&mut self, condition: u8, by: i64, code: &Code) -> Served<Next> {
        code.is_plain()?;
        let after = self.after(code);
        if !holds(condition, self.cpu.status_flags) {
            return Ok(Next::after(after));
        }
        Ok(Next::jump(canonical(after.wrapping_add(by as u64))?))
    }

    /// RET.
    pub(super) fn return_near(&mut self, code: &mut Code, opcode: u8) -> Served<Next> {
        code.is_plain()?;
        let more = if opcode == 0xc2 { u64::from(code.u16()) } else { 0 };
        let stack = self.cpu.gpr[RSP];
        let target = canonical(self.load(stack, 8)?)?;
        self.cpu.gpr[RSP] = stack.wrapping_add(8).wrapping_add(more);
        Ok(Next::jump(target))
    }

    /// INC and DEC, and calls, jumps and pushes of an operand.
    pub(super) fn group_5(&mut self, code: &mut Code, opcode: u8) -> Served<Next> {
        let what = code.peek_register();
        if what <= 1 {
            code.set_bytes(opcode);
            let size = code.size();
            let (_, operand) = self.operands(code, 0)?;
            let place = self.place_of(operand, size)?;
            let old = self.read_place(place, size, code);
            let carry = self.cpu.status_flags & flags::CF;
            let new = self.compute(if what == 0 { Kind::Add } else { Kind::Sub }, old, 1, size);
            self.cpu.status_flags = self.cpu.status_flags & !flags::CF | carry;
            self.write_place(place, size, new, code);
            return Ok(Next::after(self.after(code)));
        }
        code.is_plain()?;
        if opcode == 0xfe || !matches!(what, 2 | 4 | 6) {
            return Err(NotServed);
        }
        let (_, operand) = self.operands(code, 0)?;
        let value = self.read(operand, 8, code)?;
        match what {
            2 => {
                let target = canonical(value)?;
                self.push(self.after(code))?;
                Ok(Next::jump(target))
            }
            4 => Ok(Next::jump(canonical(value)?)),
            _ => {
                self.push(value)?;
                Ok(Next::after(self.after(code)))
            }
        }
    }
}
