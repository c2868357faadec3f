//! Exceptions, stacks and rings in long mode, and the state that must survive a fault.
use super::machine::*;
use x86::exception::vector;
use x86::reg::*;
use x86::segment::{CS, GS, SS};
use x86::{Exception, flags};

#[test]
fn divide_error_pushes_a_frame_with_the_faulting_address() {
    let mut machine = Machine::long(&[0x90, 0xf7, 0xf1]); // nop; div ecx
    machine.cpu.gpr[RSP] = STACK - 8;
    machine.run();
    assert_eq!(machine.halted_vector(), u64::from(vector::DE));
    assert_eq!(machine.cpu.gpr[RSP], STACK - 0x10 - 40, "aligned to 16, five words");
    assert_eq!(machine.get(machine.cpu.gpr[RSP]), CODE + 1);
    assert_ne!(machine.get(machine.cpu.gpr[RSP] + 16) & flags::RF, 0);
}

#[test]
fn interrupt_stack_table_and_ring_change_pick_the_stack() {
    let mut machine = Machine::user(&[0x0f, 0x0b]);
    machine.run();
    assert_eq!(machine.halted_vector(), u64::from(vector::UD));
    assert_eq!((machine.cpu.cpl(), machine.cpu.gpr[RSP]), (0, STACK - 40));
    assert_eq!(machine.get(STACK - 8), u64::from(USER_DATA));
    assert_eq!(machine.get(STACK - 16), STACK - 0x1000);
    let mut machine = Machine::long(&[0x0f, 0x0b]);
    machine.set_gate(vector::UD, 0x8e, 1);
    machine.run();
    assert_eq!(machine.cpu.gpr[RSP], STACK + 0x8000 - 40);
}

#[test]
fn software_interrupts_respect_the_gate() {
    let mut machine = Machine::user(&[0xcd, 0x80]);
    assert_eq!(machine.step().unwrap_err(), gp(0x80 * 8 + 2));
    machine.set_gate(0x80, 0xee, 0);
    machine.steps(1);
    assert_eq!(machine.cpu.rip, HANDLERS + 16 * 0x80);
    assert_eq!(machine.get(machine.cpu.gpr[RSP]), CODE + 2);
}

#[test]
fn double_and_triple_faults() {
    let mut machine = Machine::long(&[0x0f, 0x0b]);
    let not_present = machine.get(IDT + 16 * 13) & !(1 << 47);
    machine.put_u64(IDT + 16 * 13, not_present);
    machine.deliver(gp(0)).unwrap();
    assert_eq!(machine.cpu.rip, HANDLERS + 16 * 8, "#NP while delivering #GP is a double fault");
    assert_eq!(machine.get(machine.cpu.gpr[RSP]), 0, "its error code is 0");
    machine.put_u64(IDT + 16 * 8, 0);
    let rip = machine.cpu.rip;
    let triple = machine.deliver(gp(0)).unwrap_err();
    assert_eq!((triple.vector, triple.rip), (vector::GP, rip));
}

#[test]
fn benign_exceptions_do_not_double() {
    let mut machine = Machine::long(&[0x0f, 0x0b]);
    machine.put_u64(IDT + 16 * 6, machine.get(IDT + 16 * 6) & !(1 << 47));
    machine.deliver(ud()).unwrap();
    assert_eq!(machine.cpu.rip, HANDLERS + 16 * u64::from(vector::NP));
    assert_eq!(machine.get(machine.cpu.gpr[RSP]), 6 * 8 + 2 + 1);
}

#[test]
fn page_fault_tells_address_and_reason_and_leaves_registers_alone() {
    // add [rbx], eax on a read-only user page
    let mut machine = Machine::user(&[0x01, 0x03]);
    machine.map_small(DATA, DATA | 5);
    machine.cpu.gpr[RBX] = DATA + 8;
    machine.cpu.gpr[RAX] = 5;
    let before = (machine.cpu.gpr, machine.cpu.rflags());
    let fault = machine.step().unwrap_err();
    assert_eq!(fault, Exception::page_fault(x86::Gva(DATA + 8), 7));
    assert_eq!((machine.cpu.gpr, machine.cpu.rflags()), before);
    machine.deliver(fault).unwrap();
    assert_eq!(machine.cpu.cr2, DATA + 8);
}

#[test]
fn accessed_and_dirty_bits_follow_accesses() {
    let mut machine = Machine::long(&[0x8b, 0x03, 0x89, 0x03]); // mov eax,[rbx]; mov [rbx],eax
    machine.map_small(DATA, DATA | 7);
    machine.cpu.gpr[RBX] = DATA;
    let entry = PML4 + 0x3000 + 8 * (DATA >> 12);
    machine.steps(1);
    assert_eq!(machine.get(entry) & 0x60, 0x20);
    machine.steps(1);
    assert_eq!(machine.get(entry) & 0x60, 0x60);
}

#[test]
fn writes_across_pages_fault_as_a_whole() {
    let mut machine = Machine::long(&[0x48, 0x89, 0x03]);
    machine.map_small(DATA + 0x1000, 0);
    machine.cpu.gpr[RBX] = DATA + 0xffc;
    machine.cpu.gpr[RAX] = u64::MAX;
    let fault = machine.step().unwrap_err();
    assert_eq!(fault, Exception::page_fault(x86::Gva(DATA + 0x1000), 2));
    assert_eq!(machine.get(DATA + 0xff8), 0);
}

#[test]
fn syscall_and_sysret_change_rings() {
    let mut machine = Machine::user(&[0x0f, 0x05]);
    machine.cpu.star = 0x001b << 48 | u64::from(KERNEL_CODE) << 32;
    machine.cpu.lstar = 0x12000;
    machine.cpu.sfmask = flags::IF | flags::DF;
    machine.cpu.set_rflags(flags::IF | flags::DF | flags::CF);
    machine.put(0x12000, &[0x48, 0x0f, 0x07]); // sysretq
    machine.steps(1);
    assert_eq!((machine.cpu.cpl(), machine.cpu.rip, machine.cpu.gpr[RCX]), (0, 0x12000, CODE + 2));
    assert_eq!(machine.cpu.rflags() & (flags::IF | flags::DF | flags::CF), flags::CF);
    machine.steps(1);
    assert_eq!((machine.cpu.cpl(), machine.cpu.rip), (3, CODE + 2));
    assert_eq!(
        (machine.cpu.segments[CS].selector, machine.cpu.segments[SS].selector),
        (USER_CODE, USER_DATA)
    );
    assert_ne!(machine.cpu.rflags() & flags::IF, 0);
}

#[test]
fn iretq_to_ring_3_and_what_it_refuses() {
    let mut machine = Machine::long(&[0x48, 0xcf]);
    let frame = [DATA, u64::from(USER_CODE), flags::IF | 2, STACK - 0x2000, u64::from(USER_DATA)];
    for (index, value) in frame.into_iter().enumerate() {
        machine.put_u64(STACK - 40 + 8 * index as u64, value);
    }
    machine.cpu.gpr[RSP] = STACK - 40;
    machine.cpu.nmi_blocked = 1;
    machine.put_u64(STACK - 40, 1 << 47);
    assert_eq!(machine.step().unwrap_err(), gp(0), "not canonical");
    machine.put_u64(STACK - 40, DATA);
    machine.put_u64(STACK - 8, u64::from(KERNEL_DATA));
    assert_eq!(machine.step().unwrap_err(), gp(u32::from(KERNEL_DATA)), "stack of another ring");
    machine.put_u64(STACK - 8, u64::from(USER_DATA));
    machine.steps(1);
    assert_eq!((machine.cpu.cpl(), machine.cpu.rip, machine.cpu.gpr[RSP]), (3, DATA, STACK - 0x2000));
    assert_eq!(machine.cpu.nmi_blocked, 0);
}

#[test]
fn user_code_may_not_run_privileged_instructions() {
    let programs: [&[u8]; 9] = [
        &[0xf4],
        &[0xfa],
        &[0x0f, 0x30],
        &[0x0f, 0x32],
        &[0x0f, 0x22, 0xd8],
        &[0x0f, 0x01, 0x17],
        &[0x0f, 0x01, 0xf8],
        &[0xe4, 0x60],
        &[0x0f, 0x09],
    ];
    for program in programs {
        let mut machine = Machine::user(program);
        machine.cpu.gpr[RDI] = DATA;
        assert_eq!(machine.step().unwrap_err(), gp(0), "{program:x?}");
    }
}

#[test]
fn io_permission_bitmap_opens_single_ports() {
    let mut machine = Machine::user(&[0xe4, 0x61, 0xe4, 0x60]);
    machine.cpu.tr.limit = 0x67 + 32;
    machine.put(TSS + 0x66, &0x68_u16.to_le_bytes());
    machine.put(TSS + 0x68 + 12, &[0xfd]);
    machine.steps(1);
    assert_eq!(machine.cpu.gpr[RAX] & 0xff, 0x61);
    assert_eq!(machine.step().unwrap_err(), gp(0));
}

#[test]
fn single_step_traps_after_the_instruction_and_not_after_mov_ss() {
    let mut machine = Machine::long(&[0x90, 0x8e, 0xd0, 0x90, 0x90]);
    machine.cpu.gpr[RAX] = u64::from(KERNEL_DATA);
    machine.cpu.set_rflags(flags::TF);
    assert_eq!(machine.step().unwrap_err().vector, vector::DB);
    assert_eq!((machine.cpu.rip, machine.cpu.dr[6] >> 14 & 1), (CODE + 1, 1));
    machine.steps(1);
    assert_eq!(machine.cpu.rip, CODE + 3, "MOV SS loses its trap");
    assert_eq!(machine.step().unwrap_err().vector, vector::DB);
    assert_eq!(machine.cpu.rip, CODE + 4);
}

#[test]
fn breakpoints_on_instructions_and_data() {
    let mut machine = Machine::long(&[0x90, 0x89, 0x03]);
    machine.cpu.gpr[RBX] = DATA + 2;
    machine.cpu.dr[0] = CODE;
    machine.cpu.dr[1] = DATA + 4;
    machine.cpu.dr[7] = 0x400 | 0b1010 | 0b1101 << 20;
    assert_eq!(machine.step().unwrap_err().vector, vector::DB);
    assert_eq!((machine.cpu.rip, machine.cpu.dr[6] & 15), (CODE, 1));
    machine.cpu.set_rflags(flags::RF);
    machine.cpu.dr[6] &= !15;
    machine.steps(1);
    assert_eq!(machine.cpu.rflags() & flags::RF, 0);
    assert_eq!(machine.step().unwrap_err().vector, vector::DB);
    assert_eq!((machine.cpu.rip, machine.cpu.dr[6] & 15), (CODE + 3, 2));
}

#[test]
fn sti_shields_one_instruction() {
    let mut machine = Machine::long(&[0xfb, 0x90]);
    machine.steps(1);
    assert_ne!(machine.cpu.interrupt_shadow, 0);
    machine.steps(1);
    assert_eq!(machine.cpu.interrupt_shadow, 0);
    machine.interrupt(0x40).unwrap();
    assert_eq!(machine.cpu.rip, HANDLERS + 16 * 0x40);
    assert_eq!(machine.cpu.rflags() & flags::IF, 0);
}

#[test]
fn swapgs_and_segment_bases() {
    let mut machine = Machine::long(&[0x0f, 0x01, 0xf8, 0xf3, 0x48, 0x0f, 0xae, 0xc9]); // swapgs; rdgsbase rcx
    machine.cpu.segments[GS].base = 1;
    machine.cpu.kernel_gs_base = 0xffff_8000_0000_0000;
    machine.steps(2);
    assert_eq!((machine.cpu.gpr[RCX], machine.cpu.kernel_gs_base), (0xffff_8000_0000_0000, 1));
}

#[test]
fn lock_misuse_and_too_long_instructions() {
    let mut machine = Machine::long(&[0xf0, 0x8b, 0x03]);
    assert_eq!(machine.step().unwrap_err(), ud());
    machine.put(CODE, &[0x66; 15]);
    assert_eq!(machine.step().unwrap_err(), gp(0));
    machine.put(CODE, &[0xf3, 0x0f, 0x1e, 0xfa]); // endbr64
    machine.steps(1);
}

#[test]
fn control_registers_refuse_nonsense() {
    for (value, opcode) in [
        (1_u64 << 31, [0x0f, 0x22, 0xc0]),      // CR0 without PE
        (1 << 29 | 1, [0x0f, 0x22, 0xc0]),      // NW without CD
        (0, [0x0f, 0x22, 0xe0]),                // CR4 without PAE in long mode
        (1 << 5 | 1 << 21, [0x0f, 0x22, 0xe0]), // SMAP is not offered
        (1 << 45, [0x0f, 0x22, 0xd8]),          // CR3 beyond physical memory
    ] {
        let mut machine = Machine::long(&opcode);
        machine.cpu.gpr[RAX] = value;
        assert_eq!(machine.step().unwrap_err(), gp(0), "{value:#x} {opcode:x?}");
    }
}

#[test]
fn unknown_model_specific_registers_fault() {
    let mut machine = Machine::long(&[0x0f, 0x32]);
    machine.cpu.gpr[RCX] = 0x1234_5678;
    assert_eq!(machine.step().unwrap_err(), gp(0));
    machine.cpu.gpr[RCX] = 0x277;
    machine.steps(1);
    assert_eq!(machine.cpu.gpr[RAX], 0x0007_0406);
}
