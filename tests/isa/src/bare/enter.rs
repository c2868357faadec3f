//! The way into bare code, and the way back.
use std::arch::naked_asm;
use std::mem::offset_of;
use std::sync::atomic::AtomicU64;

use crate::state::UserState;

/// The harness's stack pointer while bare code runs.
pub static HOST_RSP: AtomicU64 = AtomicU64::new(0);
static TARGET: AtomicU64 = AtomicU64::new(0);
/// Linux's selectors.
pub const USER_CODE_32: u16 = 0x23;
const USER_DATA: u16 = 0x2b;

/// Loads all registers and jumps to bare code. Returns, through [`leave`], once a signal handler arranged for it.
///
/// # Safety
/// The code at the state's RIP must end by an exception that the handlers of [`super::signals`] catch, and must not
/// touch memory outside the regions of cases.
#[unsafe(naked)]
pub unsafe extern "C" fn enter(state: *const UserState) {
    naked_asm!(
        "push rbx",
        "push rbp",
        "push r12",
        "push r13",
        "push r14",
        "push r15",
        "mov [rip + {host_rsp}], rsp",
        "mov eax, 7",
        "xor edx, edx",
        "xrstor64 [rdi + {vectors}]",
        // Selectors that the case before may have loaded; Linux has null there.
        "xor eax, eax",
        "mov ds, eax",
        "mov es, eax",
        "mov fs, eax",
        "mov gs, eax",
        "mov rax, [rdi + {fs_base}]",
        "wrfsbase rax",
        "mov rax, [rdi + {gs_base}]",
        "wrgsbase rax",
        "mov rax, [rdi + {rip}]",
        "mov [rip + {target}], rax",
        "push qword ptr [rdi + {rflags}]",
        "popfq",
        "mov rax, [rdi]",
        "mov rcx, [rdi + 8]",
        "mov rdx, [rdi + 16]",
        "mov rbx, [rdi + 24]",
        "mov rsp, [rdi + 32]",
        "mov rbp, [rdi + 40]",
        "mov rsi, [rdi + 48]",
        "mov r8, [rdi + 64]",
        "mov r9, [rdi + 72]",
        "mov r10, [rdi + 80]",
        "mov r11, [rdi + 88]",
        "mov r12, [rdi + 96]",
        "mov r13, [rdi + 104]",
        "mov r14, [rdi + 112]",
        "mov r15, [rdi + 120]",
        "mov rdi, [rdi + 56]",
        "jmp qword ptr [rip + {target}]",
        host_rsp = sym HOST_RSP,
        target = sym TARGET,
        vectors = const offset_of!(UserState, vectors),
        fs_base = const offset_of!(UserState, fs_base),
        gs_base = const offset_of!(UserState, gs_base),
        rip = const offset_of!(UserState, rip),
        rflags = const offset_of!(UserState, rflags),
    )
}

/// As [`enter`], for 32-bit code with Linux's flat segments; FS and GS are null.
///
/// # Safety
/// As for [`enter`].
#[unsafe(naked)]
pub unsafe extern "C" fn enter_32(state: *const UserState) {
    naked_asm!(
        "push rbx",
        "push rbp",
        "push r12",
        "push r13",
        "push r14",
        "push r15",
        "mov [rip + {host_rsp}], rsp",
        "mov eax, 7",
        "xor edx, edx",
        "xrstor64 [rdi + {vectors}]",
        "xor eax, eax",
        "mov fs, eax",
        "mov gs, eax",
        "mov eax, {data}",
        "mov ds, eax",
        "mov es, eax",
        // A far pointer of 32 and 16 bits.
        "mov rax, {code} << 32",
        "or rax, [rdi + {rip}]",
        "mov [rip + {target}], rax",
        "push qword ptr [rdi + {rflags}]",
        "popfq",
        "mov rax, [rdi]",
        "mov rcx, [rdi + 8]",
        "mov rdx, [rdi + 16]",
        "mov rbx, [rdi + 24]",
        "mov rsp, [rdi + 32]",
        "mov rbp, [rdi + 40]",
        "mov rsi, [rdi + 48]",
        "mov r8, [rdi + 64]",
        "mov r9, [rdi + 72]",
        "mov r10, [rdi + 80]",
        "mov r11, [rdi + 88]",
        "mov r12, [rdi + 96]",
        "mov r13, [rdi + 104]",
        "mov r14, [rdi + 112]",
        "mov r15, [rdi + 120]",
        "mov rdi, [rdi + 56]",
        "jmp fword ptr [rip + {target}]",
        host_rsp = sym HOST_RSP,
        target = sym TARGET,
        vectors = const offset_of!(UserState, vectors),
        rip = const offset_of!(UserState, rip),
        rflags = const offset_of!(UserState, rflags),
        data = const USER_DATA,
        code = const USER_CODE_32 as u64,
    )
}

/// Where the signal handler returns to, on the stack that [`enter`] left: returns to its caller.
///
/// # Safety
/// Not to be called; only a signal handler's context may name it.
#[unsafe(naked)]
pub unsafe extern "C" fn leave() {
    naked_asm!("vzeroupper", "pop r15", "pop r14", "pop r13", "pop r12", "pop rbp", "pop rbx", "ret",)
}
