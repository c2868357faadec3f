//! Host exceptions raised by copied guest instructions (`#DE`, `#MF`, `#XM`, alignment `#GP`): a signal handler turns
//! them into exits, so that they become the guest's own.
#![expect(unsafe_code, reason = "installs signal handlers and edits the interrupted context")]
use std::cell::Cell;
use std::mem::offset_of;
use std::sync::Once;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::cpu::Cpu;
use crate::mmu::Mmu;

/// Code buffers whose faults are the guest's: start, end, and the fault thunk ([`CALLED`] for stubs that Rust calls). Zero
/// where free.
static RANGES: [CodeRange; 256] = [const { CodeRange::free() }; 256];

struct CodeRange {
    start: AtomicU64,
    /// Where the thunks at its beginning end.
    blocks: AtomicU64,
    end: AtomicU64,
    thunk: AtomicU64,
}

impl CodeRange {
    const fn free() -> Self {
        let [start, blocks, end, thunk] = [const { AtomicU64::new(0) }; 4];
        Self { start, blocks, end, thunk }
    }
}

/// In place of a thunk: the code is called by [`catching`].
pub const CALLED: u64 = 0;

thread_local! {
    /// Where the stub that [`catching`] calls goes on after a host exception.
    static RESUME: Cell<u64> = const { Cell::new(0) };
    /// The vector of the host exception that it raised.
    static CAUGHT: Cell<Option<u8>> = const { Cell::new(None) };
}

thread_local! {
    /// The MMU of the CPU that runs on this thread.
    static MMU: Cell<*mut Mmu> = const { Cell::new(std::ptr::null_mut()) };
}

/// Runs translated code; faults in windows are served by `mmu` ([`Mmu::serve_window_fault`]) while it runs.
pub fn with_windows(mmu: *mut Mmu, run: impl FnOnce()) {
    MMU.set(mmu);
    run();
    MMU.set(std::ptr::null_mut());
}

/// Whether a page fault was a window's, and the page is there now.
fn serve_window(address: u64, write: bool) -> bool {
    // SAFETY: the pointer is set only while translated code runs on this thread, and while it does nobody borrows the
    // MMU; what is done here is what a helper called by translated code would do.
    let Some(mmu) = (unsafe { MMU.get().as_mut() }) else { return false };
    let cpu = super::cpu_apart(mmu);
    mmu.serve_window_fault(cpu, address, write)
}

/// Calls code of a range that was registered with [`CALLED`]. A host exception inside goes on at `resume`, an address in
/// that code, with every register as the exception found it; its vector is returned.
pub fn catching(resume: u64, call: impl FnOnce()) -> Option<u8> {
    RESUME.set(resume);
    call();
    CAUGHT.take()
}

/// As long as this lives, faults in a range of code lead to its thunk.
pub struct FaultGuard(usize);

impl FaultGuard {
    /// Registers a range of code, whose thunks end at an address, and installs the handlers (once for the process).
    pub fn new(range: std::ops::Range<u64>, blocks: u64, thunk: u64) -> std::io::Result<Self> {
        static INSTALL: Once = Once::new();
        INSTALL.call_once(install);
        for (slot, entry) in RANGES.iter().enumerate() {
            if entry.end.compare_exchange(0, range.end, Ordering::SeqCst, Ordering::SeqCst).is_ok() {
                entry.thunk.store(thunk, Ordering::SeqCst);
                entry.blocks.store(blocks, Ordering::SeqCst);
                entry.start.store(range.start, Ordering::SeqCst);
                return Ok(Self(slot));
            }
        }
        Err(std::io::Error::other("more than 128 translators in one process"))
    }
}

impl Drop for FaultGuard {
    fn drop(&mut self) {
        let entry = &RANGES[self.0];
        entry.start.store(0, Ordering::SeqCst);
        entry.end.store(0, Ordering::SeqCst);
    }
}

const SIGNALS: [libc::c_int; 4] = [libc::SIGSEGV, libc::SIGBUS, libc::SIGFPE, libc::SIGILL];

fn install() {
    for signal in SIGNALS {
        // SAFETY: the handler is async-signal-safe (it touches only atomics, the context and the CPU's own memory).
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = handler as *const () as usize;
            action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_NODEFER;
            libc::sigaction(signal, &action, std::ptr::null_mut());
        }
    }
}

/// Linux's flag that disarms the alternate stack while a handler runs, whatever the stack pointer says (sigaltstack(2)):
/// the guest's stack pointer is in RSP and may have any value.
const SS_AUTODISARM: libc::c_int = 1 << 31;

thread_local! {
    static STACK: Cell<Option<Box<[u8; 65536]>>> = const { Cell::new(None) };
}

/// Gives this thread a stack for signal handlers; translated code must not run on a thread without.
pub fn prepare_thread() {
    STACK.with(|cell| {
        let existing = cell.take();
        if existing.is_some() {
            cell.set(existing);
            return;
        }
        let mut stack = Box::new([0_u8; 65536]);
        let description =
            libc::stack_t { ss_sp: stack.as_mut_ptr().cast(), ss_flags: SS_AUTODISARM, ss_size: stack.len() };
        // SAFETY: the memory lives as long as the thread (the thread-local owns it).
        unsafe { libc::sigaltstack(&description, std::ptr::null_mut()) };
        cell.set(Some(stack));
    });
}

unsafe extern "C" fn handler(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: the kernel passes a valid ucontext to an SA_SIGINFO handler.
    let registers = unsafe { &mut (*context.cast::<libc::ucontext_t>()).uc_mcontext.gregs };
    let rip = registers[libc::REG_RIP as usize] as u64;
    let own = RANGES.iter().find(|range| {
        let start = range.start.load(Ordering::Relaxed);
        start != 0 && (start..range.end.load(Ordering::Relaxed)).contains(&rip)
    });
    let Some(range) = own else {
        // Not ours: let the default action happen when the instruction runs again.
        let _ = info;
        // SAFETY: restores the default disposition.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
        return;
    };
    let trap = registers[libc::REG_TRAPNO as usize] as u64;
    let thunk = range.thunk.load(Ordering::Relaxed);
    /// In a page fault's error code: the access was a write (SDM 3A §4.7).
    const WRITE: i64 = 2;
    if trap == u64::from(x86::exception::vector::PF)
        && thunk != CALLED
        && serve_window(
            registers[libc::REG_CR2 as usize] as u64,
            registers[libc::REG_ERR as usize] & WRITE != 0,
        )
    {
        return;
    }
    if thunk == CALLED {
        CAUGHT.set(Some(trap as u8));
        registers[libc::REG_RIP as usize] = RESUME.get() as i64;
        return;
    }
    // SAFETY: a fault inside a registered range happens on a vCPU thread, whose GS base is its view, which begins with
    // its `Cpu`.
    unsafe {
        std::arch::asm!(
            "mov qword ptr gs:[{argument}], {trap}",
            "mov qword ptr gs:[{place}], {rip}",
            argument = const offset_of!(Cpu, exit_argument),
            place = const offset_of!(Cpu, fault_place),
            trap = in(reg) trap,
            rip = in(reg) rip,
        );
    }
    // T1 reports the place; in a thunk it has what says whose it runs for. What the guest has in R11 is in memory.
    if rip >= range.blocks.load(Ordering::Relaxed) {
        registers[libc::REG_R11 as usize] = rip as i64;
    }
    registers[libc::REG_RIP as usize] = thunk as i64;
}
