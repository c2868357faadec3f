//! Hardware task switches (SDM 3A chapter 7), for 32-bit and 16-bit TSSs.
use x86::control::CR0_TS;
use x86::exception::vector;
use x86::segment::{ATTR_DPL_SHIFT, ATTR_RW, ATTR_S, CS, DS, ES, FS, GS, SS, Segment};
use x86::{Exception, flags};

use super::core::{Core, Fallible};
use super::segment::{Descriptor, code_of, is_null, rpl, virtual_8086};

/// What switches tasks.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    Jump,
    Call,
    Interrupt,
    Return,
}

/// DR7.L0 to L3 and LE: breakpoints of one task only (SDM 3B §17.2.4).
const DR7_LOCAL: u64 = 0x155;
/// The order of segment registers in a TSS.
const ORDER: [usize; 6] = [ES, CS, SS, DS, FS, GS];

/// What a TSS holds.
#[derive(Default)]
struct Image {
    cr3: u64,
    rip: u64,
    rflags: u64,
    gpr: [u64; 8],
    selectors: [u16; 6],
    ldt: u16,
    trap: bool,
}

/// Offsets of the fields of a TSS: 32-bit or 16-bit (SDM 3A figures 7-2, 7-10).
struct Layout {
    wide: bool,
}

impl Layout {
    fn word(&self) -> usize {
        if self.wide { 4 } else { 2 }
    }
    fn rip(&self) -> u64 {
        if self.wide { 0x20 } else { 0x0e }
    }
    fn gpr(&self, register: usize) -> u64 {
        self.rip() + 2 * self.word() as u64 + (register * self.word()) as u64
    }
    fn selector(&self, index: usize) -> u64 {
        self.gpr(8) + (index * self.word()) as u64
    }
    fn segments(&self) -> usize {
        if self.wide { 6 } else { 4 }
    }
    fn ldt(&self) -> u64 {
        if self.wide { 0x60 } else { 0x2a }
    }
    fn last(&self) -> u32 {
        if self.wide { 0x67 } else { 0x2b }
    }
}

impl Core<'_> {
    /// Switches to the task of a TSS selector; [`Core::next_rip`] is where the old task will go on, then where the new
    /// one does.
    pub fn switch_task(&mut self, selector: u16, cause: Cause, ext: u32) -> Fallible {
        let (bad, busy_fits) = match cause {
            Cause::Return => (vector::TS, true),
            _ => (vector::GP, false),
        };
        let error = Exception::with_code(bad, code_of(selector) | ext);
        if is_null(selector) || selector & 4 != 0 {
            return Err(error);
        }
        let descriptor = self.descriptor(selector, bad, ext)?;
        let fits = |kind: u16| matches!(kind & !2, 1 | 9) && (kind & 2 != 0) == busy_fits;
        if !descriptor.system_type().is_some_and(fits) {
            return Err(error);
        }
        if !descriptor.is_present() {
            return Err(Exception::with_code(vector::NP, code_of(selector) | ext));
        }
        let new = descriptor.segment();
        let layout = Layout { wide: new.attributes & 8 != 0 };
        if new.limit < layout.last() {
            return Err(Exception::with_code(vector::TS, code_of(selector) | ext));
        }
        let image = self.read_image(&layout, &new)?;
        self.save_task(cause)?;
        self.change_busy_bits(&descriptor, &new, cause)?;
        self.enter_task(&layout, image, new, cause, ext)
    }

    /// IRET with NT set: back to the task in the link field.
    pub fn return_from_task(&mut self) -> Fallible {
        let link = self.read_system(self.table_address(self.cpu.tr.base, 0), 2)? as u16;
        self.switch_task(link, Cause::Return, 0)
    }

    fn read_image(&mut self, layout: &Layout, tss: &Segment) -> Fallible<Image> {
        let mut image = Image::default();
        let word = layout.word();
        let read = |core: &mut Self, offset: u64, size: usize| {
            let address = core.table_address(tss.base, offset);
            core.read_system(address, size)
        };
        if layout.wide {
            image.cr3 = read(self, 0x1c, 4)?;
            image.trap = read(self, 0x64, 2)? & 1 != 0;
        }
        image.rip = read(self, layout.rip(), word)?;
        image.rflags = read(self, layout.rip() + word as u64, word)?;
        for register in 0..8 {
            image.gpr[register] = read(self, layout.gpr(register), word)?;
        }
        for index in 0..layout.segments() {
            image.selectors[index] = read(self, layout.selector(index), 2)? as u16;
        }
        image.ldt = read(self, layout.ldt(), 2)? as u16;
        Ok(image)
    }

    fn save_task(&mut self, cause: Cause) -> Fallible {
        let tss = self.cpu.tr;
        let layout = Layout { wide: tss.attributes & 8 != 0 };
        let word = layout.word();
        let mut rflags = self.cpu.rflags();
        if cause == Cause::Return {
            rflags &= !flags::NT;
        }
        if cause != Cause::Interrupt {
            rflags &= !flags::RF;
        }
        let write = |core: &mut Self, offset: u64, size: usize, value: u64| {
            let address = core.table_address(tss.base, offset);
            core.write_system(address, size, value)
        };
        write(self, layout.rip(), word, self.next_rip)?;
        write(self, layout.rip() + word as u64, word, rflags)?;
        for register in 0..8 {
            let value = self.cpu.gpr[register];
            write(self, layout.gpr(register), word, value)?;
        }
        for (index, number) in ORDER.into_iter().enumerate().take(layout.segments()) {
            let value = u64::from(self.cpu.segments[number].selector);
            write(self, layout.selector(index), 2, value)?;
        }
        Ok(())
    }

    /// SDM 3A table 7-2.
    fn change_busy_bits(&mut self, new: &Descriptor, tss: &Segment, cause: Cause) -> Fallible {
        if matches!(cause, Cause::Jump | Cause::Return) {
            let old = self.descriptor(self.cpu.tr.selector, vector::TS, 0)?;
            self.set_busy(&old, false)?;
        }
        if cause != Cause::Return {
            self.set_busy(new, true)?;
        }
        if matches!(cause, Cause::Call | Cause::Interrupt) {
            let link = u64::from(self.cpu.tr.selector);
            self.write_system(self.table_address(tss.base, 0), 2, link)?;
        }
        Ok(())
    }

    fn enter_task(
        &mut self,
        layout: &Layout,
        image: Image,
        mut tss: Segment,
        cause: Cause,
        ext: u32,
    ) -> Fallible {
        tss.attributes |= 2;
        self.cpu.tr = tss;
        self.cpu.cr0 |= CR0_TS;
        self.cpu.dr[7] &= !DR7_LOCAL;
        if layout.wide && self.cpu.is_paging() && image.cr3 != self.cpu.cr3 {
            self.cpu.cr3 = image.cr3;
            self.mmu.switch_address_space(self.cpu, true);
        }
        let mut rflags = image.rflags;
        if matches!(cause, Cause::Call | Cause::Interrupt) {
            rflags |= flags::NT;
        }
        self.cpu.set_rflags(rflags);
        for (register, value) in image.gpr.into_iter().enumerate() {
            self.set_gpr(register, layout.word(), value);
        }
        self.next_rip = image.rip;
        self.cpu.rip = image.rip;
        self.keeps_resume_flag = true;
        // The old task's TF is gone with it.
        self.suppresses_trap = true;
        for (index, number) in ORDER.into_iter().enumerate() {
            self.cpu.segments[number] = Segment { selector: image.selectors[index], ..Segment::default() };
        }
        // A fault before SS is loaded is that of the new task's privilege already.
        self.cpu.segments[SS].attributes = u16::from(rpl(image.selectors[1])) << ATTR_DPL_SHIFT;
        self.load_task_segments(&image, ext)?;
        if image.trap {
            self.debug_hits |= super::debug::DR6_TASK;
        }
        Ok(())
    }

    /// Segments of the new task; faults belong to it (SDM 3A §7.3, step 13).
    fn load_task_segments(&mut self, image: &Image, ext: u32) -> Fallible {
        let ts = |selector: u16| Exception::with_code(vector::TS, code_of(selector) | ext);
        self.cpu.ldtr = Segment { selector: image.ldt, ..Segment::default() };
        if !is_null(image.ldt) {
            let descriptor = self.descriptor(image.ldt & !4, vector::TS, ext)?;
            if image.ldt & 4 != 0 || descriptor.system_type() != Some(2) || !descriptor.is_present() {
                return Err(ts(image.ldt));
            }
            self.cpu.ldtr = descriptor.segment();
        }
        if self.cpu.is_virtual_8086() {
            for (index, number) in ORDER.into_iter().enumerate() {
                self.cpu.segments[number] = virtual_8086(image.selectors[index]);
            }
            return Ok(());
        }
        let code = image.selectors[1];
        let level = rpl(code);
        let stack = image.selectors[2];
        let data = if is_null(stack) { Err(ts(stack)) } else { self.descriptor(stack, vector::TS, ext) }?;
        if !data.is_writable_data() || data.dpl() != level || rpl(stack) != level {
            return Err(ts(stack));
        }
        if !data.is_present() {
            return Err(Exception::stack_fault(code_of(stack) | ext));
        }
        self.cpu.segments[SS] = self.accessed(&data)?;
        self.load_task_code(code, ext)?;
        for (index, number) in [(0, ES), (3, DS), (4, FS), (5, GS)] {
            self.load_task_data(number, image.selectors[index], ext)?;
        }
        Ok(())
    }
    fn load_task_code(&mut self, selector: u16, ext: u32) -> Fallible {
        let ts = Exception::with_code(vector::TS, code_of(selector) | ext);
        if is_null(selector) {
            return Err(ts);
        }
        let descriptor = self.descriptor(selector, vector::TS, ext)?;
        let level_fits = if descriptor.is_conforming() {
            descriptor.dpl() <= rpl(selector)
        } else {
            descriptor.dpl() == rpl(selector)
        };
        if !descriptor.is_code() || !level_fits {
            return Err(ts);
        }
        if !descriptor.is_present() {
            return Err(Exception::with_code(vector::NP, code_of(selector) | ext));
        }
        self.cpu.segments[CS] = self.accessed(&descriptor)?;
        if self.next_rip > u64::from(self.cpu.segments[CS].limit) {
            return Err(Exception::general_protection(ext));
        }
        Ok(())
    }
    fn load_task_data(&mut self, number: usize, selector: u16, ext: u32) -> Fallible {
        if is_null(selector) {
            return Ok(());
        }
        let descriptor = self.descriptor(selector, vector::TS, ext)?;
        let readable = descriptor.has(ATTR_S) && (!descriptor.is_code() || descriptor.has(ATTR_RW));
        let privileged = rpl(selector).max(self.cpu.cpl()) > descriptor.dpl();
        if !readable || (privileged && !descriptor.is_conforming()) {
            return Err(Exception::with_code(vector::TS, code_of(selector) | ext));
        }
        if !descriptor.is_present() {
            return Err(Exception::with_code(vector::NP, code_of(selector) | ext));
        }
        self.cpu.segments[number] = self.accessed(&descriptor)?;
        Ok(())
    }
}
