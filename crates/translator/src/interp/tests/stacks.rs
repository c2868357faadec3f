//! Stacks under events, gates and returns: whose fault it is, what its code says, which bits of the pointer change.
use super::machine::*;
use x86::exception::vector;
use x86::reg::*;
use x86::segment::{CS, DS, ES, SS, Segment};
use x86::{Exception, flags};

/// A selector for tests.
const SPARE: u16 = 0x40;

/// In ring 3 of 32-bit protected mode; the kernel's stack is [`STACK`].
fn user_32(code: &[u8]) -> Machine {
    let mut machine = Machine::protected(code);
    machine.cpu.segments = [Segment::from_descriptor(USER_DATA, flat(0xf3, 0xc)); 6];
    machine.cpu.segments[CS] = Segment::from_descriptor(0x1b, flat(0xfb, 0xc));
    machine.cpu.gpr[RSP] = STACK - 0x1000;
    machine
}
/// `call far` to a selector.
fn call(selector: u16) -> [u8; 7] {
    let [low, high] = selector.to_le_bytes();
    [0x9a, 0, 0, 0, 0, low, high]
}
fn ss(code: u32) -> Exception {
    Exception::stack_fault(code)
}

#[test]
fn stack_fault_of_an_event_has_ext_and_the_new_selector() {
    let mut machine = Machine::protected(&[0xcd, 0x80]);
    machine.cpu.segments[SS].limit = 0xff;
    machine.cpu.gpr[RSP] = 0x200;
    assert_eq!(machine.step().unwrap_err(), ss(0), "software interrupts are not external");
    let mut machine = user_32(&[0xcd, 0x80]);
    machine.put_u64(IDT + 8 * 0x80, machine.get(IDT + 8 * 0x80) | 0x6000_0000_0000);
    machine.put_u64(GDT + u64::from(SPARE), 0x0040_9300_0000_00ff);
    machine.put(TSS + 8, &u32::from(SPARE).to_le_bytes());
    assert_eq!(machine.step().unwrap_err(), ss(u32::from(SPARE)));
    // An external interrupt on a stack that is not canonical; #SS has a good one.
    let mut machine = Machine::long(&[0x90]);
    machine.set_gate(vector::SS, 0x8e, 1);
    machine.cpu.gpr[RSP] = (1 << 47) + 0x100;
    machine.interrupt(0x40).unwrap();
    assert_eq!(machine.cpu.rip, HANDLERS + 16 * u64::from(vector::SS));
    assert_eq!(machine.get(machine.cpu.gpr[RSP]), 1);
}

#[test]
fn sixteen_bit_inner_stack_takes_the_whole_pointer_of_the_tss() {
    let mut machine = user_32(&[0xcd, 0x80]);
    machine.put_u64(IDT + 8 * 0x80, machine.get(IDT + 8 * 0x80) | 0x6000_0000_0000);
    machine.put_u64(GDT + u64::from(SPARE), flat(0x93, 0));
    machine.put(TSS + 4, &0x0001_8000_u32.to_le_bytes());
    machine.put(TSS + 8, &u32::from(SPARE).to_le_bytes());
    machine.cpu.gpr[RSP] = 0x0005_5000;
    machine.steps(1);
    assert_eq!(machine.cpu.gpr[RSP], 0x0001_8000 - 20);
    assert_eq!(machine.get(0x8000 - 8) as u32, 0x0005_5000);
}

#[test]
fn call_gate_copies_parameters_and_return_releases_them() {
    let mut machine = user_32(&call(SPARE | 3));
    let gate = 0x0000_ec02_0000_0000 | u64::from(KERNEL_CODE) << 16 | 0x2000 | 0x0001_0000_0000_0000;
    machine.put_u64(GDT + u64::from(SPARE), gate);
    machine.put(0x12000, &[0xca, 8, 0]); // retf 8
    machine.put(STACK - 0x1000, &[1, 0, 0, 0, 2, 0, 0, 0]);
    machine.steps(1);
    assert_eq!((machine.cpu.rip, machine.cpu.cpl(), machine.cpu.gpr[RSP]), (0x12000, 0, STACK - 24));
    let frame: Vec<u32> = (0..6).map(|index| machine.get(STACK - 24 + 4 * index) as u32).collect();
    let expected = [CODE as u32 + 7, 0x1b, 1, 2, STACK as u32 - 0x1000, u32::from(USER_DATA)];
    assert_eq!(frame, expected);
    machine.cpu.segments[DS] = Segment::from_descriptor(KERNEL_DATA, flat(0x93, 0xc));
    machine.steps(1);
    assert_eq!((machine.cpu.rip, machine.cpu.cpl(), machine.cpu.gpr[RSP]), (CODE + 7, 3, STACK - 0x1000 + 8));
    assert!(!machine.cpu.segments[DS].is_present(), "the inner ring's data segment is gone");
    assert!(machine.cpu.segments[ES].is_present());
}

#[test]
fn call_gates_name_what_is_wrong() {
    let good = 0x0000_ec00_0000_0000 | u64::from(KERNEL_CODE) << 16 | 0x0001_0000_0000_2000;
    for (gate, expected) in [
        (good & !(3 << 45), gp(u32::from(SPARE))),
        (good & !(1 << 47), Exception::with_code(vector::NP, u32::from(SPARE))),
        (good & !0xffff_0000, gp(0)),
        (good & !0xffff_0000 | 0x10_0000, gp(0x10)),
        (good & !0xffff_0000 | 0x78_0000, gp(0x78)),
    ] {
        let mut machine = user_32(&call(SPARE | 3));
        machine.put_u64(GDT + u64::from(SPARE), gate);
        assert_eq!(machine.step().unwrap_err(), expected, "{gate:#x}");
    }
    let mut machine = user_32(&call(SPARE | 3));
    machine.put_u64(GDT + u64::from(SPARE), good);
    machine.put(TSS + 8, &0_u32.to_le_bytes());
    assert_eq!(machine.step().unwrap_err(), Exception::with_code(vector::TS, 0));
    machine.put(TSS + 8, &u32::from(USER_DATA).to_le_bytes());
    assert_eq!(machine.step().unwrap_err(), Exception::with_code(vector::TS, 0x20));
}

#[test]
fn call_gate_of_64_bit_code_pushes_64_bit_words() {
    let mut machine = Machine::user(&[0xff, 0x1b]); // call far [rbx]
    machine.cpu.gdtr.limit = 0xff;
    let gate = 0x0000_ec00_0000_2000 | u64::from(KERNEL_CODE) << 16 | 0x0001_0000_0000_0000;
    machine.put_u64(GDT + 0x80, gate);
    machine.put_u64(GDT + 0x88, 0);
    machine.put(DATA, &[0, 0, 0, 0, 0x83, 0]);
    machine.cpu.gpr[RBX] = DATA;
    machine.put(0x12000, &[0x48, 0xcb]); // retfq
    machine.steps(1);
    assert_eq!((machine.cpu.rip, machine.cpu.cpl(), machine.cpu.gpr[RSP]), (0x12000, 0, STACK - 32));
    assert_eq!(machine.get(STACK - 32), CODE + 2);
    assert_eq!(machine.get(STACK - 8), u64::from(USER_DATA));
    assert_eq!(machine.cpu.segments[SS].selector, 0);
    machine.steps(1);
    assert_eq!((machine.cpu.rip, machine.cpu.cpl(), machine.cpu.gpr[RSP]), (CODE + 2, 3, STACK - 0x1000));
    let mut machine = Machine::user(&[0xff, 0x1b]);
    machine.cpu.gdtr.limit = 0xff;
    machine.put_u64(GDT + 0x80, gate);
    machine.put_u64(GDT + 0x88, 1 << 40);
    machine.put(DATA, &[0, 0, 0, 0, 0x83, 0]);
    machine.cpu.gpr[RBX] = DATA;
    assert_eq!(machine.step().unwrap_err(), gp(0x80), "the upper half has a type");
}

#[test]
fn iret_to_a_16_bit_stack_keeps_the_upper_half_of_the_pointer() {
    let mut machine = Machine::protected(&[0xcf]);
    machine.put_u64(GDT + u64::from(SPARE), flat(0xf3, 0));
    let frame = [0x100_u32, 0x1b, 2, 0x0005_6000, u32::from(SPARE) | 3];
    for (index, value) in frame.into_iter().enumerate() {
        machine.put(STACK - 64 + 4 * index as u64, &value.to_le_bytes());
    }
    machine.cpu.gpr[RSP] = STACK - 64;
    machine.steps(1);
    assert_eq!((machine.cpu.cpl(), machine.cpu.gpr[RSP]), (3, 0x0001_6000));
}

#[test]
fn iret_in_ring_0_takes_all_flags_and_popf_drops_virtual_interrupts() {
    let mut machine = Machine::long(&[0x48, 0xcf, 0x9d]); // iretq; popfq
    let image = flags::VIF | flags::VIP | flags::RF | flags::AC | flags::ID | flags::IOPL | 2;
    let frame = [CODE + 2, u64::from(KERNEL_CODE), image, STACK - 8, u64::from(KERNEL_DATA)];
    for (index, value) in frame.into_iter().enumerate() {
        machine.put_u64(STACK - 64 + 8 * index as u64, value);
    }
    machine.put_u64(STACK - 8, image | flags::VM);
    machine.cpu.gpr[RSP] = STACK - 64;
    machine.steps(1);
    assert_eq!(machine.cpu.rflags(), image);
    machine.steps(1);
    assert_eq!(machine.cpu.rflags(), flags::AC | flags::ID | flags::IOPL | 2);
}

#[test]
fn enter_keeps_the_upper_half_of_the_pointer_of_a_short_stack() {
    let mut machine = user_32(&[0xc8, 0x10, 0, 1]); // enter 10h, 1
    machine.cpu.segments[SS] = Segment::from_descriptor(USER_DATA, flat(0xf3, 0));
    machine.cpu.gpr[RSP] = 0x1234_8000;
    machine.cpu.gpr[RBP] = 0x5678_9abc;
    machine.steps(1);
    assert_eq!(machine.cpu.gpr[RSP], 0x1234_7fe8);
    assert_eq!(machine.cpu.gpr[RBP], 0x1234_7ffc);
    assert_eq!(machine.get(0x7ff8), 0x5678_9abc_1234_7ffc);
}
