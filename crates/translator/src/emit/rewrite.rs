//! Rewriting a guest instruction so that its memory operand becomes `[register]`: the bytes are taken apart (SDM 2A
//! chapter 2) and put together again around a new ModRM; nothing else of the instruction changes.

use super::asm::{Asm, Mem, Reg};
use super::piece::Piece;
use iced_x86::{Decoder, DecoderOptions, Instruction, OpKind, Register};

/// A 64-bit-mode instruction with ModRM, taken apart.
#[derive(Clone, Copy, Debug)]
struct Parts {
    /// Operand-size prefix.
    has_66: bool,
    /// F2 or F3, if present.
    repeat: u8,
    lock: bool,
    encoding: Encoding,
    /// Where ModRM is.
    modrm: usize,
    /// Where what follows the displacement begins.
    immediate: usize,
}

#[derive(Clone, Copy, Debug)]
enum Encoding {
    /// REX (0 if absent) and where the opcode begins.
    Legacy { rex: u8, opcode: usize },
    /// The three bytes of the VEX prefix in its long form.
    Vex { payload: [u8; 2], opcode: usize },
}

/// A memory operand of host code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operand {
    /// Base register.
    pub base: Reg,
    /// Index register (never RSP).
    pub index: Option<Reg>,
    /// log2 of the index's scale.
    pub scale: u8,
    /// Displacement.
    pub disp: i32,
}

impl Operand {
    /// `[base]`.
    pub const fn at(base: Reg) -> Self {
        Self { base, index: None, scale: 0, disp: 0 }
    }

    /// ModRM, SIB and displacement, with `reg` (at its place in ModRM) as the other operand.
    fn encode(self, reg: u8) -> Piece {
        let index = self.index.map(|index| (index, self.scale));
        Mem { base: Some(self.base), index, disp: self.disp, gs: false }.encode(reg)
    }
}

/// The most bytes of an instruction.
const LONGEST: usize = 15;

/// A host instruction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Encoded {
    bytes: [u8; 16],
    length: usize,
    after: usize,
}

impl Encoded {
    /// From three pieces; the last one, of so many bytes, follows the displacement. `None` if that is too long.
    #[inline]
    fn of(head: Piece, operand: Piece, immediate: Piece) -> Option<Self> {
        let length = head.len() + operand.len() + immediate.len();
        let mut word = u128::from(immediate.word());
        word = word << (8 * operand.len()) | u128::from(operand.word());
        word = word << (8 * head.len()) | u128::from(head.word());
        (length <= LONGEST).then_some(Self { bytes: word.to_le_bytes(), length, after: immediate.len() })
    }
    /// Its bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
    /// How many bytes follow the displacement.
    pub fn after(&self) -> usize {
        self.after
    }
    /// Appends it to code.
    #[inline]
    pub fn append_to(&self, asm: &mut Asm) {
        asm.first_of(&self.bytes, self.length);
    }
}

/// [`with_memory`] for an instruction (the first `length` of `bytes`) that is taken apart as the CPU does for certain: at
/// most one prefix beside REX, and a one-byte or two-byte opcode with ModRM. A test goes through all of them; others are
/// checked as they come, by [`is_same`]. (AH and its like are the caller's care: they need an operand without REX.)
#[inline]
pub fn simple(bytes: &[u8; 16], length: usize, operand: Operand) -> Option<Encoded> {
    let mut at = 0;
    let mut head = Piece::default();
    match bytes[0] {
        0x65 => at = 1,
        prefix @ (0x66 | 0xf0) => {
            head.push(prefix);
            at = 1;
        }
        _ => {}
    }
    let rex = if bytes[at] & 0xf0 == 0x40 { bytes[at] } else { 0 };
    at += usize::from(rex != 0);
    let new = (rex & !0b011) | operand.index.map_or(0, |index| index >> 3) << 1 | operand.base >> 3;
    head.push_if(rex != 0 || new != 0, 0x40 | new);
    match (bytes[at], bytes[at + 1]) {
        (0x0f, 0x0f | 0x38 | 0x3a) => return None,
        (0x0f, second) => {
            head.push(0x0f);
            head.push(second);
            at += 2;
        }
        (opcode, _) if HAS_MODRM[usize::from(opcode)] => {
            head.push(opcode);
            at += 1;
        }
        _ => return None,
    }
    let modrm = bytes[at];
    let has_sib = modrm & 7 == 4;
    let displacement = match modrm >> 6 {
        0 if modrm & 7 == 5 || has_sib && bytes[at + 1] & 7 == 5 => 4,
        0 => 0,
        1 => 1,
        2 => 4,
        _ => return None,
    };
    let immediate = at + 1 + usize::from(has_sib) + displacement;
    let after = length.checked_sub(immediate).filter(|after| *after <= 4)?;
    let rest = (u128::from_le_bytes(*bytes) >> (8 * immediate)) as u64;
    Encoded::of(head, operand.encode(modrm & 0x38), Piece::first_of(rest, after))
}

/// One-byte opcodes that are no prefix and may have ModRM.
const HAS_MODRM: [bool; 256] = {
    let mut all = [false; 256];
    let mut opcode = 0_u8;
    while opcode < 0xff {
        let other = matches!(opcode, 0x0f | 0x62 | 0x66 | 0x8f | 0xa0..=0xa3 | 0xc4 | 0xc5 | 0xd7);
        all[opcode as usize] = !is_prefix(opcode) && !other;
        opcode += 1;
    }
    all[0xff] = true;
    all
};

/// `bytes` (one valid instruction in 64-bit mode with a memory operand) with that operand replaced by another. Segment and
/// address-size prefixes are dropped: the address was computed before. `None` for EVEX, forms without ModRM, and what would
/// be too long.
pub fn with_memory(bytes: &[u8], operand: Operand) -> Option<Encoded> {
    let parts = Parts::of(bytes)?;
    let mut head = Piece::default();
    head.push_if(parts.lock, 0xf0);
    head.push_if(parts.has_66, 0x66);
    head.push_if(parts.repeat != 0, parts.repeat);
    let (high, high_index) = (operand.base >> 3, operand.index.map_or(0, |index| index >> 3));
    match parts.encoding {
        Encoding::Legacy { rex, opcode } => {
            let new = (rex & !0b011) | high_index << 1 | high;
            head.push_if(rex != 0 || new != 0, 0x40 | new);
            head.extend(&bytes[opcode..parts.modrm]);
        }
        Encoding::Vex { payload: [first, second], opcode } => {
            // X and B are inverted.
            let first = (first & !0x60) | (1 - high_index) << 6 | (1 - high) << 5;
            head.extend(&[0xc4, first, second, bytes[opcode]]);
        }
    }
    let immediate = bytes.get(parts.immediate..).filter(|immediate| immediate.len() <= 4)?;
    Encoded::of(head, operand.encode(bytes[parts.modrm] & 0x38), Piece::of(immediate))
}

/// Whether `bytes` are `original` with its memory operand replaced: the check that stands between the guest's bytes and the
/// host, should [`with_memory`] take apart an encoding otherwise than the CPU does.
pub fn is_same(original: &Instruction, operand: Operand, bytes: &[u8]) -> bool {
    let now = Decoder::new(64, bytes, DecoderOptions::NONE).decode();
    let is =
        |register: Register, number: Reg| register.is_gpr64() && register.number() == usize::from(number);
    is_same_but_for_address(original, &now, bytes)
        && is(now.memory_base(), operand.base)
        && match operand.index {
            Some(index) => is(now.memory_index(), index) && now.memory_index_scale() == 1 << operand.scale,
            None => now.memory_index() == Register::None,
        }
        && now.memory_displacement64() == operand.disp as u64
}

/// Whether `bytes` are `original`, which has no memory operand.
pub fn has_same_registers(original: &Instruction, bytes: &[u8]) -> bool {
    let now = Decoder::new(64, bytes, DecoderOptions::NONE).decode();
    let touches_memory = (0..now.op_count()).any(|index| now.op_kind(index) == OpKind::Memory);
    is_same_but_for_address(original, &now, bytes) && !touches_memory
}

fn is_same_but_for_address(original: &Instruction, now: &Instruction, bytes: &[u8]) -> bool {
    let same_operand = |index: u32| {
        original.op_kind(index) == now.op_kind(index)
            && match now.op_kind(index) {
                OpKind::Register => original.op_register(index) == now.op_register(index),
                OpKind::Memory => true,
                _ => original.immediate(index) == now.immediate(index),
            }
    };
    now.len() == bytes.len()
        && now.code() == original.code()
        && now.has_lock_prefix() == original.has_lock_prefix()
        && (0..now.op_count()).all(same_operand)
        && now.segment_prefix() == Register::None
}

/// Whether a byte in front of an opcode is a legacy prefix or REX.
const fn is_prefix(byte: u8) -> bool {
    matches!(
        byte,
        0x26 | 0x2e | 0x36 | 0x3e | 0x40..=0x4f | 0x64..=0x67 | 0xf0 | 0xf2 | 0xf3
    )
}

impl Parts {
    fn of(bytes: &[u8]) -> Option<Self> {
        let (mut has_66, mut repeat, mut lock) = (false, 0, false);
        let mut at = 0;
        loop {
            match *bytes.get(at)? {
                0x66 => has_66 = true,
                prefix @ (0xf2 | 0xf3) => repeat = prefix,
                0xf0 => lock = true,
                0x26 | 0x2e | 0x36 | 0x3e | 0x64 | 0x65 | 0x67 => {}
                // A REX prefix counts only right before the opcode (SDM 2A §2.2.1).
                0x40..=0x4f if bytes.get(at + 1).copied().is_some_and(is_prefix) => {}
                _ => break,
            }
            at += 1;
        }
        let (encoding, modrm) = match bytes[at] {
            0x62 => return None,
            0xc4 => {
                let payload = [*bytes.get(at + 1)?, *bytes.get(at + 2)?];
                (Encoding::Vex { payload, opcode: at + 3 }, at + 4)
            }
            0xc5 => {
                // The short form: R as in the long one, X and B one, map 0F, W zero.
                let short = *bytes.get(at + 1)?;
                let payload = [(short & 0x80) | 0x61, short & 0x7f];
                (Encoding::Vex { payload, opcode: at + 2 }, at + 3)
            }
            byte => {
                let rex = if byte & 0xf0 == 0x40 { byte } else { 0 };
                let opcode = at + usize::from(rex != 0);
                let length = match (*bytes.get(opcode)?, bytes.get(opcode + 1)) {
                    (0x0f, Some(0x38 | 0x3a)) => 3,
                    (0x0f, _) => 2,
                    _ => 1,
                };
                (Encoding::Legacy { rex, opcode }, opcode + length)
            }
        };
        let value = *bytes.get(modrm)?;
        let (mode, rm) = (value >> 6, value & 7);
        let sib = if rm == 4 { Some(*bytes.get(modrm + 1)?) } else { None };
        let displacement = match (mode, rm, sib) {
            (0, 5, _) => 4,
            (0, _, Some(sib)) if sib & 7 == 5 => 4,
            (0, ..) => 0,
            (1, ..) => 1,
            (2, ..) => 4,
            _ => return None,
        };
        let immediate = modrm + 1 + usize::from(sib.is_some()) + displacement;
        (immediate <= bytes.len()).then_some(Self { has_66, repeat, lock, encoding, modrm, immediate })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use iced_x86::{Formatter, NasmFormatter};

    fn rewritten(bytes: &[u8], base: Reg) -> String {
        moved(bytes, Operand::at(base))
    }

    fn moved(bytes: &[u8], operand: Operand) -> String {
        let out = with_memory(bytes, operand).expect("has a memory operand");
        let instruction = Decoder::new(64, out.bytes(), DecoderOptions::NONE).decode();
        assert_eq!(instruction.len(), out.bytes().len());
        let mut text = String::new();
        NasmFormatter::new().format(&instruction, &mut text);
        text
    }

    #[test]
    fn every_kind_of_encoding_keeps_all_but_the_address() {
        assert_eq!(rewritten(&[0x48, 0x8b, 0x44, 0x8b, 0x08], 10), "mov rax,[r10]");
        assert_eq!(rewritten(&[0x8b, 0x05, 1, 2, 3, 4], 10), "mov eax,[r10]");
        assert_eq!(rewritten(&[0x65, 0x48, 0x8b, 0x0c, 0x25, 0, 0, 0, 0], 11), "mov rcx,[r11]");
        assert_eq!(rewritten(&[0xf0, 0x48, 0x0f, 0xb1, 0x17], 10), "lock cmpxchg [r10],rdx");
        assert_eq!(rewritten(&[0x66, 0x81, 0x07, 0x34, 0x12], 10), "add word [r10],1234h");
        assert_eq!(rewritten(&[0x4b, 0x26, 0x08, 0x16], 10), "or [r10],dl");
        assert_eq!(rewritten(&[0x4c, 0x43, 0x00, 0x3e], 10), "add [r10],dil");
        assert_eq!(rewritten(&[0x40, 0x88, 0x37], 10), "mov [r10],sil");
        assert_eq!(rewritten(&[0x88, 0x27], 3), "mov [rbx],ah");
        assert_eq!(rewritten(&[0xc5, 0xfa, 0x6f, 0x07], 10), "vmovdqu xmm0,[r10]");
        assert_eq!(rewritten(&[0xc4, 0x41, 0x7d, 0x6f, 0x04, 0x24], 10), "vmovdqa ymm8,[r10]");
        assert_eq!(rewritten(&[0x66, 0x0f, 0x3a, 0x0f, 0x07, 0x05], 10), "palignr xmm0,[r10],5");
        assert_eq!(rewritten(&[0xd9, 0x40, 0x10], 10), "fld dword [r10]");
        assert_eq!(rewritten(&[0xf3, 0x0f, 0x7e, 0x07], 10), "movq xmm0,[r10]");
    }

    #[test]
    fn what_is_simple_needs_no_check() {
        let operands = [
            Operand::at(10),
            Operand { base: 5, index: Some(11), scale: 0, disp: 0 },
            Operand { base: 12, index: Some(9), scale: 3, disp: -0x12345 },
        ];
        let prefixes: [&[u8]; 4] = [&[], &[0x65], &[0x66], &[0xf0]];
        let rexes = (0x40..=0x4f).map(|rex| vec![rex]).chain([vec![]]);
        let heads: Vec<_> =
            rexes.flat_map(|rex| prefixes.map(|prefix| [prefix, rex.as_slice()].concat())).collect();
        let opcodes = (0..=255).map(|opcode| vec![opcode]).chain((0..=255).map(|opcode| vec![0x0f, opcode]));
        // Each mode of ModRM with each register beside it.
        let operand_bytes = (0..24_u8).flat_map(|upper| [0, 4, 5, 7].map(|rm| upper << 3 | rm));
        let tails: Vec<_> = operand_bytes.map(|modrm| [modrm, 0x25, 1, 2, 3, 4, 5, 6, 7, 8]).collect();
        let mut simple = 0;
        for opcode in opcodes {
            for (head, tail) in heads.iter().flat_map(|head| tails.iter().map(move |tail| (head, tail))) {
                let bytes = [head.as_slice(), &opcode, tail].concat();
                let instruction = Decoder::new(64, &bytes, DecoderOptions::NONE).decode();
                let bytes = &bytes[..instruction.len()];
                let kinds = || {
                    (0..instruction.op_count()).map(|i| (instruction.op_kind(i), instruction.op_register(i)))
                };
                let high_byte = |register| (Register::AH..=Register::BH).contains(&register);
                let excluded =
                    kinds().any(|(kind, register)| kind == OpKind::Register && high_byte(register));
                if excluded || !kinds().any(|(kind, _)| kind == OpKind::Memory) {
                    continue;
                }
                for operand in operands {
                    let mut padded = [0; 16];
                    padded[..bytes.len()].copy_from_slice(bytes);
                    let Some(out) = super::simple(&padded, bytes.len(), operand) else { continue };
                    assert!(is_same(&instruction, operand, out.bytes()), "{bytes:x?} {operand:?}");
                    assert_eq!(with_memory(bytes, operand), Some(out), "{bytes:x?}");
                    simple += 1;
                }
            }
        }
        assert!(simple > 100_000);
    }

    #[test]
    fn operands_may_have_an_index_and_a_displacement() {
        let by = |base, disp| Operand { base, index: Some(10), scale: 0, disp };
        assert_eq!(moved(&[0x48, 0x8b, 0x44, 0x24, 0x08], by(4, 8)), "mov rax,[rsp+r10+8]");
        assert_eq!(moved(&[0x8b, 0x45, 0x00], by(5, 0)), "mov eax,[rbp+r10]");
        assert_eq!(moved(&[0x41, 0x89, 0x4d, 0x00], by(13, -0x200)), "mov [r13+r10-200h],ecx");
        assert_eq!(moved(&[0xc5, 0xfa, 0x6f, 0x07], by(7, 0x40)), "vmovdqu xmm0,[rdi+r10+40h]");
        assert_eq!(moved(&[0x66, 0x81, 0x07, 0x34, 0x12], by(8, 1)), "add word [r8+r10+1],1234h");
        let scaled = Operand { base: 11, index: Some(9), scale: 3, disp: 16 };
        assert_eq!(moved(&[0x48, 0x8b, 0x07], scaled), "mov rax,[r11+r9*8+10h]");
        assert_eq!(
            moved(&[0x48, 0x01, 0x07], Operand { base: 12, index: None, scale: 0, disp: 0 }),
            "add [r12],rax"
        );
    }

    #[test]
    fn truncated_and_foreign_bytes_are_refused() {
        for bytes in
            [&[][..], &[0x48], &[0x8b], &[0x8b, 0x04], &[0x62, 0xf1, 0x7c, 0x48, 0x10, 0x00], &[0x8b, 0xc0]]
        {
            assert!(with_memory(bytes, Operand::at(10)).is_none(), "{bytes:x?}");
        }
    }
}
