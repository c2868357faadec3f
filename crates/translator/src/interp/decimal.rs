//! Decimal adjustment (SDM 2A: AAA, AAD, AAM, AAS, DAA, DAS). Undefined flags are set as Intel CPUs do.
use iced_x86::{Instruction, Mnemonic, Register};
use x86::exception::vector;
use x86::reg::RAX;
use x86::{Exception, flags};

use super::core::{Core, Fallible};

impl Core<'_> {
    /// All six.
    pub fn decimal_instruction(&mut self, instruction: &Instruction) -> Fallible {
        match instruction.mnemonic() {
            Mnemonic::Aaa => self.adjust_ascii(true),
            Mnemonic::Aas => self.adjust_ascii(false),
            Mnemonic::Daa => self.adjust_decimal(true),
            Mnemonic::Das => self.adjust_decimal(false),
            Mnemonic::Aam => {
                let base = u64::from(instruction.immediate8());
                let al = self.gpr(RAX, 8) & 0xff;
                let Some(high) = al.checked_div(base) else { return Err(Exception::plain(vector::DE)) };
                self.set_register(Register::AX, (high << 8) | (al % base));
                self.byte_flags((al % base) as u8);
            }
            _ => {
                let (al, ah) = (self.cpu.gpr[RAX] as u8, (self.cpu.gpr[RAX] >> 8) as u8);
                let result = al.wrapping_add(ah.wrapping_mul(instruction.immediate8()));
                self.set_register(Register::AX, u64::from(result));
                self.byte_flags(result);
            }
        }
        Ok(())
    }
    /// SF, ZF and PF of a byte; CF, OF and AF cleared.
    fn byte_flags(&mut self, value: u8) {
        self.cpu.status_flags = 0;
        self.result_flags(value);
    }
    fn result_flags(&mut self, value: u8) {
        self.set_status(flags::ZF, value == 0);
        self.set_status(flags::SF, value & 0x80 != 0);
        self.set_status(flags::PF, value.count_ones().is_multiple_of(2));
    }
    fn adjust_ascii(&mut self, adding: bool) {
        let ax = self.cpu.gpr[RAX] as u16;
        let adjusts = ax & 0xf > 9 || self.status() & flags::AF != 0;
        let result = match (adjusts, adding) {
            (false, _) => ax,
            (true, true) => ax.wrapping_add(0x106),
            (true, false) => ax.wrapping_sub(0x106),
        } & 0xff0f;
        self.set_register(Register::AX, u64::from(result));
        self.byte_flags(result as u8);
        self.set_status(flags::AF | flags::CF, adjusts);
    }
    fn adjust_decimal(&mut self, adding: bool) {
        let old = self.cpu.gpr[RAX] as u8;
        let carry = self.status() & flags::CF != 0;
        let step = |value: u8, by: u8| if adding { value.wrapping_add(by) } else { value.wrapping_sub(by) };
        let low = old & 0xf > 9 || self.status() & flags::AF != 0;
        let high = old > 0x99 || carry;
        let mut value = old;
        // DAS of a small number borrows out of the byte (SDM 2A, DAS).
        let mut borrowed = false;
        if low {
            borrowed = !adding && old < 6;
            value = step(value, 6);
        }
        if high {
            value = step(value, 0x60);
        }
        self.set_register(Register::AL, u64::from(value));
        self.result_flags(value);
        self.set_status(flags::OF, false);
        self.set_status(flags::AF, low);
        self.set_status(flags::CF, high || borrowed);
    }
}
