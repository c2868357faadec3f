//! What an instruction works on: the CPU, its memory, its machine, and what this one step has decided so far.
use iced_x86::Register;
use platform::CpuIo;
use x86::{Exception, flags};

use super::host::HostExecution;
use crate::cpu::{Cpu, Mode};
use crate::cpuid::CpuidModel;
use crate::mmu::{Mmu, Privilege};

/// What executing a part of an instruction returns.
pub(super) type Fallible<T = ()> = Result<T, Exception>;

/// One instruction, or one event delivery, in the making. Nothing is committed to [`Cpu::rip`] before the end.
pub(super) struct Core<'a> {
    pub cpu: &'a mut Cpu,
    pub mmu: &'a mut Mmu,
    pub io: &'a dyn CpuIo,
    pub model: &'a CpuidModel,
    pub host: &'a mut HostExecution,
    /// The TSC offset that the machine set up; its timers count with it.
    pub machine_tsc_offset: u64,
    /// Where the CPU goes on after this instruction.
    pub next_rip: u64,
    /// The instruction loaded RFLAGS.RF itself (IRET, task switch).
    pub keeps_resume_flag: bool,
    /// No single-step trap follows (INT n, SYSCALL: delivery and masking take TF away).
    pub suppresses_trap: bool,
    /// HLT was executed.
    pub halts: bool,
    /// DR6 bits of breakpoints that this instruction met.
    pub debug_hits: u64,
}

impl Core<'_> {
    /// Whether the CPU is in 64-bit mode.
    pub fn is_64(&self) -> bool {
        self.cpu.mode() == Mode::Bits64
    }
    /// The privilege of explicit accesses.
    pub fn privilege(&self) -> Privilege {
        Privilege::of_cpl(self.cpu.cpl())
    }
    /// A general-purpose or segment register's value, zero-extended; any other register reads as zero.
    pub fn register(&self, register: Register) -> u64 {
        let Some((number, size, high)) = place(register) else {
            return segment_number(register).map_or(0, |n| u64::from(self.cpu.segments[n].selector));
        };
        let value = self.cpu.gpr[number];
        if high { (value >> 8) & 0xff } else { value & mask(size) }
    }
    /// Writes a general-purpose register as instructions do: 32-bit writes clear the upper half, shorter ones keep the rest.
    pub fn set_register(&mut self, register: Register, value: u64) {
        let Some((number, size, high)) = place(register) else { return };
        let old = &mut self.cpu.gpr[number];
        *old = match (size, high) {
            (1, true) => (*old & !0xff00) | (value & 0xff) << 8,
            (1, false) => (*old & !0xff) | (value & 0xff),
            (2, _) => (*old & !0xffff) | (value & 0xffff),
            (4, _) => value & 0xffff_ffff,
            _ => value,
        };
    }
    /// A general-purpose register by number and width in bytes (2, 4 or 8), zero-extended.
    pub fn gpr(&self, number: usize, size: usize) -> u64 {
        self.cpu.gpr[number & 15] & mask(size)
    }
    /// Writes a general-purpose register by number and width in bytes (2, 4 or 8).
    pub fn set_gpr(&mut self, number: usize, size: usize, value: u64) {
        let old = &mut self.cpu.gpr[number & 15];
        *old = match size {
            2 => (*old & !0xffff) | (value & 0xffff),
            4 => value & 0xffff_ffff,
            _ => value,
        };
    }
    /// Writes an address-sized register of a string instruction or stack pointer: outside 64-bit mode the bits above the
    /// size stay as they are.
    pub fn set_pointer(&mut self, number: usize, size: usize, value: u64) {
        self.set_gpr(number, size, value);
    }
    /// The status flags.
    pub fn status(&self) -> u64 {
        self.cpu.status_flags
    }
    /// Sets or clears status flags.
    pub fn set_status(&mut self, which: u64, on: bool) {
        if on {
            self.cpu.status_flags |= which & flags::STATUS;
        } else {
            self.cpu.status_flags &= !which;
        }
    }
    /// RFLAGS.IOPL.
    pub fn iopl(&self) -> u8 {
        ((self.cpu.other_flags & flags::IOPL) >> flags::IOPL_SHIFT) as u8
    }
    /// `#GP(0)` unless the CPL is 0.
    pub fn require_ring_0(&self) -> Fallible {
        if self.cpu.cpl() == 0 { Ok(()) } else { Err(Exception::general_protection(0)) }
    }
    /// `#UD` unless in protected mode, V86 not included.
    pub fn require_protected(&self) -> Fallible {
        if self.cpu.is_protected() { Ok(()) } else { Err(Exception::invalid_opcode()) }
    }
}

/// All ones in `size` bytes.
pub(super) const fn mask(size: usize) -> u64 {
    if size >= 8 { u64::MAX } else { (1 << (8 * size)) - 1 }
}

/// Sign-extends a value of `size` bytes.
pub(super) const fn sign_extend(value: u64, size: usize) -> u64 {
    match size {
        1 => value as i8 as u64,
        2 => value as i16 as u64,
        4 => value as i32 as u64,
        _ => value,
    }
}

/// `#GP(0)`.
pub(super) const fn gp0() -> Exception {
    Exception::general_protection(0)
}

/// Number, width in bytes, and whether it is one of AH, CH, DH, BH.
pub(super) fn place(register: Register) -> Option<(usize, usize, bool)> {
    let value = register as usize;
    let within = |first: Register, last: Register| (first as usize..=last as usize).contains(&value);
    if within(Register::RAX, Register::R15) {
        Some((value - Register::RAX as usize, 8, false))
    } else if within(Register::EAX, Register::R15D) {
        Some((value - Register::EAX as usize, 4, false))
    } else if within(Register::AX, Register::R15W) {
        Some((value - Register::AX as usize, 2, false))
    } else if within(Register::AH, Register::BH) {
        Some((value - Register::AH as usize, 1, true))
    } else if within(Register::AL, Register::BL) {
        Some((value - Register::AL as usize, 1, false))
    } else if within(Register::SPL, Register::R15L) {
        Some((value - Register::SPL as usize + 4, 1, false))
    } else {
        None
    }
}

/// The number of a segment register.
pub(super) fn segment_number(register: Register) -> Option<usize> {
    let value = register as usize;
    (Register::ES as usize..=Register::GS as usize).contains(&value).then(|| value - Register::ES as usize)
}
