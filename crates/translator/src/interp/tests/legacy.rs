//! 16-bit and 32-bit code: software interrupts, virtual-8086 mode without its extensions, ports, limits, wrap-around, and
//! what exists in which mode.
use super::machine::*;
use x86::control::*;
use x86::exception::vector;
use x86::reg::*;
use x86::segment::{CS, DS, ES, FS, GS, SS, Segment};
use x86::{Exception, flags};

/// Ring 3 of 32-bit protected mode with the given IOPL.
fn user_32(code: &[u8], iopl: u64) -> Machine {
    let mut machine = Machine::protected(code);
    machine.cpu.segments = [Segment::from_descriptor(USER_DATA, flat(0xf3, 0xc)); 6];
    machine.cpu.segments[CS] = Segment::from_descriptor(0x1b, flat(0xfb, 0xc));
    machine.cpu.gpr[RSP] = STACK - 0x1000;
    machine.cpu.set_rflags(iopl << flags::IOPL_SHIFT);
    machine
}
/// Virtual-8086 mode at `1000:0`.
fn virtual_8086(code: &[u8], iopl: u64) -> Machine {
    let mut machine = Machine::protected(code);
    machine.cpu.set_rflags(flags::VM | iopl << flags::IOPL_SHIFT);
    for number in [ES, CS, SS, DS, FS, GS] {
        let segment = Segment::real_mode((CODE >> 4) as u16);
        machine.cpu.segments[number] = Segment { attributes: segment.attributes | 0x60, ..segment };
    }
    machine.cpu.rip = 0;
    machine.cpu.gpr[RSP] = 0x8000;
    machine
}
fn open_gate(machine: &mut Machine, vector: u64) {
    machine.put_u64(IDT + 8 * vector, machine.get(IDT + 8 * vector) | 0x6000_0000_0000);
}
fn plain(vector: u8) -> Exception {
    Exception::plain(vector)
}

#[test]
fn software_interrupts_of_32_bit_code_respect_the_gate() {
    for (code, number) in [(&[0xcd_u8, 0x80][..], 0x80), (&[0xcc], 3), (&[0xce], 4)] {
        let mut machine = user_32(code, 0);
        machine.cpu.set_rflags(flags::OF);
        assert_eq!(machine.step().unwrap_err(), gp(number * 8 + 2), "{code:x?}");
        open_gate(&mut machine, u64::from(number));
        machine.steps(1);
        assert_eq!(machine.cpu.rip, HANDLERS + 16 * u64::from(number));
        assert_eq!(machine.get(machine.cpu.gpr[RSP]) as u32, CODE as u32 + code.len() as u32, "a trap");
    }
    let mut machine = user_32(&[0xce], 0);
    machine.steps(1);
    assert_eq!(machine.cpu.rip, CODE + 1, "INTO without OF");
}

#[test]
fn bound_is_signed_and_restarts() {
    for (index, fine) in [(0xfffe_u64, true), (5, true), (6, false), (0xfffd, false)] {
        let mut machine = user_32(&[0x66, 0x62, 0x03], 0); // bound ax,[ebx]
        machine.put(DATA, &[0xfe, 0xff, 5, 0]);
        machine.cpu.gpr[RBX] = DATA;
        machine.cpu.gpr[RAX] = 0x1_0000 | index;
        let outcome = machine.step().map(|_| ());
        assert_eq!(outcome, if fine { Ok(()) } else { Err(plain(vector::BR)) }, "{index:#x}");
    }
}

#[test]
fn virtual_8086_code_below_iopl_3_may_not_touch_the_interrupt_flag() {
    let sensitive: [&[u8]; 9] = [
        &[0xfa],
        &[0xfb],
        &[0x9c],
        &[0x9d],
        &[0xcd, 0x20],
        &[0xcf],
        &[0x66, 0x9c],
        &[0x66, 0x9d],
        &[0x66, 0xcf],
    ];
    for code in sensitive {
        let mut machine = virtual_8086(code, 2);
        assert_eq!(machine.step().unwrap_err(), gp(0), "{code:x?}");
    }
    for code in [[0xfa_u8, 0x90], [0xfb, 0x90], [0x9c, 0x9d]] {
        virtual_8086(&code, 3).steps(2);
    }
    for code in [&[0xf4_u8][..], &[0x0f, 0x01, 0x16, 0, 0], &[0x0f, 0x20, 0xc0], &[0x0f, 0x23, 0xf8]] {
        assert_eq!(virtual_8086(code, 3).step().unwrap_err(), gp(0), "{code:x?}");
    }
    for code in [
        &[0x0f_u8, 0x00, 0xc0][..],
        &[0x0f, 0x00, 0xc8],
        &[0x63, 0xc0],
        &[0x0f, 0x02, 0xc0],
        &[0xc5, 0xf8, 0x77],
    ] {
        let outcome = virtual_8086(code, 3).step().map(|_| ());
        assert_eq!(outcome, Err(ud()), "{code:x?}: protected mode only");
    }
}

#[test]
fn virtual_8086_flags_keep_iopl_and_vm() {
    let mut machine = virtual_8086(&[0x9d], 3); // popf
    machine.put(CODE + 0x8000, &[0xff, 0x0f]);
    machine.steps(1);
    assert_eq!(machine.cpu.rflags() & (flags::VM | flags::IOPL), flags::VM | flags::IOPL);
    assert_ne!(machine.cpu.rflags() & flags::IF, 0);
}

#[test]
fn interrupts_of_virtual_8086_code_want_a_ring_0_handler() {
    let mut machine = virtual_8086(&[0xcd, 0x20], 3);
    let gate = machine.get(IDT + 8 * 0x20) & !0xffff_0000 | 0x1b << 16;
    machine.put_u64(IDT + 8 * 0x20, gate | 0x6000_0000_0000);
    assert_eq!(machine.step().unwrap_err(), gp(0x18));
}

#[test]
fn ports_of_virtual_8086_code_depend_on_the_map_alone() {
    let mut machine = virtual_8086(&[0xe4, 0x61], 3);
    assert_eq!(machine.step().unwrap_err(), gp(0));
    machine.cpu.tr.limit = 0x67 + 32;
    machine.put(TSS + 0x66, &0x68_u16.to_le_bytes());
    machine.steps(1);
}

#[test]
fn port_map_is_read_in_pairs_of_bytes_inside_the_limit() {
    // in al,0x60; in eax,0x61 takes a bit of the next byte
    for (code, size) in [([0xe4_u8, 0x60], 1), ([0xe5, 0x65], 4)] {
        let mut machine = user_32(&code, 0);
        machine.put(TSS + 0x66, &0x68_u16.to_le_bytes());
        machine.put(TSS + 0x68 + 12, &[0, 0]);
        machine.cpu.tr.limit = 0x68 + 12;
        assert_eq!(machine.step().unwrap_err(), gp(0), "the second byte lies beyond the limit");
        machine.cpu.tr.limit += 1;
        machine.steps(1);
        machine.cpu.rip = CODE;
        machine.put(TSS + 0x68 + 13, &[1]);
        assert_eq!(machine.step().is_ok(), size == 1);
    }
    let mut machine = user_32(&[0xe4, 0x60], 0);
    machine.cpu.tr.attributes = 0x83;
    machine.cpu.tr.limit = 0xffff;
    assert_eq!(machine.step().unwrap_err(), gp(0), "16-bit TSSs have no map");
    user_32(&[0xe4, 0x60], 3).steps(1);
}

#[test]
fn operands_do_not_reach_around_the_end_of_a_segment() {
    // mov ax,[0xffff]; mov ax,[bp] with BP = 0xffff
    let mut machine = Machine::real(&[0xa1, 0xff, 0xff]);
    assert_eq!(machine.step().unwrap_err().vector, vector::GP);
    let mut machine = Machine::real(&[0x8b, 0x46, 0x00]);
    machine.cpu.gpr[RBP] = 0xffff;
    assert_eq!(machine.step().unwrap_err().vector, vector::SS);
    let mut machine = Machine::real(&[0x8a, 0x47, 0x10]); // mov al,[bx+0x10]
    machine.cpu.gpr[RBX] = 0xfff8;
    machine.put(8, &[0x77]);
    machine.steps(1);
    assert_eq!(machine.cpu.gpr[RAX] & 0xff, 0x77, "addresses wrap at 64 KiB");
}

#[test]
fn linear_addresses_wrap_at_4_gib() {
    let mut machine = Machine::protected(&[0x8b, 0x03]); // mov eax,[ebx]
    machine.cpu.segments[DS].base = 0xffff_f000;
    machine.cpu.gpr[RBX] = 0x1000 + DATA;
    machine.put(DATA, &[1, 2, 3, 4]);
    machine.steps(1);
    assert_eq!(machine.cpu.gpr[RAX], 0x0403_0201);
    machine.cpu.rip = CODE;
    machine.cpu.gpr[RBX] = 0xffe;
    machine.put(0, &[0x55, 0x66]);
    machine.steps(1);
    assert_eq!(machine.cpu.gpr[RAX] >> 16, 0x6655, "in the middle of an operand");
}

#[test]
fn code_runs_to_its_limit_and_no_further() {
    let mut machine = Machine::protected(&[0x90, 0xb8, 1, 2, 3, 4]);
    machine.cpu.segments[CS].limit = CODE as u32 + 4;
    machine.steps(1);
    assert_eq!(machine.step().unwrap_err(), gp(0), "an instruction across the limit");
    machine.cpu.rip = CODE + 5;
    assert_eq!(machine.step().unwrap_err(), gp(0));
    machine.cpu.rip = CODE;
    machine.put(CODE, &[0xeb, 0x10]);
    assert_eq!(machine.step().unwrap_err(), gp(0), "a jump beyond it is the jump's fault");
    assert_eq!(machine.cpu.rip, CODE);
}

#[test]
fn sixteen_bit_jumps_cut_the_instruction_pointer() {
    let mut machine = Machine::protected(&[0x66, 0xe9, 0xf0, 0xff]); // jmp rel16
    machine.put(CODE + 0x10, &[0]);
    machine.steps(1);
    assert_eq!(machine.cpu.rip, (CODE + 4 - 0x10) & 0xffff);
}

#[test]
fn instructions_of_other_modes_do_not_exist() {
    for code in [
        &[0x0f_u8, 0x05][..],      // syscall
        &[0x0f, 0x07],             // sysret
        &[0x0f, 0x01, 0xf8],       // swapgs
        &[0xf3, 0x0f, 0xae, 0xc0], // rdfsbase
        &[0xf0, 0x0f, 0x20, 0xc0], // lock mov eax,cr0 is CR8 for AMD alone
        &[0x0f, 0x01, 0xc8],       // monitor
        &[0x0f, 0xaa],             // rsm outside of SMM
        &[0x0f, 0x20, 0xc8],       // CR1
        &[0x0f, 0x24, 0xc0],       // test registers
    ] {
        assert_eq!(Machine::protected(code).step().unwrap_err(), ud(), "{code:x?}");
    }
    for code in
        [&[0xce_u8][..], &[0x06], &[0xd5, 0x0a], &[0x62, 0x03], &[0xc4, 0x03], &[0xea, 0, 0, 0, 0, 8, 0]]
    {
        let fault = Machine::long(code).step().map(|_| ()).unwrap_err();
        assert_eq!(fault, ud(), "{code:x?}");
    }
    for code in [&[0x0f_u8, 0x00, 0xc0][..], &[0x63, 0xc0], &[0x0f, 0x03, 0xc0], &[0x0f, 0x00, 0xe0]] {
        assert_eq!(Machine::real(code).step().unwrap_err(), ud(), "{code:x?}");
    }
}

#[test]
fn system_instructions_that_real_mode_has() {
    let mut machine = Machine::real(&[0x0f, 0x34]); // sysenter
    machine.cpu.sysenter_cs = 8;
    assert_eq!(machine.step().unwrap_err().vector, vector::GP);
    let mut machine = Machine::real(&[0x66, 0xcf]); // iretd
    let image = flags::AC | flags::ID | flags::VM | flags::VIF | flags::VIP | flags::RF | flags::NT;
    let frame = [0x100_u32, 0x1000, image as u32 | 0xffc0_8028];
    for (index, value) in frame.into_iter().enumerate() {
        machine.put(0x8000 + 4 * index as u64, &value.to_le_bytes());
    }
    machine.steps(1);
    assert_eq!(machine.cpu.rflags(), flags::AC | flags::ID | flags::RF | flags::NT | 2);
    assert_eq!((machine.cpu.rip, machine.cpu.segments[CS].base), (0x100, 0x10000));
}

#[test]
fn machine_status_word_cannot_leave_protected_mode() {
    let mut machine = Machine::protected(&[0x0f, 0x01, 0xf0]); // lmsw ax
    machine.cpu.gpr[RAX] = 0xffff_000e;
    machine.steps(1);
    assert_eq!(machine.cpu.cr0 & 0xf, 0xf);
    machine.cpu.rip = CODE;
    machine.cpu.gpr[RAX] = 0;
    machine.steps(1);
    assert_eq!(machine.cpu.cr0 & 0xf, CR0_PE);
}

#[test]
fn arpl_changes_16_bits() {
    let mut machine = user_32(&[0x63, 0xe8], 0); // arpl ax, bp
    machine.cpu.gpr[RAX] = 0x3_dacc;
    machine.cpu.gpr[RBP] = 2;
    machine.steps(1);
    assert_eq!(machine.cpu.gpr[RAX], 0x3_dace);
}

#[test]
fn vzeroupper_leaves_the_upper_registers_to_64_bit_code() {
    // vzeroupper; vzeroall
    let mut machine = user_32(&[0xc5, 0xf8, 0x77, 0xc5, 0xfc, 0x77], 0);
    machine.cpu.cr4 |= CR4_OSFXSR | CR4_OSXSAVE;
    machine.cpu.xcr0 = 7;
    const XMM: usize = 160;
    const UPPER: usize = 576;
    machine.cpu.xsave.0[512] = 7;
    machine.cpu.xsave.0[XMM..XMM + 256].fill(1);
    machine.cpu.xsave.0[UPPER..UPPER + 256].fill(2);
    machine.steps(1);
    let bytes = |machine: &Machine, at: usize| [0, 127, 128, 255].map(|byte| machine.cpu.xsave.0[at + byte]);
    assert_eq!(bytes(&machine, UPPER), [0, 0, 2, 2]);
    assert_eq!(bytes(&machine, XMM), [1, 1, 1, 1]);
    machine.steps(1);
    assert_eq!(bytes(&machine, XMM), [0, 0, 1, 1]);
}

#[test]
fn misaligned_vectors_are_found_before_the_limit() {
    for (address, fault) in [(0x1_0001_u64, gp(0)), (0x1_0000, Exception::stack_fault(0))] {
        let mut machine = user_32(&[0x0f, 0x28, 0x45, 0x00], 0); // movaps xmm0, [ebp]
        machine.cpu.cr4 |= CR4_OSFXSR;
        machine.cpu.segments[SS].limit = 0xffff;
        machine.cpu.gpr[RBP] = address;
        assert_eq!(machine.step().unwrap_err(), fault, "{address:#x}");
    }
}
