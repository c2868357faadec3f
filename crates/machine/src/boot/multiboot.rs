//! Multiboot 1 images (Multiboot Specification 0.6.96): ELF files or flat ones ("a.out kludge"), modules, memory map,
//! 32-bit protected-mode entry.
use platform::GuestRam;
use x86::{CpuState, reg};

use super::elf::{self, Elf};
use super::error::BootError;
use super::fields::u32_at;
use super::placement::{Placed, put, put_after, put_cmdline};
use super::{Load, entry};
use crate::board::low;
use crate::memory_map::{Kind, memory_map};

/// First field of the header (§3.1.1).
const HEADER_MAGIC: u32 = 0x1bad_b002;
/// The header lies in the first 8 KiB, aligned to 4 bytes.
const HEADER_SEARCH_BYTES: usize = 8192;
/// Requires modules on page boundaries; we do so always.
const REQUIRE_PAGE_ALIGN: u32 = 1 << 0;
/// Requires the memory map.
const REQUIRE_MEMORY: u32 = 1 << 1;
/// Asks for a video mode; a kernel learns from the information that there is none.
const REQUIRE_VIDEO: u32 = 1 << 2;
/// The address fields of the header are valid.
const HAS_ADDRESSES: u32 = 1 << 16;
/// Flags of which an unknown one means that the kernel must not be loaded.
const REQUIRED: u32 = 0xffff;

/// EAX at the entry point (§3.2).
const LOADER_MAGIC: u64 = 0x2bad_b002;
/// Flags of the information: which fields are valid (§3.3).
const INFO_MEMORY: u32 = 1 << 0;
const INFO_CMDLINE: u32 = 1 << 2;
const INFO_MODULES: u32 = 1 << 3;
const INFO_MEMORY_MAP: u32 = 1 << 6;
const INFO_LOADER_NAME: u32 = 1 << 9;
/// Bytes of the information, up to and including the VBE fields that are not valid.
const INFO_BYTES: usize = 88;

/// Where the parts of the information lie.
const LOADER_NAME_AT: u64 = low::START_INFO + 0x80;
const MODULES_AT: u64 = low::START_INFO + 0x100;
const MEMORY_MAP_AT: u64 = low::START_INFO + 0x400;
const MODULE_NAMES_AT: u64 = low::START_INFO + 0x800;
/// Longest module name, so that all of [`super::images::MAX_INITRDS`] fit into the page.
const MODULE_NAME_BYTES: usize = 48;
const LOADER_NAME: &[u8] = b"gasang\0";

/// A Multiboot header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Where it lies in the file.
    offset: usize,
    flags: u32,
}

/// Finds the header: magic, flags and a checksum that makes their sum zero.
pub fn find_header(file: &[u8]) -> Option<Header> {
    let searched = file.len().min(HEADER_SEARCH_BYTES);
    (0..searched).step_by(4).find_map(|offset| {
        let head = file.get(offset..offset + 12)?;
        let (magic, flags, checksum) = (u32_at(head, 0)?, u32_at(head, 4)?, u32_at(head, 8)?);
        let valid = magic == HEADER_MAGIC && magic.wrapping_add(flags).wrapping_add(checksum) == 0;
        valid.then_some(Header { offset, flags })
    })
}

/// Loads a kernel with its modules, and returns the state at its entry point.
pub fn load(load: &Load<'_>) -> Result<CpuState, BootError> {
    let header = find_header(load.kernel).ok_or(BootError::NoEntry)?;
    let known = REQUIRE_PAGE_ALIGN | REQUIRE_MEMORY | REQUIRE_VIDEO;
    let unknown = header.flags & REQUIRED & !known;
    if unknown != 0 {
        return Err(BootError::MultibootFeatures(unknown));
    }
    let (entry, kernel_end) = if header.flags & HAS_ADDRESSES != 0 {
        load_flat(load, header)?
    } else if load.kernel.starts_with(elf::MAGIC) {
        load_elf(load)?
    } else {
        return Err(BootError::Damaged("its Multiboot header gives no addresses and it is no ELF file"));
    };
    let modules = put_after(load.ram, &load.images.initrds, kernel_end)?;
    // The first word is the program's own name, as other loaders do and test suites expect.
    let cmdline = format!("{} {}", load.images.kernel.name(), load.images.cmdline);
    put_cmdline(load.ram, cmdline.trim_end(), usize::MAX)?;
    put_info(load, &modules)?;
    let mut state = entry::protected_mode(load.ram, entry)?;
    state.gpr[reg::RAX] = LOADER_MAGIC;
    state.gpr[reg::RBX] = low::START_INFO;
    Ok(state)
}

/// Entry point and end of an ELF kernel. Some are linked high and give a linear entry point.
fn load_elf(load: &Load<'_>) -> Result<(u32, u64), BootError> {
    let elf = Elf::parse(load.kernel)?;
    let end = elf.load(load.ram)?;
    let entry = elf.physical(elf.entry).unwrap_or(elf.entry);
    Ok((u32::try_from(entry).map_err(|_| BootError::EntryTooHigh(entry))?, end))
}

/// Entry point and end of a flat kernel, from the header's address fields (§3.1.3).
fn load_flat(load: &Load<'_>, header: Header) -> Result<(u32, u64), BootError> {
    let file = load.kernel;
    let field = |offset| {
        u32_at(file, header.offset + offset).ok_or(BootError::Truncated {
            what: "the Multiboot header",
            needed: (header.offset + offset + 4) as u64,
            length: file.len() as u64,
        })
    };
    let (header_address, start, load_end, bss_end, entry) =
        (field(12)?, field(16)?, field(20)?, field(24)?, field(28)?);
    let file_start = header_address
        .checked_sub(start)
        .and_then(|before| header.offset.checked_sub(before as usize))
        .ok_or(BootError::Damaged("its Multiboot load address does not fit its header's address"))?;
    let length = match load_end {
        0 => file.len() - file_start,
        end => end
            .checked_sub(start)
            .ok_or(BootError::Damaged("its Multiboot load addresses run backwards"))? as usize,
    };
    let content = file.get(file_start..file_start + length).ok_or(BootError::Truncated {
        what: "the Multiboot kernel",
        needed: (file_start + length) as u64,
        length: file.len() as u64,
    })?;
    let start = u64::from(start);
    if start < low::EXTENDED {
        return Err(BootError::BelowOneMebibyte(start));
    }
    let end = (start + length as u64).max(u64::from(bss_end));
    let have = load.ram.layout().low;
    if end > have {
        return Err(BootError::NotEnoughRam { needed: end, have });
    }
    put(load.ram, start, content)?;
    Ok((entry, end))
}

/// Writes the information structure and what it points to (§3.3).
fn put_info(load: &Load<'_>, modules: &[Placed]) -> Result<(), BootError> {
    let map_bytes = put_memory_map(load.ram)?;
    put_modules(load, modules)?;
    put(load.ram, LOADER_NAME_AT, LOADER_NAME)?;
    let mut info = [0; INFO_BYTES];
    let mut set = |offset: usize, value: u64| {
        info[offset..offset + 4].copy_from_slice(&(value as u32).to_le_bytes());
    };
    let flags = INFO_MEMORY | INFO_CMDLINE | INFO_MODULES | INFO_MEMORY_MAP | INFO_LOADER_NAME;
    set(0, u64::from(flags));
    set(4, low::CONVENTIONAL_END >> 10);
    set(8, (load.ram.layout().low - low::EXTENDED) >> 10);
    set(16, low::CMDLINE);
    set(20, modules.len() as u64);
    set(24, MODULES_AT);
    set(44, map_bytes as u64);
    set(48, MEMORY_MAP_AT);
    set(64, LOADER_NAME_AT);
    put(load.ram, low::START_INFO, &info)
}

/// The memory map: rows of their own size (not counting itself), address, length, type.
fn put_memory_map(ram: &GuestRam) -> Result<usize, BootError> {
    let mut table = Vec::new();
    for range in memory_map(ram.layout()) {
        table.extend(20_u32.to_le_bytes());
        table.extend(range.start.to_le_bytes());
        table.extend(range.length.to_le_bytes());
        table.extend((range.kind as u32).to_le_bytes());
    }
    debug_assert_eq!(Kind::Ram as u32, 1, "Multiboot calls available RAM 1");
    put(ram, MEMORY_MAP_AT, &table)?;
    Ok(table.len())
}

/// The modules: rows of first address, end, name, zero.
fn put_modules(load: &Load<'_>, modules: &[Placed]) -> Result<(), BootError> {
    let mut table = Vec::new();
    for (index, (module, file)) in modules.iter().zip(&load.images.initrds).enumerate() {
        let name_at = MODULE_NAMES_AT + (index * MODULE_NAME_BYTES) as u64;
        let name = file.name();
        let length = name.floor_char_boundary(MODULE_NAME_BYTES - 1);
        put(load.ram, name_at, &name.as_bytes()[..length])?;
        for field in [module.start, module.start + module.length, name_at, 0] {
            table.extend((field as u32).to_le_bytes());
        }
    }
    put(load.ram, MODULES_AT, &table)
}

#[cfg(test)]
mod tests;
