//! Debug registers, traps and what holds them back (SDM 3B chapter 17), and NMI blocking.
use super::machine::*;
use x86::exception::vector;
use x86::reg::*;
use x86::{Exception, flags};

/// DR6.BS, BT, BD.
const STEP: u64 = 1 << 14;
const TASK_TRAP: u64 = 1 << 15;
const GUARD: u64 = 1 << 13;
/// DR7: breakpoint 0 on execution, on data reads and writes of four bytes, on a port.
const EXECUTE: u64 = 0x402;
const ACCESS: u64 = 0x402 | 0b1111 << 16;
const PORT: u64 = 0x402 | 0b0010 << 16;

fn trap() -> Exception {
    Exception::plain(vector::DB)
}

#[test]
fn stack_switches_hold_breakpoints_back() {
    // mov ss,[rbx]; nop; nop
    let mut machine = Machine::long(&[0x8e, 0x13, 0x90, 0x90]);
    machine.put(DATA, &KERNEL_DATA.to_le_bytes());
    machine.cpu.gpr[RBX] = DATA;
    machine.cpu.dr[0] = DATA;
    machine.cpu.dr[7] = ACCESS;
    machine.steps(1);
    assert_eq!(machine.step().unwrap_err(), trap(), "after the next instruction");
    assert_eq!((machine.cpu.rip, machine.cpu.dr[6] & 15), (CODE + 3, 1));
    machine.cpu.rip = CODE;
    machine.cpu.dr[0] = CODE + 2;
    machine.cpu.dr[7] = EXECUTE;
    machine.steps(2);
    machine.cpu.dr[0] = CODE + 3;
    assert_eq!(machine.step().unwrap_err(), trap(), "only the next instruction is shielded");
}

#[test]
fn held_back_breakpoint_strikes_in_the_handler_of_a_software_interrupt() {
    // mov ss,[rbx], then int 0x80 or int1
    for (next, rip) in [([0xcd, 0x80], HANDLERS + 16 * 0x80), ([0xf1, 0x90], CODE + 3)] {
        let mut machine = Machine::long(&[0x8e, 0x13]);
        machine.put(CODE + 2, &next);
        machine.put(DATA, &KERNEL_DATA.to_le_bytes());
        machine.cpu.gpr[RBX] = DATA;
        machine.cpu.dr[0] = DATA;
        machine.cpu.dr[7] = ACCESS;
        machine.steps(1);
        assert_eq!(machine.step().unwrap_err(), trap());
        assert_eq!((machine.cpu.rip, machine.cpu.dr[6] & 15), (rip, 1));
    }
}

#[test]
fn general_detect_guards_the_debug_registers_until_its_handler_runs() {
    let mut machine = Machine::long(&[0x0f, 0x21, 0xf8]); // mov rax,dr7
    machine.cpu.dr[7] = 0x400 | GUARD;
    machine.cpu.dr[6] |= 3;
    let fault = machine.step().unwrap_err();
    assert_eq!((fault, machine.cpu.rip), (trap(), CODE));
    assert_eq!(machine.cpu.dr[6] & (GUARD | STEP | 15), GUARD, "earlier breakpoints are forgotten");
    machine.deliver(fault).unwrap();
    assert_eq!(machine.cpu.dr[7], 0x400);
}

#[test]
fn any_debug_exception_clears_general_detect() {
    let mut machine = Machine::long(&[0xf1]); // int1
    machine.cpu.dr[7] = 0x400 | GUARD;
    machine.cpu.set_rflags(flags::RF);
    let fault = machine.step().unwrap_err();
    machine.deliver(fault).unwrap();
    assert_eq!(machine.cpu.dr[7], 0x400);
    let stack = machine.cpu.gpr[RSP];
    assert_eq!((machine.get(stack), machine.get(stack + 16) & flags::RF), (CODE + 1, 0), "a trap");
}

#[test]
fn breakpoint_on_a_repeated_instruction_strikes_once() {
    let mut machine = Machine::long(&[0xf3, 0xa4, 0xf4]); // rep movsb; hlt
    machine.cpu.gpr[RCX] = 3;
    machine.cpu.gpr[RSI] = DATA;
    machine.cpu.gpr[RDI] = DATA + 0x100;
    machine.cpu.dr[0] = CODE;
    machine.cpu.dr[7] = EXECUTE;
    assert_eq!(machine.step().unwrap_err(), trap());
    machine.cpu.set_rflags(flags::RF);
    machine.steps(1);
    assert_eq!((machine.cpu.rip, machine.cpu.gpr[RCX]), (CODE, 2));
    machine.interrupt(0x40).unwrap();
    let image = machine.get(machine.cpu.gpr[RSP] + 16);
    assert_ne!(image & flags::RF, 0, "an interrupt in mid-way saves RF");
    machine.cpu.rip = CODE;
    machine.cpu.set_rflags(image);
    machine.steps(2);
    assert_eq!((machine.cpu.rip, machine.cpu.rflags() & flags::RF), (CODE + 2, 0));
}

#[test]
fn single_steps_count_the_elements_of_repeated_instructions() {
    let mut machine = Machine::long(&[0xf3, 0xaa]); // rep stosb
    machine.cpu.gpr[RCX] = 2;
    machine.cpu.gpr[RDI] = DATA;
    machine.cpu.set_rflags(flags::TF);
    assert_eq!((machine.step().unwrap_err(), machine.cpu.rip), (trap(), CODE));
    assert_eq!((machine.step().unwrap_err(), machine.cpu.rip), (trap(), CODE + 2));
    assert_eq!(machine.cpu.dr[6] & (STEP | TASK_TRAP), STEP);
}

#[test]
fn ports_have_breakpoints_with_debugging_extensions() {
    for code in [&[0xe6_u8, 0x60][..], &[0x6e], &[0xf3, 0x6e]] {
        // out 0x60,al; outsb; rep outsb
        let mut machine = Machine::long(code);
        machine.cpu.gpr[RDX] = 0x60;
        machine.cpu.gpr[RCX] = 1;
        machine.cpu.gpr[RSI] = DATA;
        machine.cpu.dr[0] = 0x60;
        machine.cpu.dr[7] = PORT;
        machine.steps(1);
        machine.cpu.rip = CODE;
        machine.cpu.gpr[RCX] = 1;
        machine.cpu.cr4 |= x86::control::CR4_DE;
        assert_eq!(machine.step().unwrap_err(), trap(), "{code:x?}");
        assert_eq!(machine.devices.log.lock().unwrap().len(), 2, "a trap, not a fault");
    }
}

#[test]
fn debug_registers_have_fixed_bits_and_aliases() {
    let mut machine = Machine::long(&[0x0f, 0x23, 0xf0, 0x0f, 0x23, 0xf8, 0x0f, 0x21, 0xe1]);
    machine.cpu.gpr[RAX] = 0xffff_ffff;
    machine.steps(1);
    assert_eq!(machine.cpu.dr[6], 0xffff_efff);
    machine.cpu.gpr[RAX] = 0xffff_0000;
    machine.steps(1);
    assert_eq!(machine.cpu.dr[7], 0xffff_0400);
    machine.steps(1); // mov rcx,dr4
    assert_eq!(machine.cpu.gpr[RCX], machine.cpu.dr[6]);
    machine.cpu.rip = CODE + 6;
    machine.cpu.cr4 |= x86::control::CR4_DE;
    assert_eq!(machine.step().unwrap_err(), ud());
    machine.cpu.rip = CODE;
    machine.cpu.gpr[RAX] = 1 << 32;
    assert_eq!(machine.step().unwrap_err(), gp(0), "the upper half of DR6");
}

#[test]
fn iret_lets_nmis_in_even_if_it_faults() {
    let mut machine = Machine::long(&[0x48, 0xcf]);
    machine.cpu.nmi_blocked = 1;
    machine.cpu.gpr[RSP] = 1 << 47;
    assert_eq!(machine.step().unwrap_err(), Exception::stack_fault(0));
    assert_eq!(machine.cpu.nmi_blocked, 0);
    assert_ne!(machine.cpu.attention.load(std::sync::atomic::Ordering::Relaxed), 0);
}

#[test]
fn trap_flag_over_system_calls() {
    // SYSCALL traps in the kernel if the mask leaves TF; SYSRET traps at once if it loads TF; IRET one instruction later.
    for (mask, steps) in [(0, false), (flags::TF, true)] {
        let mut machine = Machine::user(&[0x0f, 0x05]);
        machine.cpu.star = 0x001b << 48 | u64::from(KERNEL_CODE) << 32;
        machine.cpu.lstar = 0x12000;
        machine.cpu.sfmask = mask;
        machine.cpu.set_rflags(flags::TF);
        machine.put(0x12000, &[0x48, 0x0f, 0x07]);
        assert_eq!(machine.step().is_ok(), steps);
        assert_eq!(machine.cpu.rip, 0x12000);
        machine.cpu.set_rflags(0);
        assert_eq!(machine.step().unwrap_err(), trap());
        assert_eq!((machine.cpu.rip, machine.cpu.cpl()), (CODE + 2, 3));
    }
}
