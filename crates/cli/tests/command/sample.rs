//! Kernels of a few bytes: Multiboot 1 images without ELF, so that tests need no guest.
use std::path::{Path, PathBuf};

/// Where they are loaded.
const ADDRESS: u32 = 0x10_0000;
/// Multiboot 0.6.96 §3.1.1: magic number, and the flag for addresses in the header.
const MAGIC: u32 = 0x1bad_b002;
const HAS_ADDRESSES: u32 = 1 << 16;
/// The header's eight fields.
const HEADER_BYTES: u32 = 32;

/// `cli; hlt`.
pub const HALT: &[u8] = &[0xfa, 0xf4];
/// A jump to itself.
pub const LOOP: &[u8] = &[0xeb, 0xfe];
/// `push 0; push 0; lidt [esp]; int3`: an interrupt table without entries.
pub const TRIPLE_FAULT: &[u8] = &[0x6a, 0x00, 0x6a, 0x00, 0x0f, 0x01, 0x1c, 0x24, 0xcc];
/// `mov al, 0x10; out 0xf4, al`, then a loop.
pub const DEBUG_EXIT: &[u8] = &[0xb0, 0x10, 0xe6, 0xf4, 0xeb, 0xfe];
/// Writes `y` to the first serial port for ever: `mov dx, 0x3f8; mov al, 'y'; out dx, al; jmp` to the `out`.
pub const CHATTER: &[u8] = &[0x66, 0xba, 0xf8, 0x03, 0xb0, b'y', 0xee, 0xeb, 0xfd];
/// Says `!` on the first serial port, then loops.
pub const READY: &[u8] = &[0x66, 0xba, 0xf8, 0x03, 0xb0, b'!', 0xee, 0xeb, 0xfe];
/// Waits for a character on the first serial port by polling, sends it back, and ends with exit code 33.
pub const ECHO: &[u8] = &[
    0x66, 0xba, 0xf8, 0x03, // mov dx, 0x3f8
    0xb0, b'!', 0xee, // mov al, '!'; out dx, al
    0x66, 0xba, 0xfd, 0x03, // poll: mov dx, 0x3fd
    0xec, 0xa8, 0x01, // in al, dx; test al, 1
    0x74, 0xf7, // jz poll
    0x66, 0xba, 0xf8, 0x03, // mov dx, 0x3f8
    0xec, 0xee, // in al, dx; out dx, al
    0xb0, 0x10, 0xe6, 0xf4, // mov al, 0x10; out 0xf4, al
    0xeb, 0xfe, // a loop
];

/// A kernel that runs `code` in 32-bit protected mode, with a stack.
pub fn kernel(directory: &Path, code: &[u8]) -> PathBuf {
    // mov esp, ADDRESS + 64 KiB
    let stack = [&[0xbc][..], &(ADDRESS + 0x1_0000).to_le_bytes()].concat();
    let end = ADDRESS + HEADER_BYTES + (stack.len() + code.len()) as u32;
    let checksum = 0u32.wrapping_sub(MAGIC).wrapping_sub(HAS_ADDRESSES);
    let entry = ADDRESS + HEADER_BYTES;
    let header = [MAGIC, HAS_ADDRESSES, checksum, ADDRESS, ADDRESS, end, end, entry];
    let mut image: Vec<u8> = header.iter().flat_map(|field| field.to_le_bytes()).collect();
    image.extend(stack);
    image.extend(code);
    let path = directory.join("kernel");
    std::fs::write(&path, image).unwrap();
    path
}
