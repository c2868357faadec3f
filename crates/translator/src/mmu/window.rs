//! Windows: runs of host address space in which the pages of a guest address space are mapped, so that the host's own MMU
//! does the look-up. See `docs/decisions/0005-windows.md`.
//!
//! Bits 47:40 of a linear address select a window of 1 TiB; its *delta* is added to the address to make the host
//! address. Windows have [`GUARD`] bytes of nothing on either side, because the address is selected by a base register
//! alone where a displacement is added. An address that is not canonical plus a delta is not canonical either, and
//! where there is no window the delta is [`NOWHERE`]: such accesses fault on the host.
#![expect(unsafe_code, reason = "maps guest RAM where translated code reaches it")]
mod pages;
pub mod regions;

use std::collections::{HashMap, HashSet};
use std::os::fd::AsRawFd;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use pages::Pages;

use platform::GuestRam;
use x86::address::{PAGE_OFFSET, PAGE_SHIFT, PAGE_SIZE};
use x86::{Gpa, Gva};

/// log2 of a window's bytes.
pub const WINDOW_SHIFT: u32 = 40;
/// Entries of the table of deltas.
pub const WINDOWS: usize = 256;
/// Bytes on either side of a window in which nothing is ever mapped: a displacement of 32 bits, an index of 32 bits times
/// eight, and what the stack pointer may move between two accesses.
pub const GUARD: u64 = 64 << 30;

/// Whose addresses a set of windows is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Half {
    /// User code: the lower half of the canonical addresses.
    #[default]
    Lower,
    /// Supervisor code: the upper half.
    Upper,
}

impl Half {
    /// Windows that there may be. Programs have three: themselves, their libraries, their stack. Kernels have their image,
    /// the direct map of memory, the descriptors of pages, and what they map as they go; some straddle two.
    const fn windows(self) -> usize {
        match self {
            Half::Lower => 4,
            Half::Upper => 10,
        }
    }
    /// Whether an address lies in it.
    pub const fn has(self, address: Gva) -> bool {
        let sign = address.0 as i64 >> 47;
        match self {
            Half::Lower => sign == 0,
            Half::Upper => sign == -1,
        }
    }
}

/// Pages that all address spaces of the process may have mapped: each may cost the host two mappings, its own and the gap
/// behind it, and a third of what the host allows is left for everything else. Linux allows 65530 by default.
fn page_limit() -> usize {
    const DEFAULT: usize = 65_530;
    static LIMIT: OnceLock<usize> = OnceLock::new();
    *LIMIT.get_or_init(|| {
        let text = std::fs::read_to_string("/proc/sys/vm/max_map_count").unwrap_or_default();
        text.trim().parse().unwrap_or(DEFAULT).min(DEFAULT) / 3
    })
}

/// What a window's delta puts there where there is no window: an address that is not canonical with four levels of
/// paging, and neither in use nor near anything that is with five.
pub const NOWHERE: u64 = 0x0000_c000_0000_0000;

/// Windows that the process may have: the host has 128 TiB of address space for everything.
const WINDOW_LIMIT: usize = 96;
static RESERVATIONS: AtomicUsize = AtomicUsize::new(0);

static MAPPED: AtomicUsize = AtomicUsize::new(0);

/// The entry of the table of deltas that an address selects.
pub const fn number(address: Gva) -> usize {
    (address.0 >> WINDOW_SHIFT) as usize & (WINDOWS - 1)
}

/// The delta of an entry without a window.
pub const fn nowhere(number: usize) -> u64 {
    NOWHERE.wrapping_sub((number as u64) << WINDOW_SHIFT)
}

/// No entry of a table of deltas has a window any more.
pub fn close_all(deltas: &mut [u64; WINDOWS]) {
    for (number, delta) in deltas.iter_mut().enumerate() {
        *delta = nowhere(number);
    }
}

/// A page that is mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Mapped {
    frame: u64,
    writable: bool,
}

/// One window.
#[derive(Debug)]
struct Window {
    number: usize,
    /// The window's first guest address.
    first: u64,
    /// Host address at which the window's first guest address appears.
    base: u64,
    /// Pages were mapped since it was last emptied.
    used: bool,
}

/// The windows of one address space.
#[derive(Debug, Default)]
pub struct AddressSpace {
    half: Half,
    windows: Vec<Window>,
    pages: Pages,
    /// 2 MiB each, by number.
    regions: HashMap<u64, Mapped>,
    /// Numbers of regions by frame, both in units of 2 MiB.
    region_frames: HashMap<u64, Vec<u64>>,
    /// Pages of writable regions that hold translated code and must not be written.
    holes: HashSet<u64>,
}

impl Drop for AddressSpace {
    fn drop(&mut self) {
        MAPPED.fetch_sub(self.mappings(), Ordering::Relaxed);
        for window in &self.windows {
            // SAFETY: the reservation was made by `open` with exactly this place and size, and no code runs in it.
            unsafe { libc::munmap((window.base - GUARD) as *mut libc::c_void, RESERVED) };
            RESERVATIONS.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

const RESERVED: usize = ((1 << WINDOW_SHIFT) + 2 * GUARD) as usize;

/// A place for a window, if there is room for one.
fn reserve() -> Option<u64> {
    if RESERVATIONS.fetch_add(1, Ordering::Relaxed) < WINDOW_LIMIT
        && let Some(place) = map_nothing(None, RESERVED)
    {
        return Some(place);
    }
    RESERVATIONS.fetch_sub(1, Ordering::Relaxed);
    None
}

impl AddressSpace {
    /// No windows yet, for addresses of one half.
    pub fn new(half: Half) -> Self {
        let mut space = Self::default();
        space.half = half;
        space
    }

    /// The window that an address of the guest lies in gets its place, if it can have one. Its number and delta.
    pub fn open(&mut self, address: Gva) -> Option<(usize, u64)> {
        let number = number(address);
        if !self.half.has(address) {
            return None;
        }
        if let Some(window) = self.windows.iter().find(|window| window.number == number) {
            return Some((number, window.delta()));
        }
        if self.windows.len() >= self.half.windows() {
            return None;
        }
        // Asked for the first time, this reads a file: better here than in the handler of a fault.
        page_limit();
        let reserved = reserve()?;
        let first = (address.0 as i64 >> WINDOW_SHIFT << WINDOW_SHIFT) as u64;
        let window = Window { number, first, base: reserved + GUARD, used: false };
        let delta = window.delta();
        self.windows.push(window);
        Some((number, delta))
    }

    /// The guest address that appears at a host address.
    pub fn guest_address(&self, host: u64) -> Option<Gva> {
        let inside = |window: &&Window| host.wrapping_sub(window.base) < 1 << WINDOW_SHIFT;
        let window = self.windows.iter().find(inside)?;
        Some(Gva(host.wrapping_sub(window.delta())))
    }

    /// Shows a frame at a page. `None` if the host refuses, or too many pages are shown.
    pub fn map(&mut self, ram: &GuestRam, page: Gva, gpa: Gpa, writable: bool) -> Option<()> {
        if MAPPED.load(Ordering::Relaxed) >= page_limit() {
            return None;
        }
        let file_offset = ram.file_offset(Gpa(gpa.0 & !PAGE_OFFSET), PAGE_SIZE)?;
        self.unmap_large(page);
        self.place(ram, page.page_start(), PAGE_SIZE, file_offset, writable)?;
        let (number, frame) = (page.0 >> PAGE_SHIFT, gpa.frame());
        if self.pages.show(number, Mapped { frame, writable }) {
            MAPPED.fetch_add(1, Ordering::Relaxed);
        }
        Some(())
    }

    /// Maps a part of guest RAM at its place in its window. A single page is about to be touched and is populated at once; of
    /// a large one the host fills in what is touched.
    fn place(
        &mut self,
        ram: &GuestRam,
        at: Gva,
        length: u64,
        file_offset: u64,
        writable: bool,
    ) -> Option<()> {
        let window = self.windows.iter_mut().find(|window| window.number == number(at))?;
        let host = at.0.wrapping_add(window.delta());
        let protection = libc::PROT_READ | if writable { libc::PROT_WRITE } else { 0 };
        let populate = if length == PAGE_SIZE { libc::MAP_POPULATE } else { 0 };
        // SAFETY: a page or an aligned region lies inside the window's own reservation as a whole.
        let placed = unsafe {
            libc::mmap(
                host as *mut libc::c_void,
                length as usize,
                protection,
                libc::MAP_SHARED | libc::MAP_FIXED | populate,
                ram.file().as_raw_fd(),
                file_offset as libc::off_t,
            )
        };
        window.used = true;
        if placed == libc::MAP_FAILED {
            // Whatever was there may be gone, and the place is the host's to give away.
            map_nothing(Some(host), length as usize);
            return None;
        }
        Some(())
    }

    fn host_page(&self, page: u64) -> Option<u64> {
        let address = Gva(page << PAGE_SHIFT);
        let window = self.windows.iter().find(|window| window.number == number(address))?;
        Some(address.0.wrapping_add(window.delta()))
    }

    /// Hides one page.
    pub fn unmap(&mut self, address: Gva) {
        let page = address.0 >> PAGE_SHIFT;
        self.unmap_large(address);
        if !self.pages.hide(page) {
            return;
        }
        MAPPED.fetch_sub(1, Ordering::Relaxed);
        if let Some(host) = self.host_page(page) {
            map_nothing(Some(host), PAGE_SIZE as usize);
        }
    }

    /// Hides every page of a region that `shift` address bits span.
    pub fn unmap_region(&mut self, address: Gva, shift: u32) {
        let region = address.0 >> shift;
        self.unmap_all_large(region, shift);
        let is_inside = |page: &u64| page >> (shift - PAGE_SHIFT) == region;
        let pages: Vec<u64> = self.pages.iter().map(|(page, _)| page).filter(is_inside).collect();
        for page in pages {
            self.unmap(Gva(page << PAGE_SHIFT));
        }
    }

    /// Takes the right to write from every page that shows a frame.
    pub fn protect(&mut self, frame: u64) {
        self.protect_large(frame);
        let pages: Vec<u64> = self.pages.of_frame(frame).collect();
        for page in pages {
            let Some(host) = self.host_page(page) else { continue };
            if self.pages.protect(page) && !protect_host(host, false) {
                self.unmap(Gva(page << PAGE_SHIFT));
            }
        }
    }

    /// Hides everything; the windows keep their places.
    pub fn clear(&mut self) {
        MAPPED.fetch_sub(self.mappings(), Ordering::Relaxed);
        self.pages.clear();
        self.forget_large();
        for window in self.windows.iter_mut().filter(|window| window.used) {
            window.used = false;
            map_nothing(Some(window.base), 1 << WINDOW_SHIFT);
        }
    }

    /// Mappings that the host may have for it, in units of two.
    fn mappings(&self) -> usize {
        self.pages.len() + self.regions.len() + self.holes.len()
    }
    /// How many pages and regions are mapped.
    pub fn len(&self) -> usize {
        self.pages.len() + self.regions.len()
    }
    /// Whether nothing is mapped.
    pub fn is_empty(&self) -> bool {
        self.pages.is_empty() && self.regions.is_empty()
    }

    /// Looks again at all that is shown: keeps what `leads` says is still so, with the right to write only where it does
    /// and no code is.
    pub fn review(&mut self, mut leads: impl FnMut(Gva) -> Option<Shown>, is_code: impl Fn(u64) -> bool) {
        let pages: Vec<_> = self.pages.iter().collect();
        for (page, mapped) in pages {
            let address = Gva(page << PAGE_SHIFT);
            let may_write = |now: Shown| now.writable && !is_code(mapped.frame);
            let holds = |now: Shown| now.gpa.frame() == mapped.frame && (may_write(now) || !mapped.writable);
            if !leads(address).is_some_and(holds) {
                self.unmap(address);
            }
        }
        self.review_large(leads, is_code);
    }
}

impl Window {
    fn delta(&self) -> u64 {
        self.base.wrapping_sub(self.first)
    }
}

/// Where a page leads now, as far as windows show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shown {
    /// The guest-physical address of the page.
    pub gpa: Gpa,
    /// log2 of the bytes of the guest's page.
    pub page_shift: u32,
    /// It may be written without care.
    pub writable: bool,
}

/// Changes the rights of a page of our own. The host may refuse: each page that differs from its neighbours is a mapping.
fn protect_host(host: u64, writable: bool) -> bool {
    let protection = libc::PROT_READ | if writable { libc::PROT_WRITE } else { 0 };
    // SAFETY: the pages were mapped by `place`, inside our own reservation.
    let done = unsafe { libc::mprotect(host as *mut libc::c_void, PAGE_SIZE as usize, protection) };
    done == 0
}

/// Reserves address space, at a place of our own or anywhere.
///
/// # Panics
/// If the host refuses to replace our own pages by nothing: then old pages would stay where the guest has unmapped them.
fn map_nothing(at: Option<u64>, length: usize) -> Option<u64> {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    let fixed = if at.is_some() { libc::MAP_FIXED } else { 0 };
    let place = at.unwrap_or(0) as *mut libc::c_void;
    // SAFETY: a fixed place lies inside a reservation of our own; otherwise the kernel chooses.
    let placed = unsafe { libc::mmap(place, length, libc::PROT_NONE, flags | fixed, -1, 0) };
    assert!(at.is_none() || placed != libc::MAP_FAILED, "the host refuses to unmap pages of our own");
    (placed != libc::MAP_FAILED).then_some(placed as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn byte(host: u64) -> u8 {
        // SAFETY: the tests read only what they have mapped.
        unsafe { (host as *const u8).read_volatile() }
    }

    #[test]
    fn pages_appear_where_the_delta_says() {
        let ram = GuestRam::new(1 << 20).unwrap();
        ram.write(Gpa(0x5123), &[7]).unwrap();
        let mut space = AddressSpace::default();
        let address = Gva(0x7fff_1234_5123);
        let (number, delta) = space.open(address).unwrap();
        assert_eq!(number, 0x7f);
        assert_eq!(space.open(Gva(0x7f00_0000_0000)), Some((number, delta)));
        space.map(&ram, address, Gpa(0x5000), false).unwrap();
        let host = address.0.wrapping_add(delta);
        assert_eq!(byte(host), 7);
        assert_eq!(space.guest_address(host), Some(address));
        assert_eq!(space.guest_address(host + (1 << WINDOW_SHIFT)), None);
        space.unmap(address);
        assert!(space.is_empty());
    }

    #[test]
    fn a_frame_is_protected_wherever_it_appears() {
        let ram = GuestRam::new(1 << 20).unwrap();
        let mut space = AddressSpace::default();
        space.open(Gva(0x40_0000)).unwrap();
        for page in [Gva(0x40_0000), Gva(0x50_0000)] {
            space.map(&ram, page, Gpa(0x3000), true).unwrap();
        }
        space.map(&ram, Gva(0x50_0000), Gpa(0x4000), true).unwrap();
        space.protect(3);
        let writable = |page: u64| space.pages.iter().any(|(shown, mapped)| shown == page && mapped.writable);
        assert_eq!([writable(0x400), writable(0x500)], [false, true]);
        assert_eq!(space.len(), 2);
        space.clear();
        assert!(space.is_empty());
    }

    #[test]
    fn addresses_beyond_user_space_have_no_window() {
        let mut space = AddressSpace::default();
        assert_eq!(space.open(Gva(0xffff_8880_0000_0000)), None);
        assert_eq!(space.open(Gva(0x0001_0000_0000_0000)), None);
        let mut upper = AddressSpace::new(Half::Upper);
        assert_eq!(upper.open(Gva(0x40_0000)), None);
        assert!(upper.open(Gva(0xffff_8880_0000_0000)).is_some());
        assert_eq!(nowhere(0x7f).wrapping_add(0x7f12_3456_789a), NOWHERE + 0x12_3456_789a);
    }
}
