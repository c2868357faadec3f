//! MOVS, STOS and LODS in legacy code: one step in line; a repetition, where segments are flat and addresses have 32 bits,
//! as one host instruction if it stays inside one page at either end.
use iced_x86::{Instruction, OpKind};

use crate::emit::asm::{Mem, Reg, T0, T1, cond};
use crate::legacy::Legacy;
use crate::lower::block::Lowering;
use crate::lower::decode::Decoded;
use crate::lower::string::{DESTINATION, END, Kind, StringOperation, element_of};
use crate::mmu::Access;
use x86::address::PAGE_SIZE;
use x86::reg::{RAX, RCX, RDI, RSI};
use x86::segment::ES;

use super::address::segment_of;

impl StringOperation {
    /// The string operation of legacy code that is translated, if it is one.
    pub(super) fn legacy(instruction: &Instruction, legacy: Legacy) -> Option<Self> {
        let (kind, shift) = element_of(instruction)?;
        let repeated = instruction.has_rep_prefix() || instruction.has_repne_prefix();
        let source_is_flat = kind == Kind::Store || legacy.is_flat(segment_of(instruction));
        let flat = address_size(instruction) == 4 && legacy.is_flat(ES) && source_is_flat;
        let known = !repeated || (flat && kind != Kind::Load);
        known.then_some(Self { kind, shift, repeated })
    }
}

/// Bytes of the pointers: 2 or 4.
fn address_size(instruction: &Instruction) -> u32 {
    let is_short = |operand| matches!(instruction.op_kind(operand), OpKind::MemorySegSI | OpKind::MemoryESDI);
    if (0..instruction.op_count()).any(is_short) { 2 } else { 4 }
}

const fn end(pointer: usize, shift: u8) -> Mem {
    Mem { base: Some(pointer as Reg), index: Some((RCX as Reg, shift)), disp: 0, gs: false }
}

impl Lowering {
    pub(super) fn legacy_string(&mut self, decoded: &Decoded, what: StringOperation) {
        self.look_for_direction(decoded);
        if what.repeated {
            self.legacy_repeated(what)
        } else {
            self.legacy_single(&decoded.instruction, what)
        }
    }

    /// T0 = host address of the element that a pointer leads to.
    fn legacy_element(&mut self, size: u32, pointer: usize, segment: usize, access: Access, bytes: u32) {
        self.asm.mov_extended(size, T0, pointer as Reg);
        self.legacy_look_up(segment, access, bytes);
    }

    fn legacy_single(&mut self, instruction: &Instruction, what: StringOperation) {
        let (size, bytes) = (address_size(instruction), 1_u32 << what.shift);
        let source = segment_of(instruction);
        match what.kind {
            Kind::Move => {
                self.legacy_element(size, RDI, ES, Access::Write, bytes);
                self.asm.store(Mem::gs(DESTINATION), T0);
                self.legacy_element(size, RSI, source, Access::Read, bytes);
                self.load_element(T1, what.shift);
                self.asm.load(T0, Mem::gs(DESTINATION));
                self.store_element(T1, what.shift);
            }
            Kind::Store => {
                self.legacy_element(size, RDI, ES, Access::Write, bytes);
                self.store_element(RAX as Reg, what.shift);
            }
            Kind::Load => {
                self.legacy_element(size, RSI, source, Access::Read, bytes);
                self.load_element(RAX as Reg, what.shift);
            }
        }
        for (pointer, moves) in [(RSI, what.kind != Kind::Store), (RDI, what.kind != Kind::Load)] {
            if moves {
                let pointer = pointer as Reg;
                self.asm.lea_sized(size, pointer, Mem::base(pointer, bytes as i32));
            }
        }
    }

    fn legacy_repeated(&mut self, what: StringOperation) {
        let moves = what.kind == Kind::Move;
        let pointers: &[usize] = if moves { &[RDI, RSI] } else { &[RDI] };
        // All of RCX: whatever is in its upper half counts as long.
        self.asm.op_reg(true, &[0x85], RCX as Reg, RCX as Reg); // test rcx, rcx
        let nothing = self.asm.jcc(cond::E);
        self.asm.cmp_imm(RCX as Reg, (PAGE_SIZE >> what.shift) as i32);
        let long = self.asm.jcc(cond::A);
        self.unusual(long);
        pointers.iter().for_each(|pointer| self.stays_in_page(*pointer, what.shift));
        self.asm.mov32(T0, RDI as Reg);
        self.look_up(Access::Write, 1, T0, T1);
        if moves {
            self.asm.store(Mem::gs(DESTINATION), T0);
            self.asm.mov32(T0, RSI as Reg);
            self.look_up(Access::Read, 1, T0, T1);
        }
        let asm = &mut self.asm;
        asm.lea32(T1, end(RDI, what.shift));
        if moves {
            asm.store(Mem::gs(END), T1);
            asm.lea32(T1, end(RSI, what.shift));
            asm.mov(RSI as Reg, T0);
            asm.load(RDI as Reg, Mem::gs(DESTINATION));
        } else {
            asm.mov(RDI as Reg, T0);
        }
        self.repeat_on_host(what, moves);
        if moves {
            self.asm.mov(RSI as Reg, T1);
            self.asm.load(RDI as Reg, Mem::gs(END));
        } else {
            self.asm.mov(RDI as Reg, T1);
        }
        self.asm.bind(nothing);
        // Of no element too: the upper halves are gone.
        pointers.iter().for_each(|pointer| self.asm.mov32(*pointer as Reg, *pointer as Reg));
    }
}
