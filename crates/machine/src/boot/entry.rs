//! The CPU states in which boot protocols start a kernel, with the tables that they point to.
use platform::GuestRam;
use x86::control::{CR0_ET, CR0_PE, CR0_PG, CR4_PAE, EFER_LMA, EFER_LME};
use x86::paging::{PTE_P, PTE_PS, PTE_W};
use x86::segment::{CS, Segment};
use x86::state::TableRegister;
use x86::{CpuState, msr};

use super::error::BootError;
use super::placement::put;
use crate::board::low;

/// Selector of the code segment; Linux calls it `__BOOT_CS`.
const CODE: u16 = 0x10;
/// Selector of the data segment; Linux calls it `__BOOT_DS`.
const DATA: u16 = 0x18;
/// Selector of the task-state segment.
const TASK: u16 = 0x20;

/// Flat 64-bit code: present, ring 0, readable, accessed.
const CODE_64: u64 = 0x00af_9b00_0000_ffff;
/// Flat 32-bit code.
const CODE_32: u64 = 0x00cf_9b00_0000_ffff;
/// Flat writable data.
const DATA_FLAT: u64 = 0x00cf_9300_0000_ffff;
/// Busy task-state segment at 0 of 104 bytes. Its second half in long mode is zero.
const TASK_BUSY: u64 = 0x0000_8b00_0000_0067;

/// Memory-type range registers as firmware leaves them: enabled, everything write-back. The device holes are uncached
/// by the page attributes that the guest gives them.
const MTRR_ENABLED_WRITE_BACK: u64 = 1 << 11 | 6;
/// Page attribute table after reset (SDM 3A §11.12.4).
const PAT_RESET: u64 = 0x0007_0406_0007_0406;
/// Fast string operations, as firmware leaves them.
const MISC_ENABLE_FAST_STRINGS: u64 = 1;

/// 64-bit mode at `rip`: paging on, the first 4 GiB identity-mapped, interrupts off.
pub fn long_mode(ram: &GuestRam, rip: u64) -> Result<CpuState, BootError> {
    put_page_tables(ram)?;
    let state = flat(ram, rip, CODE_64)?;
    Ok(CpuState {
        cr0: CR0_PE | CR0_ET | CR0_PG,
        cr3: low::PAGE_TABLES,
        cr4: CR4_PAE,
        efer: EFER_LME | EFER_LMA,
        ..state
    })
}

/// 32-bit protected mode at `eip`: paging off, flat segments, interrupts off (PVH; Multiboot 0.6.96 §3.2).
pub fn protected_mode(ram: &GuestRam, eip: u32) -> Result<CpuState, BootError> {
    flat(ram, u64::from(eip), CODE_32)
}

fn flat(ram: &GuestRam, rip: u64, code: u64) -> Result<CpuState, BootError> {
    let gdt = [0, 0, code, DATA_FLAT, TASK_BUSY, 0];
    let bytes: Vec<u8> = gdt.iter().flat_map(|entry: &u64| entry.to_le_bytes()).collect();
    put(ram, low::GDT, &bytes)?;
    let mut segments = [Segment::from_descriptor(DATA, DATA_FLAT); 6];
    segments[CS] = Segment::from_descriptor(CODE, code);
    Ok(CpuState {
        rip,
        segments,
        tr: Segment::from_descriptor(TASK, TASK_BUSY),
        gdtr: TableRegister { base: low::GDT, limit: bytes.len() as u16 - 1 },
        idtr: TableRegister { base: 0, limit: 0 },
        cr0: CR0_PE | CR0_ET,
        msrs: vec![
            (msr::MISC_ENABLE, MISC_ENABLE_FAST_STRINGS),
            (msr::PAT, PAT_RESET),
            (msr::MTRR_DEF_TYPE, MTRR_ENABLED_WRITE_BACK),
        ],
        ..CpuState::default()
    })
}

/// One PML4, one PDPT and four page directories of 2 MiB pages, in consecutive pages.
fn put_page_tables(ram: &GuestRam) -> Result<(), BootError> {
    const GIBIBYTES: u64 = 4;
    let pdpt = low::PAGE_TABLES + 0x1000;
    let directories = low::PAGE_TABLES + 0x2000;
    put(ram, low::PAGE_TABLES, &(pdpt | PTE_P | PTE_W).to_le_bytes())?;
    for gibibyte in 0..GIBIBYTES {
        let directory = directories + gibibyte * 0x1000;
        put(ram, pdpt + gibibyte * 8, &(directory | PTE_P | PTE_W).to_le_bytes())?;
        let entry = |page: u64| gibibyte << 30 | page << 21 | PTE_P | PTE_W | PTE_PS;
        let entries: Vec<u8> = (0..512).flat_map(|page| entry(page).to_le_bytes()).collect();
        put(ram, directory, &entries)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use x86::Gpa;
    use x86::paging::PTE_ADDRESS;

    fn entry(ram: &GuestRam, table: u64, index: u64) -> u64 {
        let mut bytes = [0; 8];
        ram.read(Gpa(table + index * 8), &mut bytes).unwrap();
        u64::from_le_bytes(bytes)
    }

    #[test]
    fn long_mode_maps_the_first_four_gibibytes_onto_themselves() {
        let ram = GuestRam::new(1 << 20).unwrap();
        let state = long_mode(&ram, 0x100_0200).unwrap();
        for address in [0_u64, 0x20_0000, 0x7fff_ffff, 0xffff_ffff] {
            let pdpt = entry(&ram, state.cr3, address >> 39);
            let directory = entry(&ram, pdpt & PTE_ADDRESS, address >> 30 & 511);
            let page = entry(&ram, directory & PTE_ADDRESS, address >> 21 & 511);
            assert_eq!(page & PTE_ADDRESS, address & !0x1f_ffff);
            assert_eq!(page & (PTE_P | PTE_W | PTE_PS), PTE_P | PTE_W | PTE_PS);
        }
    }

    #[test]
    fn segments_are_those_of_the_table_in_ram() {
        type Build = fn(&GuestRam) -> Result<CpuState, BootError>;
        let builds: [Build; 2] = [|ram| long_mode(ram, 0), |ram| protected_mode(ram, 0)];
        for build in builds {
            let ram = GuestRam::new(1 << 20).unwrap();
            let state = build(&ram).unwrap();
            for segment in state.segments.iter().chain([&state.tr]) {
                let descriptor = entry(&ram, state.gdtr.base, u64::from(segment.selector / 8));
                assert_eq!(*segment, Segment::from_descriptor(segment.selector, descriptor));
                assert!(segment.selector < state.gdtr.limit);
            }
        }
    }

    #[test]
    fn protected_mode_has_no_paging_and_a_32_bit_code_segment() {
        let ram = GuestRam::new(1 << 20).unwrap();
        let state = protected_mode(&ram, 0x10_0000).unwrap();
        assert_eq!(state.cr0 & (CR0_PE | CR0_PG), CR0_PE);
        assert!(state.segments[CS].is_32() && !state.segments[CS].is_long());
        assert_eq!(state.efer, 0);
    }
}
