//! MOVS, STOS and LODS: one step in line; a repetition that stays inside one page at either end as one host instruction.
//! Everything else (backward, across pages, CMPS, SCAS) is the interpreter's, which goes by pages.
use std::mem::offset_of;

use iced_x86::{Code, Instruction, OpKind, Register};

use super::block::Lowering;
use super::cold::Cold;
use super::decode::Decoded;
use crate::cache::blocks::Pointers;
use crate::cpu::Cpu;
use crate::emit::asm::{Mem, Reg, T0, T1, cond};
use crate::mmu::Access;
use x86::address::{PAGE_OFFSET, PAGE_SIZE};
use x86::reg::{RAX, RCX, RDI, RSI};

/// What a string instruction does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// MOVS.
    Move,
    /// STOS.
    Store,
    /// LODS.
    Load,
}

/// A string instruction with a translation of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StringOperation {
    /// What it does.
    pub kind: Kind,
    /// log2 of the element's bytes.
    pub shift: u8,
    /// With REP.
    pub repeated: bool,
}

impl StringOperation {
    /// The string operation that is translated, if it is one: 64-bit addresses, flat segments.
    pub fn of(instruction: &Instruction) -> Option<Self> {
        let (kind, shift) = element_of(instruction)?;
        let wide = (0..instruction.op_count()).all(|i| {
            !matches!(
                instruction.op_kind(i),
                OpKind::MemorySegSI | OpKind::MemorySegESI | OpKind::MemoryESDI | OpKind::MemoryESEDI
            )
        });
        let flat = !matches!(instruction.segment_prefix(), Register::FS | Register::GS);
        let repeated = instruction.has_rep_prefix() || instruction.has_repne_prefix();
        let known = !(repeated && kind == Kind::Load);
        (wide && flat && known).then_some(Self { kind, shift, repeated })
    }
}

/// What is done to elements, and log2 of their bytes.
pub(super) fn element_of(instruction: &Instruction) -> Option<(Kind, u8)> {
    Some(match instruction.code() {
        Code::Movsb_m8_m8 => (Kind::Move, 0),
        Code::Movsw_m16_m16 => (Kind::Move, 1),
        Code::Movsd_m32_m32 => (Kind::Move, 2),
        Code::Movsq_m64_m64 => (Kind::Move, 3),
        Code::Stosb_m8_AL => (Kind::Store, 0),
        Code::Stosw_m16_AX => (Kind::Store, 1),
        Code::Stosd_m32_EAX => (Kind::Store, 2),
        Code::Stosq_m64_RAX => (Kind::Store, 3),
        Code::Lodsb_AL_m8 => (Kind::Load, 0),
        Code::Lodsw_AX_m16 => (Kind::Load, 1),
        Code::Lodsd_EAX_m32 => (Kind::Load, 2),
        Code::Lodsq_RAX_m64 => (Kind::Load, 3),
        _ => return None,
    })
}

const TARGET: Mem = Mem::gs(offset_of!(Cpu, string_deltas));
const SOURCE: Mem = Mem::gs(offset_of!(Cpu, string_deltas) + 8);
/// Bytes that one host instruction moves at most, so that interrupts do not wait for long.
const LONGEST: i32 = 1 << 20;
pub(super) const DESTINATION: usize = offset_of!(Cpu, spill) + 8;
pub(super) const END: usize = offset_of!(Cpu, spill) + 16;

impl Lowering {
    pub(super) fn string(&mut self, decoded: &Decoded, what: StringOperation) {
        self.look_for_direction(decoded);
        match what.repeated {
            true if self.by_window => self.repeated_by_window(what),
            true => self.repeated(what),
            false => self.single(what),
        }
    }

    /// Backward is unusual.
    pub(super) fn look_for_direction(&mut self, decoded: &Decoded) {
        self.spill_if_live(decoded);
        self.asm.cmp_zero32(Mem::gs(offset_of!(Cpu, direction_flag)));
        let backward = self.asm.jcc(cond::NE);
        self.unusual(backward);
    }

    pub(super) fn unusual(&mut self, from: usize) {
        self.cold.push(Cold::Unusual { from, start: self.start, flags: self.flags });
    }

    /// T0 = host address of what `pointer` points to.
    fn look_up_string(&mut self, pointer: usize, access: Access, size: u32) {
        self.asm.mov(T0, pointer as Reg);
        self.look_up(access, size, T0, T1);
    }

    fn single(&mut self, what: StringOperation) {
        let size = 1_u32 << what.shift;
        match what.kind {
            Kind::Move => {
                self.look_up_string(RDI, Access::Write, size);
                self.asm.store(Mem::gs(DESTINATION), T0);
                self.look_up_string(RSI, Access::Read, size);
                self.load_element(T1, what.shift);
                self.asm.load(T0, Mem::gs(DESTINATION));
                self.store_element(T1, what.shift);
            }
            Kind::Store => {
                self.look_up_string(RDI, Access::Write, size);
                self.store_element(RAX as Reg, what.shift);
            }
            Kind::Load => {
                self.look_up_string(RSI, Access::Read, size);
                self.load_element(RAX as Reg, what.shift);
            }
        }
        if what.kind != Kind::Store {
            self.asm.lea(RSI as Reg, Mem::base(RSI as Reg, size as i32));
        }
        if what.kind != Kind::Load {
            self.asm.lea(RDI as Reg, Mem::base(RDI as Reg, size as i32));
        }
    }

    /// `to` = the element at `[T0]`, merged as its size demands.
    pub(super) fn load_element(&mut self, to: Reg, shift: u8) {
        let (prefix, opcode) = element(shift, 0x8a);
        self.asm.op_mem(prefix, shift == 3, &[opcode], to, Mem::base(T0, 0));
    }

    /// The element at `[T0]` = `from`.
    pub(super) fn store_element(&mut self, from: Reg, shift: u8) {
        let (prefix, opcode) = element(shift, 0x88);
        self.asm.op_mem(prefix, shift == 3, &[opcode], from, Mem::base(T0, 0));
    }

    fn repeated(&mut self, what: StringOperation) {
        self.asm.op_reg(true, &[0x85], RCX as Reg, RCX as Reg); // test rcx, rcx
        let nothing = self.asm.jcc(cond::E);
        self.asm.cmp_imm(RCX as Reg, (PAGE_SIZE >> what.shift) as i32);
        let long = self.asm.jcc(cond::A);
        self.unusual(long);
        let moves = what.kind == Kind::Move;
        self.stays_in_page(RDI, what.shift);
        if moves {
            self.stays_in_page(RSI, what.shift);
        }
        self.look_up_string(RDI, Access::Write, 1);
        if moves {
            self.asm.store(Mem::gs(DESTINATION), T0);
            self.look_up_string(RSI, Access::Read, 1);
        }
        let asm = &mut self.asm;
        let end = |pointer: usize| Mem {
            base: Some(pointer as Reg),
            index: Some((RCX as Reg, what.shift)),
            disp: 0,
            gs: false,
        };
        asm.lea(T1, end(RDI));
        if moves {
            asm.store(Mem::gs(END), T1);
            asm.lea(T1, end(RSI));
            asm.mov(RSI as Reg, T0);
            asm.load(RDI as Reg, Mem::gs(DESTINATION));
        } else {
            asm.mov(RDI as Reg, T0);
        }
        self.repeat_on_host(what, moves);
        let asm = &mut self.asm;
        if moves {
            asm.mov(RSI as Reg, T1);
            asm.load(RDI as Reg, Mem::gs(END));
        } else {
            asm.mov(RDI as Reg, T1);
        }
        asm.bind(nothing);
    }

    /// The repetition as one host instruction on the windows of its operands. It may be interrupted by faults: RDI, RSI and
    /// RCX tell how far it got.
    fn repeated_by_window(&mut self, what: StringOperation) {
        self.asm.op_reg(true, &[0x85], RCX as Reg, RCX as Reg); // test rcx, rcx
        let nothing = self.asm.jcc(cond::E);
        self.asm.cmp_imm(RCX as Reg, LONGEST >> what.shift);
        let long = self.asm.jcc(cond::A);
        self.unusual(long);
        let moves = what.kind == Kind::Move;
        let pointers: &[(usize, Mem)] =
            if moves { &[(RDI, TARGET), (RSI, SOURCE)] } else { &[(RDI, TARGET)] };
        for (pointer, delta) in pointers {
            self.window_of(T0, *pointer as Reg);
            self.asm.store(*delta, T0);
        }
        // Once one of them has moved, an interruption would have to move it back.
        for (pointer, delta) in pointers {
            self.asm.add_mem(*pointer as Reg, *delta);
        }
        self.mark_pointers(if moves { Pointers::HostBoth } else { Pointers::HostTarget });
        self.repeat_on_host(what, moves);
        self.mark();
        for (pointer, delta) in pointers {
            self.asm.sub_mem(*pointer as Reg, *delta);
        }
        self.asm.bind(nothing);
    }

    /// REP MOVS or REP STOS itself.
    pub(super) fn repeat_on_host(&mut self, what: StringOperation, moves: bool) {
        let (prefix, opcode) = element(what.shift, if moves { 0xa4 } else { 0xaa });
        if prefix != 0 {
            self.asm.raw(&[prefix]);
        }
        self.asm.raw(&[0xf3]);
        if what.shift == 3 {
            self.asm.raw(&[0x48]);
        }
        self.asm.raw(&[opcode]);
    }

    /// A range of RCX elements at `pointer` that leaves its page is unusual.
    pub(super) fn stays_in_page(&mut self, pointer: usize, shift: u8) {
        self.asm.mov32(T1, pointer as Reg);
        self.asm.and_imm32(T1, PAGE_OFFSET as u32);
        self.asm.lea(T1, Mem { base: Some(T1), index: Some((RCX as Reg, shift)), disp: 0, gs: false });
        self.asm.cmp_imm(T1, PAGE_SIZE as i32);
        let leaves = self.asm.jcc(cond::A);
        self.unusual(leaves);
    }
}

/// Operand-size prefix and opcode of an element's size; `byte` is the opcode for bytes.
fn element(shift: u8, byte: u8) -> (u8, u8) {
    match shift {
        0 => (0, byte),
        1 => (0x66, byte | 1),
        _ => (0, byte | 1),
    }
}
