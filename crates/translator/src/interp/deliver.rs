//! Delivery of exceptions and interrupts through the IDT or the interrupt vector table (SDM 3A chapter 6).
use x86::exception::vector;
use x86::reg::RSP;
use x86::segment::{ATTR_DB, ATTR_L, CS, DS, ES, FS, GS, SS, Segment};
use x86::{Exception, Gva, flags};

use super::address::canonical_range;
use super::core::{Core, Fallible};
use super::debug::{self, DR6_TASK, DR7_GUARD};
use super::segment::{Descriptor, code_of, is_null, null_stack, rpl};
use super::stack::Cursor;
use crate::mmu::Privilege;

/// What else than an exception is delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InterruptKind {
    /// From the interrupt controller.
    External,
    /// A non-maskable interrupt.
    Nmi,
    /// INT n, INT3 or INTO: the gate's DPL counts.
    Software,
}

/// The CPU shut down while it delivered a double fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TripleFault {
    /// Where it was.
    pub rip: u64,
    /// The first vector of the three.
    pub vector: u8,
}

/// One event on its way through a gate.
#[derive(Clone, Copy)]
pub(super) struct Event {
    pub vector: u8,
    pub error_code: Option<u32>,
    pub software: bool,
    /// RFLAGS as the handler will see it on the stack.
    pub flags_image: u64,
    /// Where IRET will lead.
    pub return_rip: u64,
}

/// A gate of the IDT.
#[derive(Clone, Copy)]
struct Gate {
    selector: u16,
    offset: u64,
    kind: u16,
    dpl: u8,
    present: bool,
    stack_index: u8,
}

impl Gate {
    const fn from_raw(low: u64, high: u64) -> Self {
        Self {
            selector: (low >> 16) as u16,
            offset: (low & 0xffff) | ((low >> 32) & 0xffff_0000) | high << 32,
            kind: ((low >> 40) & 0x1f) as u16,
            dpl: ((low >> 45) & 3) as u8,
            present: low & (1 << 47) != 0,
            stack_index: ((low >> 32) & 7) as u8,
        }
    }
    /// Interrupt gates clear IF, trap gates do not.
    const fn clears_interrupts(&self) -> bool {
        self.kind & 1 == 0
    }
    const fn is_32(&self) -> bool {
        self.kind & 8 != 0
    }
}

/// Classes of exceptions for the double-fault rule (SDM 3A table 6-4).
#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Benign,
    Contributory,
    Page,
}

const fn class_of(vector: u8) -> Class {
    match vector {
        vector::DE | vector::TS | vector::NP | vector::SS | vector::GP => Class::Contributory,
        vector::PF => Class::Page,
        _ => Class::Benign,
    }
}

/// Whether the saved RFLAGS has RF set: for faults, but not for debug exceptions, traps and aborts (SDM 3B §17.3.1.1).
const fn sets_resume_flag(vector: u8) -> bool {
    !matches!(vector, vector::DB | vector::BP | vector::OF | vector::NMI | vector::DF | vector::MC)
}

impl Core<'_> {
    /// Delivers an exception; further ones become a double fault, or shut the CPU down.
    pub fn deliver_exception(&mut self, first: Exception) -> Result<(), TripleFault> {
        let mut current = first;
        loop {
            if let Some(address) = current.address {
                self.cpu.cr2 = address.0;
            }
            if current.vector == vector::DB {
                // The handler may use the debug registers (SDM 3B §17.2.4).
                self.cpu.dr[7] &= !DR7_GUARD;
            }
            let error_code =
                if self.cpu.is_protected() || self.cpu.is_virtual_8086() { current.error_code } else { None };
            let mut flags_image = self.cpu.rflags();
            if sets_resume_flag(current.vector) {
                flags_image |= flags::RF;
            }
            let return_rip = self.cpu.rip;
            let event =
                Event { vector: current.vector, error_code, software: false, flags_image, return_rip };
            let Err(next) = self.deliver(&event) else { return self.trap_of_task() };
            current = match combine(current.vector, next) {
                Some(exception) => exception,
                None => return Err(TripleFault { rip: self.cpu.rip, vector: first.vector }),
            };
        }
    }

    /// Delivers an interrupt; a fault on the way is delivered in its place.
    pub fn deliver_interrupt(&mut self, vector: u8, kind: InterruptKind) -> Result<(), TripleFault> {
        if kind == InterruptKind::Nmi {
            self.cpu.nmi_blocked = 1;
        }
        let event = Event {
            vector,
            error_code: None,
            software: kind == InterruptKind::Software,
            flags_image: self.cpu.rflags(),
            return_rip: self.cpu.rip,
        };
        match self.deliver(&event) {
            Ok(()) => self.trap_of_task(),
            Err(exception) => self.deliver_exception(exception),
        }
    }
    /// The debug exception of a task that an event has switched to, if its TSS asks for one.
    fn trap_of_task(&mut self) -> Result<(), TripleFault> {
        if std::mem::take(&mut self.debug_hits) & DR6_TASK == 0 {
            return Ok(());
        }
        let trap = debug::trap(self.cpu, DR6_TASK);
        self.deliver_exception(trap)
    }

    /// INT n, INT3, INTO as an instruction: a fault is the instruction's own.
    pub fn software_interrupt(&mut self, vector: u8) -> Fallible {
        let event = Event {
            vector,
            error_code: None,
            software: true,
            flags_image: self.cpu.rflags() & !flags::RF,
            return_rip: self.next_rip,
        };
        self.deliver(&event)?;
        self.suppresses_trap = true;
        self.next_rip = self.cpu.rip;
        Ok(())
    }

    /// One event through its gate; nothing of the CPU changes on an error.
    fn deliver(&mut self, event: &Event) -> Fallible {
        if self.cpu.cr0 & x86::control::CR0_PE == 0 {
            self.deliver_real(event)?;
        } else if self.cpu.is_long_mode() {
            self.deliver_long(event)?;
        } else {
            self.deliver_protected(event)?;
        }
        self.cpu.interrupt_shadow = 0;
        self.keeps_resume_flag = true;
        Ok(())
    }

    /// Real mode: a far pointer in the interrupt vector table (SDM 3B §20.1.4).
    fn deliver_real(&mut self, event: &Event) -> Fallible {
        let offset = u64::from(event.vector) * 4;
        if offset + 3 > u64::from(self.cpu.idtr.limit) {
            return Err(Exception::plain(vector::GP));
        }
        let entry = self.read_system(self.table_address(self.cpu.idtr.base, offset), 4)?;
        let mut cursor = self.stack();
        self.push_on(&mut cursor, 2, event.flags_image)?;
        self.push_on(&mut cursor, 2, u64::from(self.cpu.segments[CS].selector))?;
        self.push_on(&mut cursor, 2, event.return_rip)?;
        self.commit_stack(&cursor);
        self.load_segment_real(CS, (entry >> 16) as u16);
        self.cpu.rip = entry & 0xffff;
        let cleared = flags::IF | flags::TF | flags::AC | flags::RF;
        self.cpu.set_rflags(self.cpu.rflags() & !cleared);
        Ok(())
    }

    fn gate(&mut self, event: &Event, ext: u32) -> Fallible<Gate> {
        let long = self.cpu.is_long_mode();
        let size = if long { 16 } else { 8 };
        let code = u32::from(event.vector) * 8 + 2 + ext;
        let offset = u64::from(event.vector) * size;
        if offset + size - 1 > u64::from(self.cpu.idtr.limit) {
            return Err(Exception::general_protection(code));
        }
        let low = self.read_system(self.table_address(self.cpu.idtr.base, offset), 8)?;
        let high =
            if long { self.read_system(self.table_address(self.cpu.idtr.base, offset + 8), 8)? } else { 0 };
        let gate = Gate::from_raw(low, high & 0xffff_ffff);
        let known = matches!(gate.kind, 0xe | 0xf) || (!long && matches!(gate.kind, 5..=7));
        if !known || (event.software && gate.dpl < self.cpu.cpl()) {
            return Err(Exception::general_protection(code));
        }
        if !gate.present {
            return Err(Exception::with_code(vector::NP, code));
        }
        Ok(gate)
    }

    /// The code segment behind a gate and whether it lies in an inner ring.
    fn gate_target(&mut self, selector: u16, ext: u32) -> Fallible<(Descriptor, bool)> {
        if is_null(selector) {
            return Err(Exception::general_protection(ext));
        }
        let descriptor = self.descriptor(selector, vector::GP, ext)?;
        let gp = Exception::general_protection(code_of(selector) | ext);
        if !descriptor.is_code() || descriptor.dpl() > self.cpu.cpl() {
            return Err(gp);
        }
        if self.cpu.is_long_mode() && (!descriptor.has(ATTR_L) || descriptor.has(ATTR_DB)) {
            return Err(gp);
        }
        if !descriptor.is_present() {
            return Err(Exception::with_code(vector::NP, code_of(selector) | ext));
        }
        let inner = !descriptor.is_conforming() && descriptor.dpl() < self.cpu.cpl();
        Ok((descriptor, inner))
    }

    fn deliver_long(&mut self, event: &Event) -> Fallible {
        let ext = u32::from(!event.software);
        let gate = self.gate(event, ext)?;
        let (descriptor, inner) = self.gate_target(gate.selector, ext)?;
        let cpl = if inner { descriptor.dpl() } else { self.cpu.cpl() };
        let pointer = if gate.stack_index != 0 {
            self.task_stack_64(28 + 8 * u64::from(gate.stack_index), ext)?
        } else if inner {
            self.task_stack_64(4 + 8 * u64::from(cpl), ext)?
        } else {
            self.cpu.gpr[RSP]
        };
        if !Gva(gate.offset).is_canonical() {
            return Err(Exception::general_protection(ext));
        }
        let mut cursor = Cursor::long(pointer & !15, Privilege::of_cpl(cpl)).with_error_code(ext);
        let values = [
            u64::from(self.cpu.segments[SS].selector),
            self.cpu.gpr[RSP],
            event.flags_image,
            u64::from(self.cpu.segments[CS].selector),
            event.return_rip,
        ];
        for value in values.into_iter().chain(event.error_code.map(u64::from)) {
            self.push_on(&mut cursor, 8, value)?;
        }
        let mut code = self.accessed(&descriptor)?;
        code.selector = (gate.selector & !3) | u16::from(cpl);
        if inner {
            self.cpu.segments[SS] = null_stack(u16::from(cpl));
        }
        self.cpu.segments[CS] = code;
        self.cpu.gpr[RSP] = cursor.pointer;
        self.enter_handler(&gate, gate.offset);
        Ok(())
    }
    fn task_stack_64(&mut self, offset: u64, ext: u32) -> Fallible<u64> {
        if offset + 7 > u64::from(self.cpu.tr.limit) {
            return Err(Exception::with_code(vector::TS, code_of(self.cpu.tr.selector) | ext));
        }
        let pointer = self.read_system(self.table_address(self.cpu.tr.base, offset), 8)?;
        canonical_range(pointer, 1, true).map_err(|_| Exception::stack_fault(ext))?;
        Ok(pointer)
    }
    fn enter_handler(&mut self, gate: &Gate, rip: u64) {
        let mut cleared = flags::TF | flags::NT | flags::RF | flags::VM;
        if gate.clears_interrupts() {
            cleared |= flags::IF;
        }
        self.cpu.set_rflags(self.cpu.rflags() & !cleared);
        self.cpu.rip = rip;
    }

    fn deliver_protected(&mut self, event: &Event) -> Fallible {
        let ext = u32::from(!event.software);
        let gate = self.gate(event, ext)?;
        if gate.kind == 5 {
            return self.deliver_task_gate(event, gate.selector, ext);
        }
        let (descriptor, inner) = self.gate_target(gate.selector, ext)?;
        let from_virtual = self.cpu.is_virtual_8086();
        if from_virtual && (!inner || descriptor.dpl() != 0) {
            return Err(Exception::general_protection(code_of(gate.selector) | ext));
        }
        let size = if gate.is_32() { 4 } else { 2 };
        let cpl = if inner { descriptor.dpl() } else { self.cpu.cpl() };
        let (mut cursor, new_stack) = if inner {
            let (segment, pointer) = self.task_stack(cpl, ext)?;
            let cursor = Cursor::in_segment(segment, pointer, Privilege::of_cpl(cpl));
            (cursor.with_error_code(code_of(segment.selector) | ext), Some((segment, pointer)))
        } else {
            (self.stack().with_error_code(ext), None)
        };
        let offset = gate.offset & super::core::mask(size);
        if offset > u64::from(descriptor.segment().limit) {
            return Err(Exception::general_protection(ext));
        }
        self.push_frame(&mut cursor, size, event, inner, from_virtual)?;
        let mut code = self.accessed(&descriptor)?;
        code.selector = (gate.selector & !3) | u16::from(cpl);
        if from_virtual {
            for number in [DS, ES, FS, GS] {
                self.cpu.segments[number] = Segment::default();
            }
        }
        self.cpu.segments[CS] = code;
        match new_stack {
            Some((segment, start)) => {
                self.cpu.segments[SS] = segment;
                self.commit_new_stack(&cursor, start);
            }
            None => self.commit_stack(&cursor),
        }
        self.enter_handler(&gate, offset);
        Ok(())
    }
    fn push_frame(
        &mut self,
        cursor: &mut Cursor,
        size: usize,
        event: &Event,
        inner: bool,
        from_virtual: bool,
    ) -> Fallible {
        let selector = |core: &Self, number: usize| u64::from(core.cpu.segments[number].selector);
        if from_virtual {
            for number in [GS, FS, DS, ES] {
                let value = selector(self, number);
                self.push_on(cursor, size, value)?;
            }
        }
        if inner {
            let (stack, pointer) = (selector(self, SS), self.cpu.gpr[RSP]);
            self.push_on(cursor, size, stack)?;
            self.push_on(cursor, size, pointer)?;
        }
        self.push_on(cursor, size, event.flags_image)?;
        let code = selector(self, CS);
        self.push_on(cursor, size, code)?;
        self.push_on(cursor, size, event.return_rip)?;
        if let Some(code) = event.error_code {
            self.push_on(cursor, size, u64::from(code))?;
        }
        Ok(())
    }

    /// SS and ESP of an inner ring from the TSS (SDM 3A §5.8.5), checked.
    pub fn task_stack(&mut self, level: u8, ext: u32) -> Fallible<(Segment, u64)> {
        let is_32 = self.cpu.tr.attributes & 8 != 0;
        let (offset, size) =
            if is_32 { (4 + 8 * u64::from(level), 4) } else { (2 + 4 * u64::from(level), 2) };
        if offset + 2 * size - 1 > u64::from(self.cpu.tr.limit) {
            return Err(Exception::with_code(vector::TS, code_of(self.cpu.tr.selector) | ext));
        }
        let base = self.cpu.tr.base;
        let pointer = self.read_system(self.table_address(base, offset), size as usize)?;
        let selector = self.read_system(self.table_address(base, offset + size), 2)? as u16;
        let segment = self.inner_stack(selector, level, ext)?;
        Ok((segment, pointer))
    }
    fn inner_stack(&mut self, selector: u16, level: u8, ext: u32) -> Fallible<Segment> {
        if is_null(selector) {
            return Err(Exception::with_code(vector::TS, ext));
        }
        let descriptor = self.descriptor(selector, vector::TS, ext)?;
        if rpl(selector) != level || descriptor.dpl() != level || !descriptor.is_writable_data() {
            return Err(Exception::with_code(vector::TS, code_of(selector) | ext));
        }
        if !descriptor.is_present() {
            return Err(Exception::stack_fault(code_of(selector) | ext));
        }
        self.accessed(&descriptor)
    }

    fn deliver_task_gate(&mut self, event: &Event, selector: u16, ext: u32) -> Fallible {
        self.cpu.set_rflags(event.flags_image);
        self.next_rip = event.return_rip;
        self.switch_task(selector, super::task::Cause::Interrupt, ext)?;
        if let Some(code) = event.error_code {
            let size = if self.cpu.tr.attributes & 8 != 0 { 4 } else { 2 };
            self.push(size, u64::from(code))?;
        }
        self.cpu.rip = self.next_rip;
        Ok(())
    }
}

/// What follows when `next` arises while `vector` is being delivered (SDM 3A table 6-5); `None` is a shutdown.
fn combine(first: u8, next: Exception) -> Option<Exception> {
    let (before, after) = (class_of(first), class_of(next.vector));
    if first == vector::DF {
        return if after == Class::Benign { Some(next) } else { None };
    }
    let double = match before {
        Class::Benign => false,
        Class::Contributory => after == Class::Contributory,
        Class::Page => after != Class::Benign,
    };
    Some(if double { Exception::with_code(vector::DF, 0) } else { next })
}
