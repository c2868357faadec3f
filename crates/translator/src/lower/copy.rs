//! Instructions that run as they are, with at most their memory operand redirected.
use std::mem::offset_of;

use iced_x86::{Instruction, Mnemonic};

use super::block::Lowering;
use super::decode::Decoded;
use super::memory::number;
use super::moving;
use crate::cache::blocks::FlagPlace;
use crate::cpu::Cpu;
use crate::emit::asm::{Mem, Reg, T0, T1, cond};
use crate::emit::fixups::FixupKind;
use crate::emit::rewrite::{self, Encoded, Operand};
use crate::interp::MXCSR_DEFINED;
use crate::mmu::Access;
use crate::runtime::thunks::gpr;
use x86::reg::{RBX, RCX, RDI, RSI, RSP};

/// What is checked of a memory operand because the host may not, or not in the right order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Check {
    /// Misalignment comes before all other faults of CMPXCHG16B, and AMD's CPUs (seen on family 19h) allow it to the SHA
    /// instructions.
    Alignment,
    /// AMD's CPUs have more bits of MXCSR than the guest's.
    MxcsrBits,
}

impl Check {
    /// What an instruction needs.
    pub(super) fn of(instruction: &Instruction) -> Option<Self> {
        use Mnemonic::*;
        match instruction.mnemonic() {
            Cmpxchg16b | Sha1msg1 | Sha1msg2 | Sha1nexte | Sha1rnds4 | Sha256msg1 | Sha256msg2
            | Sha256rnds2 => Some(Self::Alignment),
            Ldmxcsr | Vldmxcsr => Some(Self::MxcsrBits),
            _ => None,
        }
    }
}

/// Whether code with windows reaches the memory operand of an instruction that is copied by its window. A fault would lose
/// a register that AH and its like need for the address; others have their operand checked first.
pub(super) fn by_window(decoded: &Decoded) -> bool {
    !(decoded.by_lookup || decoded.names_high_byte) && Check::of(&decoded.instruction).is_none()
}

impl Lowering {
    pub(super) fn home(register: Reg) -> Mem {
        Mem::gs(gpr(usize::from(register)))
    }

    /// Emits the instruction's own bytes between loads and stores of the guest's R10 and R11.
    pub(super) fn copy(&mut self, decoded: &Decoded) {
        self.settle_flags(decoded, T1);
        let instruction = &decoded.instruction;
        for register in [T0, T1] {
            if decoded.reads & 1 << register != 0 {
                self.load_guest(register);
            }
        }
        if !decoded.is_harmless {
            self.mark();
        }
        let bytes = self.bytes_of(instruction);
        self.asm.first_of(&bytes, instruction.len());
        self.note_last_immediate();
        for register in [T0, T1] {
            if decoded.writes & 1 << register != 0 {
                self.store_guest(register);
            }
        }
        self.follow_stack_pointer(decoded);
    }

    /// The same for the plainest of them, 64-bit code that names neither R10 nor R11, moves no stack pointer and has no
    /// address in it; flags are where they belong. Whether it was one.
    #[inline]
    pub(super) fn copy_as_it_is(&mut self, decoded: &Decoded) -> bool {
        const SPECIAL: u16 = 1 << T0 | 1 << T1 | 1 << RSP;
        let is_plain = (decoded.reads | decoded.writes) & SPECIAL == 0
            && self.flags == FlagPlace::Eflags
            && decoded.moving.is_none()
            && self.mode.legacy.is_none();
        if is_plain {
            let bytes = self.bytes_of(&decoded.instruction);
            self.asm.first_of(&bytes, decoded.instruction.len());
            self.forget_deltas(decoded);
        }
        is_plain
    }

    pub(super) fn copy_memory(&mut self, decoded: &Decoded, size: u32, access: Access) {
        let instruction = &decoded.instruction;
        // The address goes where the instruction names no register.
        let (address, other) = if decoded.names(T0) { (T1, T0) } else { (T0, T1) };
        let named = decoded.names(other);
        let operand = if self.mode.windows && by_window(decoded) {
            self.settle_flags(decoded, other);
            self.windowed_operand(instruction, address, other, named)
        } else {
            self.clobber_both();
            self.look_up_operand(decoded, size, access, address);
            if Check::of(instruction) == Some(Check::MxcsrBits) {
                self.check_mxcsr(address);
            }
            self.settle_flags(decoded, other);
            self.clobber_both();
            Operand::at(address)
        };
        if decoded.names_high_byte {
            self.copy_with_low_base(decoded, address);
            return;
        }
        if named && decoded.reads & 1 << other != 0 {
            self.load_guest(other);
        }
        self.rewrite(instruction, operand);
        if named && decoded.writes & 1 << other != 0 {
            self.store_guest(other);
        }
        self.follow_stack_pointer(decoded);
    }

    /// An MXCSR at the host address in a register with bits that do not exist is the interpreter's.
    fn check_mxcsr(&mut self, address: Reg) {
        self.asm.op_mem(0, false, &[0xf7], 0, Mem::base(address, 0)); // test dword [address], …
        self.asm.raw(&(!MXCSR_DEFINED).to_le_bytes());
        let from = self.asm.jcc(cond::NE);
        self.unusual(from);
    }

    /// AH and its like cannot be encoded beside R10: the address goes through a register without REX.
    pub(super) fn copy_with_low_base(&mut self, decoded: &Decoded, address: Reg) {
        let instruction = &decoded.instruction;
        let base = [RSI, RDI, RBX].into_iter().find(|r| !decoded.names(*r as Reg)).unwrap_or(RSI) as Reg;
        let spill = Mem::gs(offset_of!(Cpu, spill));
        self.asm.store(spill, base);
        self.asm.mov(base, address);
        if self.mode.legacy.is_some() {
            self.encode_long(instruction, Some(Operand::at(base)));
        } else {
            self.rewrite(instruction, Operand::at(base));
        }
        self.asm.load(base, spill);
    }

    fn rewrite(&mut self, instruction: &Instruction, operand: Operand) {
        let bytes = self.bytes_of(instruction);
        let near = self.take_expected_displacement();
        let length = instruction.len();
        let is_right = |encoded: &Encoded| rewrite::is_same(instruction, operand, encoded.bytes());
        let unusual = || rewrite::with_memory(&bytes[..length], operand).filter(is_right);
        match rewrite::simple(&bytes, length, operand).or_else(unusual) {
            Some(encoded) => {
                self.mark();
                encoded.append_to(&mut self.asm);
                if moving::is_address(operand.disp as u32) {
                    self.note_displacement_at(self.asm.here() - encoded.after() - 4);
                }
                self.note_last_immediate();
                if let Some(address) = near {
                    let place = self.asm.here() - encoded.after() - 4;
                    self.note_address(address, place, FixupKind::Address32);
                }
            }
            // What the guest's bytes mean to the host is not to be guessed.
            None => self.interpret(),
        }
    }

    pub(super) fn lea(&mut self, decoded: &Decoded) {
        let instruction = &decoded.instruction;
        let to = number(instruction.op0_register());
        let wide = instruction.op0_register().size() == 8;
        if !instruction.is_ip_rel_memory_operand() {
            for register in [T0, T1] {
                if decoded.reads & 1 << register != 0 {
                    self.load_guest(register);
                }
            }
            let bytes = self.bytes_of(instruction);
            self.asm.first_of(&bytes, instruction.len());
            self.note_displacement_at(self.asm.here() - 4);
        } else if wide {
            self.code_address(to, instruction.ip_rel_memory_address());
        } else {
            self.clobber(T0);
            self.code_address(T0, instruction.ip_rel_memory_address());
            self.asm.mov32(to, T0);
        }
        if to == T0 || to == T1 {
            self.store_guest(to);
        }
        self.follow_stack_pointer(decoded);
    }

    /// BT, BTS, BTR, BTC with a register as the bit offset: the word that holds the bit is looked up, the offset cut to it.
    pub(super) fn bit_string(&mut self, decoded: &Decoded) {
        let instruction = &decoded.instruction;
        let register = instruction.op1_register();
        let size = register.size() as u32;
        let access =
            if instruction.mnemonic() == iced_x86::Mnemonic::Bt { Access::Read } else { Access::Write };
        // The bit offset is cut by a shift.
        self.spill_if_live(decoded);
        self.effective_address(instruction, T0);
        let source = number(register);
        if source == T0 || source == T1 {
            self.asm.load(T1, Self::home(source));
        } else {
            self.asm.mov(T1, source);
        }
        match size {
            2 => self.asm.raw(&[0x4d, 0x0f, 0xbf, 0xdb]), // movsx r11, r11w
            4 => self.asm.raw(&[0x4d, 0x63, 0xdb]),       // movsxd r11, r11d
            _ => {}
        }
        let shift = (size * 8).trailing_zeros() as u8;
        self.asm.raw(&[0x49, 0xc1, 0xfb, shift]); // sar r11, shift
        let scale = size.trailing_zeros() as u8;
        self.asm.lea(T0, Mem { base: Some(T0), index: Some((T1, scale)), disp: 0, gs: false });
        self.reach(access, size, T0, T1);
        self.settle_flags(decoded, T1);
        if source == T0 || source == T1 {
            self.asm.load(T1, Self::home(source));
        } else {
            self.asm.mov(T1, source);
        }
        self.emit_bit_operation(instruction, size);
    }

    /// The operation itself on `[T0]` with the bit offset in T1, which is first cut to the operand's width: by a rotation
    /// and a shift of BMI2, because ZF may be live.
    pub(super) fn emit_bit_operation(&mut self, instruction: &Instruction, size: u32) {
        use iced_x86::Mnemonic::{Btc, Btr, Bts};
        let bits = (size * 8).trailing_zeros() as u8;
        let spill = Mem::gs(offset_of!(Cpu, spill));
        self.asm.rorx(T1, T1, bits);
        self.asm.store(spill, RCX as Reg);
        self.asm.mov_imm(RCX as Reg, u64::from(64 - bits));
        self.asm.raw(&[0xc4, 0x42, 0xf3, 0xf7, 0xdb]); // shrx r11, r11, rcx
        self.asm.load(RCX as Reg, spill);
        if instruction.has_lock_prefix() {
            self.asm.raw(&[0xf0]);
        }
        if size == 2 {
            self.asm.raw(&[0x66]);
        }
        let opcode = match instruction.mnemonic() {
            Bts => 0xab,
            Btr => 0xb3,
            Btc => 0xbb,
            _ => 0xa3,
        };
        let rex = 0x45 | if size == 8 { 8 } else { 0 };
        self.asm.raw(&[rex, 0x0f, opcode, 0x1a]); // op [r10], r11
    }

    /// The bytes of an instruction, kept from decoding, and more after them.
    pub(super) fn bytes_of(&self, instruction: &Instruction) -> [u8; 16] {
        let start = instruction.ip().wrapping_sub(self.source_address) as usize;
        *self.source_bytes[start..].first_chunk().unwrap_or(&[0; 16])
    }
}
