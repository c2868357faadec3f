//! A small assembler for the glue around guest instructions: only the forms that the translator emits.
//!
//! Code is written into a byte vector together with the address at which it will run, so that relative operands come out
//! right; the code cache copies it to its place.
use super::fixups::{Fixup, FixupKind};
use super::piece::Piece;
use crate::mmu::table::JUMP_STEP_SHIFT;
use x86::reg::{RAX, RSP};

/// A host register by its number.
pub type Reg = u8;

/// The first scratch register: addresses. The guest's R10 lives in memory.
pub const T0: Reg = 10;
/// The second scratch register: indices. The guest's R11 lives in memory.
pub const T1: Reg = 11;

/// Condition codes as Jcc encodes them.
pub mod cond {
    /// Below.
    pub const B: u8 = 2;
    /// Equal.
    pub const E: u8 = 4;
    /// Not equal.
    pub const NE: u8 = 5;
    /// Above.
    pub const A: u8 = 7;
}

/// A memory operand in flat host memory or relative to GS.
#[derive(Clone, Copy, Debug)]
pub struct Mem {
    /// Base register.
    pub base: Option<Reg>,
    /// Index register (never RSP) and log2 of its scale.
    pub index: Option<(Reg, u8)>,
    /// Displacement.
    pub disp: i32,
    /// Relative to GS.
    pub gs: bool,
}

impl Mem {
    /// A field of the running view.
    pub const fn gs(offset: usize) -> Self {
        Self { base: None, index: None, disp: offset as i32, gs: true }
    }
    /// `gs:[reg + offset]`.
    pub const fn gs_base(base: Reg, offset: usize) -> Self {
        Self { base: Some(base), index: None, disp: offset as i32, gs: true }
    }
    /// `gs:[reg * 8 + offset]`.
    pub const fn gs_index8(index: Reg, offset: usize) -> Self {
        Self { base: None, index: Some((index, 3)), disp: offset as i32, gs: true }
    }
    /// `gs:[offset]` with the place of a target in a jump table.
    pub const fn gs_jump(place: Reg, offset: usize) -> Self {
        Self { base: None, index: Some((place, JUMP_STEP_SHIFT as u8)), disp: offset as i32, gs: true }
    }
    /// `[reg + disp]`.
    pub const fn base(base: Reg, disp: i32) -> Self {
        Self { base: Some(base), index: None, disp, gs: false }
    }

    /// ModRM, SIB and displacement, with `reg` (at its place in ModRM) as the other operand.
    pub fn encode(self, reg: u8) -> Piece {
        let mut piece = Piece::default();
        let Some(base) = self.base else {
            let (index, scale) = self.index.unwrap_or((RSP as u8, 0));
            piece.extend(&[0x04 | reg, scale << 6 | (index & 7) << 3 | 5]);
            piece.dword(self.disp);
            return piece;
        };
        let (mode, size) = match self.disp {
            0 if base & 7 != 5 => (0x00, 0),
            -128..=127 => (0x40, 1),
            _ => (0x80, 4),
        };
        if self.index.is_some() || base & 7 == RSP as u8 {
            let (index, scale) = self.index.unwrap_or((RSP as u8, 0));
            piece.extend(&[mode | reg | 4, scale << 6 | (index & 7) << 3 | (base & 7)]);
        } else {
            piece.push(mode | reg | (base & 7));
        }
        match size {
            0 => {}
            1 => piece.push(self.disp as u8),
            _ => piece.dword(self.disp),
        }
        piece
    }
}

/// A REX prefix, or 0 if none is needed.
fn rex(wide: bool, r: u8, x: u8, b: u8) -> u8 {
    let bits = u8::from(wide) << 3 | r << 2 | x << 1 | b;
    if bits == 0 { 0 } else { 0x40 | bits }
}

/// A place in emitted code: an offset from its beginning.
pub type Offset = usize;

/// Bytes of code that there is room for; no block comes near it. What does not fit is lost, and then all room counts as used.
const ROOM: usize = 128 << 10;

/// The assembler.
pub struct Asm {
    /// Code up to `here`; what follows it is overwritten.
    pub(super) bytes: Box<[u8; ROOM]>,
    here: Offset,
    origin: u64,
    fixups: Vec<Fixup>,
}

impl Asm {
    /// An empty piece of code that will run at `origin`.
    pub fn new() -> Self {
        Self { bytes: Box::new([0; ROOM]), here: 0, origin: 0, fixups: Vec::new() }
    }
    /// Starts over at another address; keeps the buffer.
    pub fn restart(&mut self, origin: u64) {
        self.here = 0;
        self.fixups.clear();
        self.origin = origin;
    }
    /// The code so far.
    pub fn code(&self) -> &[u8] {
        &self.bytes[..self.here]
    }
    /// What in it depends on where it lies.
    pub fn fixups(&self) -> &[Fixup] {
        &self.fixups
    }
    /// What is at a place depends on where the code lies.
    pub fn fix_up(&mut self, place: Offset, kind: FixupKind) {
        self.fixups.push(Fixup { place: place as u16, kind });
    }
    /// Where the next instruction goes.
    pub fn here(&self) -> Offset {
        self.here
    }
    /// The address at which an offset will run.
    pub fn address(&self, offset: Offset) -> u64 {
        self.origin + offset as u64
    }
    /// Raw bytes.
    #[inline]
    pub fn raw<const N: usize>(&mut self, bytes: &[u8; N]) {
        self.first_of(bytes, N);
    }
    /// The first `length` of some bytes.
    #[inline]
    pub fn first_of<const N: usize>(&mut self, bytes: &[u8; N], length: usize) {
        debug_assert!(length <= N);
        match self.bytes.get_mut(self.here..).and_then(<[u8]>::first_chunk_mut) {
            Some(room) => {
                *room = *bytes;
                self.here += length;
            }
            None => self.here = ROOM,
        }
    }
    /// Bytes of any number.
    pub fn copy(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.byte(*byte);
        }
    }
    #[inline]
    fn put(&mut self, piece: Piece) {
        self.first_of(&piece.bytes(), piece.len());
    }
    pub(super) fn byte(&mut self, byte: u8) {
        self.raw(&[byte]);
    }
    pub(super) fn dword(&mut self, value: i32) {
        self.raw(&value.to_le_bytes());
    }

    /// Any instruction with a ModRM memory operand: legacy `prefix` (0 for none), `opcode`, REX.W.
    #[inline]
    pub fn op_mem(&mut self, prefix: u8, wide: bool, opcode: &[u8], reg: Reg, mem: Mem) {
        self.op_mem_of(prefix, wide, Piece::of(opcode), reg, mem);
    }

    fn op_mem_of(&mut self, prefix: u8, wide: bool, opcode: Piece, reg: Reg, mem: Mem) {
        let mut head = Piece::default();
        head.push_if(mem.gs, 0x65);
        head.push_if(prefix != 0, prefix);
        let (x, b) = (mem.index.map_or(0, |(index, _)| index >> 3), mem.base.map_or(0, |base| base >> 3));
        let rex = rex(wide, reg >> 3, x, b);
        head.push_if(rex != 0, rex);
        head.append(opcode);
        self.put(head);
        self.put(mem.encode((reg & 7) << 3));
    }

    /// An instruction with an opcode of one byte and a ModRM memory operand; mostly that is a field of the running view.
    #[inline]
    pub(super) fn plain(&mut self, wide: bool, opcode: u8, reg: Reg, mem: Mem) {
        match mem {
            Mem { base: None, index: None, disp, gs: true } => self.field(wide, opcode, reg, disp),
            _ => self.op_mem_of(0, wide, Piece::of(&[opcode]), reg, mem),
        }
    }

    #[inline]
    fn field(&mut self, wide: bool, opcode: u8, reg: Reg, disp: i32) {
        let [first, second, third, fourth] = disp.to_le_bytes();
        let modrm = 0x04 | (reg & 7) << 3;
        let rex = rex(wide, reg >> 3, 0, 0);
        if rex == 0 {
            self.raw(&[0x65, opcode, modrm, 0x25, first, second, third, fourth]);
        } else {
            self.raw(&[0x65, rex, opcode, modrm, 0x25, first, second, third, fourth]);
        }
    }

    /// Any instruction with two registers: `rm` is the one in ModRM.rm.
    #[inline]
    pub fn op_reg(&mut self, wide: bool, opcode: &[u8], reg: Reg, rm: Reg) {
        let mut piece = Piece::default();
        let rex = rex(wide, reg >> 3, 0, rm >> 3);
        piece.push_if(rex != 0, rex);
        piece.extend(opcode);
        piece.push(0xc0 | (reg & 7) << 3 | (rm & 7));
        self.put(piece);
    }

    /// `mov reg, [mem]`, 64 bits.
    pub fn load(&mut self, reg: Reg, mem: Mem) {
        self.plain(true, 0x8b, reg, mem);
    }
    /// `mov reg, [mem]`, 32 bits.
    pub fn load32(&mut self, reg: Reg, mem: Mem) {
        self.plain(false, 0x8b, reg, mem);
    }
    /// `mov [mem], reg`, 64 bits.
    pub fn store(&mut self, mem: Mem, reg: Reg) {
        self.plain(true, 0x89, reg, mem);
    }
    /// `mov [mem], reg`, 32 bits.
    pub fn store32(&mut self, mem: Mem, reg: Reg) {
        self.plain(false, 0x89, reg, mem);
    }
    /// `mov [mem], reg` of 2 or 4 bytes.
    pub fn store_sized(&mut self, size: u32, mem: Mem, reg: Reg) {
        self.op_mem(operand_prefix(size), false, &[0x89], reg, mem);
    }
    /// `mov [mem], imm` of 2 or 4 bytes.
    pub fn store_imm_sized(&mut self, size: u32, mem: Mem, value: u32) {
        self.op_mem(operand_prefix(size), false, &[0xc7], 0, mem);
        self.first_of(&value.to_le_bytes(), size as usize);
    }
    /// `mov reg, [mem]` of 2 or 4 bytes; 2 leave the rest of the register.
    pub fn load_sized(&mut self, size: u32, reg: Reg, mem: Mem) {
        self.op_mem(operand_prefix(size), false, &[0x8b], reg, mem);
    }
    /// `reg` = the 2 or 4 bytes at `[mem]`, zero-extended.
    pub fn load_extended(&mut self, size: u32, reg: Reg, mem: Mem) {
        if size == 2 {
            self.op_mem(0, false, &[0x0f, 0xb7], reg, mem);
        } else {
            self.load32(reg, mem);
        }
    }
    /// `mov to, from` of 2 or 4 bytes; 2 leave the rest of the register.
    pub fn mov_sized(&mut self, size: u32, to: Reg, from: Reg) {
        if size == 2 {
            self.raw(&[0x66]);
        }
        self.op_reg(false, &[0x89], from, to);
    }
    /// `to` = the lowest 2 or 4 bytes of `from`, zero-extended.
    pub fn mov_extended(&mut self, size: u32, to: Reg, from: Reg) {
        if size == 2 {
            self.op_reg(false, &[0x0f, 0xb7], to, from);
        } else {
            self.mov32(to, from);
        }
    }
    /// `lea reg, [mem]` of 2 or 4 bytes; 2 leave the rest of the register.
    pub fn lea_sized(&mut self, size: u32, reg: Reg, mem: Mem) {
        self.op_mem(operand_prefix(size), false, &[0x8d], reg, mem);
    }
    /// `cmp reg, imm`, 32 bits.
    pub fn cmp_imm32(&mut self, reg: Reg, value: u32) {
        self.op_reg(false, &[0x81], 7, reg);
        self.dword(value as i32);
    }
    /// `bts reg, bit`, 64 bits.
    pub fn set_bit(&mut self, reg: Reg, bit: u8) {
        self.op_reg(true, &[0x0f, 0xba], 5, reg);
        self.byte(bit);
    }
    /// `mov dword [mem], imm`.
    pub fn store_imm32(&mut self, mem: Mem, value: u32) {
        self.plain(false, 0xc7, 0, mem);
        self.dword(value as i32);
    }
    /// `mov qword [mem], imm`, sign-extended.
    pub fn store_imm(&mut self, mem: Mem, value: i32) {
        self.plain(true, 0xc7, 0, mem);
        self.dword(value);
    }
    /// `mov to, from`, 64 bits.
    pub fn mov(&mut self, to: Reg, from: Reg) {
        self.op_reg(true, &[0x89], from, to);
    }
    /// `mov to, from`, 32 bits, zero-extended.
    pub fn mov32(&mut self, to: Reg, from: Reg) {
        self.op_reg(false, &[0x89], from, to);
    }
    /// The shortest `mov reg, value`.
    pub fn mov_imm(&mut self, reg: Reg, value: u64) {
        if value <= u64::from(u32::MAX) {
            let mut piece = Piece::default();
            piece.push_if(reg >= 8, 0x41);
            piece.push(0xb8 | reg & 7);
            piece.dword(value as u32 as i32);
            self.put(piece);
        } else if value as i64 == i64::from(value as i32) {
            self.op_reg(true, &[0xc7], 0, reg);
            self.dword(value as i32);
        } else {
            self.raw(&[0x48 | reg >> 3, 0xb8 | reg & 7]);
            self.raw(&value.to_le_bytes());
        }
    }
    /// `lea reg, [mem]`, 64 bits.
    pub fn lea(&mut self, reg: Reg, mem: Mem) {
        self.plain(true, 0x8d, reg, mem);
    }
    /// `lea reg, [mem]` with the result cut to 32 bits.
    pub fn lea32(&mut self, reg: Reg, mem: Mem) {
        self.plain(false, 0x8d, reg, mem);
    }
    /// `lea reg, [rip + …]` of a place in this code.
    pub fn lea_here(&mut self, reg: Reg, target: Offset) {
        self.raw(&[0x48 | (reg >> 3) << 2, 0x8d, 0x05 | (reg & 7) << 3]);
        let next = self.here() + 4;
        self.dword(target as i32 - next as i32);
    }
    /// `lea reg, [rip + …]` of a place in this code; `jmp` to a thunk.
    pub fn leave_by(&mut self, reg: Reg, target: Offset, thunk: u64) {
        let (after_lea, after_jmp) = (self.here() + 7, self.here() + 12);
        let distance = (target as i32).wrapping_sub(after_lea as i32).to_le_bytes();
        let to_thunk = (thunk.wrapping_sub(self.address(after_jmp)) as u32).to_le_bytes();
        let ([a, b, c, d], [e, f, g, h]) = (distance, to_thunk);
        self.raw(&[0x48 | (reg >> 3) << 2, 0x8d, 0x05 | (reg & 7) << 3, a, b, c, d, 0xe9, e, f, g, h]);
        self.fix_up(after_jmp - 4, FixupKind::Thunk);
    }
    /// `rorx to, from, count` (BMI2): a rotation that leaves the flags alone.
    pub fn rorx(&mut self, to: Reg, from: Reg, count: u8) {
        let r = if to >= 8 { 0 } else { 0x80 };
        let b = if from >= 8 { 0 } else { 0x20 };
        self.raw(&[0xc4, r | 0x40 | b | 3, 0xfb, 0xf0, 0xc0 | (to & 7) << 3 | (from & 7), count]);
    }
    /// `and reg, imm`, 32 bits.
    pub fn and_imm32(&mut self, reg: Reg, value: u32) {
        self.op_reg(false, &[0x81], 4, reg);
        self.dword(value as i32);
    }
    /// `cmp reg, imm`, 64 bits.
    pub fn cmp_imm(&mut self, reg: Reg, value: i32) {
        self.op_reg(true, &[0x81], 7, reg);
        self.dword(value);
    }
    /// `xor reg, [mem]`, 64 bits.
    pub fn xor_mem(&mut self, reg: Reg, mem: Mem) {
        self.plain(true, 0x33, reg, mem);
    }
    /// `add reg, [mem]`, 64 bits.
    pub fn add_mem(&mut self, reg: Reg, mem: Mem) {
        self.plain(true, 0x03, reg, mem);
    }
    /// `push reg`, of R8 to R15.
    pub fn push(&mut self, reg: Reg) {
        debug_assert!(reg >= 8);
        self.raw(&[0x41, 0x50 | reg & 7]);
    }
    /// `sub reg, [mem]`, 64 bits.
    pub fn sub_mem(&mut self, reg: Reg, mem: Mem) {
        self.plain(true, 0x2b, reg, mem);
    }
    /// `cmp reg, [mem]`, 64 bits.
    pub fn cmp_mem(&mut self, reg: Reg, mem: Mem) {
        self.plain(true, 0x3b, reg, mem);
    }
    /// `cmp dword [mem], 0`.
    pub fn cmp_zero32(&mut self, mem: Mem) {
        self.plain(false, 0x83, 7, mem);
        self.byte(0);
    }
    /// Puts the status flags aside into `gs:[slot]` as AH and AL; clobbers `via`.
    pub fn spill_flags(&mut self, slot: usize, via: Reg) {
        self.mov(via, RAX as u8);
        self.raw(&[0x9f, 0x0f, 0x90, 0xc0]); // lahf; seto al
        self.store32(Mem::gs(slot), RAX as u8);
        self.mov(RAX as u8, via);
    }
    /// Takes the status flags back from `gs:[slot]`; clobbers `via`.
    pub fn restore_flags(&mut self, slot: usize, via: Reg) {
        self.mov(via, RAX as u8);
        self.load32(RAX as u8, Mem::gs(slot));
        self.raw(&[0x04, 0x7f, 0x9e]); // add al, 0x7f; sahf
        self.mov(RAX as u8, via);
    }
}

/// The operand-size prefix of 2 bytes; 0 for none.
const fn operand_prefix(size: u32) -> u8 {
    if size == 2 { 0x66 } else { 0 }
}

impl Default for Asm {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use iced_x86::{Decoder, DecoderOptions, Formatter, NasmFormatter};

    fn listing(build: impl FnOnce(&mut Asm)) -> Vec<String> {
        let mut asm = Asm::new();
        asm.restart(0x1000);
        build(&mut asm);
        let mut decoder = Decoder::with_ip(64, asm.code(), 0x1000, DecoderOptions::NONE);
        let mut formatter = NasmFormatter::new();
        let mut lines = Vec::new();
        while decoder.can_decode() {
            let mut line = String::new();
            formatter.format(&decoder.decode(), &mut line);
            lines.push(line);
        }
        lines
    }

    #[test]
    fn what_is_meant_is_what_a_disassembler_reads() {
        let lines = listing(|asm| {
            asm.load(T0, Mem::gs(0x80));
            asm.store(Mem::base(RSP as u8, -8), 3);
            asm.lea(T0, Mem { base: Some(13), index: Some((11, 2)), disp: 0x1234, gs: false });
            asm.rorx(T1, T0, 7);
            asm.rorx(T1, 3, 7);
            asm.and_imm32(T1, 0x7fe0);
            asm.xor_mem(T0, Mem::gs_base(T1, 0x1000));
            asm.jmp_mem(Mem::gs_index8(T1, 0x2000));
            asm.mov_imm(T1, 0xffff_ffff_8100_0000);
            asm.mov_imm(1, 5);
            asm.cmp_zero32(Mem::gs(0x88));
            asm.lea_sized(2, RSP as u8, Mem::base(RSP as u8, -2));
            asm.store_imm_sized(2, Mem::base(T0, 0), 0x1234);
            asm.load_extended(2, T0, Mem::base(T0, 0));
            asm.mov_sized(2, 1, T0);
            asm.mov_extended(2, T1, 1);
            asm.cmp_imm32(T0, 0xffff);
            asm.set_bit(T0, 63);
        });
        assert_eq!(
            lines,
            [
                "mov r10,[gs:80h]",
                "mov [rsp-8],rbx",
                "lea r10,[r13+r11*4+1234h]",
                "rorx r11,r10,7",
                "rorx r11,rbx,7",
                "and r11d,7FE0h",
                "xor r10,[gs:r11+1000h]",
                "jmp qword [gs:r11*8+2000h]",
                "mov r11,0FFFFFFFF81000000h",
                "mov ecx,5",
                "cmp dword [gs:88h],0",
                "lea sp,[rsp-2]",
                "mov word [r10],1234h",
                "movzx r10d,word [r10]",
                "mov cx,r10w",
                "movzx r11d,cx",
                "cmp r10d,0FFFFh",
                "bts r10,3Fh",
            ]
        );
    }
}
