//! Exceptions of bare code, as Linux reports them: the vector, error code and address are in the signal's context.
use std::cell::UnsafeCell;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::enter::{HOST_RSP, enter, enter_32, leave};
use crate::state::{Ending, Outcome, UserState, Vectors, XSAVE_BYTES};
use crate::watchdog;

const SIGNALS: [libc::c_int; 6] =
    [libc::SIGSEGV, libc::SIGBUS, libc::SIGFPE, libc::SIGILL, libc::SIGTRAP, watchdog::SIGNAL];
/// Linux's flag that takes the alternate stack away while a handler runs (sigaltstack(2)): bare code may have any stack
/// pointer, also one that happens to lie there.
const SS_AUTODISARM: libc::c_int = 1 << 31;
const ALTERNATE_STACK_BYTES: usize = 64 << 10;
/// Linux's selector of 64-bit user code.
const USER_CODE_64: i64 = 0x33;
/// User addresses lie below; Linux hides whether kernel pages are present (arch/x86/mm/fault.c).
const KERNEL_ADDRESSES: u64 = 1 << 47;

/// Bare code runs; its exceptions are the case's.
static RUNNING: AtomicBool = AtomicBool::new(false);
static HOST_FS: AtomicU64 = AtomicU64::new(0);
static RESULT: Shared =
    Shared(UnsafeCell::new(Raw { gregs: [0; 23], bases: [0; 2], vectors: [0; XSAVE_BYTES] }));
static CHAIN: Shared2 = Shared2(UnsafeCell::new([0; SIGNALS.len()]));

struct Raw {
    gregs: [i64; 23],
    bases: [u64; 2],
    vectors: [u8; XSAVE_BYTES],
}
struct Shared(UnsafeCell<Raw>);
struct Shared2(UnsafeCell<[usize; SIGNALS.len()]>);
// SAFETY: written by the handler and read by `run`, both on the one thread that holds the bare CPU.
unsafe impl Sync for Shared {}
// SAFETY: written once in `install`, before any case.
unsafe impl Sync for Shared2 {}

/// Installs the handlers, once; they hand on what is not of bare code.
pub fn install() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        for (slot, signal) in SIGNALS.into_iter().enumerate() {
            // SAFETY: the handler is async-signal-safe; the structures are plain data.
            unsafe {
                let mut action: libc::sigaction = std::mem::zeroed();
                let mut old: libc::sigaction = std::mem::zeroed();
                action.sa_sigaction = handler as *const () as usize;
                action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_NODEFER;
                assert_eq!(libc::sigaction(signal, &action, &mut old), 0, "sigaction");
                (*CHAIN.0.get())[slot] = old.sa_sigaction;
            }
        }
    });
}

/// Gives the thread a stack for handlers, if it has none that survives any stack pointer.
fn prepare_thread() {
    thread_local!(static READY: std::cell::Cell<bool> = const { std::cell::Cell::new(false) });
    READY.with(|ready| {
        if !ready.replace(true) {
            let stack = Box::leak(Box::new([0_u8; ALTERNATE_STACK_BYTES]));
            let description = libc::stack_t {
                ss_sp: stack.as_mut_ptr().cast(),
                ss_flags: SS_AUTODISARM,
                ss_size: stack.len(),
            };
            // SAFETY: the memory is leaked, hence valid for good.
            unsafe { libc::sigaltstack(&description, std::ptr::null_mut()) };
        }
    });
}

/// Runs bare code from a state to its exception.
pub fn run(state: &UserState, outcome: &mut Outcome) {
    run_by(enter, state, outcome);
}

/// The same for 32-bit code.
pub fn run_32(state: &UserState, outcome: &mut Outcome) {
    run_by(enter_32, state, outcome);
}

fn run_by(enter: unsafe extern "C" fn(*const UserState), state: &UserState, outcome: &mut Outcome) {
    prepare_thread();
    let host_fs: u64;
    // SAFETY: WRFSBASE and RDFSBASE were found to exist; the code ends by an exception, which restores everything.
    let raw = unsafe {
        std::arch::asm!("rdfsbase {}", out(reg) host_fs, options(nomem, nostack, preserves_flags));
        HOST_FS.store(host_fs, Ordering::SeqCst);
        RUNNING.store(true, Ordering::SeqCst);
        enter(state);
        &*RESULT.0.get()
    };
    let reg = |name: libc::c_int| raw.gregs[name as usize] as u64;
    for (slot, name) in GPR.into_iter().enumerate() {
        outcome.state.gpr[slot] = reg(name);
    }
    outcome.state.rip = reg(libc::REG_RIP);
    outcome.state.rflags = reg(libc::REG_EFL);
    [outcome.state.fs_base, outcome.state.gs_base] = raw.bases;
    outcome.state.vectors = Vectors::normalized(&raw.vectors);
    let (vector, code, cr2) = (reg(libc::REG_TRAPNO) as u8, reg(libc::REG_ERR) as u32, reg(libc::REG_CR2));
    outcome.ending = if watchdog::EXPIRED.load(Ordering::SeqCst) {
        Ending::TimedOut
    } else {
        let hidden = vector == x86::exception::vector::PF && cr2 >= KERNEL_ADDRESSES;
        let code = if hidden { code & !x86::paging::PF_PRESENT } else { code };
        Ending::Exception { vector, code, cr2 }
    };
}

const GPR: [libc::c_int; 16] = [
    libc::REG_RAX,
    libc::REG_RCX,
    libc::REG_RDX,
    libc::REG_RBX,
    libc::REG_RSP,
    libc::REG_RBP,
    libc::REG_RSI,
    libc::REG_RDI,
    libc::REG_R8,
    libc::REG_R9,
    libc::REG_R10,
    libc::REG_R11,
    libc::REG_R12,
    libc::REG_R13,
    libc::REG_R14,
    libc::REG_R15,
];

unsafe extern "C" fn handler(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    if !RUNNING.load(Ordering::SeqCst) {
        // SAFETY: passes on what the kernel passed.
        unsafe { hand_on(signal, info, context) };
        return;
    }
    // SAFETY: the thread runs bare code: FS is the case's and must be the harness's again before anything else; the
    // context is the kernel's, its floating-point part an XSAVE area with the components of AVX.
    unsafe {
        let (fs, gs): (u64, u64);
        std::arch::asm!(
            "rdfsbase {fs}",
            "rdgsbase {gs}",
            "wrfsbase {host}",
            // Linux leaves AC to handlers as the code had it.
            "pushfq",
            "and dword ptr [rsp], {without_ac}",
            "popfq",
            fs = out(reg) fs,
            gs = out(reg) gs,
            host = in(reg) HOST_FS.load(Ordering::SeqCst),
            without_ac = const !(x86::flags::AC as i32),
        );
        let machine = &mut (*context.cast::<libc::ucontext_t>()).uc_mcontext;
        let result = &mut *RESULT.0.get();
        result.gregs.copy_from_slice(&machine.gregs);
        result.bases = [fs, gs];
        let area = machine.fpregs.cast::<u8>();
        std::ptr::copy_nonoverlapping(area, result.vectors.as_mut_ptr(), XSAVE_BYTES);
        area.cast::<u16>().write(0x37f); // FCW
        area.add(2).cast::<u16>().write(0); // FSW
        area.add(4).cast::<u16>().write(0); // FTW
        area.add(24).cast::<u32>().write(0x1f80); // MXCSR
        machine.gregs[libc::REG_RIP as usize] = leave as *const () as i64;
        machine.gregs[libc::REG_RSP as usize] = HOST_RSP.load(Ordering::SeqCst) as i64;
        machine.gregs[libc::REG_EFL as usize] = 0x202;
        // CS is the lowest of four selectors.
        let selectors = &mut machine.gregs[libc::REG_CSGSFS as usize];
        *selectors = *selectors & !0xffff | USER_CODE_64;
    }
    RUNNING.store(false, Ordering::SeqCst);
}

unsafe fn hand_on(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    if signal == watchdog::SIGNAL {
        return;
    }
    let slot = SIGNALS.iter().position(|s| *s == signal).unwrap_or(0);
    // SAFETY: the table was filled by `install`.
    let old = unsafe { (*CHAIN.0.get())[slot] };
    if old == libc::SIG_DFL || old == libc::SIG_IGN {
        // SAFETY: restores the default disposition; the exception happens again and ends the process.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
        return;
    }
    // SAFETY: engines install handlers of this kind (SA_SIGINFO).
    unsafe {
        let next: extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void) =
            std::mem::transmute(old);
        next(signal, info, context);
    }
}
