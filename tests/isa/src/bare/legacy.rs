//! 32-bit code on the bare CPU, in its own pages below 1 MiB.
use std::sync::MutexGuard;

use super::{BareError, Makers, claim, signals};
use crate::state::{Outcome, UserState};
use crate::watchdog;

/// A range of pages and what code may do with it.
#[derive(Clone, Copy, Debug)]
pub struct Pages {
    /// Linear address.
    pub base: u64,
    /// Bytes.
    pub bytes: usize,
    /// It may be executed.
    pub code: bool,
    /// It may be written.
    pub writable: bool,
}

impl Pages {
    fn rights(self) -> libc::c_int {
        let write = if self.writable { libc::PROT_WRITE } else { 0 };
        libc::PROT_READ | write | if self.code { libc::PROT_EXEC } else { 0 }
    }
}

/// The CPU that runs the tests, for 32-bit code.
pub struct BareCpu32 {
    pages: Vec<Pages>,
    _only: MutexGuard<'static, ()>,
}

impl BareCpu32 {
    /// Maps pages. As for [`super::BareCpu::new`].
    pub fn new(pages: &[Pages]) -> Result<Self, BareError> {
        let only = claim(Makers::Intel)?;
        for range in pages {
            let kind = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED_NOREPLACE;
            let rights = libc::PROT_READ | libc::PROT_WRITE;
            // SAFETY: replaces nothing.
            let mapped = unsafe { libc::mmap(range.base as *mut _, range.bytes, rights, kind, -1, 0) };
            if mapped as u64 != range.base {
                return Err(BareError::Pages {
                    address: range.base,
                    source: std::io::Error::last_os_error(),
                });
            }
        }
        let cpu = Self { pages: pages.to_vec(), _only: only };
        cpu.protect(true);
        signals::install();
        watchdog::start();
        Ok(cpu)
    }

    /// Gives pages their rights, or all of them the right to be written.
    fn protect(&self, finally: bool) {
        for range in &self.pages {
            let rights = if finally { range.rights() } else { range.rights() | libc::PROT_WRITE };
            // SAFETY: the pages are this value's own.
            let done = unsafe { libc::mprotect(range.base as *mut _, range.bytes, rights) };
            assert_eq!(done, 0, "mprotect: {}", std::io::Error::last_os_error());
        }
    }

    /// Everything anew, read-only pages too.
    pub fn install(&mut self, base: u64, image: &[u8]) {
        self.protect(false);
        self.memory_mut(base, image.len()).copy_from_slice(image);
        self.protect(true);
    }

    /// Memory from an address on, which must lie in the pages.
    pub fn memory(&self, base: u64, bytes: usize) -> &[u8] {
        self.check(base, bytes);
        // SAFETY: mapped, as just checked; no case runs while the slice lives.
        unsafe { std::slice::from_raw_parts(base as *const u8, bytes) }
    }

    /// The same, to be written where the pages allow it.
    pub fn memory_mut(&mut self, base: u64, bytes: usize) -> &mut [u8] {
        self.check(base, bytes);
        // SAFETY: as for `memory`.
        unsafe { std::slice::from_raw_parts_mut(base as *mut u8, bytes) }
    }

    fn check(&self, base: u64, bytes: usize) {
        let (first, last) = (self.pages.first(), self.pages.last());
        let inside = first.zip(last).is_some_and(|(first, last)| {
            base >= first.base && base + bytes as u64 <= last.base + last.bytes as u64
        });
        assert!(inside, "{base:#x} is not a case's");
    }

    /// Runs code from a state to its exception.
    pub fn run(&mut self, state: &UserState, outcome: &mut Outcome) {
        watchdog::set_runner();
        watchdog::watch_engine(None);
        watchdog::begin();
        signals::run_32(state, outcome);
        watchdog::end();
    }
}
