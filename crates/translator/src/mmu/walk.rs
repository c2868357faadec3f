//! Page walks for every paging mode, with accessed and dirty bits (SDM 3A chapter 4).
#![expect(unsafe_code, reason = "page-table entries are updated with atomic operations in guest RAM")]
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use super::{Access, Mmu, Privilege};
use crate::cpu::Cpu;
use x86::control::{CR0_WP, CR4_PAE, CR4_PSE, CR4_SMAP, CR4_SMEP, EFER_NXE};
use x86::flags;
use x86::paging::*;
use x86::{Exception, Gpa, Gva};

/// Where a linear address leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Translation {
    /// The physical address of the very byte.
    pub gpa: Gpa,
    /// log2 of the size of the page: 12, 21, 22 or 30 (32 without paging).
    pub page_shift: u32,
    /// Writes are allowed for the privilege that asked.
    pub writable: bool,
    /// Every level allows user mode.
    pub user: bool,
    /// Instruction fetches are allowed by NX.
    pub executable: bool,
    /// The mapping is global.
    pub global: bool,
    /// The dirty bit is set by now.
    pub dirty: bool,
}

/// The formats of page-table entries.
#[derive(Clone, Copy)]
enum Format {
    /// Two levels of 32-bit entries.
    Legacy,
    /// Three levels of 64-bit entries.
    Pae,
    /// Four levels of 64-bit entries.
    Long,
}

struct Walk<'a> {
    mmu: &'a Mmu,
    cpu: &'a Cpu,
    address: Gva,
    access: Access,
    privilege: Privilege,
    format: Format,
}

impl Mmu {
    /// Walks the page tables for one access; sets accessed and dirty bits; `#PF` if it is not allowed.
    pub fn walk(
        &self,
        cpu: &Cpu,
        address: Gva,
        access: Access,
        privilege: Privilege,
    ) -> Result<Translation, Exception> {
        if !cpu.is_paging() {
            return Ok(Translation {
                gpa: Gpa(address.0 & 0xffff_ffff),
                page_shift: 32,
                writable: true,
                user: true,
                executable: true,
                global: false,
                dirty: true,
            });
        }
        let format = if cpu.is_long_mode() {
            Format::Long
        } else if cpu.cr4 & CR4_PAE != 0 {
            Format::Pae
        } else {
            Format::Legacy
        };
        Walk { mmu: self, cpu, address, access, privilege, format }.run()
    }
}

/// What the levels above agree on.
struct Rights {
    writable: bool,
    user: bool,
    no_execute: bool,
}

impl Walk<'_> {
    fn run(&self) -> Result<Translation, Exception> {
        loop {
            if let Some(translation) = self.once()? {
                return Ok(translation);
            }
        }
    }

    /// One attempt; `None` if another CPU changed an entry between the look at it and its accessed and dirty bits.
    fn once(&self) -> Result<Option<Translation>, Exception> {
        let (mut table, mut shift) = match self.format {
            Format::Long => (self.cpu.cr3 & PTE_ADDRESS, 39),
            Format::Pae => (self.cpu.cr3 & 0xffff_ffe0, 30),
            Format::Legacy => (self.cpu.cr3 & 0xffff_f000, 22),
        };
        let mut rights = Rights { writable: true, user: true, no_execute: false };
        loop {
            let place = Gpa(table + self.entry_index(shift) * self.entry_bytes());
            let entry = self.load(place).ok_or_else(|| self.fault(0))?;
            if entry & PTE_P == 0 {
                return Err(self.fault(0));
            }
            let leaf = shift == 12 || self.is_large(entry, shift);
            if entry & self.reserved(shift, leaf) != 0 {
                return Err(self.fault(PF_PRESENT | PF_RESERVED));
            }
            let is_pdpte = matches!(self.format, Format::Pae) && shift == 30;
            if !is_pdpte {
                rights.writable &= entry & PTE_W != 0;
                rights.user &= entry & PTE_U != 0;
                rights.no_execute |= entry & PTE_NX != 0;
            }
            if leaf {
                return self.finish(place, entry, shift, &rights);
            }
            if !is_pdpte && !self.set_bits(place, entry, PTE_A) {
                return Ok(None);
            }
            table = entry & PTE_ADDRESS;
            shift = match (self.format, shift) {
                (Format::Legacy, _) => 12,
                (_, shift) => shift - 9,
            };
        }
    }

    fn finish(
        &self,
        place: Gpa,
        entry: u64,
        shift: u32,
        rights: &Rights,
    ) -> Result<Option<Translation>, Exception> {
        let supervisor = self.privilege != Privilege::User;
        let write_protect = self.cpu.cr0 & CR0_WP != 0;
        let writable = rights.writable || (supervisor && !write_protect);
        self.check(rights, writable, supervisor)?;
        let dirty = self.access == Access::Write || entry & PTE_D != 0;
        let bits = if self.access == Access::Write { PTE_A | PTE_D } else { PTE_A };
        if !self.set_bits(place, entry, bits) {
            return Ok(None);
        }
        let offset_mask = (1_u64 << shift) - 1;
        let frame = match (self.format, shift) {
            // PSE-36 (SDM 3A table 4-4): bits 20:13 are bits 39:32 of the frame.
            (Format::Legacy, 22) => (entry & 0xffc0_0000) | ((entry >> 13) & 0xff) << 32,
            _ => entry & PTE_ADDRESS & !offset_mask,
        };
        Ok(Some(Translation {
            gpa: Gpa(frame | (self.address.0 & offset_mask)),
            page_shift: shift,
            writable,
            user: rights.user,
            executable: !rights.no_execute,
            global: entry & PTE_G != 0 && self.cpu.cr4 & x86::control::CR4_PGE != 0,
            dirty,
        }))
    }

    /// Access rights (SDM 3A §4.6.1).
    fn check(&self, rights: &Rights, writable: bool, supervisor: bool) -> Result<(), Exception> {
        let user_page_from_supervisor = rights.user && supervisor;
        let smap_applies = self.cpu.cr4 & CR4_SMAP != 0
            && user_page_from_supervisor
            && (self.privilege == Privilege::Implicit || self.cpu.other_flags & flags::AC == 0);
        let allowed = match self.access {
            _ if !supervisor && !rights.user => false,
            Access::Read => !smap_applies,
            Access::Write => writable && !smap_applies,
            Access::Execute => {
                let smep = self.cpu.cr4 & CR4_SMEP != 0 && user_page_from_supervisor;
                !smep && !rights.no_execute
            }
        };
        if allowed { Ok(()) } else { Err(self.fault(PF_PRESENT)) }
    }

    fn entry_index(&self, shift: u32) -> u64 {
        match self.format {
            Format::Legacy => (self.address.0 >> shift) & 0x3ff,
            Format::Pae if shift == 30 => (self.address.0 >> 30) & 3,
            _ => (self.address.0 >> shift) & 0x1ff,
        }
    }

    fn entry_bytes(&self) -> u64 {
        if matches!(self.format, Format::Legacy) { 4 } else { 8 }
    }

    fn is_large(&self, entry: u64, shift: u32) -> bool {
        let allowed = match self.format {
            Format::Long => shift == 21 || shift == 30,
            Format::Pae => shift == 21,
            Format::Legacy => shift == 22 && self.cpu.cr4 & CR4_PSE != 0,
        };
        allowed && entry & PTE_PS != 0
    }

    /// The bits of an entry that must be zero (SDM 3A tables 4-4 to 4-20).
    fn reserved(&self, shift: u32, leaf: bool) -> u64 {
        if matches!(self.format, Format::Legacy) {
            return if leaf && shift == 22 { 1 << 21 } else { 0 };
        }
        let beyond = PTE_ADDRESS & !((1_u64 << self.mmu.physical_bits) - 1);
        let mut reserved = beyond;
        if self.cpu.efer & EFER_NXE == 0 {
            reserved |= PTE_NX;
        }
        if matches!(self.format, Format::Pae) {
            if shift == 30 {
                return beyond | PTE_NX | 0x1e6;
            }
            reserved |= 0x7ff0_0000_0000_0000;
        }
        if leaf && shift > 12 {
            reserved |= ((1_u64 << shift) - 1) & !0x1fff; // bit 12 is PAT
        }
        if shift == 39 {
            reserved |= PTE_PS;
        }
        reserved
    }

    fn load(&self, place: Gpa) -> Option<u64> {
        let host = self.mmu.ram.host_address(place, self.entry_bytes())?;
        // SAFETY: `host_address` checked the range; entries are naturally aligned because tables are; guest CPUs and
        // devices may change them at any time, hence the atomic load.
        Some(unsafe {
            match self.format {
                Format::Legacy => u64::from((*host.cast::<AtomicU32>()).load(Ordering::Acquire)),
                _ => (*host.cast::<AtomicU64>()).load(Ordering::Acquire),
            }
        })
    }

    /// Sets bits of an entry if it still is as it was read: an entry that another CPU has taken away meanwhile must not
    /// get bits that its owner does not expect. Whether it was.
    fn set_bits(&self, place: Gpa, entry: u64, bits: u64) -> bool {
        if entry & bits == bits {
            return true;
        }
        let Some(host) = self.mmu.ram.host_address(place, self.entry_bytes()) else { return true };
        let (acquire, relaxed) = (Ordering::AcqRel, Ordering::Relaxed);
        // SAFETY: as in `load`.
        unsafe {
            match self.format {
                Format::Legacy => {
                    let (old, new) = (entry as u32, (entry | bits) as u32);
                    (*host.cast::<AtomicU32>()).compare_exchange(old, new, acquire, relaxed).is_ok()
                }
                _ => {
                    let cell = &*host.cast::<AtomicU64>();
                    cell.compare_exchange(entry, entry | bits, acquire, relaxed).is_ok()
                }
            }
        }
    }

    fn fault(&self, code: u32) -> Exception {
        let mut code = code;
        if self.access == Access::Write {
            code |= PF_WRITE;
        }
        if self.privilege == Privilege::User {
            code |= PF_USER;
        }
        let knows_nx = self.cpu.efer & EFER_NXE != 0 && !matches!(self.format, Format::Legacy);
        let tells_fetches = knows_nx || self.cpu.cr4 & CR4_SMEP != 0;
        if self.access == Access::Execute && tells_fetches {
            code |= PF_FETCH;
        }
        Exception::page_fault(self.address, code)
    }
}
