//! Memory operands: the effective address, the look-up, and what follows a miss.
use std::mem::offset_of;

use iced_x86::{Instruction, Register};

use super::block::Lowering;
use super::cold::Cold;
use super::copy::Check;
use super::decode::Decoded;
use crate::cpu::Cpu;
use crate::emit::asm::{Mem, Reg, T0, T1, cond};
use crate::mmu::table::{LOOKUP_SHIFT, Lookup, lookups};
use crate::mmu::{Access, view};
use crate::runtime::thunks::{Exit, segment_base};
use x86::address::{PAGE_SHIFT, PAGE_SIZE};
use x86::segment::{FS, GS};

/// The number of a general-purpose register of 32 or 64 bits.
pub fn number(register: Register) -> Reg {
    register.full_register().number() as Reg
}

impl Lowering {
    /// `to` = effective address of the memory operand. Both scratch registers may be clobbered.
    pub(super) fn effective_address(&mut self, instruction: &Instruction, to: Reg) {
        if instruction.is_ip_rel_memory_operand() {
            let address = instruction.ip_rel_memory_address();
            self.code_address(to, address);
        } else {
            self.computed_address(instruction, to);
        }
        let segment = match instruction.memory_segment() {
            Register::FS => FS,
            Register::GS => GS,
            _ => return,
        };
        let other = if to == T0 { T1 } else { T0 };
        self.asm.load(other, Mem::gs(segment_base(segment)));
        self.asm.lea(to, Mem { base: Some(to), index: Some((other, 0)), disp: 0, gs: false });
    }

    fn computed_address(&mut self, instruction: &Instruction, to: Reg) {
        let (base, index) = (instruction.memory_base(), instruction.memory_index());
        let bare = base == Register::None && index == Register::None;
        let narrow = base.size() == 4 || index.size() == 4 || (bare && instruction.memory_displ_size() == 4);
        let disp = instruction.memory_displacement64() as i32;
        let base = self.address_register(base);
        let index = self.address_register(index);
        let scale = instruction.memory_index_scale().trailing_zeros() as u8;
        match (base, index, disp) {
            (Some(base), None, 0) if narrow => self.asm.mov32(to, base),
            (Some(base), None, 0) if base == to => {}
            (Some(base), None, 0) => self.asm.mov(to, base),
            (None, None, disp) if narrow => self.asm.mov_imm(to, u64::from(disp as u32)),
            (None, None, _) => {
                self.asm.mov_imm(to, instruction.memory_displacement64());
                self.note_displacement_at(self.asm.here() - 4);
            }
            _ => {
                let mem = Mem { base, index: index.map(|index| (index, scale)), disp, gs: false };
                if narrow {
                    self.asm.lea32(to, mem)
                } else {
                    self.asm.lea(to, mem)
                }
                self.note_displacement_at(self.asm.here() - 4);
            }
        }
    }

    /// The host register that has a register of an address; `None` for none.
    fn address_register(&mut self, register: Register) -> Option<Reg> {
        let number = (register != Register::None).then(|| number(register))?;
        if number == T0 || number == T1 {
            self.load_guest(number);
        }
        Some(number)
    }

    /// `to` = a linear address near the code: built in, or relative to the page that the code runs in.
    pub(super) fn code_address(&mut self, to: Reg, address: u64) {
        if self.is_pinned() {
            self.asm.mov_imm(to, address);
            self.note_immediate(address);
        } else {
            let offset = self.offset_of(address);
            self.asm.load(to, Mem::gs(offset_of!(Cpu, code_page)));
            self.asm.lea(to, Mem::base(to, offset as i32));
        }
    }

    /// Before a memory operand is reached: a look-up destroys the flags.
    pub(super) fn before_reach(&mut self, decoded: &Decoded) {
        if !self.by_window {
            self.spill_if_live(decoded);
        }
    }

    /// Turns the guest address in `address` into a host address that is good for `size` bytes; clobbers `index` and, if it
    /// has to look it up, the flags ([`Lowering::before_reach`]).
    pub(super) fn reach(&mut self, access: Access, size: u32, address: Reg, index: Reg) {
        if self.by_window {
            self.window_of(index, address);
            self.asm.lea(address, Mem { base: Some(address), index: Some((index, 0)), disp: 0, gs: false });
        } else {
            self.look_up(access, size, address, index);
        }
    }

    /// The same by the look-up table, which says whether the whole of it may be accessed before anything is. Destroys the
    /// flags; whoever calls has put live ones aside.
    pub(super) fn look_up(&mut self, access: Access, size: u32, address: Reg, index: Reg) {
        let table = view::lookup_offset(self.ring());
        let mask = lookups(self.ring()) as u32 - 1;
        let (field, exit) = match access {
            Access::Write => (offset_of!(Lookup, write), Exit::Write),
            _ => (offset_of!(Lookup, read), Exit::Read),
        };
        let tag = table + field;
        let asm = &mut self.asm;
        asm.rorx(index, address, (PAGE_SHIFT - LOOKUP_SHIFT) as u8);
        asm.and_imm32(index, mask << LOOKUP_SHIFT);
        asm.xor_mem(address, Mem::gs_base(index, tag));
        asm.cmp_imm(address, PAGE_SIZE as i32 - size as i32);
        let from = asm.jcc(cond::A);
        asm.add_mem(address, Mem::gs_base(index, table + offset_of!(Lookup, host)));
        let (retry, flags, alone) = (self.start, self.flags, !self.looks_up_twice);
        self.cold.push(Cold::Slow { from, exit, address, index, tag, retry, flags, alone });
    }

    /// `address` = host address of an instruction's own memory operand.
    pub(super) fn reach_operand(&mut self, decoded: &Decoded, size: u32, access: Access, address: Reg) {
        if self.mode.legacy.is_some() {
            return self.legacy_operand_at(decoded, size, access, address);
        }
        self.before_reach(decoded);
        self.effective_address(&decoded.instruction, address);
        let index = if address == T0 { T1 } else { T0 };
        self.reach(access, size, address, index);
    }

    /// The same, always by look-up: the instruction itself will not fault.
    pub(super) fn look_up_operand(&mut self, decoded: &Decoded, size: u32, access: Access, address: Reg) {
        self.spill_if_live(decoded);
        self.effective_address(&decoded.instruction, address);
        if Check::of(&decoded.instruction) == Some(Check::Alignment) {
            self.asm.op_reg(true, &[0xf7], 0, address); // test address, …
            self.asm.raw(&15_u32.to_le_bytes());
            let from = self.asm.jcc(cond::NE);
            self.unusual(from);
        }
        let index = if address == T0 { T1 } else { T0 };
        self.look_up(access, size, address, index);
    }
}
