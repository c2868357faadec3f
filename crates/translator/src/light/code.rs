//! The bytes of one instruction: prefixes, ModRM, immediates (SDM 2A §2.1, §2.2.1).
#![expect(unsafe_code, reason = "reads the guest's code where it lies")]
use super::{Light, NotServed, Served};
use crate::cpu::Cpu;
use x86::reg::{RBP, RSP};
use x86::segment::{FS, GS};

/// Bytes that are read of an instruction; a longer one is not served.
pub(super) const LONGEST: usize = 16;

/// What [`Code::prefixes`] returns for an opcode that goes on.
pub(super) const TWO_BYTES: u8 = 0x0f;
/// What it returns for ENDBR32 and ENDBR64, in place of a segment prefix, which is none itself.
pub(super) const ENDBR: u8 = 0x2e;

/// Legacy prefixes that are taken: no instruction that is served is longer than 15 bytes with so many.
const PREFIXES: usize = 2;

const REX_W: u8 = 8;
const REX_R: u8 = 4;
const REX_X: u8 = 2;
const REX_B: u8 = 1;

/// An instruction, and how far it was read.
pub(super) struct Code {
    bytes: [u8; LONGEST],
    at: usize,
    rex: u8,
    narrow: bool,
    bytewise: bool,
    segment: Option<usize>,
    /// What the segment adds to an offset.
    pub base: u64,
}

/// An operand that ModRM names.
#[derive(Clone, Copy)]
pub(super) enum Operand {
    /// A register by number.
    Register(usize),
    /// A linear address.
    Memory(u64),
}

/// The bytes at an offset of a page, which the host has at `page`; [`LONGEST`] of them are there.
#[inline(always)]
pub(super) fn read(page: *const u8, offset: usize) -> [u8; LONGEST] {
    // SAFETY: the caller says that the bytes are there. Other CPUs may write them meanwhile: bytes of any value are
    // valid, and what is made of them is checked.
    unsafe { page.add(offset).cast::<[u8; LONGEST]>().read_volatile() }
}

/// Whether an instruction that is not served computes, with vectors, x87 or otherwise: LOCKed ones and those of the system
/// do not.
#[cold]
pub(super) fn comes_in_numbers(bytes: &[u8; LONGEST]) -> bool {
    let is_prefix =
        |byte: &u8| matches!(byte, 0x26 | 0x2e | 0x36 | 0x3e | 0x40..=0x4f | 0x64..=0x67 | 0xf2 | 0xf3);
    let mut opcode = bytes.iter().skip_while(|byte| is_prefix(byte));
    match opcode.next() {
        Some(0xc4 | 0xc5 | 0xd8..=0xdf) => true,
        Some(&TWO_BYTES) => !matches!(
            opcode.next(),
            Some(
                0x00..=0x0b
                | 0x20..=0x23
                | 0x30..=0x37
                | 0xa2
                | 0xaa
                | 0xae
                | 0xb0
                | 0xb1
                | 0xc0
                | 0xc1
                | 0xc7,
            )
        ),
        _ => false,
    }
}

impl Code {
    /// An instruction that begins with these bytes.
    #[inline(always)]
    pub fn new(bytes: [u8; LONGEST]) -> Self {
        Self { bytes, at: 0, rex: 0, narrow: false, bytewise: false, segment: None, base: 0 }
    }

    /// Takes the prefixes and returns the first byte of the opcode.
    #[inline(always)]
    pub fn prefixes(&mut self) -> Served<u8> {
        for _ in 0..=PREFIXES {
            match self.u8() {
                0x26 | 0x2e | 0x36 | 0x3e => {}
                0x64 => self.segment = Some(FS),
                0x65 => self.segment = Some(GS),
                0x66 => self.narrow = true,
                rex @ 0x40..=0x4f => {
                    self.rex = rex;
                    // A REX prefix counts just before the opcode only.
                    return match self.u8() {
                        0x26 | 0x2e | 0x36 | 0x3e | 0x40..=0x4f | 0x64..=0x67 | 0xf0 | 0xf2 | 0xf3 => {
                            Err(NotServed)
                        }
                        opcode => Ok(opcode),
                    };
                }
                0xf3 if self.at == 1 && self.bytes[1..3] == [0x0f, 0x1e] && self.bytes[3] & 0xfe == 0xfa => {
                    self.at = 4;
                    return Ok(ENDBR);
                }
                0x67 | 0xf0 | 0xf2 | 0xf3 => return Err(NotServed),
                opcode => return Ok(opcode),
            }
        }
        Err(NotServed)
    }

    /// Bytes up to here.
    pub const fn length(&self) -> u64 {
        self.at as u64
    }
    /// The instruction works on bytes if the lowest bit of its opcode is clear.
    pub const fn set_bytes(&mut self, opcode: u8) {
        self.bytewise = opcode & 1 == 0;
    }
    /// Bytes of the operands.
    #[inline(always)]
    pub const fn size(&self) -> u64 {
        if self.bytewise {
            1
        } else if self.rex & REX_W != 0 {
            8
        } else if self.narrow {
            2
        } else {
            4
        }
    }
    /// Whether one-byte registers 4 to 7 are the second bytes of the first four.
    pub const fn has_high_bytes(&self) -> bool {
        self.rex == 0
    }
    /// Not served with an operand-size prefix: it makes 16 bits of what is 64, or is ignored, by vendor.
    pub const fn is_plain(&self) -> Served {
        if self.narrow { Err(NotServed) } else { Ok(()) }
    }
    /// The register that the opcode's lowest bits name.
    pub const fn low_register(&self, opcode: u8) -> usize {
        (opcode & 7 | (self.rex & REX_B) << 3) as usize
    }
    /// The register field of the ModRM byte that comes next.
    pub const fn peek_register(&self) -> u8 {
        self.bytes[self.at & 15] >> 3 & 7
    }
    /// Bytes of an immediate.
    pub const fn immediate_bytes(&self) -> u64 {
        let size = self.size();
        if size == 8 { 4 } else { size }
    }

    #[inline(always)]
    pub fn u8(&mut self) -> u8 {
        let byte = self.bytes[self.at & 15];
        self.at += 1;
        byte
    }
    #[inline(always)]
    pub fn i8(&mut self) -> i64 {
        i64::from(self.u8() as i8)
    }
    pub fn u16(&mut self) -> u16 {
        u16::from_le_bytes(self.take())
    }
    #[inline(always)]
    pub fn i32(&mut self) -> i64 {
        i64::from(i32::from_le_bytes(self.take()))
    }
    pub fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.take())
    }
    /// An immediate as long as the operands, or of 32 bits for 64.
    #[inline(always)]
    pub fn immediate(&mut self) -> i64 {
        match self.immediate_bytes() {
            1 => self.i8(),
            2 => i64::from(self.u16() as i16),
            _ => self.i32(),
        }
    }
    /// The next bytes. None is missing: what was read is long enough for each instruction that is served.
    #[inline(always)]
    fn take<const N: usize>(&mut self) -> [u8; N] {
        let at = self.at.min(LONGEST - N);
        self.at += N;
        std::array::from_fn(|i| self.bytes[at + i])
    }
}

impl Light<'_> {
    /// The register and the other operand that ModRM names, `immediate` bytes before the end of the instruction.
    #[inline(always)]
    pub(super) fn operands(&mut self, code: &mut Code, immediate: u64) -> Served<(usize, Operand)> {
        let modrm = code.u8();
        let register = (modrm >> 3 & 7 | (code.rex & REX_R) << 1) as usize;
        let low = modrm & 7;
        if modrm >= 0xc0 {
            return Ok((register, Operand::Register((low | (code.rex & REX_B) << 3) as usize)));
        }
        let cpu: &Cpu = self.cpu;
        let base = match (low, modrm >> 6) {
            (4, kind) => {
                let sib = code.u8();
                let (index, base) = (sib >> 3 & 7 | (code.rex & REX_X) << 2, sib & 7);
                let index = if index == RSP as u8 { 0 } else { cpu.gpr[index as usize] << (sib >> 6) };
                if base == RBP as u8 && kind == 0 {
                    index.wrapping_add(code.i32() as u64)
                } else {
                    index.wrapping_add(cpu.gpr[(base | (code.rex & REX_B) << 3) as usize])
                }
            }
            (5, 0) => {
                let by = code.i32();
                self.after(code).wrapping_add(immediate).wrapping_add(by as u64)
            }
            _ => cpu.gpr[(low | (code.rex & REX_B) << 3) as usize],
        };
        let by = match modrm >> 6 {
            1 => code.i8(),
            2 => code.i32(),
            _ => 0,
        };
        code.base = match code.segment {
            Some(segment) => self.cpu.segments[segment].base,
            None => 0,
        };
        Ok((register, Operand::Memory(base.wrapping_add(by as u64).wrapping_add(code.base))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(of: &[u8]) -> [u8; LONGEST] {
        std::array::from_fn(|i| of.get(i).copied().unwrap_or(0x90))
    }

    #[test]
    fn prefixes_are_taken_up_to_the_opcode() {
        for (of, opcode, size) in [
            (&[0x01, 0xc8][..], 0x01, 4),
            (&[0x48, 0x01, 0xc8], 0x01, 8),
            (&[0x66, 0x01, 0xc8], 0x01, 2),
            (&[0x66, 0x48, 0x01, 0xc8], 0x01, 8),
            (&[0x3e, 0x66, 0x01, 0xc8], 0x01, 2),
            (&[0xf3, 0x0f, 0x1e, 0xfa], ENDBR, 4),
        ] {
            let mut code = Code::new(bytes(of));
            assert_eq!(code.prefixes().ok(), Some(opcode), "{of:x?}");
            assert_eq!(code.size(), size, "{of:x?}");
        }
    }

    #[test]
    fn too_many_prefixes_and_strange_ones_are_not_served() {
        for of in [
            &[0x66, 0x66, 0x66, 0x01, 0xc8][..],
            &[0xf0, 0x01, 0x08],
            &[0xf3, 0x90],
            &[0x67, 0x01, 0x08],
            // A REX prefix before another prefix does not count.
            &[0x48, 0x66, 0x01, 0xc8],
            &[0x48, 0x48, 0x01, 0xc8],
        ] {
            assert!(Code::new(bytes(of)).prefixes().is_err(), "{of:x?}");
        }
    }

    #[test]
    fn what_computes_is_told_from_what_the_system_is_for() {
        for of in [
            &[0x0f, 0xa4, 0xc2, 0x05][..],
            &[0x66, 0x0f, 0xef, 0xc0],
            &[0xc5, 0xf9, 0xef, 0xc0],
            &[0xd9, 0xee],
        ] {
            assert!(comes_in_numbers(&bytes(of)), "{of:x?}");
        }
        for of in
            [&[0xfa][..], &[0x0f, 0x05], &[0xf0, 0x0f, 0xb1, 0x0a], &[0x0f, 0x01, 0xca], &[0xf3, 0x48, 0xab]]
        {
            assert!(!comes_in_numbers(&bytes(of)), "{of:x?}");
        }
    }
}
