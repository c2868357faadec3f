//! Saved x87, SSE and AVX state: formats by mode and operand size, and what restoring refuses.
use super::machine::*;
use x86::control::*;
use x86::exception::vector;
use x86::reg::*;
use x86::{Exception, Gva};

/// FNINIT, FLD1, FLDZ, so that TOP is 6 and the tags tell a valid number and a zero.
const TWO_NUMBERS: [u8; 6] = [0xdb, 0xe3, 0xd9, 0xe8, 0xd9, 0xee];
const TAGS: u64 = 0x1fff;

fn with_area(code: &[u8]) -> Machine {
    let mut machine = Machine::long(&[&TWO_NUMBERS, code].concat());
    machine.cpu.gpr[RDI] = DATA;
    machine.cpu.gpr[RAX] = 7;
    machine.steps(3);
    machine
}

#[test]
fn environments_of_14_and_28_bytes() {
    let mut machine = with_area(&[0x66, 0xd9, 0x37, 0xd9, 0x77, 0x40]); // fnstenv14 [rdi]; fnstenv [rdi+0x40]
    machine.put(DATA + 14, &[0xee; 2]);
    machine.steps(2);
    assert_eq!(machine.get(DATA) & 0xffff_ffff_ffff, TAGS << 32 | 0x3000 << 16 | 0x37f);
    assert_eq!(machine.get(DATA + 8) >> 48, 0xeeee, "no more than 14 bytes");
    assert_eq!(machine.get(DATA + 0x40), 0xffff_3000_ffff_037f);
    assert_eq!(machine.get(DATA + 0x48) as u32, 0xffff_0000 | TAGS as u32);
}

#[test]
fn save_of_94_bytes_comes_back() {
    let mut machine = with_area(&[0x66, 0xdd, 0x37, 0x66, 0xdd, 0x27, 0xd9, 0xf7, 0xdd, 0x5f, 0x80]);
    machine.steps(1); // fnsave94 [rdi]
    assert_eq!((machine.get(DATA + 14), machine.get(DATA + 32) as u16), (0, 0x3fff), "ST0, then ST1");
    assert_eq!((machine.cpu.xsave.0[4], machine.cpu.xsave.0[3]), (0, 0), "as after FNINIT");
    machine.steps(3); // frstor94 [rdi]; fincstp; fstp qword [rdi-0x80]
    assert_eq!(f64::from_bits(machine.get(DATA - 0x80)), 1.0);
}

#[test]
fn environment_with_a_pending_exception_raises_it_at_the_next_instruction() {
    let mut machine = with_area(&[0xd9, 0x27, 0xd9, 0xe8]); // fldenv [rdi]; fld1
    machine.put(DATA, &[0x7b, 0x03, 0, 0, 4, 0, 0, 0, 0xff, 0xff]); // zero divide, unmasked
    machine.steps(1);
    assert_eq!(machine.cpu.xsave.0[2] & 0x84, 0x84, "ES is computed");
    assert_eq!(machine.step().unwrap_err(), Exception::plain(vector::MF));
    machine.put(CODE + 8, &[0xdf, 0xe0, 0xdb, 0xe2, 0xd9, 0xe8]); // fnstsw ax; fnclex; fld1
    machine.steps(3);
    assert_eq!(machine.cpu.gpr[RAX] & 0x8084, 0x8084);
}

#[test]
fn fxsave_has_eight_registers_outside_of_64_bit_mode_and_none_without_osfxsr() {
    for (osfxsr, registers) in [(true, 8), (false, 0)] {
        let mut machine = Machine::protected(&[0x0f, 0xae, 0x03]); // fxsave [ebx]
        machine.cpu.gpr[RBX] = DATA;
        machine.cpu.xsave.0[160..416].fill(0x11);
        machine.cpu.cr4 = if osfxsr { CR4_OSFXSR } else { 0 };
        machine.steps(1);
        for register in 0..16 {
            let there = machine.get(DATA + 160 + 16 * register) != 0;
            assert_eq!(there, register < registers, "xmm{register}");
        }
        machine.cpu.rip = CODE;
        machine.cpu.gpr[RBX] = DATA + 8;
        assert_eq!(machine.step().unwrap_err(), gp(0), "alignment");
    }
}

#[test]
fn fxsave_ignores_emulation_but_not_task_switches() {
    for (bit, expected) in [(CR0_TS, vector::NM), (CR0_EM, vector::NM)] {
        let mut machine = with_area(&[0x0f, 0xae, 0x07]);
        machine.cpu.cr0 |= bit;
        assert_eq!(machine.step().unwrap_err().vector, expected);
    }
}

#[test]
fn xrstor_checks_its_header_before_anything_changes() {
    // xsave [rdi]; xrstor [rdi]
    for (offset, value, fine) in [
        (512, 7, true),
        (512, 0, true),
        (512, 8, false),
        (512, 1 << 63, false),
        (520, 1, false),
        (520, 1 << 63 | 7, false),
        (528, 1, false),
        (536, 1, true),
        (24, 0xffff_0001_1f80, false),
    ] {
        let mut machine = with_area(&[0x0f, 0xae, 0x27, 0x0f, 0xae, 0x2f]);
        machine.put(DATA + 512, &[0; 64]);
        machine.steps(1);
        let before = machine.cpu.xsave.0;
        machine.put_u64(DATA + offset, value);
        let outcome = machine.step().map(|_| ());
        assert_eq!(outcome, if fine { Ok(()) } else { Err(gp(0)) }, "{offset} {value:#x}");
        assert!(fine || machine.cpu.xsave.0 == before);
    }
}

#[test]
fn xrstor_initializes_what_the_image_lacks() {
    let mut machine = with_area(&[0x0f, 0xae, 0x2f]);
    machine.cpu.xsave.0[160..176].fill(0x22);
    machine.cpu.xsave.0[576..592].fill(0x33);
    machine.put(DATA, &[0; 832]);
    machine.put(DATA + 24, &[0x80, 0x1f, 0, 0]);
    machine.cpu.gpr[RAX] = 3; // x87 and SSE
    machine.steps(1);
    let image = &machine.cpu.xsave.0;
    assert_eq!((image[0], image[1], image[4], image[160], image[576]), (0x7f, 3, 0, 0, 0x33));
}

#[test]
fn zero_upper_halves_are_loaded_as_the_initial_state() {
    const LDMXCSR: [u8; 3] = [0x0f, 0xae, 0x17];
    for (upper, in_use) in [(0, 3), (1, 7)] {
        let mut machine = with_area(&LDMXCSR);
        machine.cpu.xsave.0[576..].fill(0);
        machine.cpu.xsave.0[831] = upper;
        machine.put(DATA, &[0x80, 0x1f, 0, 0]);
        machine.steps(1);
        assert_eq!(machine.cpu.xsave.0[512], in_use, "the host's XRSTOR reads this");
    }
}

#[test]
fn xsave_faults_before_it_writes_and_wants_64_byte_areas() {
    let mut machine = with_area(&[0x0f, 0xae, 0x27]);
    machine.map_small(DATA + 0x1000, 0);
    machine.cpu.gpr[RDI] = DATA + 0x1000 - 576;
    assert_eq!(machine.step().unwrap_err(), Exception::page_fault(Gva(DATA + 0x1000), 2));
    assert_eq!(machine.get(DATA + 0x1000 - 576), 0);
    machine.cpu.gpr[RAX] = 3;
    machine.steps(1);
    machine.cpu.rip = CODE + 6;
    machine.cpu.gpr[RDI] = DATA + 16;
    assert_eq!(machine.step().unwrap_err(), gp(0));
    machine.cpu.cr4 &= !CR4_OSXSAVE;
    assert_eq!(machine.step().unwrap_err(), ud());
}

#[test]
fn xsaveopt_exists_and_the_compacted_forms_do_not() {
    with_area(&[0x0f, 0xae, 0x37]).steps(1); // xsaveopt [rdi]
    for code in [[0x0f_u8, 0xc7, 0x27], [0x0f, 0xc7, 0x2f], [0x0f, 0xc7, 0x1f]] {
        assert_eq!(with_area(&code).step().unwrap_err(), ud(), "XSAVEC, XSAVES, XRSTORS");
    }
}
