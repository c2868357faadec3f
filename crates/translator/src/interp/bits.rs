//! Two families that need a look at their operands before the host may run them, or cannot run there: bit tests with a
//! bit offset that reaches beyond the operand, and divisions that may overflow.
#![expect(unsafe_code, reason = "atomic operations on guest RAM")]
use std::sync::atomic::{AtomicU8, Ordering};

use iced_x86::{Instruction, Mnemonic};
use x86::exception::vector;
use x86::reg::{RAX, RDX};
use x86::{Exception, flags};

use super::core::{Core, Fallible, mask, sign_extend};
use super::operand::{address_size, operand_size};
use crate::mmu::Access;

impl Core<'_> {
    /// BT, BTS, BTR, BTC of a bit string in memory (SDM 2A, BT): the register counts bits from the address, either way.
    pub fn bit_string(&mut self, instruction: &Instruction) -> Fallible {
        let size = operand_size(instruction, 1);
        let bit = sign_extend(self.register(instruction.op1_register()), size) as i64;
        let bits = 8 * size as i64;
        let element = bit.div_euclid(bits).wrapping_mul(size as i64);
        let inside = bit.rem_euclid(bits) as u64;
        let segment = self.memory_segment(instruction);
        let offset =
            self.effective_offset(instruction).wrapping_add(element as u64) & mask(address_size(instruction));
        let mnemonic = instruction.mnemonic();
        if mnemonic == Mnemonic::Bt {
            let value = self.read_number(segment, offset, size)?;
            self.set_status(flags::CF, value >> inside & 1 != 0);
            return Ok(());
        }
        let address = self.linear(segment, offset, size as u64, Access::Write)?;
        self.check_alignment(address, size)?;
        let privilege = self.privilege();
        let pointer = self.mmu.host_range(self.cpu, address, size, Access::Write, privilege)?;
        let was_set = if let Some(pointer) = pointer {
            // One byte of the element is enough, and atomic whatever the alignment.
            let (byte, bit) = ((inside / 8) as usize, 1_u8 << (inside % 8));
            // SAFETY: `host_range` vouches for `size` bytes and `byte` is less than that.
            let cell = unsafe { AtomicU8::from_ptr(pointer.add(byte)) };
            let old = match mnemonic {
                Mnemonic::Bts => cell.fetch_or(bit, Ordering::SeqCst),
                Mnemonic::Btr => cell.fetch_and(!bit, Ordering::SeqCst),
                _ => cell.fetch_xor(bit, Ordering::SeqCst),
            };
            old & bit != 0
        } else {
            self.probe_linear(address, size, Access::Write, privilege)?;
            let _lock = super::host::lock_bounced(instruction);
            let old = self.read_number(segment, offset, size)?;
            let bit = 1_u64 << inside;
            let new = match mnemonic {
                Mnemonic::Bts => old | bit,
                Mnemonic::Btr => old & !bit,
                _ => old ^ bit,
            };
            self.write_number(segment, offset, size, new)?;
            old & bit != 0
        };
        self.set_status(flags::CF, was_set);
        Ok(())
    }

    /// `#DE` if DIV or IDIV would divide by zero or overflow.
    pub fn check_division(&mut self, instruction: &Instruction) -> Fallible {
        let size = operand_size(instruction, 0);
        let divisor = self.read_operand(instruction, 0, size)?;
        let bits = 8 * size as u32;
        let dividend = if size == 1 {
            u128::from(self.gpr(RAX, 2))
        } else {
            u128::from(self.gpr(RDX, size)) << bits | u128::from(self.gpr(RAX, size))
        };
        let fits = if instruction.mnemonic() == Mnemonic::Div {
            dividend.checked_div(u128::from(divisor)).is_some_and(|quotient| quotient >> bits == 0)
        } else {
            let unused = 128 - 2 * bits;
            let dividend = (dividend << unused) as i128 >> unused;
            let divisor = i128::from(sign_extend(divisor, size) as i64);
            let limit = 1_i128 << (bits - 1);
            dividend.checked_div(divisor).is_some_and(|quotient| (-limit..limit).contains(&quotient))
        };
        if fits { Ok(()) } else { Err(Exception::plain(vector::DE)) }
    }
}
