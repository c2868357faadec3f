//! Guest RAM: one memfd, mapped so that a host address is a constant plus the guest-physical address.
#![expect(unsafe_code, reason = "maps guest memory and hands out raw views of it")]
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::sync::Arc;

use vm_memory::bitmap::Bitmap;
use vm_memory::mmap::MmapRegionBuilder;
use vm_memory::{GuestAddress, GuestMemoryMmap, GuestRegionMmap};
use x86::Gpa;
use x86::address::PAGE_SIZE;

mod marks;
pub mod watch;
mod words;

pub use watch::CodeWatch;

/// Where the hole for devices below 4 GiB begins: RAM beyond it continues at [`HIGH_RAM_START`].
pub const LOW_RAM_LIMIT: u64 = 0xc000_0000;
/// Where RAM goes on above the hole.
pub const HIGH_RAM_START: u64 = 0x1_0000_0000;

/// Which guest-physical ranges are RAM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RamLayout {
    /// Bytes from address 0.
    pub low: u64,
    /// Bytes from [`HIGH_RAM_START`].
    pub high: u64,
}

impl RamLayout {
    /// Splits `size` bytes around the hole.
    pub const fn of_size(size: u64) -> Self {
        if size > LOW_RAM_LIMIT {
            Self { low: LOW_RAM_LIMIT, high: size - LOW_RAM_LIMIT }
        } else {
            Self { low: size, high: 0 }
        }
    }
    /// Whether `length` bytes at `address` are all RAM.
    pub const fn contains(&self, address: Gpa, length: u64) -> bool {
        let Some(end) = address.0.checked_add(length) else { return false };
        end <= self.low || (address.0 >= HIGH_RAM_START && end <= HIGH_RAM_START + self.high)
    }
    /// One past the last byte of RAM.
    pub const fn end(&self) -> u64 {
        if self.high > 0 { HIGH_RAM_START + self.high } else { self.low }
    }
}

/// Guest RAM could not be had.
#[derive(Debug, thiserror::Error)]
pub enum RamError {
    /// The size makes no machine.
    #[error("{0} bytes of guest RAM are not a whole, positive number of 4 KiB pages")]
    Size(u64),
    /// The host refused.
    #[error("the host refused {size} bytes of guest RAM")]
    Host {
        /// What was asked for.
        size: u64,
        /// The host's reason.
        source: std::io::Error,
    },
}

/// The type by which loaders see guest RAM; it is what `linux-loader` takes.
pub type Memory = GuestMemoryMmap<CodeWatch>;

/// A machine's RAM. Cheap to clone; the mapping lives as long as any clone.
#[derive(Clone)]
pub struct GuestRam {
    mapping: Arc<Mapping>,
    memory: Arc<Memory>,
    layout: RamLayout,
    watch: CodeWatch,
}

struct Mapping {
    base: *mut u8,
    span: usize,
    /// Keeps the memory alive and can be passed to other processes.
    memfd: OwnedFd,
}

// SAFETY: the mapping is plain shared memory; every access goes through raw pointers or volatile views.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: base and span are those of the mapping made in `Mapping::new`, and nobody holds a clone any more.
        unsafe { libc::munmap(self.base.cast(), self.span) };
    }
}

impl Mapping {
    fn new(layout: RamLayout) -> std::io::Result<Self> {
        let total = (layout.low + layout.high) as libc::off_t;
        // SAFETY: the name is a C string; the result is checked.
        let fd = unsafe { libc::memfd_create(c"guest-ram".as_ptr(), libc::MFD_CLOEXEC) };
        if fd < 0 {
            return Err(std::io::Error::last_os_error());
        }
        // SAFETY: fd was just created and is owned by nobody else.
        let memfd = unsafe { OwnedFd::from_raw_fd(fd) };
        // SAFETY: plain system call on our own descriptor.
        if unsafe { libc::ftruncate(memfd.as_raw_fd(), total) } < 0 {
            return Err(std::io::Error::last_os_error());
        }
        let span = layout.end() as usize;
        // SAFETY: reserves fresh address space of our own choosing by the kernel.
        let base = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                span,
                libc::PROT_NONE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
                -1,
                0,
            )
        };
        if base == libc::MAP_FAILED {
            return Err(std::io::Error::last_os_error());
        }
        let mapping = Self { base: base.cast(), span, memfd };
        mapping.place(0, layout.low, 0)?;
        if layout.high > 0 {
            mapping.place(HIGH_RAM_START, layout.high, layout.low)?;
        }
        Ok(mapping)
    }

    fn place(&self, gpa: u64, length: u64, file_offset: u64) -> std::io::Result<()> {
        // SAFETY: the target range lies inside our own reservation.
        let placed = unsafe {
            libc::mmap(
                self.base.add(gpa as usize).cast(),
                length as usize,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED | libc::MAP_FIXED | libc::MAP_NORESERVE,
                self.memfd.as_raw_fd(),
                file_offset as libc::off_t,
            )
        };
        if placed == libc::MAP_FAILED { Err(std::io::Error::last_os_error()) } else { Ok(()) }
    }

    /// Makes a hole in the memfd: its pages read as zero from now on.
    fn discard(&self, gpa: u64, length: u64) -> std::io::Result<()> {
        // SAFETY: the range was mapped by `Mapping::place`; its content may change at any time for everybody, as all
        // accesses to guest RAM expect.
        let done =
            unsafe { libc::madvise(self.base.add(gpa as usize).cast(), length as usize, libc::MADV_REMOVE) };
        if done == 0 { Ok(()) } else { Err(std::io::Error::last_os_error()) }
    }
}

impl GuestRam {
    /// `size` bytes of zeroed RAM, a multiple of 4 KiB, split around the hole below 4 GiB.
    pub fn new(size: u64) -> Result<Self, RamError> {
        if size == 0 || !size.is_multiple_of(PAGE_SIZE) {
            return Err(RamError::Size(size));
        }
        let layout = RamLayout::of_size(size);
        let mapping = Mapping::new(layout).map_err(|source| RamError::Host { size, source })?;
        let watch = CodeWatch::new(layout.end());
        let mut regions = vec![region(&mapping, &watch, 0, layout.low)?];
        if layout.high > 0 {
            regions.push(region(&mapping, &watch, HIGH_RAM_START, layout.high)?);
        }
        let memory = Memory::from_regions(regions)
            .map_err(|error| RamError::Host { size, source: std::io::Error::other(error) })?;
        Ok(Self { mapping: Arc::new(mapping), memory: Arc::new(memory), layout, watch })
    }

    /// Which addresses are RAM.
    pub fn layout(&self) -> RamLayout {
        self.layout
    }
    /// The view for devices and loaders; writes through it are seen by [`CodeWatch`].
    pub fn memory(&self) -> &Memory {
        &self.memory
    }
    /// The frames that hold translated code.
    pub fn watch(&self) -> &CodeWatch {
        &self.watch
    }
    /// The host address of guest-physical address 0; add a guest-physical address to get its byte. Valid while any
    /// clone of this RAM lives. Addresses outside [`GuestRam::layout`] are not accessible.
    pub fn host_base(&self) -> *mut u8 {
        self.mapping.base
    }
    /// The host address of `length` bytes at `address`, or `None` if they are not all RAM.
    pub fn host_address(&self, address: Gpa, length: u64) -> Option<*mut u8> {
        // SAFETY: the range was just checked to lie inside the mapping.
        self.layout.contains(address, length).then(|| unsafe { self.mapping.base.add(address.0 as usize) })
    }
    /// The file that RAM is: whoever maps a part of it elsewhere sees the same bytes.
    pub fn file(&self) -> BorrowedFd<'_> {
        self.mapping.memfd.as_fd()
    }
    /// Where in [`GuestRam::file`] `length` bytes at `address` lie; `None` if they are not all RAM.
    pub fn file_offset(&self, address: Gpa, length: u64) -> Option<u64> {
        let hole = if address.0 >= HIGH_RAM_START { HIGH_RAM_START - self.layout.low } else { 0 };
        self.layout.contains(address, length).then_some(address.0 - hole)
    }
    /// Copies bytes out of RAM; `None` if the range is not all RAM.
    pub fn read(&self, address: Gpa, data: &mut [u8]) -> Option<()> {
        let source = self.host_address(address, data.len() as u64)?;
        // SAFETY: the range was just checked to be RAM, which stays mapped as long as this does. Others may write there
        // meanwhile: what is copied then is theirs to answer for, and is looked at only as a copy.
        unsafe { std::ptr::copy_nonoverlapping(source, data.as_mut_ptr(), data.len()) };
        Some(())
    }
    /// Makes all of RAM zero, as after power-up, and gives its pages back to the host. No CPU may run meanwhile.
    pub fn clear(&self) -> Result<(), RamError> {
        let layout = self.layout;
        for (start, length) in [(0, layout.low), (HIGH_RAM_START, layout.high)] {
            if length > 0 {
                self.mapping
                    .discard(start, length)
                    .map_err(|source| RamError::Host { size: length, source })?;
            }
        }
        self.watch.all_written();
        Ok(())
    }
    /// Copies bytes into RAM as a device does; `None` if the range is not all RAM.
    pub fn write(&self, address: Gpa, data: &[u8]) -> Option<()> {
        let target = self.host_address(address, data.len() as u64)?;
        // SAFETY: the range was just checked to be RAM, which stays mapped as long as this does; others may use it
        // meanwhile, as they may use all of RAM.
        unsafe { std::ptr::copy_nonoverlapping(data.as_ptr(), target, data.len()) };
        self.watch.mark_dirty(address.0 as usize, data.len());
        Some(())
    }
}

fn region(
    mapping: &Mapping,
    watch: &CodeWatch,
    gpa: u64,
    length: u64,
) -> Result<GuestRegionMmap<CodeWatch>, RamError> {
    let host = |source| RamError::Host { size: length, source };
    // SAFETY: the pointer and length are those of our mapping, which outlives the region: both live in `GuestRam`.
    let built = unsafe {
        MmapRegionBuilder::new_with_bitmap(length as usize, watch.starting_at(gpa))
            .with_mmap_prot(libc::PROT_READ | libc::PROT_WRITE)
            .with_mmap_flags(libc::MAP_SHARED)
            .with_raw_mmap_pointer(mapping.base.add(gpa as usize))
            .build()
    };
    let built = built.map_err(|error| host(std::io::Error::other(error)))?;
    GuestRegionMmap::new(built, GuestAddress(gpa))
        .ok_or_else(|| host(std::io::ErrorKind::InvalidInput.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_ram_has_no_hole() {
        let layout = RamLayout::of_size(64 << 20);
        assert_eq!(layout, RamLayout { low: 64 << 20, high: 0 });
        assert!(layout.contains(Gpa((64 << 20) - 8), 8));
        assert!(!layout.contains(Gpa((64 << 20) - 7), 8));
    }

    #[test]
    fn large_ram_goes_on_above_the_hole() {
        let ram = GuestRam::new(4 << 30).unwrap();
        assert_eq!(ram.layout().end(), 5 << 30);
        assert!(ram.host_address(Gpa(0xc000_0000), 1).is_none());
        ram.write(Gpa(0x1_3fff_fffe), &[1, 2]).unwrap();
        let mut back = [0; 2];
        ram.read(Gpa(0x1_3fff_fffe), &mut back).unwrap();
        assert_eq!(back, [1, 2]);
        assert!(ram.write(Gpa(0xbfff_ffff), &[1, 2]).is_none());
    }

    #[test]
    fn clearing_makes_zeros() {
        let ram = GuestRam::new(4 << 30).unwrap();
        ram.write(Gpa(0x1234), &[1]).unwrap();
        ram.write(Gpa(0x1_0000_2000), &[2]).unwrap();
        ram.clear().unwrap();
        for address in [0x1234, 0x1_0000_2000] {
            let mut byte = [9];
            ram.read(Gpa(address), &mut byte).unwrap();
            assert_eq!(byte, [0], "{address:#x}");
        }
    }
}
