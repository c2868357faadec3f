//! Integer families in 64-bit mode, whichever way they are executed.
use super::machine::*;
use x86::exception::vector;
use x86::flags::*;
use x86::reg::*;

/// Code, RAX RBX RCX RDX and status flags before, the same after.
type Row<'a> = (&'a [u8], [u64; 4], u64, [u64; 4], u64);

/// Runs one instruction with RAX, RBX, RCX, RDX and flags, and returns them.
fn one(code: &[u8], gpr: [u64; 4], flags: u64) -> ([u64; 4], u64) {
    let mut machine = Machine::long(code);
    machine.cpu.gpr[RAX] = gpr[0];
    machine.cpu.gpr[RBX] = gpr[1];
    machine.cpu.gpr[RCX] = gpr[2];
    machine.cpu.gpr[RDX] = gpr[3];
    machine.cpu.status_flags = flags;
    machine.steps(1);
    assert_eq!(machine.cpu.rip, CODE + code.len() as u64);
    let result = [RAX, RBX, RCX, RDX].map(|register| machine.cpu.gpr[register]);
    (result, machine.cpu.status_flags)
}

#[test]
fn arithmetic_and_flags() {
    let max = 0x7fff_ffff;
    let rows: &[Row<'_>] = &[
        (&[0x01, 0xd8], [max, 1, 0, 0], 0, [0x8000_0000, 1, 0, 0], OF | SF | AF | PF),
        (&[0x48, 0x29, 0xd8], [0, 1, 0, 0], 0, [u64::MAX, 1, 0, 0], CF | SF | AF | PF),
        (&[0x28, 0xe0], [0x0101, 0, 0, 0], 0, [0x0100, 0, 0, 0], ZF | PF),
        (&[0x11, 0xd8], [1, 2, 0, 0], CF, [4, 2, 0, 0], 0),
        (&[0x31, 0xc0], [u64::MAX, 0, 0, 0], CF | OF, [0, 0, 0, 0], ZF | PF),
        (&[0xff, 0xc0], [0xffff_ffff, 0, 0, 0], CF, [0, 0, 0, 0], CF | ZF | PF | AF),
        (&[0xf7, 0xd8], [5, 0, 0, 0], 0, [0xffff_fffb, 0, 0, 0], CF | SF | AF),
        (&[0x48, 0xf7, 0xe3], [1 << 63, 4, 0, 0], 0, [0, 4, 0, 2], CF | OF),
        (&[0xf7, 0xf1], [100, 0, 7, 0], 0, [14, 0, 7, 2], 0),
        (&[0x0f, 0xc8], [0x1122_3344, 0, 0, 0], 0, [0x4433_2211, 0, 0, 0], 0),
        (&[0x0f, 0x44, 0xc3], [1 << 40 | 1, 9, 0, 0], 0, [1, 9, 0, 0], 0),
        (&[0x0f, 0x44, 0xc3], [1, 9, 0, 0], ZF, [9, 9, 0, 0], ZF),
        (&[0x0f, 0x94, 0xc4], [0, 0, 0, 0], ZF, [0x100, 0, 0, 0], ZF),
        (&[0x48, 0x99], [1 << 63, 0, 0, 0], 0, [1 << 63, 0, 0, u64::MAX], 0),
        (&[0xf5], [0; 4], CF, [0; 4], 0),
        (&[0x9f], [0, 0, 0, 0], CF | ZF, [0x4300, 0, 0, 0], CF | ZF),
        (&[0x0f, 0xb1, 0xd9], [7, 9, 7, 0], 0, [7, 9, 9, 0], ZF | PF),
        (&[0xf3, 0x0f, 0xb8, 0xc3], [0, 0xff, 0, 0], 0, [8, 0xff, 0, 0], 0),
        (&[0xc4, 0xe2, 0xf3, 0xf5, 0xc3], [0, 0b1011, u64::MAX, 0], 0, [0b1011, 0b1011, u64::MAX, 0], 0),
    ];
    for (code, before, flags, after, expected) in rows {
        let (result, status) = one(code, *before, *flags);
        assert_eq!(result, *after, "{code:x?}");
        let defined = if matches!(code, [0x48, 0xf7, 0xe3]) { CF | OF } else { STATUS };
        if code[..] != [0xf7, 0xf1] {
            assert_eq!(status & defined, *expected, "flags of {code:x?}");
        }
    }
}

#[test]
fn shifts_and_rotates() {
    let (result, status) = one(&[0xd1, 0xe0], [0x8000_0001, 0, 0, 0], 0);
    assert_eq!((result[0], status & (CF | ZF | SF)), (2, CF));
    let (result, status) = one(&[0xd3, 0xe0], [1, 0, 32, 0], CF | ZF);
    assert_eq!((result[0], status), (1, CF | ZF), "a count of zero leaves flags alone");
    let (result, _) = one(&[0x48, 0x0f, 0xa4, 0xd8, 0x08], [0x11, 0xaa << 56, 0, 0], 0);
    assert_eq!(result[0], 0x11aa);
    let (result, status) = one(&[0xd0, 0xd8], [1, 0, 0, 0], CF);
    assert_eq!((result[0], status & CF), (0x80, CF));
}

#[test]
fn the_stack_pointer_is_an_ordinary_operand() {
    let mut machine =
        Machine::long(&[0x48, 0x83, 0xec, 0x18, 0x48, 0x0f, 0xba, 0xe4, 0x03, 0x48, 0x0f, 0xbc, 0xc4]);
    machine.steps(3); // sub rsp,0x18; bt rsp,3; bsf rax,rsp
    assert_eq!(machine.cpu.gpr[RSP], STACK - 0x18);
    assert_eq!(machine.cpu.gpr[RAX], 3);
}

#[test]
fn memory_operands_in_ram_across_pages_and_on_devices() {
    // lock xadd [rdi], rax
    let mut machine = Machine::long(&[0xf0, 0x48, 0x0f, 0xc1, 0x07]);
    for address in [DATA, DATA + 0xffc] {
        machine.cpu.rip = CODE;
        machine.put_u64(address, 40);
        machine.cpu.gpr[RDI] = address;
        machine.cpu.gpr[RAX] = 2;
        machine.steps(1);
        assert_eq!((machine.cpu.gpr[RAX], machine.get(address)), (40, 42));
    }
    machine.cpu.rip = CODE;
    machine.cpu.gpr[RDI] = 0x2000_0010;
    machine.cpu.gpr[RAX] = 1;
    machine.steps(1);
    assert_eq!(machine.cpu.gpr[RAX], 0x1716_1514_1312_1110);
    let log = machine.devices.log.lock().unwrap();
    assert_eq!(*log, [(0x2000_0010, 0x1716_1514_1312_1111_u64.to_le_bytes().to_vec())]);
}

#[test]
fn compare_and_exchange_of_16_bytes() {
    let mut machine = Machine::long(&[0xf0, 0x48, 0x0f, 0xc7, 0x0f]);
    machine.cpu.gpr[RDI] = DATA;
    machine.cpu.gpr[RBX] = 5;
    machine.cpu.gpr[RCX] = 6;
    machine.steps(1);
    assert_eq!((machine.get(DATA), machine.get(DATA + 8)), (5, 6));
    assert_ne!(machine.cpu.status_flags & ZF, 0);
    machine.cpu.rip = CODE;
    machine.steps(1);
    assert_eq!((machine.cpu.gpr[RAX], machine.cpu.gpr[RDX]), (5, 6));
    machine.cpu.rip = CODE;
    machine.cpu.gpr[RDI] = DATA + 8;
    assert_eq!(machine.step().unwrap_err(), gp(0), "not aligned");
}

#[test]
fn bit_strings_reach_beyond_their_operand() {
    let mut machine = Machine::long(&[0xf0, 0x48, 0x0f, 0xab, 0x07]); // lock bts [rdi], rax
    machine.cpu.gpr[RDI] = DATA + 64;
    machine.cpu.gpr[RAX] = (-1_i64) as u64;
    machine.steps(1);
    assert_eq!(machine.get(DATA + 56), 1 << 63);
    machine.cpu.rip = CODE;
    machine.cpu.gpr[RAX] = 64 * 3 + 5;
    machine.put_u64(DATA + 88, 32);
    machine.steps(1);
    assert_eq!(machine.cpu.status_flags & CF, CF);
}

#[test]
fn divisions_that_do_not_fit() {
    for (code, gpr) in [
        (&[0xf7, 0xf1][..], [0, 0, 1, 1]),                       // quotient 2^32
        (&[0x48, 0xf7, 0xf9], [1 << 63, 0, u64::MAX, u64::MAX]), // -2^63 / -1
        (&[0xf6, 0xf9], [0x8000, 0, 1, 0]),
        (&[0x66, 0xf7, 0xf1], [0, 0, 0, 0]),
    ] {
        let mut machine = Machine::long(code);
        for (register, value) in [RAX, RBX, RCX, RDX].into_iter().zip(gpr) {
            machine.cpu.gpr[register] = value;
        }
        assert_eq!(machine.step().unwrap_err().vector, vector::DE, "{code:x?}");
    }
}

#[test]
fn strings_forward_backward_and_by_condition() {
    let mut machine = Machine::long(&[0xf3, 0xa4]);
    machine.put(DATA, &[7; 3]);
    machine.put(DATA + 0x1f00, &(0..=255).collect::<Vec<u8>>());
    (machine.cpu.gpr[RSI], machine.cpu.gpr[RDI], machine.cpu.gpr[RCX]) = (DATA + 0x1f00, DATA + 0x2f80, 256);
    while machine.cpu.rip == CODE {
        machine.steps(1);
    }
    assert_eq!(machine.get(DATA + 0x2f80 + 248) >> 56, 255);
    assert_eq!((machine.cpu.gpr[RCX], machine.cpu.gpr[RDI]), (0, DATA + 0x3080));
    // An overlapping copy upwards repeats its beginning.
    machine.cpu.rip = CODE;
    machine.put(DATA, &[1, 2, 3, 4, 5, 6, 7, 8]);
    (machine.cpu.gpr[RSI], machine.cpu.gpr[RDI], machine.cpu.gpr[RCX]) = (DATA, DATA + 3, 9);
    while machine.cpu.rip == CODE {
        machine.steps(1);
    }
    assert_eq!(machine.get(DATA + 4), 0x0302_0103_0201_0302);
    // repne scasb finds its byte; repe cmpsd stops at the difference.
    machine.put(CODE, &[0xf2, 0xae, 0xfd, 0xf3, 0xa7]);
    machine.put(DATA, b"hello");
    machine.cpu.rip = CODE;
    (machine.cpu.gpr[RAX], machine.cpu.gpr[RDI], machine.cpu.gpr[RCX]) = (u64::from(b'l'), DATA, 100);
    machine.steps(1);
    assert_eq!((machine.cpu.gpr[RDI], machine.cpu.gpr[RCX]), (DATA + 3, 97));
    machine.put(DATA, &[0; 64]);
    machine.put(DATA + 8, &[9]);
    (machine.cpu.gpr[RSI], machine.cpu.gpr[RDI], machine.cpu.gpr[RCX]) = (DATA + 16, DATA + 48, 10);
    machine.steps(2);
    assert_eq!((machine.cpu.gpr[RCX], machine.cpu.gpr[RSI]), (7, DATA + 4));
}

/// What REP MOVS or STOS of so many bytes an element does, one by one.
fn one_by_one(memory: &mut [u8], from: Option<usize>, to: usize, count: usize, size: usize, down: bool) {
    let place = |first: usize, index: usize| if down { first - index * size } else { first + index * size };
    for index in 0..count {
        let element: Vec<u8> = match from {
            Some(from) => memory[place(from, index)..][..size].to_vec(),
            None => 0x1122_3344_5566_7788_u64.to_le_bytes()[..size].to_vec(),
        };
        memory[place(to, index)..][..size].copy_from_slice(&element);
    }
}

#[test]
fn repetitions_by_pages_do_what_single_elements_do() {
    const LENGTH: usize = 0x8000;
    let fresh: Vec<u8> = (0..LENGTH).map(|at| (at * 7 + at / 251) as u8).collect();
    let mut machine = Machine::long(&[0x90]);
    for (code, size, is_move) in [
        (&[0xf3, 0xa4][..], 1, true),
        (&[0xf3, 0x66, 0xa5], 2, true),
        (&[0xf3, 0x48, 0xa5], 8, true),
        (&[0xf3, 0xaa], 1, false),
        (&[0xf3, 0x48, 0xab], 8, false),
    ] {
        for (down, from, to, count) in [false, true].into_iter().flat_map(|down| {
            let places = [0x3ff8, 0x4000, 0x3ffc, 0x3801];
            places.into_iter().flat_map(move |from| {
                [0x1000_i64, -0x1000, 8, -8, 3, -3, 64, -64, 0x7f8, 0].into_iter().flat_map(move |distance| {
                    let to = (from as i64 + distance) as usize;
                    [1, 2, 100, 900].into_iter().map(move |count| (down, from, to, count))
                })
            })
        }) {
            machine.put(CODE, code);
            machine.put(DATA, &fresh);
            let mut expected = fresh.clone();
            one_by_one(&mut expected, is_move.then_some(from), to, count, size, down);
            machine.cpu.rip = CODE;
            machine.cpu.direction_flag = if down { DF } else { 0 };
            machine.cpu.gpr[RAX] = 0x1122_3344_5566_7788;
            (machine.cpu.gpr[RSI], machine.cpu.gpr[RDI]) = (DATA + from as u64, DATA + to as u64);
            machine.cpu.gpr[RCX] = count as u64;
            while machine.cpu.rip == CODE {
                machine.steps(1);
            }
            let what = format!("{code:x?} down {down} from {from:x} to {to:x} count {count}");
            let words: Vec<u8> =
                (0..LENGTH as u64 / 8).flat_map(|word| machine.get(DATA + word * 8).to_le_bytes()).collect();
            assert!(words == expected, "{what}");
            let way = if down { ((count * size) as u64).wrapping_neg() } else { (count * size) as u64 };
            assert_eq!(machine.cpu.gpr[RDI], (DATA + to as u64).wrapping_add(way), "{what}");
            let source = if is_move { way } else { 0 };
            assert_eq!(machine.cpu.gpr[RSI], (DATA + from as u64).wrapping_add(source), "{what}");
        }
    }
}

#[test]
fn a_fault_in_the_middle_of_a_string_keeps_what_was_done() {
    let mut machine = Machine::long(&[0xf3, 0x48, 0xab]);
    machine.map_small(DATA + 0x1000, 0);
    (machine.cpu.gpr[RDI], machine.cpu.gpr[RCX], machine.cpu.gpr[RAX]) = (DATA + 0xff0, 8, 0x55);
    let fault = machine.step().unwrap_err();
    assert_eq!(fault.address, Some(x86::Gva(DATA + 0x1000)));
    assert_eq!((machine.cpu.rip, machine.cpu.gpr[RCX], machine.cpu.gpr[RDI]), (CODE, 6, DATA + 0x1000));
    assert_eq!(machine.get(DATA + 0xff8), 0x55);
}

#[test]
fn enter_and_leave_build_and_drop_frames() {
    let mut machine = Machine::long(&[0xc8, 0x20, 0, 0x02, 0xc9]);
    machine.cpu.gpr[RBP] = DATA;
    machine.put_u64(DATA - 8, 0x77);
    machine.steps(1);
    assert_eq!((machine.cpu.gpr[RBP], machine.cpu.gpr[RSP]), (STACK - 8, STACK - 24 - 32));
    assert_eq!((machine.get(STACK - 16), machine.get(STACK - 24)), (0x77, STACK - 8));
    machine.steps(1);
    assert_eq!((machine.cpu.gpr[RBP], machine.cpu.gpr[RSP]), (DATA, STACK));
}

#[test]
fn push_and_pop_with_the_stack_pointer_as_operand() {
    let mut machine = Machine::long(&[0x54, 0x8f, 0x04, 0x24, 0x5c]); // push rsp; pop [rsp]; pop rsp
    machine.put_u64(STACK, 0x1234);
    machine.steps(1);
    assert_eq!(machine.get(STACK - 8), STACK);
    machine.steps(1);
    assert_eq!(machine.get(STACK), STACK, "the address counts after the pop");
    machine.steps(1);
    assert_eq!(machine.cpu.gpr[RSP], STACK);
}

#[test]
fn decimal_adjustment() {
    let mut machine = Machine::protected(&[0x27, 0x37, 0xd4, 0x0a, 0x2f, 0xd5, 0x0a]);
    machine.cpu.gpr[RAX] = 0x9a;
    machine.steps(1);
    assert_eq!((machine.cpu.gpr[RAX], machine.cpu.status_flags & (CF | AF)), (0, CF | AF));
    machine.cpu.gpr[RAX] = 0x0b;
    machine.cpu.status_flags = 0;
    machine.steps(1);
    assert_eq!(machine.cpu.gpr[RAX], 0x101);
    machine.cpu.gpr[RAX] = 57;
    machine.steps(1);
    assert_eq!(machine.cpu.gpr[RAX], 0x507);
    machine.cpu.gpr[RAX] = 0x1f;
    machine.cpu.status_flags = 0;
    machine.steps(1);
    assert_eq!(machine.cpu.gpr[RAX], 0x19);
    machine.cpu.gpr[RAX] = 0x0507;
    machine.steps(1);
    assert_eq!(machine.cpu.gpr[RAX], 57);
}

#[test]
fn high_byte_registers_and_sixteen_bit_stack_pointers() {
    let mut machine = Machine::long(&[0x88, 0xe7, 0x66, 0x83, 0xc4, 0x10, 0x40, 0x0f, 0x98, 0xc4]);
    machine.cpu.gpr[RAX] = 0xab00;
    machine.cpu.gpr[RSP] = 0x1_fff8;
    machine.steps(2); // mov bh,ah; add sp,0x10
    assert_eq!((machine.cpu.gpr[RBX], machine.cpu.gpr[RSP]), (0xab00, 0x1_0008));
    machine.steps(1); // sets spl
    assert_eq!(machine.cpu.gpr[RSP], 0x1_0000);
}
