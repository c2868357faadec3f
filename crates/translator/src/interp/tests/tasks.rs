//! Hardware task switches: what they save, load, check and leave behind (SDM 3A chapter 7).
use super::machine::*;
use x86::exception::vector;
use x86::reg::*;
use x86::segment::{CS, ES, SS};
use x86::{Exception, flags};

/// The other task's TSS, its selector, where its code lies.
const OTHER: u64 = 0x8000;
const OTHER_TASK: u16 = 0x38;
const OTHER_CODE: u64 = 0x11000;
/// DR6.BT.
const TASK_TRAP: u64 = 1 << 15;

/// `jmp far` and `call far` to a selector.
fn far(opcode: u8, selector: u16) -> [u8; 7] {
    let [low, high] = selector.to_le_bytes();
    [opcode, 0, 0, 0, 0, low, high]
}
fn jump() -> [u8; 7] {
    far(0xea, OTHER_TASK)
}
fn call() -> [u8; 7] {
    far(0x9a, OTHER_TASK)
}

/// A machine in protected mode with a second, 32-bit task in ring 0.
fn two_tasks(code: &[u8]) -> Machine {
    let mut machine = Machine::protected(code);
    machine.put_u64(GDT + u64::from(OTHER_TASK), 0x0000_8900_0000_0067 | OTHER << 16);
    machine.put(OTHER, &[0; 0x68]);
    set(&mut machine, 0x20, OTHER_CODE as u32);
    set(&mut machine, 0x24, 2);
    set(&mut machine, 0x38, 0x19000);
    for field in [0x48, 0x50, 0x54, 0x58, 0x5c] {
        set(&mut machine, field, u32::from(KERNEL_DATA));
    }
    set(&mut machine, 0x4c, u32::from(KERNEL_CODE));
    machine.put(OTHER_CODE, &[0xcf]); // iretd
    machine
}
fn set(machine: &mut Machine, field: u64, value: u32) {
    machine.put(OTHER + field, &value.to_le_bytes());
}
fn access(machine: &Machine, selector: u16) -> u64 {
    machine.get(GDT + u64::from(selector)) >> 40 & 0xff
}
fn ts(selector: u16) -> Exception {
    Exception::with_code(vector::TS, u32::from(selector))
}

#[test]
fn jump_leaves_the_old_task_for_good() {
    let mut machine = two_tasks(&jump());
    machine.cpu.gpr[RBX] = 0x1234_5678;
    machine.cpu.set_rflags(flags::CF | flags::RF);
    machine.cpu.dr[7] = 0x7ff;
    machine.steps(1);
    assert_eq!(machine.cpu.dr[7], 0x6aa, "local breakpoints end with the task");
    assert_eq!((machine.cpu.rip, machine.cpu.gpr[RSP]), (OTHER_CODE, 0x19000));
    assert_eq!((access(&machine, TASK), access(&machine, OTHER_TASK)), (0x89, 0x8b));
    assert_eq!(machine.cpu.rflags(), 2);
    assert_eq!(machine.get(TSS + 0x20), (flags::CF | 2) << 32 | (CODE + 7));
    assert_eq!(machine.get(TSS + 0x34) as u32, 0x1234_5678);
    assert_ne!(machine.cpu.cr0 & x86::control::CR0_TS, 0);
}

#[test]
fn call_nests_and_iret_comes_back() {
    let mut machine = two_tasks(&call());
    machine.steps(1);
    assert_eq!((access(&machine, TASK), access(&machine, OTHER_TASK)), (0x8b, 0x8b));
    assert_ne!(machine.cpu.rflags() & flags::NT, 0);
    assert_eq!(machine.get(OTHER) as u16, TASK);
    machine.steps(1);
    assert_eq!((machine.cpu.rip, machine.cpu.tr.selector), (CODE + 7, TASK));
    assert_eq!((access(&machine, TASK), access(&machine, OTHER_TASK)), (0x8b, 0x89));
    assert_eq!(machine.get(OTHER + 0x20), 2_u64 << 32 | (OTHER_CODE + 1), "saved without NT");
}

#[test]
fn calls_to_busy_absent_short_and_private_tasks_fault_in_the_old_task() {
    for (descriptor, expected) in [
        (0x0000_8b00_0000_0067, gp(0x38)),
        (0x0000_0900_0000_0067, Exception::with_code(vector::NP, 0x38)),
        (0x0000_8900_0000_0066, ts(0x38)),
        (0x0000_8100_0000_002a, ts(0x38)),
    ] {
        let mut machine = two_tasks(&call());
        machine.put_u64(GDT + u64::from(OTHER_TASK), descriptor | OTHER << 16);
        assert_eq!(machine.step().unwrap_err(), expected, "{descriptor:#x}");
        assert_eq!((machine.cpu.rip, machine.cpu.tr.selector), (CODE, TASK));
    }
    let mut machine = two_tasks(&far(0x9a, OTHER_TASK | 3));
    assert_eq!(machine.step().unwrap_err(), gp(0x38), "RPL 3, DPL 0");
}

#[test]
fn iret_wants_a_busy_task_behind_its_link() {
    let mut machine = two_tasks(&[0xcf]);
    machine.cpu.set_rflags(flags::NT);
    for (link, expected) in [(OTHER_TASK, ts(0x38)), (0, ts(0)), (KERNEL_DATA, ts(0x10)), (0x3c, ts(0x3c))] {
        machine.put(TSS, &link.to_le_bytes());
        assert_eq!(machine.step().unwrap_err(), expected, "{link:#x}");
    }
}

#[test]
fn sixteen_bit_tasks_have_sixteen_bit_registers() {
    let mut machine = two_tasks(&call());
    machine.put_u64(GDT + u64::from(OTHER_TASK), 0x0000_8100_0000_002b | OTHER << 16);
    let words = [0, 0, 0, 0, 0, 0, 0, 0x1100, 2, 0x1111, 0x2222, 0x3333, 0x4444, 0x9000, 0, 0, 0x7777];
    for (index, value) in words.into_iter().enumerate() {
        machine.put(OTHER + 2 * index as u64, &(value as u16).to_le_bytes());
    }
    for (offset, selector) in [(0x22, KERNEL_DATA), (0x24, KERNEL_CODE), (0x26, KERNEL_DATA), (0x28, 0)] {
        machine.put(OTHER + offset, &selector.to_le_bytes());
    }
    machine.cpu.set_rflags(flags::AC | flags::ID);
    machine.put(0x1100, &[0xcf]);
    machine.steps(1);
    assert_eq!(machine.cpu.rip, 0x1100);
    assert_eq!((machine.cpu.gpr[RAX] as u16, machine.cpu.gpr[RSP] as u16), (0x1111, 0x9000));
    assert_eq!(machine.cpu.rflags(), flags::NT | 2, "no flags beyond 16 bits");
    assert!(!machine.cpu.segments[4].is_present());
    machine.steps(1);
    assert_eq!((machine.cpu.rip, machine.cpu.tr.selector), (CODE + 7, TASK));
    assert_eq!(machine.cpu.rflags() & (flags::AC | flags::ID), flags::AC | flags::ID);
}

#[test]
fn bad_segments_fault_in_the_new_task() {
    for (field, selector, expected) in [
        (0x50, 0, ts(0)),
        (0x50, KERNEL_CODE, ts(0x08)),
        (0x4c, KERNEL_DATA, ts(0x10)),
        (0x4c, 0, ts(0)),
        (0x48, 0x70, ts(0x70)),
        (0x60, KERNEL_DATA, ts(0x10)),
        (0x54, 0x78, ts(0x78)),
    ] {
        let mut machine = two_tasks(&jump());
        set(&mut machine, field, u32::from(selector));
        assert_eq!(machine.step().unwrap_err(), expected, "{field:#x} {selector:#x}");
        assert_eq!((machine.cpu.rip, machine.cpu.tr.selector), (OTHER_CODE, OTHER_TASK));
    }
}

#[test]
fn fault_of_a_new_user_task_goes_to_its_inner_stack() {
    let mut machine = two_tasks(&jump());
    set(&mut machine, 4, 0x1a000);
    set(&mut machine, 8, u32::from(KERNEL_DATA));
    set(&mut machine, 0x4c, 0x1b);
    set(&mut machine, 0x50, 0x1b);
    let fault = machine.step().unwrap_err();
    assert_eq!(fault, ts(0x18), "a code segment as stack");
    machine.deliver(fault).unwrap();
    assert_eq!(machine.cpu.rip, HANDLERS + 16 * u64::from(vector::TS));
    assert_eq!((machine.cpu.cpl(), machine.cpu.gpr[RSP]), (0, 0x1a000 - 24));
    assert_eq!(machine.get(0x1a000 - 20) as u32, OTHER_CODE as u32);
}

#[test]
fn trap_flag_of_the_tss_and_of_the_tasks() {
    let mut machine = two_tasks(&jump());
    set(&mut machine, 0x64, 1);
    machine.cpu.set_rflags(flags::TF);
    assert_eq!(machine.step().unwrap_err(), Exception::plain(vector::DB));
    assert_eq!((machine.cpu.rip, machine.cpu.dr[6] >> 14 & 3), (OTHER_CODE, 2), "BT, not BS");
    // Through a task gate for an exception the error code is on the stack before the trap.
    let mut machine = two_tasks(&[0x90]);
    set(&mut machine, 0x64, 1);
    machine.put_u64(IDT + 8 * 13, 0x8500 << 32 | 0x38 << 16);
    machine.deliver(gp(0x50)).unwrap();
    assert_eq!(machine.cpu.rip, HANDLERS + 16 * u64::from(vector::DB));
    assert_ne!(machine.cpu.dr[6] & TASK_TRAP, 0);
    assert_eq!(machine.get(0x19000 - 4) as u32, 0x50);
    assert_eq!(machine.get(0x19000 - 16) as u32, OTHER_CODE as u32);
}

#[test]
fn tasks_may_be_virtual_8086_tasks() {
    let mut machine = two_tasks(&call());
    set(&mut machine, 0x24, (flags::VM | 2) as u32);
    set(&mut machine, 0x20, 0x10);
    for field in [0x48, 0x4c, 0x50, 0x54, 0x58, 0x5c] {
        set(&mut machine, field, 0x1100);
    }
    machine.steps(1);
    assert!(machine.cpu.is_virtual_8086());
    assert_eq!((machine.cpu.segments[CS].base, machine.cpu.segments[ES].base), (0x11000, 0x11000));
    assert_eq!((machine.cpu.segments[SS].limit, machine.cpu.cpl()), (0xffff, 3));
}

#[test]
fn task_gates_check_their_own_privilege_not_that_of_the_tss() {
    let mut machine = two_tasks(&far(0x9a, 0x40));
    machine.put_u64(GDT + 0x40, 0x8500 << 32 | u64::from(OTHER_TASK) << 16);
    machine.steps(1);
    assert_eq!(machine.cpu.tr.selector, OTHER_TASK);
    let mut machine = two_tasks(&far(0x9a, 0x40));
    machine.put_u64(GDT + 0x40, 0x0500 << 32 | u64::from(OTHER_TASK) << 16);
    assert_eq!(machine.step().unwrap_err(), Exception::with_code(vector::NP, 0x40));
    machine.put_u64(GDT + 0x40, 0x8500 << 32 | u64::from(OTHER_TASK | 4) << 16);
    assert_eq!(machine.step().unwrap_err(), gp(0x3c), "the TSS must be global");
}
