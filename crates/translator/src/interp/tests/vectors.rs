//! x87, MMX, SSE and AVX: results, exceptions and saved state.
use super::machine::*;
use crate::interp::masked::{set_vector, vector as read_vector};
use iced_x86::Register;
use x86::control::*;
use x86::exception::vector;
use x86::reg::*;

fn set(machine: &mut Machine, register: Register, value: [u64; 4]) {
    let mut bytes = [0; 32];
    for (chunk, word) in bytes.chunks_mut(8).zip(value) {
        chunk.copy_from_slice(&word.to_le_bytes());
    }
    set_vector(&mut machine.cpu, register, &bytes);
}
fn get(machine: &Machine, register: Register) -> [u64; 4] {
    let bytes = read_vector(&machine.cpu, register);
    std::array::from_fn(|index| u64::from_le_bytes(bytes[8 * index..8 * index + 8].try_into().unwrap()))
}

#[test]
fn sse_and_avx_run_on_the_host() {
    let mut machine = Machine::long(&[0xf2, 0x0f, 0x58, 0xc1, 0xc5, 0xfd, 0xfe, 0xd1]); // addsd; vpaddd ymm2,ymm0,ymm1
    set(&mut machine, Register::YMM0, [1.5_f64.to_bits(), 7, 8, 9]);
    set(&mut machine, Register::YMM1, [2.25_f64.to_bits(), 1, 1, 1]);
    machine.steps(2);
    assert_eq!(get(&machine, Register::YMM0), [3.75_f64.to_bits(), 7, 8, 9], "SSE keeps the upper half");
    assert_eq!(get(&machine, Register::YMM2)[1..], [8, 9, 10]);
}

#[test]
fn x87_computes_and_hides_where_it_ran() {
    // fld1; fldpi; faddp; fstp qword [rdi]; fnstenv [rsi]
    let mut machine = Machine::long(&[0xd9, 0xe8, 0xd9, 0xeb, 0xde, 0xc1, 0xdd, 0x1f, 0xd9, 0x36]);
    machine.cpu.gpr[RDI] = DATA;
    machine.cpu.gpr[RSI] = DATA + 64;
    machine.steps(5);
    assert_eq!(f64::from_bits(machine.get(DATA)), std::f64::consts::PI + 1.0);
    assert_eq!(machine.get(DATA + 64 + 12), 0, "FIP and FCS");
    assert_eq!(machine.get(DATA + 64 + 8) as u32, 0xffff_ffff, "tags: all empty");
}

#[test]
fn unmasked_exceptions_are_the_guests_own() {
    // fninit; fldcw [rdi]; fldz; fld1; fdiv st0,st1; fwait
    let mut machine = Machine::long(&[0xdb, 0xe3, 0xd9, 0x2f, 0xd9, 0xee, 0xd9, 0xe8, 0xd8, 0xf1, 0x9b]);
    machine.cpu.gpr[RDI] = DATA;
    machine.put(DATA, &0x37b_u16.to_le_bytes()); // zero divide unmasked
    machine.steps(5);
    assert_eq!(machine.step().unwrap_err().vector, vector::MF);
    // divsd with the zero-divide exception unmasked leaves the register alone
    let mut machine = Machine::long(&[0xf2, 0x0f, 0x5e, 0xc1]);
    set(&mut machine, Register::YMM0, [1.0_f64.to_bits(), 0, 0, 0]);
    machine.cpu.xsave.0[24..28].copy_from_slice(&0x1d80_u32.to_le_bytes());
    assert_eq!(machine.step().unwrap_err().vector, vector::XM);
    assert_eq!(get(&machine, Register::YMM0)[0], 1.0_f64.to_bits());
    assert_eq!(machine.cpu.xsave.0[24] & 0x3f, 4);
    machine.cpu.cr4 &= !CR4_OSXMMEXCPT;
    assert_eq!(machine.step().unwrap_err(), ud());
}

#[test]
fn what_is_not_enabled_is_refused() {
    let sse = [0x0f, 0x58, 0xc1];
    let avx = [0xc5, 0xf8, 0x58, 0xc1];
    let x87 = [0xd9, 0xe8];
    let check = |code: &[u8], change: &dyn Fn(&mut Machine), expected: u8| {
        let mut machine = Machine::long(code);
        change(&mut machine);
        assert_eq!(machine.step().unwrap_err().vector, expected, "{code:x?}");
    };
    for code in [&sse[..], &avx, &x87] {
        check(code, &|machine| machine.cpu.cr0 |= CR0_TS, vector::NM);
    }
    check(&sse, &|machine| machine.cpu.cr4 &= !CR4_OSFXSR, vector::UD);
    check(&sse, &|machine| machine.cpu.cr0 |= CR0_EM, vector::UD);
    check(&avx, &|machine| machine.cpu.cr4 &= !CR4_OSXSAVE, vector::UD);
    check(&avx, &|machine| machine.cpu.xcr0 = 3, vector::UD);
    check(&x87, &|machine| machine.cpu.cr0 |= CR0_EM, vector::NM);
    check(&[0x62, 0xf1, 0x7c, 0x48, 0x58, 0xc1], &|_| {}, vector::UD); // AVX-512
    check(&[0x0f, 0x01, 0xc8], &|_| {}, vector::UD); // MONITOR
    check(&[0xc7, 0xf8, 0, 0, 0, 0], &|_| {}, vector::UD); // XBEGIN
}

#[test]
fn aligned_forms_insist() {
    for (code, faults) in [
        (&[0x0f, 0x28, 0x07][..], true),             // movaps
        (&[0x0f, 0x10, 0x07], false),                // movups
        (&[0x66, 0x0f, 0xfe, 0x07], true),           // paddd
        (&[0xc5, 0xfc, 0x28, 0x07], true),           // vmovaps ymm
        (&[0xc5, 0xfd, 0xfe, 0x07], false),          // vpaddd
        (&[0x66, 0x0f, 0x3a, 0x63, 0x07, 0], false), // pcmpistri
        (&[0xf3, 0x0f, 0x58, 0x07], false),          // addss
    ] {
        let mut machine = Machine::long(code);
        machine.cpu.gpr[RDI] = DATA + 8;
        assert_eq!(machine.step().err(), faults.then_some(gp(0)), "{code:x?}");
    }
}

#[test]
fn fxsave_and_xsave_round_trips() {
    // xsave64 [rdi]; vzeroall; xrstor64 [rdi]
    let mut machine = Machine::long(&[
        0x48, 0x0f, 0xae, 0x27, 0xc5, 0xfc, 0x77, 0x48, 0x0f, 0xae, 0x2f, 0x48, 0x0f, 0xae, 0x07,
    ]);
    machine.cpu.gpr[RDI] = DATA;
    machine.cpu.gpr[RAX] = 7;
    set(&mut machine, Register::YMM7, [1, 2, 3, 4]);
    machine.steps(2);
    assert_eq!(get(&machine, Register::YMM7), [0; 4]);
    assert_eq!(machine.get(DATA + 512), 7, "XSTATE_BV");
    machine.steps(1);
    assert_eq!(get(&machine, Register::YMM7), [1, 2, 3, 4]);
    machine.put(DATA, &[0xee; 512]);
    machine.steps(1);
    assert_eq!(machine.get(DATA + 160 + 16 * 7), 1, "FXSAVE");
    assert_eq!(machine.get(DATA + 24) as u32, 0x1f80);
    // A reserved bit in MXCSR, then one in the header.
    machine.put(CODE, &[0x0f, 0xae, 0x0f, 0x48, 0x0f, 0xae, 0x2f]);
    machine.cpu.rip = CODE;
    machine.put(DATA + 24, &[0, 0, 1, 0]);
    assert_eq!(machine.step().unwrap_err(), gp(0));
    machine.cpu.rip = CODE + 3;
    machine.put(DATA + 24, &[0x80, 0x1f, 0, 0]);
    machine.put_u64(DATA + 520, 1 << 63);
    assert_eq!(machine.step().unwrap_err(), gp(0));
}

#[test]
fn gathers_and_masked_moves_touch_only_what_the_mask_selects() {
    // vpgatherdd xmm0,[rdi+xmm1*4],xmm2
    let mut machine = Machine::long(&[0xc4, 0xe2, 0x69, 0x90, 0x04, 0x8f]);
    machine.map_small(DATA + 0x1000, 0);
    machine.cpu.gpr[RDI] = DATA;
    for index in 0..8_u32 {
        machine.put(DATA + 4 * u64::from(index), &(100 + index).to_le_bytes());
    }
    set(&mut machine, Register::YMM0, [0xaaaa_aaaa_bbbb_bbbb, 0, 0, 0]);
    set(&mut machine, Register::YMM1, [3 | 0x400 << 32, 1 | 2 << 32, 0, 0]);
    set(&mut machine, Register::YMM2, [0x8000_0000, 0x8000_0000_8000_0000, 0, 0]);
    machine.steps(1);
    assert_eq!(get(&machine, Register::YMM0), [0xaaaa_aaaa_0000_0067, 102 << 32 | 101, 0, 0]);
    assert_eq!(get(&machine, Register::YMM2), [0; 4]);
    // vmaskmovps [rdi], ymm3, ymm0: only the first element lies in a mapped page
    machine.put(CODE, &[0xc4, 0xe2, 0x65, 0x2e, 0x07]);
    machine.cpu.rip = CODE;
    machine.cpu.gpr[RDI] = DATA + 0xffc;
    set(&mut machine, Register::YMM3, [0x8000_0000, 0, 0, 0]);
    machine.steps(1);
    assert_eq!(machine.get(DATA + 0xff8) >> 32, 0x67);
    set(&mut machine, Register::YMM3, [0x8000_0000_8000_0000, 0, 0, 0]);
    machine.cpu.rip = CODE;
    assert_eq!(machine.step().unwrap_err().address, Some(x86::Gva(DATA + 0x1000)));
}

#[test]
fn mmx_shares_the_x87_registers() {
    let mut machine = Machine::long(&[0x0f, 0x6e, 0xc0, 0x0f, 0xfe, 0xc0, 0x0f, 0x7e, 0xc3, 0x0f, 0x77]);
    machine.cpu.gpr[RAX] = 21;
    machine.steps(3); // movd mm0,eax; paddd mm0,mm0; movd ebx,mm0
    assert_eq!(machine.cpu.gpr[RBX], 42);
    assert_eq!(machine.cpu.xsave.0[4], 0xff, "all tags valid");
    machine.steps(1);
    assert_eq!(machine.cpu.xsave.0[4], 0, "EMMS");
}
