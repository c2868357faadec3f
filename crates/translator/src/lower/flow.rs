//! Jumps, calls and returns.
use std::mem::offset_of;

use iced_x86::{Code, ConditionCode, OpKind};

use super::block::Lowering;
use super::cold::Cold;
use super::decode::Decoded;
use super::memory::number;
use crate::cache::blocks::FlagPlace;
use crate::cpu::Cpu;
use crate::emit::asm::{Mem, Offset, T0, T1, cond};
use crate::emit::fixups::FixupKind;
use crate::mmu::table::Ring;
use crate::mmu::{Access, view};
use crate::runtime::flow_thunks::Calls;
use x86::address::PAGE_OFFSET;

impl Lowering {
    /// Whether a direct jump to `target` may be linked: the mapping of the target is known as long as the block lives.
    fn may_link(&self, target: u64) -> bool {
        self.is_pinned() || target & !PAGE_OFFSET == self.page
    }

    /// Goes to a fixed address.
    pub(super) fn direct_exit(&mut self, target: u64) {
        let offset = self.offset_of(target);
        if self.may_link(target) {
            self.restore_flags();
            let from = self.asm.jmp_to_link();
            self.link(from, offset);
        } else {
            self.table_exit(offset);
        }
    }

    /// Goes to an address relative to the page, through the jump table.
    pub(super) fn table_exit(&mut self, target: i64) {
        self.asm.mov_imm(T0, i64::from(target as i32) as u64);
        self.asm.jmp_thunk(self.thunks.far[self.ring() as usize].entry(self.flags));
    }

    /// T1 = the place of the linear address in T0 in a jump table. If the table does not know it, or it is
    /// not canonical, the runtime goes on: with `retry`, it starts the instruction over, which has done nothing yet.
    pub(super) fn find_target(&mut self, ring: Ring, retry: Option<Offset>) {
        debug_assert!(self.flags == FlagPlace::Spilled);
        self.asm.jump_place(T1, T0);
        self.asm.cmp_mem(T0, Mem::gs_jump(T1, view::jump_target_offset(ring)));
        let from = self.asm.jcc(cond::NE);
        let back = self.asm.here();
        self.cold.push(Cold::Target { from, back, ring, retry });
    }

    /// Goes to the target in T0 at the place that [`Lowering::find_target`] found. User code may be position-independent: its
    /// page goes to [`Cpu::code_page`]. Destroys the flags, which are put aside.
    pub(super) fn enter_target(&mut self, ring: Ring) {
        self.asm.enter_page(ring, T0);
        self.asm.jmp_mem(Mem::gs_jump(T1, view::jump_code_offset(ring)));
    }

    /// Goes to the linear address in T0, with everything else done; flags are put aside.
    pub(super) fn go_to(&mut self, ring: Ring) {
        self.find_target(ring, None);
        self.enter_target(ring);
    }

    pub(super) fn jump(&mut self, decoded: &Decoded) {
        self.direct_exit(self.branch_target(&decoded.instruction));
    }

    pub(super) fn jump_if(&mut self, decoded: &Decoded) {
        let instruction = &decoded.instruction;
        self.restore_flags();
        let target = self.branch_target(instruction);
        let condition = encode_condition(instruction.condition_code());
        let from = if instruction.code() == Code::Jrcxz_rel8_64 {
            self.jump_if_rcx_is_zero()
        } else if self.may_link(target) {
            self.asm.jcc_to_link(condition)
        } else {
            self.asm.jcc(condition)
        };
        self.branch(from, target);
    }

    /// The jump whose displacement is at `from` leads to a fixed address, with the flags in EFLAGS.
    pub(super) fn branch(&mut self, from: Offset, target: u64) {
        let offset = self.offset_of(target);
        if self.may_link(target) {
            self.link(from, offset);
        } else {
            self.cold.push(Cold::Far { from, target: offset });
        }
    }

    /// JRCXZ, which reaches 127 bytes only: to a jump that reaches all.
    fn jump_if_rcx_is_zero(&mut self) -> Offset {
        self.asm.raw(&[0xe3, 2, 0xeb, 0]); // jrcxz +2; jmp behind what follows
        let past = self.asm.here() - 1;
        let from = self.asm.jmp_to_link();
        self.asm.bind_short(past);
        from
    }

    pub(super) fn call(&mut self, decoded: &Decoded) {
        let instruction = &decoded.instruction;
        let target = instruction.near_branch_target();
        if self.mode.windows && !self.may_link(target) && instruction.len() as u64 == Calls::LENGTH {
            return self.call_by_thunk(target, instruction.next_ip());
        }
        let slot = self.reach_push(decoded);
        self.push_return_address(slot, instruction.next_ip());
        // What was live before the push and is not put aside is dead for the target too.
        self.direct_exit(target);
    }

    /// The thunk stores the return address, too.
    fn call_by_thunk(&mut self, target: u64, next: u64) {
        let [target, next] = [target, next].map(|address| i64::from(self.offset_of(address) as i32) as u64);
        self.asm.mov_imm(T0, target);
        self.asm.mov_imm(T1, next);
        self.asm.jmp_thunk(self.thunks.calls.entry(self.flags));
    }

    /// Stores the return address, by way of T1, and moves the stack pointer.
    fn push_return_address(&mut self, slot: Mem, address: u64) {
        if self.is_pinned() && i64::from(address as i32) as u64 == address {
            self.asm.store_imm(slot, address as i32);
            self.note_address(address, self.asm.here() - 4, FixupKind::Address32);
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
        self.find_target(self.ring(), Some(self.start));
        self.enter_target(self.ring());
    }

    pub(super) fn call_indirect(&mut self, decoded: &Decoded) {
        let [target, by, found] = [0, 8, 16].map(|at| Mem::gs(offset_of!(Cpu, spill) + at));
        self.load_target(decoded);
        self.asm.store(target, T0);
        let slot = self.reach_push(decoded);
        self.spill_for_table();
        self.asm.store(by, T0);
        self.asm.load(T0, target);
        self.find_target(self.ring(), Some(self.start));
        self.asm.store(found, T1);
        self.asm.load(T0, by);
        self.push_return_address(slot, decoded.instruction.next_ip());
        self.asm.load(T0, target);
        self.asm.load(T1, found);
        self.enter_target(self.ring());
    }

    pub(super) fn return_near(&mut self, decoded: &Decoded) {
        let has_operand = decoded.instruction.op_count() == 1;
        if self.mode.windows && !has_operand {
            return self.asm.leave_by(
                T1,
                self.start,
                self.thunks.returns[self.ring() as usize].entry(self.flags),
            );
        }
        let extra = if has_operand { decoded.instruction.immediate16() } else { 0 };
        let slot = self.reach_pop(decoded);
        self.asm.load(T0, slot);
        self.spill_for_table();
        self.find_target(self.ring(), Some(self.start));
        self.move_stack(8 + i32::from(extra));
        self.enter_target(self.ring());
    }
}

/// iced numbers conditions from 1, in the order in which Jcc encodes them from 0.
const fn encode_condition(condition: ConditionCode) -> u8 {
    (condition as u8).wrapping_sub(1)
}

const _: () = {
    use ConditionCode as C;
    let order = [
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
    let mut code = 0;
    while code < 16 {
        assert!(encode_condition(order[code as usize]) == code);
        code += 1;
    }
};
