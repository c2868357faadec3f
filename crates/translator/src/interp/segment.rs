//! Descriptors and segment registers: loading with all checks (SDM 3A §3.4, §5.6 to 5.8; SDM 2B, MOV), and the
//! instructions that look at descriptors.
use iced_x86::{Instruction, Mnemonic, OpKind};
use x86::exception::vector;
use x86::segment::{
    ATTR_ACCESSED, ATTR_CODE, ATTR_DC, ATTR_DPL_SHIFT, ATTR_P, ATTR_RW, ATTR_S, CS, DS, ES, FS, GS, SS,
    Segment,
};
use x86::{Exception, Gva, flags};

use super::core::{Core, Fallible, gp0, segment_number};
use super::operand::operand_size;

/// The RPL of a selector.
pub(super) const fn rpl(selector: u16) -> u8 {
    (selector & 3) as u8
}
/// Whether a selector is null.
pub(super) const fn is_null(selector: u16) -> bool {
    selector & !3 == 0
}
/// A selector as the error code that names it.
pub(super) const fn code_of(selector: u16) -> u32 {
    (selector & !3) as u32
}

/// A descriptor as it lies in its table.
#[derive(Clone, Copy)]
pub(super) struct Descriptor {
    /// The first eight bytes.
    pub raw: u64,
    /// Where it lies.
    pub address: Gva,
    /// The selector that chose it.
    pub selector: u16,
}

impl Descriptor {
    /// The segment register that it makes.
    pub fn segment(&self) -> Segment {
        Segment::from_descriptor(self.selector, self.raw)
    }
    /// Bits 40 to 55.
    pub fn attributes(&self) -> u16 {
        ((self.raw >> 40) & 0xf0ff) as u16
    }
    /// Whether one of the given attribute bits is set.
    pub fn has(&self, attribute: u16) -> bool {
        self.attributes() & attribute != 0
    }
    /// The type of a system descriptor, or `None` for code and data.
    pub fn system_type(&self) -> Option<u16> {
        (!self.has(ATTR_S)).then(|| self.attributes() & 0xf)
    }
    /// Whether it is a code segment.
    pub fn is_code(&self) -> bool {
        self.has(ATTR_S) && self.has(ATTR_CODE)
    }
    /// Whether it is a conforming code segment.
    pub fn is_conforming(&self) -> bool {
        self.is_code() && self.has(ATTR_DC)
    }
    /// Whether it is a writable data segment.
    pub fn is_writable_data(&self) -> bool {
        self.has(ATTR_S) && !self.has(ATTR_CODE) && self.has(ATTR_RW)
    }
    /// The privilege level.
    pub fn dpl(&self) -> u8 {
        ((self.attributes() >> ATTR_DPL_SHIFT) & 3) as u8
    }
    /// Whether it is present.
    pub fn is_present(&self) -> bool {
        self.has(ATTR_P)
    }
}

/// The stack segment of 64-bit code after a change of privilege: null, but it knows the level.
pub(super) fn null_stack(selector: u16) -> Segment {
    Segment { base: 0, limit: 0, attributes: u16::from(rpl(selector)) << ATTR_DPL_SHIFT, selector }
}

/// A data segment as virtual-8086 mode loads it.
pub(super) fn virtual_8086(selector: u16) -> Segment {
    Segment {
        attributes: Segment::real_mode(0).attributes | 3 << ATTR_DPL_SHIFT,
        ..Segment::real_mode(selector)
    }
}

impl Core<'_> {
    /// Reads a descriptor, or raises `vector` with the selector as error code (plus `ext`) if it lies outside its table.
    pub fn descriptor(&mut self, selector: u16, vector: u8, ext: u32) -> Fallible<Descriptor> {
        let (base, limit) = if selector & 4 != 0 {
            let usable = self.cpu.ldtr.is_present();
            (self.cpu.ldtr.base, if usable { Some(self.cpu.ldtr.limit) } else { None })
        } else {
            (self.cpu.gdtr.base, Some(u32::from(self.cpu.gdtr.limit)))
        };
        let offset = u32::from(selector & !7);
        if limit.is_none_or(|limit| offset + 7 > limit) {
            return Err(Exception::with_code(vector, code_of(selector) | ext));
        }
        let address = self.table_address(base, u64::from(offset));
        let raw = self.read_system(address, 8)?;
        Ok(Descriptor { raw, address, selector })
    }
    /// An address inside a system table.
    pub fn table_address(&self, base: u64, offset: u64) -> Gva {
        let address = base.wrapping_add(offset);
        Gva(if self.cpu.is_long_mode() { address } else { address & 0xffff_ffff })
    }
    /// Sets the accessed bit of a code or data descriptor and returns its segment.
    pub fn accessed(&mut self, descriptor: &Descriptor) -> Fallible<Segment> {
        let mut segment = descriptor.segment();
        if !descriptor.has(ATTR_ACCESSED) {
            let byte = (descriptor.raw >> 40) as u8 | 1;
            self.write_system(Gva(descriptor.address.0.wrapping_add(5)), 1, u64::from(byte))?;
            segment.attributes |= ATTR_ACCESSED;
        }
        Ok(segment)
    }

    /// Loads a data or stack segment register (never CS).
    pub fn load_segment(&mut self, number: usize, selector: u16) -> Fallible {
        if !self.cpu.is_protected() {
            self.load_segment_real(number, selector);
            return Ok(());
        }
        let segment = self.checked_segment(number, selector)?;
        self.cpu.segments[number] = segment;
        Ok(())
    }
    /// Loads a segment register as real and virtual-8086 mode do.
    pub fn load_segment_real(&mut self, number: usize, selector: u16) {
        if self.cpu.is_virtual_8086() {
            self.cpu.segments[number] = virtual_8086(selector);
        } else {
            self.cpu.segments[number].selector = selector;
            self.cpu.segments[number].base = u64::from(selector) << 4;
        }
    }
    /// The segment that a selector loads into a register in protected mode, with all checks.
    pub fn checked_segment(&mut self, number: usize, selector: u16) -> Fallible<Segment> {
        if number == SS {
            let cpl = self.cpu.cpl();
            return self.checked_stack(selector, cpl);
        }
        if is_null(selector) {
            return Ok(Segment { selector, ..Segment::default() });
        }
        let gp = Exception::general_protection(code_of(selector));
        let descriptor = self.descriptor(selector, vector::GP, 0)?;
        let readable = !descriptor.is_code() || descriptor.has(ATTR_RW);
        if !descriptor.has(ATTR_S) || !readable {
            return Err(gp);
        }
        let privileged = rpl(selector).max(self.cpu.cpl()) > descriptor.dpl();
        if !descriptor.is_conforming() && privileged {
            return Err(gp);
        }
        if !descriptor.is_present() {
            return Err(Exception::with_code(vector::NP, code_of(selector)));
        }
        self.accessed(&descriptor)
    }
    fn checked_stack(&mut self, selector: u16, cpl: u8) -> Fallible<Segment> {
        if is_null(selector) {
            let allowed = self.is_64() && cpl < 3 && rpl(selector) == cpl;
            return if allowed { Ok(null_stack(selector)) } else { Err(gp0()) };
        }
        let descriptor = self.descriptor(selector, vector::GP, 0)?;
        if rpl(selector) != cpl || descriptor.dpl() != cpl || !descriptor.is_writable_data() {
            return Err(Exception::general_protection(code_of(selector)));
        }
        if !descriptor.is_present() {
            return Err(Exception::stack_fault(code_of(selector)));
        }
        self.accessed(&descriptor)
    }

    /// MOV to a segment register.
    pub fn move_to_segment(&mut self, instruction: &Instruction) -> Fallible {
        let number = segment_number(instruction.op0_register()).unwrap_or(CS);
        if number == CS {
            return Err(Exception::invalid_opcode());
        }
        let selector = self.read_operand(instruction, 1, 2)? as u16;
        self.load_segment(number, selector)?;
        if number == SS {
            self.cpu.interrupt_shadow = super::SHADOW_STACK_SEGMENT;
        }
        Ok(())
    }
    /// MOV from a segment register: 16 bits to memory, zero-extended to a register.
    pub fn move_from_segment(&mut self, instruction: &Instruction) -> Fallible {
        let selector = self.register(instruction.op1_register());
        let size =
            if instruction.op0_kind() == OpKind::Register { instruction.op0_register().size() } else { 2 };
        self.write_operand(instruction, 0, size, selector)
    }
    /// PUSH of a segment register is in `stack`; this is POP.
    pub fn pop_segment(&mut self, instruction: &Instruction) -> Fallible {
        let number = segment_number(instruction.op0_register()).unwrap_or(CS);
        let size = instruction.stack_pointer_increment().unsigned_abs() as usize;
        let mut cursor = self.stack();
        let selector = self.pop_from(&mut cursor, size)? as u16;
        self.load_segment(number, selector)?;
        self.commit_stack(&cursor);
        if number == SS {
            self.cpu.interrupt_shadow = super::SHADOW_STACK_SEGMENT;
        }
        Ok(())
    }
    /// LDS, LES, LFS, LGS, LSS.
    pub fn load_far_pointer(&mut self, instruction: &Instruction) -> Fallible {
        let number = match instruction.mnemonic() {
            Mnemonic::Lds => DS,
            Mnemonic::Les => ES,
            Mnemonic::Lfs => FS,
            Mnemonic::Lgs => GS,
            _ => SS,
        };
        let size = instruction.op0_register().size();
        let offset = self.effective_offset(instruction);
        let segment = self.memory_segment(instruction);
        let value = self.read_number(segment, offset, size)?;
        let selector = self.read_number(segment, offset.wrapping_add(size as u64), 2)? as u16;
        self.load_segment(number, selector)?;
        self.set_register(instruction.op0_register(), value);
        Ok(())
    }

    /// LAR, LSL, VERR, VERW: set ZF if the descriptor may be looked at.
    pub fn inspect_descriptor(&mut self, instruction: &Instruction) -> Fallible {
        self.require_protected()?;
        let mnemonic = instruction.mnemonic();
        let operand = u32::from(matches!(mnemonic, Mnemonic::Lar | Mnemonic::Lsl));
        let selector = self.read_operand(instruction, operand, 2)? as u16;
        let found = self.visible_descriptor(selector, mnemonic)?;
        if let Some(descriptor) = &found {
            let value = match mnemonic {
                Mnemonic::Lar => Some((descriptor.raw >> 32) & 0x00ff_ff00),
                Mnemonic::Lsl => Some(u64::from(descriptor.segment().limit)),
                _ => None,
            };
            if let Some(value) = value {
                self.set_register(instruction.op0_register(), value);
            }
        }
        self.set_status(flags::ZF, found.is_some());
        Ok(())
    }
    fn visible_descriptor(&mut self, selector: u16, mnemonic: Mnemonic) -> Fallible<Option<Descriptor>> {
        if is_null(selector) {
            return Ok(None);
        }
        let descriptor = match self.descriptor(selector, vector::GP, 0) {
            Ok(descriptor) => descriptor,
            Err(exception) if exception.vector == vector::GP => return Ok(None),
            Err(exception) => return Err(exception),
        };
        let long = self.cpu.is_long_mode();
        let kind_fits = match (mnemonic, descriptor.system_type()) {
            (Mnemonic::Lar, Some(kind)) if long => matches!(kind, 2 | 9 | 11 | 12),
            (Mnemonic::Lar, Some(kind)) => matches!(kind, 1..=5 | 9 | 11 | 12),
            (Mnemonic::Lsl, Some(kind)) if long => matches!(kind, 2 | 9 | 11),
            (Mnemonic::Lsl, Some(kind)) => matches!(kind, 1..=3 | 9 | 11),
            (Mnemonic::Verr, None) => !descriptor.is_code() || descriptor.has(ATTR_RW),
            (Mnemonic::Verw, None) => descriptor.is_writable_data(),
            (_, kind) => kind.is_none(),
        };
        let privileged = rpl(selector).max(self.cpu.cpl()) > descriptor.dpl();
        let visible = kind_fits && (descriptor.is_conforming() || !privileged);
        Ok(visible.then_some(descriptor))
    }
    /// ARPL: raises the RPL of a selector to that of another.
    pub fn adjust_rpl(&mut self, instruction: &Instruction) -> Fallible {
        self.require_protected()?;
        let target = self.read_operand(instruction, 0, 2)?;
        let source = self.register(instruction.op1_register());
        let raises = target & 3 < source & 3;
        let value = (target & !3) | (source & 3);
        if raises && instruction.op0_kind() == OpKind::Register {
            // 16 bits of it, whatever the operand size.
            let number = instruction.op0_register().full_register().number();
            self.set_gpr(number, 2, value);
        } else if raises {
            self.write_operand(instruction, 0, 2, value)?;
        }
        self.set_status(flags::ZF, raises);
        Ok(())
    }

    /// LLDT.
    pub fn load_ldtr(&mut self, instruction: &Instruction) -> Fallible {
        self.require_protected()?;
        self.require_ring_0()?;
        let selector = self.read_operand(instruction, 0, 2)? as u16;
        if is_null(selector) {
            self.cpu.ldtr = Segment { selector, ..Segment::default() };
            return Ok(());
        }
        let (_, segment) = self.system_segment(selector, |kind| kind == 2)?;
        self.cpu.ldtr = segment;
        Ok(())
    }
    /// LTR: the TSS becomes busy.
    pub fn load_task_register(&mut self, instruction: &Instruction) -> Fallible {
        self.require_protected()?;
        self.require_ring_0()?;
        let selector = self.read_operand(instruction, 0, 2)? as u16;
        if is_null(selector) {
            return Err(gp0());
        }
        let long = self.cpu.is_long_mode();
        let (descriptor, mut segment) =
            self.system_segment(selector, |kind| kind == 9 || (kind == 1 && !long))?;
        self.set_busy(&descriptor, true)?;
        segment.attributes |= 2;
        self.cpu.tr = segment;
        Ok(())
    }
    /// Sets or clears the busy bit of a TSS descriptor.
    pub fn set_busy(&mut self, descriptor: &Descriptor, busy: bool) -> Fallible {
        let place = Gva(descriptor.address.0.wrapping_add(5));
        let byte = self.read_system(place, 1)?;
        self.write_system(place, 1, if busy { byte | 2 } else { byte & !2 })
    }
    fn system_segment(
        &mut self,
        selector: u16,
        fits: impl Fn(u16) -> bool,
    ) -> Fallible<(Descriptor, Segment)> {
        let gp = Exception::general_protection(code_of(selector));
        if selector & 4 != 0 {
            return Err(gp);
        }
        let descriptor = self.descriptor(selector, vector::GP, 0)?;
        if !descriptor.system_type().is_some_and(fits) {
            return Err(gp);
        }
        if !descriptor.is_present() {
            return Err(Exception::with_code(vector::NP, code_of(selector)));
        }
        let mut segment = descriptor.segment();
        if self.cpu.is_long_mode() {
            segment.base |= self.upper_half(&descriptor)? << 32;
            if !Gva(segment.base).is_canonical() {
                return Err(gp);
            }
        }
        Ok((descriptor, segment))
    }
    /// The upper 32 bits of the base or offset of a 16-byte descriptor in long mode.
    pub fn upper_half(&mut self, descriptor: &Descriptor) -> Fallible<u64> {
        let gp = Exception::general_protection(code_of(descriptor.selector));
        let limit =
            if descriptor.selector & 4 != 0 { self.cpu.ldtr.limit } else { u32::from(self.cpu.gdtr.limit) };
        if u32::from(descriptor.selector & !7) + 15 > limit {
            return Err(gp);
        }
        let upper = self.read_system(Gva(descriptor.address.0.wrapping_add(8)), 8)?;
        if (upper >> 40) & 0x1f != 0 {
            return Err(gp);
        }
        Ok(upper & 0xffff_ffff)
    }
    /// Segment moves and descriptor instructions by mnemonic.
    pub fn segment_instruction(&mut self, instruction: &Instruction) -> Option<Fallible> {
        Some(match instruction.mnemonic() {
            Mnemonic::Lds | Mnemonic::Les | Mnemonic::Lfs | Mnemonic::Lgs | Mnemonic::Lss => {
                self.load_far_pointer(instruction)
            }
            Mnemonic::Lar | Mnemonic::Lsl | Mnemonic::Verr | Mnemonic::Verw => {
                self.inspect_descriptor(instruction)
            }
            Mnemonic::Arpl => self.adjust_rpl(instruction),
            Mnemonic::Lldt => self.load_ldtr(instruction),
            Mnemonic::Ltr => self.load_task_register(instruction),
            Mnemonic::Sldt => {
                let selector = self.cpu.ldtr.selector;
                self.store_selector(instruction, selector)
            }
            Mnemonic::Str => {
                let selector = self.cpu.tr.selector;
                self.store_selector(instruction, selector)
            }
            _ => return None,
        })
    }
    fn store_selector(&mut self, instruction: &Instruction, selector: u16) -> Fallible {
        self.require_protected()?;
        self.check_umip()?;
        let size = if instruction.op0_kind() == OpKind::Register { operand_size(instruction, 0) } else { 2 };
        self.write_operand(instruction, 0, size, u64::from(selector))
    }
}
