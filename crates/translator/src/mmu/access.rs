//! Memory accesses on behalf of the interpreter, and the filling of look-up entries.
#![expect(unsafe_code, reason = "copies to and from guest RAM, which guest CPUs change meanwhile")]
use super::table::{GLOBAL, Lookup, Ring, empty_tag};
use super::walk::Translation;
use super::{Access, Mmu, Privilege};
use crate::cpu::Cpu;
use platform::CpuIo;
use x86::address::{PAGE_OFFSET, PAGE_SIZE};
use x86::control::CR4_SMAP;
use x86::{Exception, Gpa, Gva};

/// What [`Mmu::fill`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filled {
    /// The access will now hit.
    Entry,
    /// The access is allowed, but must be made one by one: a device, a page with translated code, SMAP.
    OneByOne,
}

impl Mmu {
    /// One access inside one page, or `#PF`. Canonical checks are the caller's.
    pub fn translate(
        &mut self,
        cpu: &Cpu,
        address: Gva,
        access: Access,
        privilege: Privilege,
    ) -> Result<Gpa, Exception> {
        self.learn_window(address, privilege);
        let ring = if privilege == Privilege::User { Ring::User } else { Ring::Supervisor };
        if let Some(entry) = self.entry(ring, address) {
            let hit = match access {
                Access::Read => true,
                Access::Write => entry.can_write(address),
                Access::Execute => false,
            };
            if hit {
                return Ok(Gpa(entry.gpa() | address.page_offset()));
            }
        }
        let translation = self.walk(cpu, address, access, privilege)?;
        if access != Access::Execute && privilege != Privilege::Implicit {
            self.remember(cpu, address, ring, &translation);
        }
        Ok(translation.gpa)
    }

    /// Makes the look-up entry for an access of translated code, or `#PF`.
    pub fn fill(&mut self, cpu: &Cpu, address: Gva, access: Access, ring: Ring) -> Result<Filled, Exception> {
        let privilege = if ring == Ring::User { Privilege::User } else { Privilege::Supervisor };
        let translation = self.walk(cpu, address, access, privilege)?;
        self.remember(cpu, address, ring, &translation);
        Ok(if self.knows(address, access, ring) { Filled::Entry } else { Filled::OneByOne })
    }

    /// Whether translated code finds the page of an address for an access.
    pub fn knows(&mut self, address: Gva, access: Access, ring: Ring) -> bool {
        self.entry(ring, address).is_some_and(|entry| access != Access::Write || entry.can_write(address))
    }

    /// Where the host has bytes that translated code would find, too.
    #[inline]
    pub fn find_host(&mut self, address: Gva, size: u64, access: Access, ring: Ring) -> Option<*mut u8> {
        let table = self.views.lookups(self.current, ring);
        let entry = table.reach(super::table::index(ring, address), address, size, access)?;
        Some((entry.host + address.page_offset()) as *mut u8)
    }

    fn remember(&mut self, cpu: &Cpu, address: Gva, ring: Ring, translation: &Translation) {
        self.counters.walks += 1;
        let page = translation.gpa.frame_start();
        let Some(host) = self.ram.host_address(page, PAGE_SIZE) else { return };
        // With SMAP the right to touch user pages comes and goes with EFLAGS.AC; such pages are never remembered.
        if ring == Ring::Supervisor && translation.user && cpu.is_paging() && cpu.cr4 & CR4_SMAP != 0 {
            return;
        }
        let index = super::table::index(ring, address);
        let tag = address.page_start().0;
        let writable = translation.writable && translation.dirty && !self.ram.watch().is_code(page.frame());
        if writable {
            self.written.note(page.frame());
        }
        let entry = Lookup {
            read: tag,
            write: if writable { tag } else { empty_tag(index) },
            host: host as u64,
            frame: page.0 | if translation.global { GLOBAL } else { 0 },
        };
        self.views.lookups(self.current, ring).insert(index, entry);
        let filled = match ring {
            Ring::User => &mut self.slots[self.current].user,
            Ring::Supervisor if translation.global => &mut self.global,
            Ring::Supervisor => &mut self.local,
        };
        filled.note(index, address, translation.page_shift);
    }

    /// Reads RAM or MMIO, across pages, or faults before anything was read.
    pub fn read(
        &mut self,
        cpu: &Cpu,
        io: &dyn CpuIo,
        address: Gva,
        data: &mut [u8],
        privilege: Privilege,
    ) -> Result<(), Exception> {
        let (first, rest) = self.pieces(cpu, address, data.len(), Access::Read, privilege)?;
        let (head, tail) = data.split_at_mut(rest.map_or(data.len(), |(_, split)| split));
        self.read_physical(io, first, head);
        if let Some((second, _)) = rest {
            self.read_physical(io, second, tail);
        }
        Ok(())
    }

    /// Writes RAM or MMIO, across pages, or faults before anything was written.
    pub fn write(
        &mut self,
        cpu: &Cpu,
        io: &dyn CpuIo,
        address: Gva,
        data: &[u8],
        privilege: Privilege,
    ) -> Result<(), Exception> {
        let (first, rest) = self.pieces(cpu, address, data.len(), Access::Write, privilege)?;
        let (head, tail) = data.split_at(rest.map_or(data.len(), |(_, split)| split));
        self.write_physical(io, first, head);
        if let Some((second, _)) = rest {
            self.write_physical(io, second, tail);
        }
        Ok(())
    }

    /// The host address of `length` bytes that lie in one page of RAM; `None` if they cross a page or are not RAM. For a
    /// write the bytes are recorded as written, so the caller may write them right away.
    pub fn host_range(
        &mut self,
        cpu: &Cpu,
        address: Gva,
        length: usize,
        access: Access,
        privilege: Privilege,
    ) -> Result<Option<*mut u8>, Exception> {
        if address.page_offset() + length as u64 > PAGE_SIZE {
            return Ok(None);
        }
        let gpa = self.translate(cpu, address, access, privilege)?;
        let host = self.ram.host_address(gpa, length as u64);
        if host.is_some() && access == Access::Write {
            self.note_write(gpa, length as u64);
        }
        Ok(host)
    }

    /// The one or two physical pieces of a range; the second with the length of the first.
    fn pieces(
        &mut self,
        cpu: &Cpu,
        address: Gva,
        length: usize,
        access: Access,
        privilege: Privilege,
    ) -> Result<(Gpa, Option<(Gpa, usize)>), Exception> {
        debug_assert!(length as u64 <= PAGE_SIZE);
        let first = self.translate(cpu, address, access, privilege)?;
        let room = (PAGE_SIZE - address.page_offset()) as usize;
        if length <= room {
            return Ok((first, None));
        }
        let mut next = address.0.wrapping_add(room as u64);
        if cpu.mode() != crate::cpu::Mode::Bits64 {
            next &= 0xffff_ffff;
        }
        let second = self.translate(cpu, Gva(next), access, privilege)?;
        Ok((first, Some((second, room))))
    }

    /// Reads guest-physical memory or a device; the range lies in one page.
    pub fn read_physical(&self, io: &dyn CpuIo, address: Gpa, data: &mut [u8]) {
        if let Some(host) = self.ram.host_address(address, data.len() as u64) {
            // SAFETY: the range was just checked; other CPUs may write it at the same time, which can tear values just
            // as on a real machine, and bytes of any value are valid.
            unsafe { copy_from_guest(host, data) };
            return;
        }
        let mut at = address.0;
        for chunk in data.chunks_mut(8) {
            io.mmio_read(Gpa(at), chunk);
            at += chunk.len() as u64;
        }
    }

    /// Writes guest-physical memory or a device; the range lies in one page.
    pub fn write_physical(&mut self, io: &dyn CpuIo, address: Gpa, data: &[u8]) {
        if let Some(host) = self.ram.host_address(address, data.len() as u64) {
            // SAFETY: as in `read_physical`.
            unsafe { copy_to_guest(host, data) };
            self.note_write(address, data.len() as u64);
            return;
        }
        let mut at = address.0;
        for chunk in data.chunks(8) {
            io.mmio_write(Gpa(at), chunk);
            at += chunk.len() as u64;
        }
    }

    fn note_write(&mut self, address: Gpa, length: u64) {
        if self.ram.watch().is_code(address.frame()) {
            debug_assert!((address.0 & PAGE_OFFSET) + length <= PAGE_SIZE);
            self.code_writes.push((address, length));
        }
    }
}

/// # Safety
/// `host` must be valid for reads of `data.len()` bytes.
unsafe fn copy_from_guest(host: *const u8, data: &mut [u8]) {
    // Natural sizes in one access, as the CPU makes them.
    // SAFETY: the caller's promise.
    unsafe {
        match data.len() {
            2 => data.copy_from_slice(&host.cast::<u16>().read_unaligned().to_ne_bytes()),
            4 => data.copy_from_slice(&host.cast::<u32>().read_unaligned().to_ne_bytes()),
            8 => data.copy_from_slice(&host.cast::<u64>().read_unaligned().to_ne_bytes()),
            length => std::ptr::copy_nonoverlapping(host, data.as_mut_ptr(), length),
        }
    }
}

/// # Safety
/// `host` must be valid for writes of `data.len()` bytes.
unsafe fn copy_to_guest(host: *mut u8, data: &[u8]) {
    // SAFETY: the caller's promise.
    unsafe {
        match *data {
            [a, b] => host.cast::<u16>().write_unaligned(u16::from_ne_bytes([a, b])),
            [a, b, c, d] => host.cast::<u32>().write_unaligned(u32::from_ne_bytes([a, b, c, d])),
            [a, b, c, d, e, f, g, h] => {
                host.cast::<u64>().write_unaligned(u64::from_ne_bytes([a, b, c, d, e, f, g, h]));
            }
            _ => std::ptr::copy_nonoverlapping(data.as_ptr(), host, data.len()),
        }
    }
}
