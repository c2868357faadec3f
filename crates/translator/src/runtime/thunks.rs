//! The fixed pieces of code at the beginning of the code buffer: the way into translated code and the ways out of it.
//!
//! [`Cpu::vectors_loaded`] is left as it was, so that whoever goes on in the middle of a block can have them back.
//! On every way out the guest's registers, status flags and, if they were loaded, its vector registers go back to
//! [`Cpu`], together with a reason ([`Exit`]) and, in [`Cpu::resume`], the place in translated code.
#![expect(unsafe_code, reason = "calls emitted code")]
use std::mem::offset_of;

use super::flow_thunks::{Calls, Far, Returns};
use crate::cache::code::CodeBuffer;
use crate::cpu::Cpu;
use crate::emit::asm::{Asm, Mem, T0, T1, cond};
use crate::mmu::table::{LOOKUP_SHIFT, Lookup, RINGS, Ring, lookups, second_entry};
use crate::mmu::view;
use x86::Segment;
use x86::address::{PAGE_OFFSET, PAGE_SHIFT};
use x86::reg::{RAX, RBP, RBX, RCX, RDX, RSI, RSP};
use x86::segment::GS;

/// Why translated code was left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Exit {
    /// A jump that is not linked yet; [`Cpu::resume`] is the place of its displacement.
    Link = 0,
    /// No translation known for a jump target, which arrives in T0 with the status flags put aside; it is in
    /// [`Cpu::rip`].
    Jump = 1,
    /// Somebody asked for attention before a jump back; resume is the body of the block there.
    Attention = 2,
    /// The instruction at resume is one for the interpreter.
    Interpret = 3,
    /// A read missed the look-up table; its address is in [`Cpu::exit_argument`].
    Read = 4,
    /// A write missed the look-up table; its address is in [`Cpu::exit_argument`].
    Write = 5,
    /// A copied instruction raised a host exception; its vector is in [`Cpu::exit_argument`].
    Fault = 6,
    /// The instruction at resume goes to a target that the jump table does not know, and has done nothing yet; the target
    /// arrives in T0 with the status flags put aside, and is in [`Cpu::exit_argument`].
    Target = 7,
}

/// All reasons, by number.
pub const EXITS: [Exit; 8] = [
    Exit::Link,
    Exit::Jump,
    Exit::Attention,
    Exit::Interpret,
    Exit::Read,
    Exit::Write,
    Exit::Fault,
    Exit::Target,
];

/// Host addresses of the thunks.
#[derive(Clone, Copy, Debug)]
pub struct Thunks {
    /// Where they begin, and the buffer: blocks are made to lie here, and then moved.
    pub start: u64,
    /// Where they end.
    pub end: u64,
    /// `extern "sysv64" fn(gs_base, code)`: runs translated code until it exits; loads the vector registers first if
    /// [`Cpu::vectors_loaded`] says that the code expects them.
    pub enter: u64,
    /// T1 is the place to report; one entry for each of [`EXITS`].
    pub exits: [u64; EXITS.len()],
    /// T0 is the address of a read or write that the look-up table of a ring does not know at once, T1 where its
    /// instruction begins: if the second entry is right it becomes the first one and the instruction starts over, else
    /// [`Exit::Read`] or [`Exit::Write`] follows. By ring, then read and write.
    pub misses: [[u64; 2]; 2],
    /// Where the entries of dead blocks lead, which are entered from a jump table: [`Exit::Jump`] follows. T1 is the place in
    /// the table, T0 the target or its page.
    pub dead: u64,
    /// Loads the guest's vector registers and goes on at T1; leaves flags and registers alone.
    pub load_vectors: u64,
    /// Far jumps, by ring.
    pub far: [Far; 2],
    /// Calls out of a page of position-independent user code.
    pub calls: Calls,
    /// Returns, by ring.
    pub returns: [Returns; 2],
}

const CALLEE_SAVED: [usize; 6] = [RBX, RBP, 12, 13, 14, 15];

/// The offset of a general-purpose register in [`Cpu`].
pub const fn gpr(register: usize) -> usize {
    offset_of!(Cpu, gpr) + 8 * register
}
/// The offset in [`Cpu`] of the base address of a segment.
pub const fn segment_base(segment: usize) -> usize {
    offset_of!(Cpu, segments) + segment * size_of::<Segment>() + offset_of!(Segment, base)
}
/// The guest's own GS base, by which translated code reaches what the guest reaches through GS.
pub const GUEST_GS_BASE: usize = segment_base(GS);

/// The registers that live in themselves while translated code runs, RAX not among them.
fn pinned() -> impl Iterator<Item = usize> {
    (0..16).filter(|register| *register != RAX && *register != T0 as usize && *register != T1 as usize)
}

impl Thunks {
    /// None that anybody could go to, for tests that only look at code.
    #[cfg(test)]
    pub fn nowhere() -> Self {
        let start = 0x10_0000;
        Self {
            start,
            end: start,
            enter: 0,
            exits: [0; EXITS.len()],
            misses: [[0; 2]; 2],
            dead: 0,
            load_vectors: 0,
            far: Default::default(),
            calls: Calls::default(),
            returns: Default::default(),
        }
    }

    /// Writes the thunks into an empty buffer.
    pub fn build(buffer: &mut CodeBuffer) -> Self {
        let mut asm = Asm::new();
        asm.restart(buffer.start());
        let enter = emit_enter(&mut asm);
        let common = emit_leave(&mut asm);
        let exits = EXITS.map(|exit| {
            let at = asm.address(asm.here());
            if matches!(exit, Exit::Jump) {
                asm.restore_flags(offset_of!(Cpu, spilled_flags), T1);
                asm.store(Mem::gs(offset_of!(Cpu, rip)), T0);
            }
            if matches!(exit, Exit::Read | Exit::Write | Exit::Target) {
                asm.store(Mem::gs(offset_of!(Cpu, exit_argument)), T0);
            }
            if matches!(exit, Exit::Target) {
                asm.restore_flags(offset_of!(Cpu, spilled_flags), T0);
            }
            asm.store_imm32(Mem::gs(offset_of!(Cpu, exit_reason)), exit as u32);
            asm.jmp_back(common);
            at
        });
        let dead = emit_dead(&mut asm, exits[Exit::Jump as usize]);
        let dead = asm.address(dead);
        let load_vectors = emit_load_vectors(&mut asm);
        let load_vectors = asm.address(load_vectors);
        let misses = RINGS.map(|ring| {
            [(offset_of!(Lookup, read), Exit::Read), (offset_of!(Lookup, write), Exit::Write)].map(
                |(field, exit)| {
                    let start = emit_miss(&mut asm, ring, field, exits[exit as usize]);
                    asm.address(start)
                },
            )
        });
        let far = RINGS.map(|ring| Far::emit(&mut asm, ring, exits[Exit::Jump as usize]));
        let calls = Calls::emit(&mut asm, Ring::User, exits[Exit::Jump as usize]);
        let returns = RINGS.map(|ring| Returns::emit(&mut asm, ring, exits[Exit::Target as usize]));
        let [start, end, enter] = [0, asm.here(), enter].map(|place| asm.address(place));
        let thunks = Self { start, end, enter, exits, misses, dead, load_vectors, far, calls, returns };
        let appended = buffer.append(asm.code(), &[]);
        debug_assert_eq!(appended, Some(buffer.start()), "the buffer was empty and has a MiB at least");
        buffer.keep();
        thunks
    }

    /// Whether an address is in one of them.
    pub fn holds(&self, place: u64) -> bool {
        (self.start..self.end).contains(&place)
    }
    /// The thunk of a reason.
    pub fn exit(&self, exit: Exit) -> u64 {
        self.exits[exit as usize]
    }

    /// Runs translated code at `code` until it exits.
    ///
    /// # Safety
    /// `gs_base` must be that of a view whose tables and CPU nobody else borrows, and `code` an entry or resume point of
    /// a live block of the buffer that these thunks lie in.
    pub unsafe fn run(&self, gs_base: u64, code: u64) {
        // SAFETY: `emit_enter` wrote a function of this signature; it keeps the System V ABI but for the GS base, which
        // nobody else uses.
        unsafe {
            let enter: unsafe extern "sysv64" fn(u64, u64) = std::mem::transmute(self.enter);
            enter(gs_base, code);
        }
    }
}

fn emit_enter(asm: &mut Asm) -> usize {
    let start = asm.here();
    for register in CALLEE_SAVED {
        if register >= 8 {
            asm.raw(&[0x41]);
        }
        asm.raw(&[0x50 | register as u8 & 7]); // push
    }
    asm.raw(&[0xf3, 0x48, 0x0f, 0xae, 0xdf]); // wrgsbase rdi
    asm.store(Mem::gs(offset_of!(Cpu, host_rsp)), RSP as u8);
    asm.store(Mem::gs(offset_of!(Cpu, resume)), RSI as u8);
    asm.cmp_zero32(Mem::gs(offset_of!(Cpu, vectors_loaded)));
    let no_vectors = asm.jcc(cond::E);
    asm.mov_imm(RAX as u8, 7);
    asm.mov_imm(RDX as u8, 0);
    asm.op_mem(0, true, &[0x0f, 0xae], 5, Mem::gs(offset_of!(Cpu, xsave))); // xrstor64
    asm.bind(no_vectors);
    // Status flags: bits 7:0 through AH, OF through an addition that overflows.
    asm.load32(RAX as u8, Mem::gs(offset_of!(Cpu, status_flags)));
    asm.mov32(RCX as u8, RAX as u8);
    asm.raw(&[0xc1, 0xe0, 8]); // shl eax, 8
    asm.raw(&[0xc1, 0xe9, 11]); // shr ecx, 11
    asm.raw(&[0x83, 0xe1, 1]); // and ecx, 1
    asm.raw(&[0x88, 0xc8]); // mov al, cl
    asm.raw(&[0x04, 0x7f, 0x9e]); // add al, 0x7f; sahf
    for register in pinned() {
        asm.load(register as u8, Mem::gs(gpr(register)));
    }
    asm.load(RAX as u8, Mem::gs(gpr(RAX)));
    asm.jmp_mem(Mem::gs(offset_of!(Cpu, resume)));
    start
}

fn emit_leave(asm: &mut Asm) -> usize {
    let start = asm.here();
    asm.store(Mem::gs(offset_of!(Cpu, resume)), T1);
    asm.store(Mem::gs(gpr(RAX)), RAX as u8);
    for register in pinned() {
        asm.store(Mem::gs(gpr(register)), register as u8);
    }
    asm.raw(&[0x9f, 0x0f, 0x90, 0xc0]); // lahf; seto al
    asm.raw(&[0x0f, 0xb6, 0xcc]); // movzx ecx, ah
    asm.raw(&[0x0f, 0xb6, 0xc0]); // movzx eax, al
    asm.raw(&[0xc1, 0xe0, 11]); // shl eax, 11
    asm.raw(&[0x09, 0xc8]); // or eax, ecx
    asm.raw(&[0x25]); // and eax, …
    asm.raw(&(x86::flags::STATUS as u32).to_le_bytes());
    asm.store(Mem::gs(offset_of!(Cpu, status_flags)), RAX as u8);
    asm.load(RSP as u8, Mem::gs(offset_of!(Cpu, host_rsp)));
    asm.cmp_zero32(Mem::gs(offset_of!(Cpu, vectors_loaded)));
    let no_vectors = asm.jcc(cond::E);
    asm.mov_imm(RAX as u8, 7);
    asm.raw(&[0x31, 0xd2]); // xor edx, edx
    asm.op_mem(0, true, &[0x0f, 0xae], 4, Mem::gs(offset_of!(Cpu, xsave))); // xsave64
    asm.op_mem(0, false, &[0x0f, 0xae], 2, Mem::gs(offset_of!(Cpu, host_mxcsr))); // ldmxcsr
    asm.bind(no_vectors);
    for register in CALLEE_SAVED.iter().rev().copied() {
        if register >= 8 {
            asm.raw(&[0x41]);
        }
        asm.raw(&[0x58 | register as u8 & 7]); // pop
    }
    asm.raw(&[0xc3]);
    start
}

/// See [`Thunks::misses`]. Registers and flags stay, but for the scratch registers.
fn emit_miss(asm: &mut Asm, ring: Ring, field: usize, exit: u64) -> usize {
    let start = asm.here();
    let saved = [RAX, RCX, RDX].map(|register| register as u8);
    let place = |index: usize| Mem::gs(offset_of!(Cpu, miss_registers) + 8 * index);
    for (index, register) in saved.into_iter().enumerate() {
        asm.store(place(index), register);
    }
    asm.raw(&[0x9f, 0x0f, 0x90, 0xc0]); // lahf; seto al
    asm.store32(place(3), RAX as u8);
    let (entry, value, other) = (RCX as u8, RAX as u8, RDX as u8);
    let table = view::lookup_offset(ring);
    let next = second_entry(ring);
    asm.rorx(entry, T0, (PAGE_SHIFT - LOOKUP_SHIFT) as u8);
    asm.and_imm32(entry, (lookups(ring) as u32 - 1) << LOOKUP_SHIFT);
    asm.mov(value, T0);
    asm.xor_mem(value, Mem::gs_base(entry, table + next + field));
    asm.cmp_imm(value, PAGE_OFFSET as i32);
    let missed = asm.jcc(cond::A);
    for at in (table..table + size_of::<Lookup>()).step_by(8) {
        asm.load(value, Mem::gs_base(entry, at));
        asm.load(other, Mem::gs_base(entry, at + next));
        asm.store(Mem::gs_base(entry, at), other);
        asm.store(Mem::gs_base(entry, at + next), value);
    }
    let restore = |asm: &mut Asm| {
        asm.load32(RAX as u8, place(3));
        asm.raw(&[0x04, 0x7f, 0x9e]); // add al, 0x7f; sahf
        for (index, register) in saved.into_iter().enumerate() {
            asm.load(register, place(index));
        }
    };
    restore(asm);
    asm.raw(&[0x41, 0xff, 0xe3]); // jmp r11
    asm.bind(missed);
    restore(asm);
    asm.jmp_address(exit);
    start
}

/// See [`Thunks::dead`].
fn emit_dead(asm: &mut Asm, jump: u64) -> usize {
    let start = asm.here();
    asm.target_offset(T1, T0);
    asm.op_reg(true, &[0x09], T1, T0); // or r10, r11
    asm.jmp_address(jump);
    start
}

fn emit_load_vectors(asm: &mut Asm) -> usize {
    let start = asm.here();
    let spill = offset_of!(Cpu, spill);
    asm.store(Mem::gs(spill), RAX as u8);
    asm.store(Mem::gs(spill + 8), RDX as u8);
    asm.mov_imm(RAX as u8, 7);
    asm.mov_imm(RDX as u8, 0);
    asm.op_mem(0, true, &[0x0f, 0xae], 5, Mem::gs(offset_of!(Cpu, xsave))); // xrstor64
    asm.store_imm32(Mem::gs(offset_of!(Cpu, vectors_loaded)), 1);
    asm.load(RAX as u8, Mem::gs(spill));
    asm.load(RDX as u8, Mem::gs(spill + 8));
    asm.raw(&[0x41, 0xff, 0xe3]); // jmp r11
    start
}
