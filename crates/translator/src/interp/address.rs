//! From segment and offset to linear addresses, with all the checks of segmentation (SDM 3A §5.3, §5.5), and memory
//! accesses through them.
use x86::control::CR0_AM;
use x86::exception::vector;
use x86::segment::{ATTR_CODE, ATTR_DC, ATTR_RW, FS, GS, SS, Segment};
use x86::{Exception, Gva, flags};

use super::core::{Core, Fallible};
use crate::mmu::{Access, Privilege};

impl Core<'_> {
    /// The linear address of `length` bytes in a segment, or `#GP(0)`/`#SS(0)`; notes data breakpoints.
    pub fn linear(&mut self, segment: usize, offset: u64, length: u64, access: Access) -> Fallible<Gva> {
        let address = if self.is_64() {
            let base = if segment == FS || segment == GS { self.cpu.segments[segment].base } else { 0 };
            canonical_range(base.wrapping_add(offset), length, segment == SS)?
        } else {
            let cached = self.cpu.segments[segment];
            self.linear_in(&cached, segment == SS, offset, length, access)?
        };
        if self.cpu.dr[7] & 0xff != 0 && access != Access::Execute {
            self.note_data_breakpoints(address, length, access);
        }
        Ok(address)
    }

    /// As [`Core::linear`], for legacy segmentation and a segment that need not be loaded.
    pub fn linear_in(
        &self,
        segment: &Segment,
        is_stack: bool,
        offset: u64,
        length: u64,
        access: Access,
    ) -> Fallible<Gva> {
        let fault = if is_stack { Exception::stack_fault(0) } else { Exception::general_protection(0) };
        if self.cpu.is_protected() && !type_allows(segment, access) {
            return Err(fault);
        }
        let last = offset.checked_add(length.saturating_sub(1)).ok_or(fault)?;
        let limit = u64::from(segment.limit);
        let expands_down = segment.attributes & (ATTR_CODE | ATTR_DC) == ATTR_DC && self.cpu.is_protected();
        let inside = if expands_down {
            let top = if segment.is_32() { 0xffff_ffff } else { 0xffff };
            offset > limit && last <= top
        } else {
            last <= limit
        };
        if !inside {
            return Err(fault);
        }
        Ok(Gva(segment.base.wrapping_add(offset) & 0xffff_ffff))
    }

    /// `#AC(0)` for a misaligned access of user code that asked for it (SDM 3A §6.15, interrupt 17).
    pub fn check_alignment(&self, address: Gva, size: usize) -> Fallible {
        let checked =
            self.cpu.other_flags & flags::AC != 0 && self.cpu.cr0 & CR0_AM != 0 && self.cpu.cpl() == 3;
        if checked && size.is_power_of_two() && size <= 8 && !address.0.is_multiple_of(size as u64) {
            return Err(Exception::with_code(vector::AC, 0));
        }
        Ok(())
    }

    /// Reads bytes of a segment with the privilege of the running code.
    pub fn read_bytes(&mut self, segment: usize, offset: u64, data: &mut [u8]) -> Fallible {
        let address = self.linear(segment, offset, data.len() as u64, Access::Read)?;
        self.check_alignment(address, data.len())?;
        self.mmu.read(self.cpu, self.io, address, data, Privilege::of_cpl(self.cpu.cpl()))
    }
    /// Writes bytes of a segment with the privilege of the running code.
    pub fn write_bytes(&mut self, segment: usize, offset: u64, data: &[u8]) -> Fallible {
        let address = self.linear(segment, offset, data.len() as u64, Access::Write)?;
        self.check_alignment(address, data.len())?;
        self.mmu.write(self.cpu, self.io, address, data, Privilege::of_cpl(self.cpu.cpl()))
    }
    /// Reads a little-endian number of `size` (at most 8) bytes.
    pub fn read_number(&mut self, segment: usize, offset: u64, size: usize) -> Fallible<u64> {
        let mut data = [0; 8];
        self.read_bytes(segment, offset, &mut data[..size.min(8)])?;
        Ok(u64::from_le_bytes(data))
    }
    /// Writes a little-endian number of `size` (at most 8) bytes.
    pub fn write_number(&mut self, segment: usize, offset: u64, size: usize, value: u64) -> Fallible {
        self.write_bytes(segment, offset, &value.to_le_bytes()[..size.min(8)])
    }
    /// Checks that a range may be written, without writing: for instructions that read first and write later.
    pub fn probe_write(&mut self, segment: usize, offset: u64, size: usize) -> Fallible {
        let address = self.linear(segment, offset, size as u64, Access::Write)?;
        self.probe_linear(address, size, Access::Write, self.privilege())
    }
    /// Checks an access to linear memory, both pages of it, without making it.
    pub fn probe_linear(
        &mut self,
        address: Gva,
        size: usize,
        access: Access,
        privilege: Privilege,
    ) -> Fallible {
        self.mmu.translate(self.cpu, address, access, privilege)?;
        let wrap = if self.is_64() { u64::MAX } else { 0xffff_ffff };
        let last = Gva(address.0.wrapping_add(size as u64 - 1) & wrap);
        if last.page_start() != address.page_start() {
            self.mmu.translate(self.cpu, last.page_start(), access, privilege)?;
        }
        Ok(())
    }

    /// Reads a number from a system table (GDT, LDT, IDT, TSS): an implicit supervisor access.
    pub fn read_system(&mut self, address: Gva, size: usize) -> Fallible<u64> {
        let mut data = [0; 8];
        self.mmu.read(self.cpu, self.io, address, &mut data[..size.min(8)], Privilege::Implicit)?;
        Ok(u64::from_le_bytes(data))
    }
    /// Writes a number to a system table.
    pub fn write_system(&mut self, address: Gva, size: usize, value: u64) -> Fallible {
        self.mmu.write(self.cpu, self.io, address, &value.to_le_bytes()[..size.min(8)], Privilege::Implicit)
    }
}

/// Both ends of a range are canonical, or `#SS(0)` for the stack and `#GP(0)` for all else (SDM 1 §3.3.7.1).
pub(super) fn canonical_range(address: u64, length: u64, is_stack: bool) -> Fallible<Gva> {
    let last = address.wrapping_add(length.saturating_sub(1));
    if Gva(address).is_canonical() && Gva(last).is_canonical() {
        Ok(Gva(address))
    } else if is_stack {
        Err(Exception::stack_fault(0))
    } else {
        Err(Exception::general_protection(0))
    }
}

fn type_allows(segment: &Segment, access: Access) -> bool {
    let is_code = segment.attributes & ATTR_CODE != 0;
    let rw = segment.attributes & ATTR_RW != 0;
    segment.is_present()
        && match access {
            Access::Read => !is_code || rw,
            Access::Write => !is_code && rw,
            Access::Execute => true,
        }
}
