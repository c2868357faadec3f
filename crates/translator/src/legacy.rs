//! Code that is not 64-bit: how linear addresses and segments come in. See
//! `docs/decisions/0007-legacy-code.md`.
//!
//! Translated code, blocks and tables go by linear addresses; only [`Cpu::rip`] is an offset in CS.
use iced_x86::{Instruction, OpKind};
use x86::Segment;
use x86::segment::{ATTR_CODE, ATTR_DC, ATTR_RW, CS, DS, ES, SS};

use crate::cpu::{Cpu, Mode};

/// What code with 16-bit and 32-bit addresses may assume; part of a block's identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Legacy {
    /// Operands and addresses have 32 bits by default, else 16 (CS.D).
    pub code_32: bool,
    /// The stack pointer has 32 bits, else 16 (SS.B).
    pub stack_32: bool,
    /// Protected mode rather than real mode.
    pub protected: bool,
    /// The data segments, by number as bits, whose offsets are linear addresses and that nothing can violate.
    pub flat: u8,
    /// Linear address of the code segment.
    pub base: u32,
    /// Last offset in the code segment.
    pub limit: u32,
}

/// In the targets of jump tables and in [`Cpu::code_page`]: the code there is legacy. Such a target is not canonical;
/// 64-bit code that looks for one all the same finds none, because the tables are emptied when it follows legacy code.
pub const TAG: u64 = 1 << 63;
/// The highest linear address.
pub const LINEAR: u64 = 0xffff_ffff;

impl Legacy {
    /// What holds now; `None` in 64-bit mode. Brings [`Cpu::segment_ends`] up to date.
    pub fn enter(cpu: &mut Cpu) -> Option<Self> {
        if cpu.mode() == Mode::Bits64 {
            return None;
        }
        let protected = cpu.is_protected();
        for (segment, ends) in cpu.segments.iter().zip(&mut cpu.segment_ends) {
            *ends = ends_of(segment, protected);
        }
        let is_flat =
            |number: usize| cpu.segments[number].base == 0 && cpu.segment_ends[number] == [LINEAR + 1; 2];
        let flat = [ES, SS, DS]
            .into_iter()
            .filter(|number| is_flat(*number))
            .fold(0, |bits, number| bits | 1 << number);
        Some(Self {
            code_32: cpu.mode() == Mode::Bits32,
            stack_32: cpu.segments[SS].is_32(),
            protected,
            flat,
            base: cpu.segments[CS].base as u32,
            limit: cpu.segments[CS].limit,
        })
    }

    /// Whether offsets in the code segment are linear addresses, and all of them are in it.
    pub fn has_flat_code(self) -> bool {
        self.base == 0 && self.limit == u32::MAX
    }
    /// Whether a data segment need not be looked at.
    pub fn is_flat(self, segment: usize) -> bool {
        self.flat & 1 << segment != 0
    }
    /// The offset in CS of a linear address.
    pub fn offset_of(self, address: u64) -> u32 {
        (address as u32).wrapping_sub(self.base)
    }
    /// How many bytes of code there are at a linear address, as far as segment and address space go.
    pub fn room(self, address: u64) -> usize {
        let inside = u64::from(self.limit).checked_sub(u64::from(self.offset_of(address)));
        let left = inside.map_or(0, |left| left + 1).min(LINEAR + 1 - (address & LINEAR));
        usize::try_from(left).unwrap_or(usize::MAX)
    }
    /// Bits of decoding.
    pub fn bits(self) -> u32 {
        if self.code_32 { 32 } else { 16 }
    }

    /// Where a near branch leads, as a linear address: its offset in CS is cut to the operand size. Instructions are
    /// decoded at linear addresses.
    pub fn branch_target(self, instruction: &Instruction) -> u64 {
        let (target, next) = (instruction.near_branch_target(), instruction.next_ip());
        let (distance, mask) = match instruction.op0_kind() {
            OpKind::NearBranch16 => (i64::from((target as u16).wrapping_sub(next as u16) as i16), 0xffff),
            _ => (i64::from((target as u32).wrapping_sub(next as u32) as i32), LINEAR),
        };
        let offset = u64::from(self.offset_of(next.wrapping_add(distance as u64))) & mask;
        (u64::from(self.base) + offset) & LINEAR
    }
    /// Whether a near branch leads out of the code segment.
    pub fn leaves_segment(self, instruction: &Instruction) -> bool {
        self.offset_of(self.branch_target(instruction)) > self.limit
    }
}

/// One past the last offset of a segment that may be read, and that may be written, upwards from 0; 0 for those that are
/// the interpreter's.
fn ends_of(segment: &Segment, protected: bool) -> [u64; 2] {
    let end = u64::from(segment.limit) + 1;
    if !protected {
        return [end; 2];
    }
    let is = |attribute: u16| segment.attributes & attribute != 0;
    let expands_down = !is(ATTR_CODE) && is(ATTR_DC);
    if !segment.is_present() || expands_down {
        return [0; 2];
    }
    let readable = !is(ATTR_CODE) || is(ATTR_RW);
    let writable = !is(ATTR_CODE) && is(ATTR_RW);
    [if readable { end } else { 0 }, if writable { end } else { 0 }]
}

/// The linear address of the next instruction.
pub fn linear_rip(cpu: &Cpu) -> u64 {
    match cpu.mode() {
        Mode::Bits64 => cpu.rip,
        _ => cpu.segments[CS].base.wrapping_add(cpu.rip) & LINEAR,
    }
}

/// The same as targets of jump tables have it.
pub fn table_target(cpu: &Cpu) -> u64 {
    match cpu.mode() {
        Mode::Bits64 => cpu.rip,
        _ => linear_rip(cpu) | TAG,
    }
}

/// Makes a linear address, or a target of jump tables, the next instruction's.
pub fn set_linear_rip(cpu: &mut Cpu, address: u64) {
    cpu.rip = match cpu.mode() {
        Mode::Bits64 => address,
        _ => address.wrapping_sub(cpu.segments[CS].base) & LINEAR,
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use iced_x86::{Decoder, DecoderOptions};

    const REAL: Legacy =
        Legacy { code_32: false, stack_32: false, protected: false, flat: 0, base: 0xf_0000, limit: 0xffff };

    fn target(legacy: Legacy, bytes: &[u8], offset: u32) -> u64 {
        let address = u64::from(legacy.base) + u64::from(offset);
        let instruction = Decoder::with_ip(legacy.bits(), bytes, address, DecoderOptions::NONE).decode();
        legacy.branch_target(&instruction)
    }

    #[test]
    fn branches_wrap_at_the_operand_size() {
        assert_eq!(target(REAL, &[0xeb, 0x10], 0x100), 0xf_0112);
        assert_eq!(target(REAL, &[0xeb, 0x10], 0xfff0), 0xf_0002);
        let off_page = Legacy { base: 0x1_2340, ..REAL };
        assert_eq!(target(off_page, &[0xe9, 0x00, 0x80], 0x8000), 0x1_2343);
        let flat = Legacy { code_32: true, base: 0, limit: u32::MAX, ..REAL };
        assert_eq!(target(flat, &[0xeb, 0xfe], 0x8000_0000), 0x8000_0000);
        assert_eq!(target(flat, &[0x66, 0xe9, 0, 0], 0x1_2000), 0x2004);
        assert_eq!(target(flat, &[0xe9, 0, 0, 0, 0x80], 0x8000_0010), 0x15);
        // With 32-bit operands a branch leaves a short segment instead.
        let instruction =
            Decoder::with_ip(16, &[0x66, 0xe9, 0, 0, 1, 0], 0xf_0000, DecoderOptions::NONE).decode();
        assert!(REAL.leaves_segment(&instruction));
    }

    #[test]
    fn code_ends_with_its_segment_and_with_linear_memory() {
        assert_eq!(REAL.room(0xf_fffe), 2);
        assert_eq!(REAL.room(0x10_0000), 0);
        let flat = Legacy { base: 0, limit: u32::MAX, ..REAL };
        assert_eq!(flat.room(0xffff_fffe), 2);
        let high = Legacy { base: 0xffff_0000, limit: u32::MAX, ..REAL };
        assert_eq!(high.room(0xffff_fff0), 16);
    }

    #[test]
    fn segments_are_flat_only_if_nothing_can_violate_them() {
        let segment = |descriptor| ends_of(&Segment::from_descriptor(8, descriptor), true);
        assert_eq!(segment(0x00cf_f300_0000_ffff), [1 << 32; 2]);
        assert_eq!(segment(0x00cf_f100_0000_ffff), [1 << 32, 0]);
        assert_eq!(segment(0x00cf_9900_0000_ffff), [0, 0]);
        assert_eq!(segment(0x00cf_9b00_0000_ffff), [1 << 32, 0]);
        assert_eq!(segment(0x00cf_9700_0000_ffff), [0, 0]);
        assert_eq!(segment(0), [0, 0]);
        assert_eq!(ends_of(&Segment::real_mode(7), false), [0x1_0000; 2]);
    }
}
