//! Jumps, calls and returns.
use std::mem::offset_of;

use iced_x86::OpKind;

use super::block::{Cold, Lowering};
use super::decode::Decoded;
use super::memory::number;
use crate::cache::blocks::FlagPlace;
use crate::cpu::Cpu;
use crate::emit::asm::{Mem, Offset, T0, T1, cond};
use crate::mmu::table::{JUMP_SHIFT, JUMPS, Jump, Ring};
use crate::mmu::{Access, view};
use x86::address::PAGE_OFFSET;

impl Lowering {
    /// Whether a direct jump to `target` may be linked: the mapping of the target is known as long as the block lives.
    fn may_link(&self, target: u64) -> bool {
        self.is_absolute() || target & !PAGE_OFFSET == self.page
    }

    /// Goes to a fixed address.
    pub(super) fn direct_exit(&mut self, target: u64) {
        let offset = self.offset_of(target);
        if self.may_link(target) {
            self.restore_flags();
            let from = self.asm.jmp();
            self.link(from, offset);
        } else {
            self.table_exit(offset);
        }
    }

    /// Goes to an address relative to the page, through the jump table.
    pub(super) fn table_exit(&mut self, target: i64) {
        self.spill_for_table();
        self.asm.load(T0, Mem::gs(offset_of!(Cpu, code_page)));
        self.asm.lea(T0, Mem::base(T0, target as i32));
        self.go_to(self.ring());
    }

    /// T1 = where the linear address in T0 is in a jump table; the jump is taken if the table does not know it.
    fn find_target(&mut self, ring: Ring) -> Offset {
        debug_assert!(self.flags == FlagPlace::Spilled);
        let target = view::jump_offset(ring) + offset_of!(Jump, target);
        self.select_target();
        self.asm.cmp_mem(T0, Mem::gs_index8(T1, target));
        self.asm.jcc(cond::NE)
    }

    /// T1 = the offset in a jump table of the entry that the target in T0 selects, in units of 8 bytes. Leaves the flags
    /// alone.
    fn select_target(&mut self) {
        const { assert!(JUMPS == 1 << 16 && JUMP_SHIFT == 4) };
        self.asm.op_reg(false, &[0x0f, 0xb7], T1, T0); // movzx r11d, r10w
        self.asm.lea32(T1, Mem { base: Some(T1), index: Some((T1, 0)), disp: 0, gs: false });
    }

    /// The same for an instruction that has done nothing yet: if the table does not know the target, or the target is not
    /// canonical, the runtime starts it over.
    fn find_target_or_retry(&mut self) {
        let from = self.find_target(self.ring());
        self.cold.push(Cold::Target { from, start: self.start });
    }

    /// Goes to the target in T0, whose index is in T1.
    fn enter_target(&mut self, ring: Ring) {
        self.asm.jmp_mem(Mem::gs_index8(T1, view::jump_offset(ring) + offset_of!(Jump, code)));
    }

    /// Goes to the linear address in T0, with everything else done; flags are put aside.
    pub(super) fn go_to(&mut self, ring: Ring) {
        let unknown = self.find_target(ring);
        self.enter_target(ring);
        self.cold.push(Cold::Unknown { from: unknown });
    }

    pub(super) fn jump(&mut self, decoded: &Decoded) {
        self.direct_exit(decoded.instruction.near_branch_target());
    }

    pub(super) fn jump_if(&mut self, decoded: &Decoded) {
        let instruction = &decoded.instruction;
        self.restore_flags();
        let condition = instruction.condition_code() as u8;
        let from = self.asm.jcc(encode_condition(condition));
        let target = instruction.near_branch_target();
        let offset = self.offset_of(target);
        if self.may_link(target) {
            self.link(from, offset);
        } else {
            self.cold.push(Cold::Far { from, target: offset });
        }
    }

    pub(super) fn call(&mut self, decoded: &Decoded) {
        let instruction = &decoded.instruction;
        let slot = self.reach_push(decoded);
        self.push_return_address(slot, instruction.next_ip());
        // What was live before the push and is not put aside is dead for the target too.
        self.direct_exit(instruction.near_branch_target());
    }

    /// Stores the return address, by way of T1, and moves the stack pointer.
    fn push_return_address(&mut self, slot: Mem, address: u64) {
        if self.is_absolute() && i64::from(address as i32) as u64 == address {
            self.asm.store_imm(slot, address as i32);
        } else {
            self.code_address(T1, address);
            self.asm.store(slot, T1);
        }
        self.move_stack(-8);
    }

    /// T0 = the target of an indirect jump or call.
    fn load_target(&mut self, decoded: &Decoded) {
        let instruction = &decoded.instruction;
        if instruction.op0_kind() == OpKind::Memory {
            self.reach_operand(decoded, 8, Access::Read, T0);
            self.asm.load(T0, Mem::base(T0, 0));
            return;
        }
        let register = number(instruction.op0_register());
        if register == T0 || register == T1 {
            self.asm.load(T0, Self::home(register));
        } else {
            self.asm.mov(T0, register);
        }
    }

    pub(super) fn jump_indirect(&mut self, decoded: &Decoded) {
        self.load_target(decoded);
        self.spill_for_table();
        self.find_target_or_retry();
        self.enter_target(self.ring());
    }

    pub(super) fn call_indirect(&mut self, decoded: &Decoded) {
        let (target, by) = (Mem::gs(offset_of!(Cpu, spill)), Mem::gs(offset_of!(Cpu, spill) + 8));
        self.load_target(decoded);
        self.asm.store(target, T0);
        let slot = self.reach_push(decoded);
        self.spill_for_table();
        self.asm.store(by, T0);
        self.asm.load(T0, target);
        self.find_target_or_retry();
        self.asm.load(T0, by);
        self.push_return_address(slot, decoded.instruction.next_ip());
        self.asm.load(T0, target);
        self.select_target();
        self.enter_target(self.ring());
    }

    pub(super) fn return_near(&mut self, decoded: &Decoded) {
        let extra = if decoded.instruction.op_count() == 1 { decoded.instruction.immediate16() } else { 0 };
        let slot = self.reach_pop(decoded);
        self.asm.load(T0, slot);
        self.spill_for_table();
        self.find_target_or_retry();
        self.move_stack(8 + i32::from(extra));
        self.enter_target(self.ring());
    }
}

/// iced numbers conditions from 1 (o) to 16 (g); Jcc encodes them from 0.
fn encode_condition(condition: u8) -> u8 {
    use iced_x86::ConditionCode as C;
    const ORDER: [C; 16] = [
        C::o,
        C::no,
        C::b,
        C::ae,
        C::e,
        C::ne,
        C::be,
        C::a,
        C::s,
        C::ns,
        C::p,
        C::np,
        C::l,
        C::ge,
        C::le,
        C::g,
    ];
    ORDER.iter().position(|known| *known as u8 == condition).unwrap_or(0) as u8
}
