//! The kernel's code: handlers that save the registers of user code into a [`Block`] and report at a port, after which
//! the next case is loaded from the same block. Position-independent; assembled into this program and copied.
#![expect(unsafe_code, reason = "reads the assembled bytes between two labels")]
use std::arch::global_asm;
use std::mem::offset_of;

use crate::engine::io::REPORT_PORT;
use crate::state::Vectors;

/// Distance of the block from the start of the code.
pub const BLOCK_OFFSET: usize = 0x1000;
/// Distance of one vector's handler from the next.
pub const HANDLER_STRIDE: u64 = 16;
/// Vectors that push an error code, as bits (SDM 3A table 6-1).
pub const WITH_ERROR_CODE: u64 = 0x22_7d00;

/// What the kernel saves and loads.
#[repr(C, align(4096))]
pub struct Block {
    /// General-purpose registers of the next case.
    pub load_gpr: [u64; 16],
    /// General-purpose registers of the last case; RSP's place is unused.
    pub save_gpr: [u64; 16],
    /// Frame for IRETQ: RIP, CS, RFLAGS, RSP, SS.
    pub load_frame: [u64; 5],
    /// Vector, error code, RIP, CS, RFLAGS, RSP.
    pub save_frame: [u64; 6],
    /// FS and GS bases of the next case.
    pub load_bases: [u64; 2],
    /// FS and GS bases of the last case.
    pub save_bases: [u64; 2],
    /// CR2 after the last case.
    pub save_cr2: u64,
    /// Vectors of the next case.
    pub load_vectors: Vectors,
    /// Vectors of the last case.
    pub save_vectors: Vectors,
}

global_asm!(
    ".pushsection .rodata.isa_kernel, \"a\"",
    ".balign 4096",
    ".globl isa_kernel_start",
    ".hidden isa_kernel_start",
    "isa_kernel_start:",
    ".set isa_vector, 0",
    ".rept 32",
    ".balign {stride}",
    ".if ((({with_code}) >> isa_vector) & 1) == 0",
    "push 0",
    ".endif",
    "push isa_vector",
    "jmp isa_kernel_save",
    ".set isa_vector, isa_vector + 1",
    ".endr",
    ".balign 64",
    "isa_kernel_save:",
    "mov [rip + isa_kernel_block + {save_gpr}], rax",
    "mov [rip + isa_kernel_block + {save_gpr} + 8], rcx",
    "mov [rip + isa_kernel_block + {save_gpr} + 16], rdx",
    "mov [rip + isa_kernel_block + {save_gpr} + 24], rbx",
    "mov [rip + isa_kernel_block + {save_gpr} + 40], rbp",
    "mov [rip + isa_kernel_block + {save_gpr} + 48], rsi",
    "mov [rip + isa_kernel_block + {save_gpr} + 56], rdi",
    "mov [rip + isa_kernel_block + {save_gpr} + 64], r8",
    "mov [rip + isa_kernel_block + {save_gpr} + 72], r9",
    "mov [rip + isa_kernel_block + {save_gpr} + 80], r10",
    "mov [rip + isa_kernel_block + {save_gpr} + 88], r11",
    "mov [rip + isa_kernel_block + {save_gpr} + 96], r12",
    "mov [rip + isa_kernel_block + {save_gpr} + 104], r13",
    "mov [rip + isa_kernel_block + {save_gpr} + 112], r14",
    "mov [rip + isa_kernel_block + {save_gpr} + 120], r15",
    "pop rax",
    "mov [rip + isa_kernel_block + {save_frame}], rax",
    "pop rax",
    "mov [rip + isa_kernel_block + {save_frame} + 8], rax",
    "pop rax",
    "mov [rip + isa_kernel_block + {save_frame} + 16], rax",
    "pop rax",
    "mov [rip + isa_kernel_block + {save_frame} + 24], rax",
    "pop rax",
    "mov [rip + isa_kernel_block + {save_frame} + 32], rax",
    "pop rax",
    "mov [rip + isa_kernel_block + {save_frame} + 40], rax",
    "mov rax, cr2",
    "mov [rip + isa_kernel_block + {save_cr2}], rax",
    "rdfsbase rax",
    "mov [rip + isa_kernel_block + {save_bases}], rax",
    "rdgsbase rax",
    "mov [rip + isa_kernel_block + {save_bases} + 8], rax",
    "mov eax, 7",
    "xor edx, edx",
    "xsave64 [rip + isa_kernel_block + {save_vectors}]",
    "out {port}, al",
    ".globl isa_kernel_load",
    ".hidden isa_kernel_load",
    "isa_kernel_load:",
    "mov eax, 7",
    "xor edx, edx",
    "xrstor64 [rip + isa_kernel_block + {load_vectors}]",
    "mov rax, [rip + isa_kernel_block + {load_bases}]",
    "wrfsbase rax",
    "mov rax, [rip + isa_kernel_block + {load_bases} + 8]",
    "wrgsbase rax",
    "mov rax, [rip + isa_kernel_block + {load_gpr}]",
    "mov rcx, [rip + isa_kernel_block + {load_gpr} + 8]",
    "mov rdx, [rip + isa_kernel_block + {load_gpr} + 16]",
    "mov rbx, [rip + isa_kernel_block + {load_gpr} + 24]",
    "mov rbp, [rip + isa_kernel_block + {load_gpr} + 40]",
    "mov rsi, [rip + isa_kernel_block + {load_gpr} + 48]",
    "mov rdi, [rip + isa_kernel_block + {load_gpr} + 56]",
    "mov r8, [rip + isa_kernel_block + {load_gpr} + 64]",
    "mov r9, [rip + isa_kernel_block + {load_gpr} + 72]",
    "mov r10, [rip + isa_kernel_block + {load_gpr} + 80]",
    "mov r11, [rip + isa_kernel_block + {load_gpr} + 88]",
    "mov r12, [rip + isa_kernel_block + {load_gpr} + 96]",
    "mov r13, [rip + isa_kernel_block + {load_gpr} + 104]",
    "mov r14, [rip + isa_kernel_block + {load_gpr} + 112]",
    "mov r15, [rip + isa_kernel_block + {load_gpr} + 120]",
    "lea rsp, [rip + isa_kernel_block + {load_frame}]",
    "iretq",
    ".globl isa_kernel_end",
    ".hidden isa_kernel_end",
    "isa_kernel_end:",
    ".org isa_kernel_start + {block}",
    "isa_kernel_block:",
    ".popsection",
    stride = const HANDLER_STRIDE,
    with_code = const WITH_ERROR_CODE,
    port = const REPORT_PORT,
    block = const BLOCK_OFFSET,
    load_gpr = const offset_of!(Block, load_gpr),
    save_gpr = const offset_of!(Block, save_gpr),
    load_frame = const offset_of!(Block, load_frame),
    save_frame = const offset_of!(Block, save_frame),
    load_bases = const offset_of!(Block, load_bases),
    save_bases = const offset_of!(Block, save_bases),
    save_cr2 = const offset_of!(Block, save_cr2),
    load_vectors = const offset_of!(Block, load_vectors),
    save_vectors = const offset_of!(Block, save_vectors),
);

unsafe extern "C" {
    static isa_kernel_start: u8;
    static isa_kernel_load: u8;
    static isa_kernel_end: u8;
}

/// The code's bytes, without the block.
pub fn bytes() -> &'static [u8] {
    let (start, end) = (&raw const isa_kernel_start, &raw const isa_kernel_end);
    // SAFETY: the labels enclose the assembled code in read-only data.
    unsafe { std::slice::from_raw_parts(start, end as usize - start as usize) }
}

/// Where, in the code, a case is loaded.
pub fn load_offset() -> u64 {
    (&raw const isa_kernel_load) as u64 - (&raw const isa_kernel_start) as u64
}
