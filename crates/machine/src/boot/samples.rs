//! Hand-made kernels for tests: headers, and a few bytes in the place of code.
use std::path::{Path, PathBuf};

use super::images::{BootFiles, BootImages};

/// Where [`bzimage`] wants to be.
pub const BZIMAGE_ADDRESS: u64 = 0x100_0000;
/// What [`bzimage`] loads there.
pub const BZIMAGE_CODE: [u8; 0x410] = [0xf4; 0x410];
/// Where [`multiboot_elf`] is loaded and entered.
pub const MULTIBOOT_ADDRESS: u64 = 0x40_0000;
/// Entry point in the note of [`pvh_elf`].
pub const PVH_ENTRY: u64 = 0x20_0010;
/// Where the note of [`pvh_elf`] lies in the file.
pub const PVH_NOTE_OFFSET: usize = 64 + 2 * 56;
/// Zeroed bytes after the content of [`elf`].
pub const BSS_BYTES: u64 = 0x100;

/// Writes a 16-bit field.
pub fn put_u16(bytes: &mut [u8], offset: usize, value: u16) {
    bytes[offset..offset + 2].copy_from_slice(&value.to_le_bytes());
}

/// Writes a 32-bit field.
pub fn put_u32(bytes: &mut [u8], offset: usize, value: u32) {
    bytes[offset..offset + 4].copy_from_slice(&value.to_le_bytes());
}

/// Writes a file and returns its path.
pub fn file(directory: &Path, name: &str, content: &[u8]) -> PathBuf {
    let path = directory.join(name);
    std::fs::write(&path, content).unwrap();
    path
}

/// Files `kernel`, `initrd0`, `initrd1`, … in a directory, opened.
pub fn images(directory: &Path, kernel: &[u8], initrds: &[&[u8]], cmdline: &str) -> BootImages {
    let initrds = initrds.iter().enumerate();
    let initrds = initrds.map(|(index, content)| file(directory, &format!("initrd{index}"), content));
    BootImages::open(&BootFiles {
        kernel: file(directory, "kernel", kernel),
        initrds: initrds.collect(),
        cmdline: cmdline.to_owned(),
    })
    .unwrap()
}

/// A Linux kernel of boot protocol 2.15 with one setup sector.
pub fn bzimage() -> Vec<u8> {
    let mut file = vec![0; 1024];
    file[0x1f1] = 1; // setup_sects
    put_u32(&mut file, 0x1f4, BZIMAGE_CODE.len() as u32 / 16); // syssize
    put_u16(&mut file, 0x1fe, 0xaa55);
    put_u16(&mut file, 0x200, 0x6aeb); // jump over the header
    file[0x202..0x206].copy_from_slice(b"HdrS");
    put_u16(&mut file, 0x206, 0x020f); // version
    file[0x211] = 1; // loadflags
    put_u32(&mut file, 0x22c, 0x7fff_ffff); // initrd_addr_max
    put_u32(&mut file, 0x230, 0x20_0000); // kernel_alignment
    file[0x234] = 1; // relocatable_kernel
    put_u16(&mut file, 0x236, 0x7f); // xloadflags
    put_u32(&mut file, 0x238, 2047); // cmdline_size
    put_u32(&mut file, 0x258, BZIMAGE_ADDRESS as u32); // pref_address
    put_u32(&mut file, 0x260, 0x10_0000); // init_size
    file.extend(BZIMAGE_CODE);
    file
}

/// An ELF file of one loadable segment, entered where it begins.
pub fn elf(wide: bool, address: u64, content: &[u8]) -> Vec<u8> {
    let memory = content.len() as u64 + BSS_BYTES;
    if wide {
        let offset = 64 + 56;
        let mut file = elf64_header(1, address);
        file.extend(program_header_64(1, offset, address, content.len() as u64, memory, 4096));
        file.extend(content);
        return file;
    }
    let mut file = vec![0; 52 + 32];
    file[..7].copy_from_slice(b"\x7fELF\x01\x01\x01");
    put_u16(&mut file, 16, 2);
    put_u16(&mut file, 18, 3);
    put_u32(&mut file, 24, address as u32);
    put_u32(&mut file, 28, 52);
    put_u16(&mut file, 42, 32);
    put_u16(&mut file, 44, 1);
    let fields = [1, 52 + 32, address as u32, address as u32, content.len() as u32, memory as u32, 5, 4096];
    for (index, field) in fields.into_iter().enumerate() {
        put_u32(&mut file, 52 + index * 4, field);
    }
    file.extend(content);
    file
}

/// A 64-bit ELF kernel with a PVH note.
pub fn pvh_elf() -> Vec<u8> {
    let mut note = Vec::new();
    for field in [4_u32, 8, 18] {
        note.extend(field.to_le_bytes());
    }
    note.extend(b"Xen\0");
    note.extend(PVH_ENTRY.to_le_bytes());
    let note_at = PVH_NOTE_OFFSET as u64;
    let code_at = note_at + note.len() as u64;
    let mut file = elf64_header(2, 0xffff_ffff_8100_0000);
    file.extend(program_header_64(1, code_at, 0x20_0000, 32, 64, 4096));
    file.extend(program_header_64(4, note_at, 0x20_0000, note.len() as u64, note.len() as u64, 4));
    file.extend(note);
    file.extend([0xf4; 32]);
    file
}

/// A 32-bit ELF kernel with a Multiboot header.
pub fn multiboot_elf() -> Vec<u8> {
    let mut content = multiboot_header(3).to_vec();
    content.extend(b"code");
    elf(false, MULTIBOOT_ADDRESS, &content)
}

/// A flat kernel at 1 MiB whose Multiboot header gives the addresses.
pub fn multiboot_flat() -> Vec<u8> {
    let mut file = multiboot_header(1 << 16).to_vec();
    for field in [0x10_0000_u32, 0x10_0000, 0, 0x10_8000, 0x10_1000] {
        file.extend(field.to_le_bytes());
    }
    file.extend(b"code");
    file
}

fn multiboot_header(flags: u32) -> [u8; 12] {
    let magic = 0x1bad_b002_u32;
    let mut header = [0; 12];
    put_u32(&mut header, 0, magic);
    put_u32(&mut header, 4, flags);
    put_u32(&mut header, 8, 0_u32.wrapping_sub(magic).wrapping_sub(flags));
    header
}

fn elf64_header(segments: u16, entry: u64) -> Vec<u8> {
    let mut file = vec![0; 64];
    file[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
    put_u16(&mut file, 16, 2);
    put_u16(&mut file, 18, 62);
    file[24..32].copy_from_slice(&entry.to_le_bytes());
    file[32] = 64;
    put_u16(&mut file, 54, 56);
    put_u16(&mut file, 56, segments);
    file
}

fn program_header_64(kind: u32, offset: u64, address: u64, file: u64, memory: u64, align: u64) -> Vec<u8> {
    let mut header = [kind.to_le_bytes(), 5_u32.to_le_bytes()].concat();
    for field in [offset, address, address, file, memory, align] {
        header.extend(field.to_le_bytes());
    }
    header
}
