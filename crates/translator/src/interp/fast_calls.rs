//! SYSCALL, SYSRET, SYSENTER and SYSEXIT as Intel has them (SDM 2B, SDM 3A §5.8.7, §5.8.8).
use x86::control::EFER_SCE;
use x86::reg::{R11, RCX, RDX, RSP};
use x86::segment::{
    ATTR_ACCESSED, ATTR_CODE, ATTR_DB, ATTR_DPL_SHIFT, ATTR_G, ATTR_L, ATTR_P, ATTR_RW, ATTR_S, CS, SS,
    Segment,
};
use x86::{Exception, Gva, flags};

use super::core::{Core, Fallible, gp0};
use super::debug::DR6_SINGLE_STEP;

/// RFLAGS bits that SYSRET takes from R11.
const SYSRET_FLAGS: u64 = 0x3c_7fd7;

fn flat(selector: u16, attributes: u16, level: u8) -> Segment {
    let attributes =
        attributes | ATTR_P | ATTR_S | ATTR_RW | ATTR_ACCESSED | ATTR_G | u16::from(level) << ATTR_DPL_SHIFT;
    Segment { base: 0, limit: 0xffff_ffff, attributes, selector }
}

impl Core<'_> {
    fn load_flat(&mut self, code: u16, stack: u16, level: u8, code_64: bool) {
        let width = if code_64 { ATTR_L } else { ATTR_DB };
        self.cpu.segments[CS] = flat(code, ATTR_CODE | width, level);
        self.cpu.segments[SS] = flat(stack, ATTR_DB, level);
    }
    /// SYSCALL, in 64-bit mode only.
    pub fn syscall(&mut self) -> Fallible {
        if !self.is_64() || self.cpu.efer & EFER_SCE == 0 {
            return Err(Exception::invalid_opcode());
        }
        let rflags = self.cpu.rflags();
        self.cpu.gpr[RCX] = self.next_rip;
        self.cpu.gpr[R11] = rflags;
        self.cpu.set_rflags(rflags & !self.cpu.sfmask & !flags::RF);
        self.suppresses_trap = self.cpu.other_flags & flags::TF == 0;
        let selector = (self.cpu.star >> 32) as u16 & 0xfffc;
        self.load_flat(selector, selector.wrapping_add(8), 0, true);
        self.next_rip = self.cpu.lstar;
        Ok(())
    }
    /// SYSRET to compatibility or 64-bit mode.
    pub fn sysret(&mut self, to_64: bool) -> Fallible {
        if !self.is_64() || self.cpu.efer & EFER_SCE == 0 {
            return Err(Exception::invalid_opcode());
        }
        self.require_ring_0()?;
        let target = self.cpu.gpr[RCX];
        if to_64 && !Gva(target).is_canonical() {
            return Err(gp0());
        }
        self.cpu.set_rflags(self.cpu.gpr[R11] & SYSRET_FLAGS);
        // A TF that it loads traps before the first instruction there, other than IRET's.
        self.suppresses_trap = true;
        if self.cpu.other_flags & flags::TF != 0 {
            self.debug_hits |= DR6_SINGLE_STEP;
        }
        let base = (self.cpu.star >> 48) as u16;
        let code = if to_64 { base.wrapping_add(16) } else { base };
        self.load_flat(code | 3, base.wrapping_add(8) | 3, 3, to_64);
        self.next_rip = if to_64 { target } else { target & 0xffff_ffff };
        Ok(())
    }
    /// SYSENTER.
    pub fn sysenter(&mut self) -> Fallible {
        let selector = self.cpu.sysenter_cs as u16 & 0xfffc;
        if self.cpu.cr0 & x86::control::CR0_PE == 0 || selector == 0 {
            return Err(gp0());
        }
        let long = self.cpu.is_long_mode();
        self.cpu.set_rflags(self.cpu.rflags() & !(flags::VM | flags::IF | flags::RF));
        self.load_flat(selector, selector.wrapping_add(8), 0, long);
        let narrow = if long { u64::MAX } else { 0xffff_ffff };
        self.cpu.gpr[RSP] = self.cpu.sysenter_esp & narrow;
        self.next_rip = self.cpu.sysenter_eip & narrow;
        Ok(())
    }
    /// SYSEXIT to 32-bit or 64-bit code.
    pub fn sysexit(&mut self, to_64: bool) -> Fallible {
        let selector = self.cpu.sysenter_cs as u16 & 0xfffc;
        if !self.cpu.is_protected() || selector == 0 || self.cpu.cpl() != 0 {
            return Err(gp0());
        }
        let (rip, rsp) = (self.cpu.gpr[RDX], self.cpu.gpr[RCX]);
        if to_64 && !(Gva(rip).is_canonical() && Gva(rsp).is_canonical()) {
            return Err(gp0());
        }
        let (code, narrow) = if to_64 { (32, u64::MAX) } else { (16, 0xffff_ffff) };
        let code = selector.wrapping_add(code);
        self.load_flat(code | 3, code.wrapping_add(8) | 3, 3, to_64);
        self.cpu.gpr[RSP] = rsp & narrow;
        self.next_rip = rip & narrow;
        Ok(())
    }
}
