//! Far jumps, calls and returns in every mode, call gates, and IRET (SDM 3A §5.8; SDM 2A and 2B, CALL, IRET, JMP, RET).
use iced_x86::{Code, Instruction, Mnemonic, OpKind};
use x86::exception::vector;
use x86::reg::RSP;
use x86::segment::{ATTR_CODE, ATTR_DB, ATTR_DC, ATTR_L, CS, DS, ES, FS, GS, SS, Segment};
use x86::{Exception, Gva, flags};

use super::core::{Core, Fallible, gp0, mask};
use super::segment::{Descriptor, code_of, is_null, null_stack, rpl, virtual_8086};
use super::stack::Cursor;
use super::task::Cause;
use crate::mmu::Privilege;

/// Where a far branch leads, and how.
#[derive(Clone, Copy)]
struct FarBranch {
    selector: u16,
    offset: u64,
    /// Operand size in bytes: 2, 4 or 8.
    size: usize,
    is_call: bool,
}

impl Core<'_> {
    /// Far JMP and CALL, direct or through memory.
    pub fn far_branch(&mut self, instruction: &Instruction) -> Fallible {
        let is_call = instruction.mnemonic() == Mnemonic::Call;
        let (selector, offset, size) = match instruction.op0_kind() {
            OpKind::FarBranch16 => {
                (instruction.far_branch_selector(), u64::from(instruction.far_branch16()), 2)
            }
            OpKind::FarBranch32 => {
                (instruction.far_branch_selector(), u64::from(instruction.far_branch32()), 4)
            }
            _ => {
                let size = match instruction.code() {
                    Code::Jmp_m1616 | Code::Call_m1616 => 2,
                    Code::Jmp_m1632 | Code::Call_m1632 => 4,
                    _ => 8,
                };
                let at = self.effective_offset(instruction);
                let segment = self.memory_segment(instruction);
                let offset = self.read_number(segment, at, size)?;
                (self.read_number(segment, at.wrapping_add(size as u64), 2)? as u16, offset, size)
            }
        };
        self.far_transfer(FarBranch { selector, offset, size, is_call })
    }

    fn far_transfer(&mut self, branch: FarBranch) -> Fallible {
        if !self.cpu.is_protected() {
            return self.far_transfer_real(branch);
        }
        if is_null(branch.selector) {
            return Err(gp0());
        }
        let descriptor = self.descriptor(branch.selector, vector::GP, 0)?;
        let long = self.cpu.is_long_mode();
        match descriptor.system_type() {
            None => self.far_to_code(branch, &descriptor),
            Some(4) if !long => self.far_to_gate(branch, &descriptor),
            Some(12) => self.far_to_gate(branch, &descriptor),
            Some(5) if !long => {
                self.check_gate_access(branch.selector, &descriptor)?;
                self.switch_task((descriptor.raw >> 16) as u16, self.task_cause(branch), 0)
            }
            Some(1 | 9) if !long => {
                if descriptor.dpl() < self.cpu.cpl() || rpl(branch.selector) > descriptor.dpl() {
                    return Err(Exception::general_protection(code_of(branch.selector)));
                }
                self.switch_task(branch.selector, self.task_cause(branch), 0)
            }
            Some(_) => Err(Exception::general_protection(code_of(branch.selector))),
        }
    }
    fn task_cause(&self, branch: FarBranch) -> Cause {
        if branch.is_call { Cause::Call } else { Cause::Jump }
    }
    fn far_transfer_real(&mut self, branch: FarBranch) -> Fallible {
        if branch.offset > u64::from(self.cpu.segments[CS].limit) {
            return Err(gp0());
        }
        if branch.is_call {
            let mut cursor = self.stack();
            self.push_return(&mut cursor, branch.size)?;
            self.commit_stack(&cursor);
        }
        self.load_segment_real(CS, branch.selector);
        self.next_rip = branch.offset;
        Ok(())
    }
    fn push_return(&mut self, cursor: &mut Cursor, size: usize) -> Fallible {
        let selector = u64::from(self.cpu.segments[CS].selector);
        self.push_on(cursor, size, selector)?;
        self.push_on(cursor, size, self.next_rip)
    }

    fn far_to_code(&mut self, branch: FarBranch, descriptor: &Descriptor) -> Fallible {
        let gp = Exception::general_protection(code_of(branch.selector));
        let cpl = self.cpu.cpl();
        let allowed = descriptor.is_code()
            && if descriptor.is_conforming() {
                descriptor.dpl() <= cpl
            } else {
                descriptor.dpl() == cpl && rpl(branch.selector) <= cpl
            };
        if !allowed || self.is_reserved_code(descriptor) {
            return Err(gp);
        }
        if !descriptor.is_present() {
            return Err(Exception::with_code(vector::NP, code_of(branch.selector)));
        }
        self.check_far_offset(descriptor, branch.offset)?;
        let mut cursor = self.stack();
        if branch.is_call {
            self.push_return(&mut cursor, branch.size)?;
        }
        self.enter_code(descriptor, branch.selector, cpl)?;
        if branch.is_call {
            self.commit_stack(&cursor);
        }
        self.next_rip = branch.offset;
        Ok(())
    }
    /// L and D both set mean nothing in long mode.
    fn is_reserved_code(&self, descriptor: &Descriptor) -> bool {
        self.cpu.is_long_mode() && descriptor.has(ATTR_L) && descriptor.has(ATTR_DB)
    }
    fn check_far_offset(&self, descriptor: &Descriptor, offset: u64) -> Fallible {
        let long = self.cpu.is_long_mode() && descriptor.has(ATTR_L);
        let fine =
            if long { Gva(offset).is_canonical() } else { offset <= u64::from(descriptor.segment().limit) };
        if fine { Ok(()) } else { Err(gp0()) }
    }
    fn enter_code(&mut self, descriptor: &Descriptor, selector: u16, cpl: u8) -> Fallible {
        let mut code = self.accessed(descriptor)?;
        code.selector = (selector & !3) | u16::from(cpl);
        self.cpu.segments[CS] = code;
        Ok(())
    }

    fn check_gate_access(&self, selector: u16, gate: &Descriptor) -> Fallible {
        if gate.dpl() < self.cpu.cpl() || rpl(selector) > gate.dpl() {
            return Err(Exception::general_protection(code_of(selector)));
        }
        if !gate.is_present() {
            return Err(Exception::with_code(vector::NP, code_of(selector)));
        }
        Ok(())
    }
    /// A call gate (SDM 3A §5.8.3).
    fn far_to_gate(&mut self, branch: FarBranch, gate: &Descriptor) -> Fallible {
        self.check_gate_access(branch.selector, gate)?;
        let long = self.cpu.is_long_mode();
        let upper = if long { self.upper_half(gate)? } else { 0 };
        let size = match (long, gate.system_type()) {
            (true, _) => 8,
            (false, Some(4)) => 2,
            _ => 4,
        };
        let offset = ((gate.raw & 0xffff) | ((gate.raw >> 32) & 0xffff_0000) | upper << 32) & mask(size);
        let selector = (gate.raw >> 16) as u16;
        if is_null(selector) {
            return Err(gp0());
        }
        let target = self.descriptor(selector, vector::GP, 0)?;
        let cpl = self.cpu.cpl();
        let inner = branch.is_call && !target.is_conforming() && target.dpl() < cpl;
        let level_fits =
            if target.is_conforming() || branch.is_call { target.dpl() <= cpl } else { target.dpl() == cpl };
        let width_fits = !long || (target.has(ATTR_L) && !target.has(ATTR_DB));
        if !target.is_code() || !level_fits || !width_fits {
            return Err(Exception::general_protection(code_of(selector)));
        }
        if !target.is_present() {
            return Err(Exception::with_code(vector::NP, code_of(selector)));
        }
        self.check_far_offset(&target, offset)?;
        if inner {
            let words = if long { 0 } else { ((gate.raw >> 32) & 0x1f) as usize };
            self.call_inner(&target, selector, size, words)?;
        } else {
            let mut cursor = self.stack();
            if branch.is_call {
                self.push_return(&mut cursor, size)?;
            }
            self.enter_code(&target, selector, cpl)?;
            if branch.is_call {
                self.commit_stack(&cursor);
            }
        }
        self.next_rip = offset;
        Ok(())
    }
    fn call_inner(&mut self, target: &Descriptor, selector: u16, size: usize, words: usize) -> Fallible {
        let level = target.dpl();
        let (mut cursor, stack, start) = if size == 8 {
            let offset = 4 + 8 * u64::from(level);
            if offset + 7 > u64::from(self.cpu.tr.limit) {
                return Err(Exception::with_code(vector::TS, code_of(self.cpu.tr.selector)));
            }
            let pointer = self.read_system(self.table_address(self.cpu.tr.base, offset), 8)?;
            (Cursor::long(pointer, Privilege::of_cpl(level)), null_stack(u16::from(level)), pointer)
        } else {
            let (segment, pointer) = self.task_stack(level, 0)?;
            let cursor = Cursor::in_segment(segment, pointer, Privilege::of_cpl(level));
            (cursor.with_error_code(code_of(segment.selector)), segment, pointer)
        };
        let mut parameters = [0; 32];
        let mut old = self.stack();
        for parameter in parameters.iter_mut().take(words) {
            *parameter = self.pop_from(&mut old, size)?;
        }
        let (old_stack, old_pointer) = (u64::from(self.cpu.segments[SS].selector), self.cpu.gpr[RSP]);
        self.push_on(&mut cursor, size, old_stack)?;
        self.push_on(&mut cursor, size, old_pointer)?;
        for parameter in parameters.into_iter().take(words).rev() {
            self.push_on(&mut cursor, size, parameter)?;
        }
        self.push_return(&mut cursor, size)?;
        self.enter_code(target, selector, level)?;
        self.cpu.segments[SS] = stack;
        self.commit_new_stack(&cursor, start);
        Ok(())
    }

    /// RETF with and without releasing parameters.
    pub fn far_return(&mut self, instruction: &Instruction) -> Fallible {
        let size = match instruction.code() {
            Code::Retfw | Code::Retfw_imm16 => 2,
            Code::Retfd | Code::Retfd_imm16 => 4,
            _ => 8,
        };
        let released = if instruction.op_count() == 1 { u64::from(instruction.immediate16()) } else { 0 };
        let mut cursor = self.stack();
        let offset = self.pop_from(&mut cursor, size)?;
        let selector = self.pop_from(&mut cursor, size)? as u16;
        let release = |cursor: &mut Cursor| {
            cursor.pointer = cursor.pointer.wrapping_add(released) & mask(cursor.width);
        };
        if !self.cpu.is_protected() {
            if offset > u64::from(self.cpu.segments[CS].limit) {
                return Err(gp0());
            }
            release(&mut cursor);
            self.commit_stack(&cursor);
            self.load_segment_real(CS, selector);
            self.next_rip = offset;
            return Ok(());
        }
        let descriptor = self.return_code(selector)?;
        self.check_far_offset(&descriptor, offset)?;
        release(&mut cursor);
        if rpl(selector) == self.cpu.cpl() {
            self.enter_code(&descriptor, selector, rpl(selector))?;
            self.commit_stack(&cursor);
        } else {
            let pointer = self.pop_from(&mut cursor, size)?;
            let stack_selector = self.pop_from(&mut cursor, size)? as u16;
            let stack = self.return_stack(stack_selector, &descriptor, rpl(selector))?;
            self.enter_code(&descriptor, selector, rpl(selector))?;
            self.leave_to_outer(stack, pointer);
            let mut outer = self.stack();
            release(&mut outer);
            self.commit_stack(&outer);
        }
        self.next_rip = offset;
        Ok(())
    }
    /// The code segment that a return leads to.
    fn return_code(&mut self, selector: u16) -> Fallible<Descriptor> {
        if is_null(selector) {
            return Err(gp0());
        }
        let descriptor = self.descriptor(selector, vector::GP, 0)?;
        let level_fits = if descriptor.is_conforming() {
            descriptor.dpl() <= rpl(selector)
        } else {
            descriptor.dpl() == rpl(selector)
        };
        let allowed = descriptor.is_code() && rpl(selector) >= self.cpu.cpl() && level_fits;
        if !allowed || self.is_reserved_code(&descriptor) {
            return Err(Exception::general_protection(code_of(selector)));
        }
        if !descriptor.is_present() {
            return Err(Exception::with_code(vector::NP, code_of(selector)));
        }
        Ok(descriptor)
    }
    /// The stack segment that a return to `level` loads.
    fn return_stack(&mut self, selector: u16, code: &Descriptor, level: u8) -> Fallible<Segment> {
        if is_null(selector) {
            let to_long = self.cpu.is_long_mode() && code.has(ATTR_L);
            return if to_long && level != 3 && rpl(selector) == level {
                Ok(null_stack(selector))
            } else {
                Err(gp0())
            };
        }
        let descriptor = self.descriptor(selector, vector::GP, 0)?;
        if rpl(selector) != level || descriptor.dpl() != level || !descriptor.is_writable_data() {
            return Err(Exception::general_protection(code_of(selector)));
        }
        if !descriptor.is_present() {
            return Err(Exception::stack_fault(code_of(selector)));
        }
        self.accessed(&descriptor)
    }
    /// Takes over an outer stack after CS was loaded, and forgets data segments that the outer ring may not use.
    fn leave_to_outer(&mut self, stack: Segment, pointer: u64) {
        self.cpu.segments[SS] = stack;
        let width = self.stack().width;
        self.set_pointer(RSP, width, pointer);
        let cpl = self.cpu.cpl();
        for number in [ES, FS, GS, DS] {
            let segment = &mut self.cpu.segments[number];
            let conforming = segment.attributes & (ATTR_CODE | ATTR_DC) == ATTR_CODE | ATTR_DC;
            if segment.is_present() && !conforming && segment.dpl() < cpl {
                *segment = Segment::default();
            }
        }
    }

    /// IRET, IRETD, IRETQ.
    pub fn interrupt_return(&mut self, size: usize) -> Fallible {
        // Even an IRET that faults lets NMIs in again (SDM 3A §6.7.1); one that waits must be looked at.
        if std::mem::take(&mut self.cpu.nmi_blocked) != 0 {
            self.cpu.attention.store(crate::cpu::ATTENTION, std::sync::atomic::Ordering::Relaxed);
        }
        if !self.cpu.is_protected() {
            self.interrupt_return_real(size)?;
        } else if self.cpu.other_flags & flags::NT != 0 {
            if self.cpu.is_long_mode() {
                return Err(gp0());
            }
            self.return_from_task()?;
        } else {
            self.interrupt_return_protected(size)?;
        }
        self.keeps_resume_flag = true;
        Ok(())
    }
    fn interrupt_return_real(&mut self, size: usize) -> Fallible {
        if self.cpu.is_virtual_8086() && self.iopl() < 3 {
            return Err(gp0());
        }
        let mut cursor = self.stack();
        let offset = self.pop_from(&mut cursor, size)?;
        let selector = self.pop_from(&mut cursor, size)? as u16;
        let image = self.pop_from(&mut cursor, size)?;
        if offset > u64::from(self.cpu.segments[CS].limit) {
            return Err(gp0());
        }
        let changeable = self.changeable_flags(size) | if size > 2 { flags::RF } else { 0 };
        self.commit_stack(&cursor);
        self.load_segment_real(CS, selector);
        self.merge_flags(image, changeable);
        self.next_rip = offset;
        Ok(())
    }
    fn merge_flags(&mut self, image: u64, changeable: u64) {
        let old = self.cpu.rflags();
        self.cpu.set_rflags((old & !changeable) | (image & changeable));
    }
    fn interrupt_return_protected(&mut self, size: usize) -> Fallible {
        let from_64 = self.is_64();
        let mut cursor = self.stack();
        let offset = self.pop_from(&mut cursor, size)?;
        let selector = self.pop_from(&mut cursor, size)? as u16;
        let image = self.pop_from(&mut cursor, size)?;
        if image & flags::VM != 0 && self.cpu.cpl() == 0 && !self.cpu.is_long_mode() && size == 4 {
            return self.return_to_virtual(cursor, offset, selector, image);
        }
        let descriptor = self.return_code(selector)?;
        self.check_far_offset(&descriptor, offset)?;
        let mut changeable = self.changeable_flags(size) | if size > 2 { flags::RF } else { 0 };
        if size > 2 && self.cpu.cpl() == 0 {
            changeable |= flags::VIF | flags::VIP;
        }
        let outer = rpl(selector) != self.cpu.cpl();
        if outer || from_64 {
            let pointer = self.pop_from(&mut cursor, size)?;
            let stack_selector = self.pop_from(&mut cursor, size)? as u16;
            let stack = self.return_stack(stack_selector, &descriptor, rpl(selector))?;
            self.enter_code(&descriptor, selector, rpl(selector))?;
            self.leave_to_outer(stack, pointer);
        } else {
            self.enter_code(&descriptor, selector, rpl(selector))?;
            self.commit_stack(&cursor);
        }
        self.merge_flags(image, changeable);
        self.next_rip = offset;
        Ok(())
    }
    fn return_to_virtual(&mut self, mut cursor: Cursor, offset: u64, selector: u16, image: u64) -> Fallible {
        let pointer = self.pop_from(&mut cursor, 4)?;
        let mut selectors = [0_u16; 5];
        for value in &mut selectors {
            *value = self.pop_from(&mut cursor, 4)? as u16;
        }
        if offset > 0xffff {
            return Err(gp0());
        }
        self.cpu.set_rflags(image);
        for (number, value) in [SS, ES, DS, FS, GS].into_iter().zip(selectors) {
            self.cpu.segments[number] = virtual_8086(value);
        }
        self.cpu.segments[CS] = virtual_8086(selector);
        self.set_pointer(RSP, 4, pointer);
        self.next_rip = offset;
        Ok(())
    }
}
