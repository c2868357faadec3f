//! Between Rust and translated code: the way in, the ways out, and host faults.
#![expect(unsafe_code, reason = "the register file is shared with emitted code")]

pub mod attention;
pub mod fault;
pub mod flow_thunks;
pub mod host;
pub mod thunks;

use crate::cpu::Cpu;
use crate::mmu::Mmu;
use thunks::Thunks;

/// The register file.
pub fn cpu_of(mmu: &mut Mmu) -> &mut Cpu {
    // SAFETY: the views live as long as the MMU; emitted code runs only inside `run`, while nobody borrows.
    unsafe { &mut *mmu.views().cpu() }
}

/// The register file beside a borrow of the MMU. The `Cpu` lies in memory of its own (the state pages of the views), which
/// no method of [`Mmu`] touches except through the `&Cpu` it is given.
pub fn cpu_apart<'a>(mmu: &Mmu) -> &'a mut Cpu {
    // SAFETY: as above; callers use it within one call and never keep two.
    unsafe { &mut *mmu.views().cpu() }
}

/// Runs translated code in the running address space until it exits.
pub fn run(thunks: &Thunks, mmu: &mut Mmu, code: u64) {
    let gs_base = mmu.views().gs_base(mmu.current_view());
    // SAFETY: the vCPU passes its own MMU and an entry or resume point of a live block of its own buffer.
    fault::with_windows(mmu, || unsafe { thunks.run(gs_base, code) });
}

/// The host's time-stamp counter.
pub fn host_tsc() -> u64 {
    // SAFETY: RDTSC exists on every x86-64 host.
    unsafe { core::arch::x86_64::_rdtsc() }
}
