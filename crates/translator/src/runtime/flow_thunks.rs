//! Thunks of jumps, calls and returns by a jump table: what would be in a hundred thousand blocks is there once.
//!
//! Those of calls and returns reach the guest's stack by its window. Where they fault, nothing of the instruction was done:
//! [`Calls::faulted`] and [`Returns::faulted`] know the places.
use std::mem::offset_of;

use crate::cache::blocks::FlagPlace;
use crate::cpu::Cpu;
use crate::emit::asm::{Asm, Mem, T0, T1, cond};
use crate::mmu::table::{Ring, SECOND_JUMP};
use crate::mmu::view;
use x86::reg::RSP;

const SPILL: Mem = Mem::gs(offset_of!(Cpu, spill));
const CODE_PAGE: Mem = Mem::gs(offset_of!(Cpu, code_page));
const STACK_WINDOW: Mem = Mem::gs(offset_of!(Cpu, stack_window));
const SPILLED_FLAGS: usize = offset_of!(Cpu, spilled_flags);

/// The top of the guest's stack, with the delta of its window in T0.
const STACK_TOP: Mem = Mem { base: Some(RSP as u8), index: Some((T0, 0)), disp: 0, gs: false };

/// T0 is a distance from [`Cpu::code_page`]: goes there by the jump table of a ring.
#[derive(Clone, Copy, Debug, Default)]
pub struct Far {
    entries: [u64; 2],
}

impl Far {
    /// The entry for code whose flags are there.
    pub fn entry(&self, flags: FlagPlace) -> u64 {
        self.entries[flags as usize]
    }

    pub(super) fn emit(asm: &mut Asm, ring: Ring, unknown: u64) -> Self {
        let in_eflags = asm.here();
        asm.spill_flags(SPILLED_FLAGS, T1);
        let put_aside = asm.here();
        asm.load(T1, CODE_PAGE);
        asm.lea(T0, Mem { base: Some(T0), index: Some((T1, 0)), disp: 0, gs: false });
        emit_jump(asm, ring, |_| {}, |asm| asm.jmp_address(unknown));
        Self { entries: [in_eflags, put_aside].map(|entry| asm.address(entry)) }
    }
}

/// A call by five bytes from position-independent user code: T0 is the distance of the target from [`Cpu::code_page`], T1 that
/// of the return address.
#[derive(Clone, Copy, Debug, Default)]
pub struct Calls {
    entries: [u64; 2],
    push: u64,
}

impl Calls {
    /// Bytes of the instruction.
    pub const LENGTH: u64 = 5;

    /// The entry for code whose flags are there.
    pub fn entry(&self, flags: FlagPlace) -> u64 {
        self.entries[flags as usize]
    }
    /// Whether it is here that the host faults: T1 is the return address then, the flags are put aside, and
    /// [`Cpu::stack_window`] was added to RSP.
    pub fn faulted(&self, place: u64) -> bool {
        self.push == place
    }

    pub(super) fn emit(asm: &mut Asm, ring: Ring, unknown: u64) -> Self {
        let entries = emit_entries(asm, |_| {});
        asm.load(T1, CODE_PAGE);
        asm.lea(T0, Mem { base: Some(T0), index: Some((T1, 0)), disp: 0, gs: false });
        asm.add_mem(T1, SPILL);
        // There is no register left for the window.
        asm.add_mem(RSP as u8, STACK_WINDOW);
        let push = asm.address(asm.here());
        asm.push(T1);
        asm.sub_mem(RSP as u8, STACK_WINDOW);
        emit_jump(asm, ring, |_| {}, |asm| asm.jmp_address(unknown));
        Self { entries, push }
    }
}

/// A return without an operand; T1 is the place of the instruction in its block.
#[derive(Clone, Copy, Debug, Default)]
pub struct Returns {
    entries: [u64; 2],
    loads: [u64; 2],
}

impl Returns {
    /// The entry for code whose flags are there.
    pub fn entry(&self, flags: FlagPlace) -> u64 {
        self.entries[flags as usize]
    }
    /// Whether it is here that the host faults: T1 is the place of the instruction still.
    pub fn faulted(&self, place: u64) -> bool {
        self.loads.contains(&place)
    }

    pub(super) fn emit(asm: &mut Asm, ring: Ring, unknown: u64) -> Self {
        let mut loads = [0; 2];
        let mut next = 0;
        let entries = emit_entries(asm, |asm| {
            asm.load(T0, STACK_WINDOW);
            loads[next] = asm.address(asm.here());
            next += 1;
            asm.load(T0, STACK_TOP);
        });
        let pop = |asm: &mut Asm| asm.lea(RSP as u8, Mem::base(RSP as u8, 8));
        emit_jump(asm, ring, pop, |asm| {
            asm.load(T1, SPILL);
            asm.jmp_address(unknown);
        });
        Self { entries, loads }
    }
}

/// The entries for flags in EFLAGS and put aside, which are put aside from here on, and T1 in [`Cpu::spill`]; each begins with
/// something.
fn emit_entries(asm: &mut Asm, mut first: impl FnMut(&mut Asm)) -> [u64; 2] {
    let put_aside = asm.address(asm.here());
    first(asm);
    asm.store(SPILL, T1);
    let to_common = asm.jmp();
    let in_eflags = asm.address(asm.here());
    first(asm);
    asm.store(SPILL, T1);
    asm.spill_flags(SPILLED_FLAGS, T1);
    asm.bind(to_common);
    [in_eflags, put_aside]
}

/// Goes to the linear address in T0 by a jump table, with the flags put aside, if it is there; with `found` done before.
fn emit_jump(asm: &mut Asm, ring: Ring, found: impl Fn(&mut Asm), unknown: impl Fn(&mut Asm)) {
    let (target, code) = (view::jump_target_offset(ring), view::jump_code_offset(ring));
    asm.jump_place(T1, T0);
    asm.cmp_mem(T0, Mem::gs_jump(T1, target));
    let not_first = asm.jcc(cond::NE);
    let is_there = asm.address(asm.here());
    found(asm);
    asm.enter_page(ring, T0);
    asm.jmp_mem(Mem::gs_jump(T1, code));
    asm.bind(not_first);
    asm.lea32(T1, Mem::base(T1, SECOND_JUMP));
    asm.cmp_mem(T0, Mem::gs_jump(T1, target));
    asm.jcc_address(cond::E, is_there);
    unknown(asm);
}
