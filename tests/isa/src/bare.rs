//! The bare CPU: cases run natively, in this process, at the same linear addresses as in the guests. Whatever ends
//! them comes back as a signal.
//!
//! Only one case runs at a time in a process: the pages are at fixed addresses.
#![expect(unsafe_code, reason = "maps pages at fixed addresses and runs foreign code in them")]

mod enter;
pub mod legacy;
mod signals;

use std::sync::{Mutex, MutexGuard};

use crate::case::{CODE_WINDOW, Case, END, Runner};
use crate::layout::{CODE, MEMORY, PAGE, READ_ONLY, Region, Rights};
use crate::state::{Ending, Outcome};
use crate::watchdog;

/// Why cases cannot run natively here.
#[derive(Debug, thiserror::Error)]
pub enum BareError {
    /// The CPU or kernel lacks something.
    #[error("the bare CPU cannot serve as an oracle here: {0} is missing")]
    Missing(&'static str),
    /// A CPU of another maker, of which nobody knows how it differs in such code.
    #[error("the engine's guest sees an Intel CPU, and this host's is of another maker")]
    Maker,
    /// No memory at the fixed addresses.
    #[error("the bare CPU cannot serve as an oracle here: no pages at {address:#x}")]
    Pages {
        /// Where.
        address: u64,
        /// Why.
        source: std::io::Error,
    },
}

/// Whether CPUID's leaf 0 says "GenuineIntel".
fn is_intel() -> bool {
    let leaf = std::arch::x86_64::__cpuid(0);
    [leaf.ebx, leaf.edx, leaf.ecx].map(u32::to_le_bytes).concat() == b"GenuineIntel"
}

static ONE: Mutex<()> = Mutex::new(());

/// The CPU that runs the tests.
pub struct BareCpu {
    window: Box<[u8; CODE_WINDOW * PAGE]>,
    _only: MutexGuard<'static, ()>,
}

impl BareCpu {
    /// Maps the regions. Blocks while another thread holds the bare CPU. Engines must have been made before: they install
    /// signal handlers too, and this chains to them.
    pub fn new() -> Result<Self, BareError> {
        let only = claim(Makers::IntelAndAmd)?;
        for region in std::iter::once(CODE).chain(MEMORY) {
            map(region)?;
        }
        signals::install();
        watchdog::start();
        Ok(Self { window: Box::new([0; CODE_WINDOW * PAGE]), _only: only })
    }

    fn load(&mut self, case: &Case) {
        let window = case.window();
        case.fill_window(&mut self.window);
        // SAFETY: the window lies inside CODE, which is mapped and used by nothing but cases.
        unsafe {
            std::ptr::copy_nonoverlapping(self.window.as_ptr(), window.base as *mut u8, window.len());
        }
        for (region, bytes) in case.memory.regions() {
            if region.rights == Rights::ReadOnly {
                if self.memory(region) == bytes {
                    continue;
                }
                protect(region, libc::PROT_READ | libc::PROT_WRITE);
            }
            // SAFETY: the region is mapped, writable, and used by nothing but cases.
            unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), region.base as *mut u8, bytes.len()) };
            if region.rights == Rights::ReadOnly {
                protect(region, libc::PROT_READ);
            }
        }
    }
}

impl Runner for BareCpu {
    fn name(&self) -> &'static str {
        "bare cpu"
    }

    fn run(&mut self, case: &Case, outcome: &mut Outcome) {
        self.load(case);
        watchdog::set_runner();
        watchdog::watch_engine(None);
        watchdog::begin();
        signals::run(&case.state, outcome);
        watchdog::end();
        if let Ending::Exception { vector, code, cr2 } = outcome.ending {
            outcome.ending = Ending::exception(vector, code, cr2);
        }
    }

    fn clear_code(&mut self) {
        // SAFETY: the region is mapped and writable, and used by nothing but cases.
        unsafe { std::ptr::write_bytes(CODE.base as *mut u8, END, CODE.len()) };
    }
    fn memory(&self, region: Region) -> &[u8] {
        // SAFETY: regions are mapped for good, and no case runs while the slice lives.
        unsafe { std::slice::from_raw_parts(region.base as *const u8, region.len()) }
    }
}

/// Whose CPUs serve.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Makers {
    Intel,
    /// How AMD's differ is known ([`crate::amd`]).
    IntelAndAmd,
}

/// Looks whether cases can run here, and takes the bare CPU. Blocks while another thread holds it.
fn claim(makers: Makers) -> Result<MutexGuard<'static, ()>, BareError> {
    let only = ONE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    /// Bit of AT_HWCAP2: user code may use WRFSBASE (Linux, asm/hwcap2.h).
    const HWCAP2_FSGSBASE: u64 = 1 << 1;
    // SAFETY: plain library call.
    if unsafe { libc::getauxval(libc::AT_HWCAP2) } & HWCAP2_FSGSBASE == 0 {
        return Err(BareError::Missing("WRFSBASE"));
    }
    let known = is_intel() || (makers == Makers::IntelAndAmd && crate::amd::is_here());
    if !known {
        return Err(BareError::Maker);
    }
    if !std::is_x86_feature_detected!("avx2") {
        return Err(BareError::Missing("AVX2"));
    }
    Ok(only)
}

fn map(region: Region) -> Result<(), BareError> {
    let rights = match region.rights {
        Rights::Code => libc::PROT_READ | libc::PROT_WRITE | libc::PROT_EXEC,
        Rights::Data => libc::PROT_READ | libc::PROT_WRITE,
        Rights::ReadOnly => libc::PROT_READ,
    };
    let kind = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_POPULATE | libc::MAP_FIXED;
    // SAFETY: these addresses are the harness's own; a program of position-independent code has nothing there.
    let mapped = unsafe { libc::mmap(region.base as *mut _, region.len(), libc::PROT_WRITE, kind, -1, 0) };
    if mapped == libc::MAP_FAILED {
        return Err(BareError::Pages { address: region.base, source: std::io::Error::last_os_error() });
    }
    if region.base == CODE.base {
        // SAFETY: just mapped, writable.
        unsafe { std::ptr::write_bytes(region.base as *mut u8, END, region.len()) };
    }
    protect(region, rights);
    Ok(())
}

fn protect(region: Region, rights: libc::c_int) {
    debug_assert!(region.base == READ_ONLY.base || region.rights != Rights::ReadOnly);
    // SAFETY: the region is the harness's own.
    let done = unsafe { libc::mprotect(region.base as *mut _, region.len(), rights) };
    assert_eq!(done, 0, "mprotect of {} failed: {}", region.name, std::io::Error::last_os_error());
}
