//! Page tables of every kind: formats, reserved bits, rights, and what a page fault says (SDM 3A chapter 4).
use super::machine::*;
use x86::control::*;
use x86::reg::*;
use x86::{Exception, Gva};

const P: u32 = 1;
const W: u32 = 2;
const U: u32 = 4;
const RSVD: u32 = 8;
const FETCH: u32 = 16;
const READ: [u8; 2] = [0x8b, 0x03]; // mov eax,[rbx]
const WRITE: [u8; 2] = [0x89, 0x03]; // mov [rbx],eax
const JUMP: [u8; 2] = [0xff, 0xe3]; // jmp rbx
const NX: u64 = 1 << 63;

fn fault(address: u64, code: u32) -> Exception {
    Exception::page_fault(Gva(address), code)
}
/// Runs one instruction on `address` in RBX.
fn access(machine: &mut Machine, code: [u8; 2], address: u64) -> Result<(), Exception> {
    machine.put(CODE, &code);
    machine.cpu.rip = CODE;
    machine.cpu.gpr[RBX] = address;
    machine.step()?;
    if code == JUMP { machine.step().map(|_| ()) } else { Ok(()) }
}
/// The place of the entry of [`DATA`] after [`Machine::map_small`].
fn data_entry() -> u64 {
    PML4 + 0x3000 + 8 * (DATA >> 12)
}

#[test]
fn rights_of_long_mode_pages() {
    let mut machine = Machine::long(&[]);
    machine.put(DATA, &[0x90]);
    machine.map_small(DATA, DATA | 5);
    assert_eq!(access(&mut machine, WRITE, DATA), Err(fault(DATA, P | W)), "CR0.WP");
    assert_eq!(machine.get(data_entry()) & 0x60, 0, "a fault leaves no marks in the last entry");
    machine.cpu.cr0 &= !CR0_WP;
    machine.mmu.flush_all();
    assert_eq!(access(&mut machine, WRITE, DATA), Ok(()));
    assert_eq!(machine.get(data_entry()) & 0x60, 0x60);
    machine.map_small(DATA, DATA | NX | 7);
    assert_eq!(access(&mut machine, JUMP, DATA), Err(fault(DATA, P | FETCH)));
    machine.map_small(DATA, DATA | 7);
    assert_eq!(access(&mut machine, JUMP, DATA), Ok(()));
    machine.cpu.cr4 |= CR4_SMEP;
    machine.map_small(CODE, CODE | 3);
    assert_eq!(access(&mut machine, JUMP, DATA), Err(fault(DATA, P | FETCH)));
    machine.map_small(DATA, 0);
    assert_eq!(access(&mut machine, JUMP, DATA), Err(fault(DATA, FETCH)));
    let mut machine = Machine::user(&[]);
    machine.map_small(DATA, DATA | 3);
    assert_eq!(access(&mut machine, READ, DATA), Err(fault(DATA, P | U)));
    assert_eq!(access(&mut machine, WRITE, DATA), Err(fault(DATA, P | U | W)));
}

#[test]
fn reserved_bits_of_long_mode_entries() {
    for (entry, value) in [
        (data_entry(), DATA | 1 << 51 | 7),
        (PML4, (PML4 + 0x1000) | 0x87),
        (PML4 + 0x1000, 1 << 13 | 0x87),
        (PML4 + 0x2000, 1 << 13 | 0x87),
        (PML4 + 0x2000, 1 << 40 | 0x87),
    ] {
        let mut machine = Machine::long(&[]);
        // The code itself is fetched before the entry changes.
        machine.map_small(DATA, DATA | 7);
        machine.put(CODE, &READ);
        machine.cpu.gpr[RBX] = DATA;
        machine.put_u64(entry, value);
        machine.mmu.flush_all();
        let translated = machine.mmu.walk(
            &machine.cpu,
            Gva(DATA),
            crate::mmu::Access::Read,
            crate::mmu::Privilege::Supervisor,
        );
        assert_eq!(translated.unwrap_err(), fault(DATA, P | RSVD), "{entry:#x} {value:#x}");
    }
    let mut machine = Machine::long(&[]);
    machine.map_small(DATA, DATA | NX | 7);
    machine.cpu.efer &= !EFER_NXE;
    machine.mmu.flush_all();
    assert_eq!(access(&mut machine, WRITE, DATA), Err(fault(DATA, P | W | RSVD)), "XD without EFER.NXE");
    let mut machine = Machine::long(&[]);
    machine.put_u64(PML4 + 0x1000, 0x87);
    machine.put(0x40_0000, &[1, 2, 3, 4]);
    assert_eq!(access(&mut machine, READ, 0x40_0000), Ok(()), "a page of 1 GiB");
    assert_eq!(machine.cpu.gpr[RAX], 0x0403_0201);
}

#[test]
fn accesses_across_the_end_of_the_canonical_range() {
    let mut machine = Machine::long(&READ);
    machine.cpu.gpr[RBX] = 0x7fff_ffff_fffd;
    assert_eq!(machine.step().unwrap_err(), gp(0));
    // The second byte of an instruction lies beyond it.
    let top = 0x7fff_ffff_f000;
    machine.put_u64(PML4 + 8 * 255, (PML4 + 0x8000) | 7);
    for table in [PML4 + 0x8000, PML4 + 0x9000, PML4 + 0xa000] {
        machine.put_u64(table + 8 * 511, (table + 0x1000) | 7);
    }
    machine.put(PML4 + 0xbfff, &[0x8b]);
    machine.cpu.rip = top + 0xfff;
    assert_eq!(machine.step().unwrap_err(), gp(0));
}

/// 32-bit paging: 4 MiB pages, identity.
fn legacy() -> Machine {
    let mut machine = Machine::protected(&[]);
    for index in 0..4_u32 {
        machine.put(PML4 + 4 * u64::from(index), &(index << 22 | 0x83).to_le_bytes());
    }
    machine.cpu.cr3 = PML4;
    machine.cpu.cr4 |= CR4_PSE;
    machine.cpu.cr0 |= CR0_PG | CR0_WP;
    machine
}

#[test]
fn legacy_pages_of_4_mib_and_their_36_bits() {
    let mut machine = legacy();
    machine.put(0x40_0010, &[5, 0, 0, 0]);
    assert_eq!(access(&mut machine, READ, 0x40_0010), Ok(()));
    assert_eq!(machine.cpu.gpr[RAX], 5);
    assert_eq!(access(&mut machine, READ, 0x100_0000), Err(fault(0x100_0000, 0)));
    machine.put(PML4 + 4, &(0x40_0083_u32 | 1 << 21).to_le_bytes());
    machine.mmu.flush_all();
    assert_eq!(access(&mut machine, WRITE, 0x40_0010), Err(fault(0x40_0010, P | W | RSVD)));
    // Bit 13 is bit 32 of the frame: there is no RAM, but a device that answers.
    machine.put(PML4 + 4, &(0x40_0083_u32 | 1 << 13).to_le_bytes());
    machine.mmu.flush_all();
    assert_eq!(access(&mut machine, WRITE, 0x40_0010), Ok(()));
    assert_eq!(machine.devices.log.lock().unwrap()[0].0, 0x1_0040_0010);
}

#[test]
fn legacy_paging_does_not_tell_fetches() {
    let mut machine = legacy();
    machine.cpu.efer |= EFER_NXE;
    assert_eq!(access(&mut machine, JUMP, 0x100_0000), Err(fault(0x100_0000, 0)), "no XD without PAE");
    machine.cpu.cr4 |= CR4_SMEP;
    assert_eq!(access(&mut machine, JUMP, 0x100_0000), Err(fault(0x100_0000, FETCH)));
}

#[test]
fn page_directory_pointers_are_checked_when_they_are_loaded() {
    for (value, fine) in
        [(0x1_u64, true), (0, true), (0x19, true), (3, false), (0x21, false), (NX | 1, false)]
    {
        let mut machine = Machine::protected(&[0x0f, 0x22, 0xc0]); // mov cr0,eax
        machine.cpu.cr3 = PML4;
        machine.cpu.cr4 |= CR4_PAE;
        machine.put_u64(PML4, (PML4 + 0x2000) | 1);
        machine.put_u64(PML4 + 8, value | 0x9000);
        machine.cpu.gpr[RAX] = machine.cpu.cr0 | CR0_PG;
        let outcome = machine.step();
        assert_eq!(outcome.is_ok(), fine, "{value:#x}");
        assert_eq!(machine.cpu.cr0 & CR0_PG != 0, fine);
    }
}

#[test]
fn pae_pages_have_nx_and_reserve_what_lies_above_the_physical_address() {
    let mut machine = Machine::protected(&[]);
    machine.cpu.cr3 = PML4;
    machine.cpu.cr4 |= CR4_PAE;
    machine.cpu.efer |= EFER_NXE;
    machine.cpu.cr0 |= CR0_PG | CR0_WP;
    machine.put_u64(PML4, (PML4 + 0x2000) | 1);
    machine.put_u64(PML4 + 0x2008, 0x20_0083 | NX);
    assert_eq!(access(&mut machine, JUMP, 0x20_0000), Err(fault(0x20_0000, P | FETCH)));
    machine.put_u64(PML4 + 0x2008, 0x20_0083 | 1 << 52);
    machine.mmu.flush_all();
    assert_eq!(access(&mut machine, READ, 0x20_0000), Err(fault(0x20_0000, P | RSVD)));
    assert_eq!(access(&mut machine, READ, 0x4000_0000), Err(fault(0x4000_0000, 0)));
}
