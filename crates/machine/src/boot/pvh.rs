//! ELF kernels by the x86/HVM direct boot ABI, "PVH" (docs/misc/pvh.pandoc and public/arch-x86/hvm/start_info.h of
//! Xen): 32-bit protected mode, EBX points to `hvm_start_info`.
use linux_loader::loader::start_info::{
    XEN_HVM_START_MAGIC_VALUE, hvm_memmap_table_entry, hvm_modlist_entry, hvm_start_info,
};
use x86::{CpuState, reg};

use super::elf::{Elf, Segment};
use super::error::BootError;
use super::fields::{u32_at, u64_at};
use super::placement::{Placed, put, put_cmdline, put_high};
use super::{Load, entry};
use crate::board::low;
use crate::memory_map::memory_map;

/// `XEN_ELFNOTE_PHYS32_ENTRY`: the note that holds the entry point.
const NOTE_PHYS32_ENTRY: u32 = 18;
/// Owner of that note, with its zero.
const NOTE_NAME: &[u8] = b"Xen\0";
/// Version of `hvm_start_info` that has a memory map.
const START_INFO_VERSION: u32 = 1;
/// Where the lists of modules and of memory ranges lie.
const MODULES: u64 = low::START_INFO + 0x40;
const MEMORY_MAP: u64 = low::START_INFO + 0x800;

/// Loads an ELF kernel with its modules and command line, and returns the state at its PVH entry point.
pub fn load(load: &Load<'_>) -> Result<CpuState, BootError> {
    let elf = Elf::parse(load.kernel)?;
    let entry = entry_point(&elf)?;
    let kernel_end = elf.load(load.ram)?;
    put_cmdline(load.ram, &load.images.cmdline, usize::MAX)?;
    let modules = put_high(load.ram, &load.images.initrds, 4096, kernel_end, u64::MAX)?;
    put_start_info(load, &modules)?;
    let mut state = entry::protected_mode(load.ram, entry)?;
    state.gpr[reg::RBX] = low::START_INFO;
    Ok(state)
}

fn entry_point(elf: &Elf<'_>) -> Result<u32, BootError> {
    let note = elf.notes().find_map(phys32_entry).ok_or(BootError::NoEntry)?;
    u32::try_from(note).map_err(|_| BootError::EntryTooHigh(note))
}

/// The entry point in a segment of notes: rows of name length, content length, type, name, content (System V ABI,
/// chapter 5), name and content padded to the segment's alignment.
fn phys32_entry(segment: &Segment<'_>) -> Option<u64> {
    let align = if segment.align == 8 { 8 } else { 4 };
    let mut rest = segment.content;
    loop {
        let name_bytes = u32_at(rest, 0)? as usize;
        let content_bytes = u32_at(rest, 4)? as usize;
        let kind = u32_at(rest, 8)?;
        let content_start = 12_usize.checked_add(name_bytes)?.checked_next_multiple_of(align)?;
        let end = content_start.checked_add(content_bytes)?;
        let content = rest.get(content_start..end)?;
        if kind == NOTE_PHYS32_ENTRY && rest.get(12..12 + name_bytes)? == NOTE_NAME {
            return u64_at(content, 0).or_else(|| u32_at(content, 0).map(u64::from));
        }
        rest = rest.get(end.checked_next_multiple_of(align)?..)?;
    }
}

fn put_start_info(load: &Load<'_>, modules: &[Placed]) -> Result<(), BootError> {
    let map = memory_map(load.ram.layout());
    let info = hvm_start_info {
        magic: XEN_HVM_START_MAGIC_VALUE,
        version: START_INFO_VERSION,
        nr_modules: modules.len() as u32,
        modlist_paddr: if modules.is_empty() { 0 } else { MODULES },
        cmdline_paddr: low::CMDLINE,
        rsdp_paddr: load.rsdp,
        memmap_paddr: MEMORY_MAP,
        memmap_entries: map.len() as u32,
        ..hvm_start_info::default()
    };
    put(load.ram, low::START_INFO, &start_info_bytes(&info))?;
    let modules = modules.iter().map(|module| hvm_modlist_entry {
        paddr: module.start,
        size: module.length,
        ..hvm_modlist_entry::default()
    });
    let list: Vec<u8> = modules.flat_map(|module| module_bytes(&module)).collect();
    put(load.ram, MODULES, &list)?;
    let ranges = map.iter().map(|range| hvm_memmap_table_entry {
        addr: range.start,
        size: range.length,
        type_: range.kind as u32,
        reserved: 0,
    });
    let table: Vec<u8> = ranges.flat_map(|range| range_bytes(&range)).collect();
    put(load.ram, MEMORY_MAP, &table)
}

fn start_info_bytes(info: &hvm_start_info) -> Vec<u8> {
    let head = [info.magic, info.version, info.flags, info.nr_modules];
    let addresses = [info.modlist_paddr, info.cmdline_paddr, info.rsdp_paddr, info.memmap_paddr];
    let tail = [info.memmap_entries, info.reserved];
    let mut bytes: Vec<u8> = head.iter().flat_map(|field| field.to_le_bytes()).collect();
    bytes.extend(addresses.iter().flat_map(|field| field.to_le_bytes()));
    bytes.extend(tail.iter().flat_map(|field| field.to_le_bytes()));
    bytes
}

fn module_bytes(module: &hvm_modlist_entry) -> Vec<u8> {
    let fields = [module.paddr, module.size, module.cmdline_paddr, module.reserved];
    fields.iter().flat_map(|field| field.to_le_bytes()).collect()
}

fn range_bytes(range: &hvm_memmap_table_entry) -> Vec<u8> {
    let addresses = [range.addr, range.size].into_iter().flat_map(u64::to_le_bytes);
    addresses.chain([range.type_, range.reserved].into_iter().flat_map(u32::to_le_bytes)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::boot::samples;
    use platform::GuestRam;
    use x86::Gpa;
    use x86::control::{CR0_PE, CR0_PG};

    fn boot(kernel: &[u8], initrds: &[&[u8]], cmdline: &str) -> Result<(GuestRam, CpuState), BootError> {
        let directory = tempfile::tempdir().unwrap();
        let images = samples::images(directory.path(), kernel, initrds, cmdline);
        let ram = GuestRam::new(64 << 20).unwrap();
        let state = crate::boot::load(&images, &ram, 0xe_0000)?;
        Ok((ram, state))
    }

    fn bytes(ram: &GuestRam, address: u64, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        ram.read(Gpa(address), &mut bytes).unwrap();
        bytes
    }

    #[test]
    fn entry_comes_from_the_note() {
        let (_, state) = boot(&samples::pvh_elf(), &[], "").unwrap();
        assert_eq!(state.rip, samples::PVH_ENTRY);
        assert_eq!(state.cr0 & (CR0_PE | CR0_PG), CR0_PE);
    }

    #[test]
    fn start_info_points_to_everything() {
        let (ram, state) = boot(&samples::pvh_elf(), &[b"one", b"three"], "a b").unwrap();
        let info = bytes(&ram, state.gpr[reg::RBX], 56);
        assert_eq!(u32_at(&info, 0), Some(0x336e_c578));
        assert_eq!(u32_at(&info, 12), Some(2));
        assert_eq!(bytes(&ram, u64_at(&info, 24).unwrap(), 4), b"a b\0");
        assert_eq!(u64_at(&info, 32), Some(0xe_0000));
        let modules = bytes(&ram, u64_at(&info, 16).unwrap(), 64);
        let second = u64_at(&modules, 32).unwrap();
        assert_eq!(u64_at(&modules, 40), Some(5));
        assert_eq!(bytes(&ram, second, 5), b"three");
        let map = memory_map(ram.layout());
        assert_eq!(u32_at(&info, 48), Some(map.len() as u32));
        let table = bytes(&ram, u64_at(&info, 40).unwrap(), map.len() * 24);
        assert_eq!(u64_at(&table, 3 * 24), Some(map[3].start));
        assert_eq!(u64_at(&table, 3 * 24 + 8), Some(map[3].length));
        assert_eq!(u32_at(&table, 3 * 24 + 16), Some(1));
    }

    #[test]
    fn an_elf_without_the_note_has_no_way_in() {
        let error = boot(&samples::elf(true, 0x20_0000, b"code"), &[], "").map(|_| ()).unwrap_err();
        assert!(matches!(error, BootError::NoEntry), "{error}");
    }

    #[test]
    fn damaged_notes_end_the_search() {
        let mut kernel = samples::pvh_elf();
        let note = samples::PVH_NOTE_OFFSET;
        kernel[note..note + 4].copy_from_slice(&u32::MAX.to_le_bytes());
        assert!(matches!(boot(&kernel, &[], ""), Err(BootError::NoEntry)));
    }
}
