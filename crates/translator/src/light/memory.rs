//! Registers and memory operands. Memory is reached as translated code reaches it by look-up.
#![expect(unsafe_code, reason = "accesses guest RAM where it lies")]
use std::sync::atomic::{Ordering, compiler_fence};

use super::code::{Code, Operand};
use super::{Light, NotServed, Served};
use crate::mmu::Access;
use crate::mmu::access::Filled;
use x86::Gva;
use x86::reg::RSP;

/// Where an operand is that will be written.
#[derive(Clone, Copy)]
pub(super) enum Place {
    /// A register by number.
    Register(usize),
    /// Guest RAM, where the host has it.
    Memory(*mut u8),
}

impl Light<'_> {
    /// A register's value, zero-extended.
    #[inline(always)]
    pub(super) fn get(&self, register: usize, size: u64, code: &Code) -> u64 {
        match size {
            1 if code.has_high_bytes() && register >= 4 => self.cpu.gpr[register - 4] >> 8 & 0xff,
            8 => self.cpu.gpr[register],
            _ => self.cpu.gpr[register] & ((1 << (8 * size)) - 1),
        }
    }

    /// Writes a register as instructions do: 32-bit writes clear the upper half, shorter ones keep the rest.
    #[inline(always)]
    pub(super) fn set(&mut self, register: usize, size: u64, value: u64, code: &Code) {
        let gpr = &mut self.cpu.gpr;
        match size {
            8 => gpr[register] = value,
            4 => gpr[register] = value & 0xffff_ffff,
            2 => gpr[register] = gpr[register] & !0xffff | value & 0xffff,
            _ if code.has_high_bytes() && register >= 4 => {
                gpr[register - 4] = gpr[register - 4] & !0xff00 | (value & 0xff) << 8;
            }
            _ => gpr[register] = gpr[register] & !0xff | value & 0xff,
        }
    }

    /// An operand's value, zero-extended.
    #[inline(always)]
    pub(super) fn read(&mut self, operand: Operand, size: u64, code: &Code) -> Served<u64> {
        match operand {
            Operand::Register(register) => Ok(self.get(register, size, code)),
            Operand::Memory(address) => self.load(address, size),
        }
    }

    /// Writes an operand.
    #[inline(always)]
    pub(super) fn write(&mut self, operand: Operand, size: u64, value: u64, code: &Code) -> Served {
        let place = self.place_of(operand, size)?;
        self.write_place(place, size, value, code);
        Ok(())
    }

    /// Where an operand is, which may be written.
    #[inline(always)]
    pub(super) fn place_of(&mut self, operand: Operand, size: u64) -> Served<Place> {
        Ok(match operand {
            Operand::Register(register) => Place::Register(register),
            Operand::Memory(address) => Place::Memory(self.host(address, size, Access::Write)?),
        })
    }

    #[inline(always)]
    pub(super) fn read_place(&self, place: Place, size: u64, code: &Code) -> u64 {
        match place {
            Place::Register(register) => self.get(register, size, code),
            Place::Memory(host) => load(host, size),
        }
    }

    #[inline(always)]
    pub(super) fn write_place(&mut self, place: Place, size: u64, value: u64, code: &Code) {
        match place {
            Place::Register(register) => self.set(register, size, value, code),
            Place::Memory(host) => store(host, size, value),
        }
    }

    /// Memory at a linear address.
    #[inline(always)]
    pub(super) fn load(&mut self, address: u64, size: u64) -> Served<u64> {
        Ok(load(self.host(address, size, Access::Read)?, size))
    }

    /// Pushes eight bytes.
    pub(super) fn push(&mut self, value: u64) -> Served {
        let stack = self.cpu.gpr[RSP].wrapping_sub(8);
        store(self.host(stack, 8, Access::Write)?, 8, value);
        self.cpu.gpr[RSP] = stack;
        Ok(())
    }

    /// Pops eight bytes.
    pub(super) fn pop(&mut self) -> Served<u64> {
        let stack = self.cpu.gpr[RSP];
        let value = self.load(stack, 8)?;
        self.cpu.gpr[RSP] = stack.wrapping_add(8);
        Ok(value)
    }

    /// Where the host has bytes of one page of RAM that may be accessed like this.
    #[inline(always)]
    fn host(&mut self, address: u64, size: u64, access: Access) -> Served<*mut u8> {
        if let Some(host) = self.mmu.find_host(Gva(address), size, access, self.ring) {
            return Ok(host);
        }
        self.fill(Gva(address), size, access)
    }

    #[cold]
    fn fill(&mut self, address: Gva, size: u64, access: Access) -> Served<*mut u8> {
        if !address.is_canonical() || !Gva(address.0.wrapping_add(size - 1)).is_canonical() {
            return Err(NotServed);
        }
        match self.mmu.fill(self.cpu, address, access, self.ring) {
            Ok(Filled::Entry) => self.mmu.find_host(address, size, access, self.ring).ok_or(NotServed),
            Ok(Filled::OneByOne) | Err(_) => Err(NotServed),
        }
    }
}

/// Natural sizes in one access, as the CPU makes them, and in the program's order, which the host keeps as the guest's CPU
/// would.
#[inline(always)]
fn load(host: *mut u8, size: u64) -> u64 {
    compiler_fence(Ordering::SeqCst);
    // SAFETY: [`Light::host`] found so many bytes of guest RAM there; other CPUs may write them meanwhile, and any value is
    // valid.
    unsafe {
        match size {
            1 => u64::from(host.read_unaligned()),
            2 => u64::from(host.cast::<u16>().read_unaligned()),
            4 => u64::from(host.cast::<u32>().read_unaligned()),
            _ => host.cast::<u64>().read_unaligned(),
        }
    }
}

#[inline(always)]
fn store(host: *mut u8, size: u64, value: u64) {
    // SAFETY: as for `load`.
    unsafe {
        match size {
            1 => host.write_unaligned(value as u8),
            2 => host.cast::<u16>().write_unaligned(value as u16),
            4 => host.cast::<u32>().write_unaligned(value as u32),
            _ => host.cast::<u64>().write_unaligned(value),
        }
    }
    compiler_fence(Ordering::SeqCst);
}
