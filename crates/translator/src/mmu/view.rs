//! Views: what GS points to while translated code runs.
//!
//! A view is the guest's [`Cpu`], the look-up and jump tables of supervisor code, and then the tables of user code in one
//! address space. All up to there is the same memory in every view, mapped again and again, so that switching address
//! spaces is a change of the GS base and nothing else: no table is cleared and translated code needs no extra pointer.
#![expect(unsafe_code, reason = "maps the state that emitted code addresses through GS")]
use std::mem::{offset_of, size_of};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use super::table::{
    ATTENTION_PLACE, ATTENTION_TARGET, JUMP_ROOM, JUMP_STEP_SHIFT, JUMPS, Jump, Lookup, RINGS, Ring, Table,
    empty_target, lookups,
};
use super::window::{self, WINDOWS};
use crate::cpu::Cpu;

/// How many address spaces keep their tables.
pub const VIEWS: usize = 6;

const PAGE: usize = 4096;
const STATE_BYTES: usize = size_of::<Cpu>().next_multiple_of(PAGE);
const _: () = assert!(JUMP_ROOM.is_multiple_of(PAGE));

const fn lookup_bytes(ring: Ring) -> usize {
    2 * lookups(ring) * size_of::<Lookup>()
}
/// Offset in a view of the look-up table of a ring.
pub const fn lookup_offset(ring: Ring) -> usize {
    match ring {
        Ring::Supervisor => STATE_BYTES,
        Ring::User => SHARED_BYTES,
    }
}
/// Offset in a view of the jump table of a ring.
pub const fn jump_offset(ring: Ring) -> usize {
    lookup_offset(ring) + lookup_bytes(ring)
}
/// Offset in a view of the first target in the jump table of a ring.
pub const fn jump_target_offset(ring: Ring) -> usize {
    jump_offset(ring) + offset_of!(Jump, target)
}
/// Offset in a view of where the code of that is.
pub const fn jump_code_offset(ring: Ring) -> usize {
    jump_offset(ring) + offset_of!(Jump, code)
}
/// Offset in a view of the table of window deltas of a ring.
pub const fn window_offset(ring: Ring) -> usize {
    jump_offset(ring) + JUMP_ROOM
}
/// What all views have in common.
const SHARED_BYTES: usize = STATE_BYTES + lookup_bytes(Ring::Supervisor) + JUMP_ROOM + PAGE;
const VIEW_BYTES: usize = window_offset(Ring::User) + PAGE;

/// The views of one vCPU.
pub struct Views {
    base: *mut u8,
    _state: OwnedFd,
}

// SAFETY: the mapping belongs to this value alone; all access goes through `&self` and `&mut self`.
unsafe impl Send for Views {}

impl Drop for Views {
    fn drop(&mut self) {
        // SAFETY: the mapping was made by `new` with exactly this size.
        unsafe { libc::munmap(self.base.cast(), VIEWS * VIEW_BYTES) };
    }
}

impl Views {
    /// Maps all views; tables are empty, the CPU is all zeroes.
    pub fn new() -> std::io::Result<Self> {
        // SAFETY: the name is a C string; the result is checked.
        let fd = unsafe { libc::memfd_create(c"vcpu-state".as_ptr(), libc::MFD_CLOEXEC) };
        if fd < 0 {
            return Err(std::io::Error::last_os_error());
        }
        // SAFETY: fd was just created and is owned by nobody else.
        let state = unsafe { OwnedFd::from_raw_fd(fd) };
        // SAFETY: plain system call on our own descriptor.
        if unsafe { libc::ftruncate(state.as_raw_fd(), SHARED_BYTES as libc::off_t) } < 0 {
            return Err(std::io::Error::last_os_error());
        }
        let private = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: fresh memory at an address of the kernel's choice.
        let base =
            unsafe { libc::mmap(std::ptr::null_mut(), VIEWS * VIEW_BYTES, protection, private, -1, 0) };
        if base == libc::MAP_FAILED {
            return Err(std::io::Error::last_os_error());
        }
        let mut views = Self { base: base.cast(), _state: state };
        for view in 0..VIEWS {
            let shared = libc::MAP_SHARED | libc::MAP_FIXED;
            // SAFETY: the target lies inside our own mapping.
            let placed = unsafe {
                libc::mmap(
                    views.start(view).cast(),
                    SHARED_BYTES,
                    protection,
                    shared,
                    views._state.as_raw_fd(),
                    0,
                )
            };
            if placed == libc::MAP_FAILED {
                return Err(std::io::Error::last_os_error());
            }
            for ring in RINGS {
                for (number, delta) in views.windows(view, ring).iter_mut().enumerate() {
                    *delta = window::nowhere(number);
                }
                for (index, entry) in views.entries(view, ring).iter_mut().enumerate() {
                    *entry = Lookup::empty(index % lookups(ring));
                }
                for index in 0..2 {
                    views.jumps(view, ring)[index].target = empty_target(index);
                }
            }
        }
        Ok(views)
    }

    fn start(&self, view: usize) -> *mut u8 {
        assert!(view < VIEWS);
        // SAFETY: within the mapping, as just checked.
        unsafe { self.base.add(view * VIEW_BYTES) }
    }
    /// What the GS base must be while translated code runs in this view.
    pub fn gs_base(&self, view: usize) -> u64 {
        self.start(view) as u64
    }
    /// The CPU, through the first view. Other views alias the same memory.
    pub fn cpu(&self) -> *mut Cpu {
        self.base.cast()
    }
    /// The look-up table of a ring, for user code of one view.
    pub fn lookups(&mut self, view: usize, ring: Ring) -> Table<'_> {
        Table::new(self.entries(view, ring))
    }
    fn entries(&mut self, view: usize, ring: Ring) -> &mut [Lookup] {
        // SAFETY: the table lies inside the view, is aligned (its offset is a multiple of a page) and any bytes are a
        // valid `Lookup`; `&mut self` makes the borrow exclusive, and emitted code runs only while nobody borrows.
        unsafe {
            std::slice::from_raw_parts_mut(
                self.start(view).add(lookup_offset(ring)).cast(),
                2 * lookups(ring),
            )
        }
    }
    /// The deltas of the windows of a ring, for user code of one view.
    pub fn windows(&mut self, view: usize, ring: Ring) -> &mut [u64; WINDOWS] {
        // SAFETY: as for `lookups`.
        unsafe { &mut *self.start(view).add(window_offset(ring)).cast() }
    }
    /// Where jumps lead while somebody wants the CPU's attention.
    pub fn lead_attention(&mut self, code: u64) {
        let jump = Jump { target: ATTENTION_TARGET, code };
        for (view, ring) in (0..VIEWS).flat_map(|view| RINGS.map(|ring| (view, ring))) {
            let place = jump_offset(ring) + ((ATTENTION_PLACE as usize) << JUMP_STEP_SHIFT);
            // SAFETY: the two entries lie in the room of the table, aligned as those of the table are.
            unsafe { self.start(view).add(place).cast::<[Jump; 2]>().write([jump; 2]) };
        }
    }
    /// The jump table of a ring, for user code of one view.
    pub fn jumps(&mut self, view: usize, ring: Ring) -> &mut [Jump] {
        // SAFETY: as for `lookups`.
        unsafe { std::slice::from_raw_parts_mut(self.start(view).add(jump_offset(ring)).cast(), JUMPS) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_view_shows_the_same_cpu_and_user_tables_of_its_own() {
        let mut views = Views::new().unwrap();
        // SAFETY: nobody else uses the views.
        unsafe { (*views.cpu()).rip = 0x1234 };
        for view in 0..VIEWS {
            let cpu = views.gs_base(view) as *const Cpu;
            // SAFETY: the GS base of a view is the address of its `Cpu`.
            assert_eq!(unsafe { (*cpu).rip }, 0x1234);
        }
        views.jumps(1, Ring::User)[5].code = 7;
        assert_eq!(views.jumps(0, Ring::User)[5].code, 0);
        assert_eq!(views.jumps(1, Ring::User)[5].code, 7);
        views.jumps(1, Ring::Supervisor)[5].code = 8;
        assert_eq!(views.jumps(0, Ring::Supervisor)[5].code, 8);
    }
}
