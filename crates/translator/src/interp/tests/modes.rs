//! Real, protected, virtual-8086 and long mode, and the ways between them.
use super::machine::*;
use x86::exception::vector;
use x86::segment::{CS, DS, ES, SS, Segment};
use x86::{Exception, flags};

#[test]
fn real_mode_switches_to_protected_and_long_mode() {
    // Assembled by hand: lgdt [0x100]; mov eax,cr0; or al,1; mov cr0,eax; jmp 8:32-bit code …
    let mut code = vec![0x2e, 0x0f, 0x01, 0x16, 0x00, 0x01]; // lgdt cs:[0x100]
    code.extend([0x0f, 0x20, 0xc0, 0x0c, 0x01, 0x0f, 0x22, 0xc0]); // cr0 |= 1
    let target = (CODE as u32 + 0x40).to_le_bytes();
    code.extend([0x66, 0xea]);
    code.extend(target);
    code.extend([0x18, 0x00]); // jmp far 0x18:…
    let mut machine = Machine::long(&code);
    let descriptor = [0x7f, 0, (GDT & 0xff) as u8, (GDT >> 8) as u8, 0, 0];
    machine.put(CODE + 0x100, &descriptor);
    machine.put_u64(GDT + 0x18, flat(0x9b, 0xc));
    let protected = [
        0x66, 0xb8, 0x10, 0x00, 0x8e, 0xd8, 0x8e, 0xd0, // mov ax,0x10; mov ds,ax; mov ss,ax
        0xb8, 0x20, 0x00, 0x00, 0x00, 0x0f, 0x22, 0xe0, // cr4 = PAE
        0xb8, 0x00, 0x70, 0x00, 0x00, 0x0f, 0x22, 0xd8, // cr3 = PML4
        0xb9, 0x80, 0x00, 0x00, 0xc0, 0x0f, 0x32, 0x0d, 0x00, 0x01, 0x00, 0x00, 0x0f, 0x30, // EFER.LME
        0x0f, 0x20, 0xc0, 0x0d, 0x00, 0x00, 0x00, 0x80, 0x0f, 0x22, 0xc0, // CR0.PG
        0xea, 0x00, 0x00, 0x02, 0x00, 0x08, 0x00, // jmp far 8:0x20000
    ];
    machine.put(CODE + 0x40, &protected);
    machine.put(0x20000, &[0x48, 0xb8, 1, 2, 3, 4, 5, 6, 7, 8, 0xf4]); // mov rax, imm64; hlt
    let (ram, fresh) = (machine.ram.clone(), Machine::real(&code));
    machine.cpu = fresh.cpu;
    machine.mmu = crate::mmu::Mmu::new(ram, 40, crate::WindowPolicy::Never).unwrap();
    for _ in 0..40 {
        match machine.step() {
            Ok(crate::interp::Step::Next) => {}
            Ok(crate::interp::Step::Halt) => break,
            Err(exception) => panic!("{exception:?} at {:#x} {:?}", machine.cpu.rip, machine.cpu.mode()),
        }
    }
    assert_eq!(machine.cpu.gpr[0], 0x0807_0605_0403_0201);
    assert!(machine.cpu.is_long_mode() && machine.cpu.segments[CS].is_long());
    assert_eq!(machine.cpu.rip, 0x2000b);
}

#[test]
fn real_mode_interrupts_go_through_the_vector_table() {
    let mut machine = Machine::real(&[0xcd, 0x21]);
    machine.put(0x21 * 4, &[0x34, 0x12, 0x00, 0x20]);
    machine.cpu.set_rflags(flags::IF | flags::CF);
    machine.steps(1);
    assert_eq!((machine.cpu.rip, machine.cpu.segments[CS].base), (0x1234, 0x20000));
    assert_eq!(machine.cpu.rflags() & flags::IF, 0);
    assert_eq!(machine.cpu.gpr[4], 0x7ffa);
    assert_eq!(machine.get(0x7ffa) & 0xffff_ffff_ffff, 0x0203_1000_0002);
}

#[test]
fn big_real_mode_keeps_its_limits() {
    // mov eax, fs:[0x100000] with a 4 GiB limit, then with 64 KiB.
    let mut machine =
        Machine::real(&[0x64, 0x66, 0x67, 0xa1, 0, 0, 0x10, 0, 0x64, 0x66, 0x67, 0xa1, 0, 0, 0x10, 0]);
    machine.cpu.segments[4].limit = 0xffff_ffff;
    machine.put(0x100000, &[0x78, 0x56, 0x34, 0x12]);
    machine.steps(1);
    assert_eq!(machine.cpu.gpr[0], 0x1234_5678);
    machine.cpu.segments[4].limit = 0xffff;
    assert_eq!(machine.step().map(|_| ()).unwrap_err().vector, vector::GP);
}

#[test]
fn segment_limits_and_types_fault_in_protected_mode() {
    // mov eax, [ds:0x2000] beyond the limit; mov [cs:0], eax; mov eax,[ss:…] beyond its limit.
    let mut machine = Machine::protected(&[0xa1, 0, 0x20, 0, 0]);
    machine.cpu.segments[DS].limit = 0x2002;
    assert_eq!(machine.step().unwrap_err(), gp(0));
    machine.cpu.segments[DS].limit = 0x2003;
    machine.steps(1);
    machine.cpu.rip = CODE;
    machine.put(CODE, &[0x2e, 0xa3, 0, 0, 0, 0]);
    assert_eq!(machine.step().unwrap_err(), gp(0));
    machine.put(CODE, &[0x36, 0xa1, 0, 0x20, 0, 0]);
    machine.cpu.segments[SS].limit = 0x1fff;
    assert_eq!(machine.step().unwrap_err(), Exception::stack_fault(0));
}

#[test]
fn expand_down_segments_are_valid_above_their_limit() {
    let mut machine = Machine::protected(&[0xa1, 0, 0x20, 0, 0]);
    machine.cpu.segments[DS].attributes |= 4;
    machine.cpu.segments[DS].limit = 0x2000;
    assert_eq!(machine.step().unwrap_err(), gp(0));
    machine.cpu.segments[DS].limit = 0x1fff;
    machine.steps(1);
}

#[test]
fn virtual_8086_mode_comes_and_goes() {
    // iretd to V86, where INT 0x20 with IOPL 3 enters ring 0 again.
    let mut machine = Machine::protected(&[0xcf]);
    let frame: [u32; 9] = [0, 0x2000, 0x23202, 0x1000, 0x300, 0x111, 0x222, 0x333, 0x444];
    for (index, value) in frame.into_iter().enumerate() {
        machine.put(STACK - 64 + 4 * index as u64, &value.to_le_bytes());
    }
    machine.cpu.gpr[4] = STACK - 64;
    machine.put(0x20000, &[0xcd, 0x20]);
    let gate = machine.get(IDT + 8 * 0x20) | 0x6000_0000_0000;
    machine.put_u64(IDT + 8 * 0x20, gate);
    machine.steps(1);
    assert!(machine.cpu.is_virtual_8086());
    assert_eq!(machine.cpu.cpl(), 3);
    assert_eq!((machine.cpu.segments[CS].base, machine.cpu.segments[ES].base), (0x20000, 0x1110));
    machine.put(TSS + 4, &(STACK as u32).to_le_bytes());
    machine.steps(1);
    assert!(!machine.cpu.is_virtual_8086());
    assert_eq!(machine.cpu.cpl(), 0);
    assert_eq!(machine.cpu.rip, HANDLERS + 16 * 0x20);
    assert_eq!(machine.cpu.gpr[4], STACK - 36);
    assert_eq!(machine.get(STACK - 36) as u32, 2, "return address");
    assert_eq!(machine.get(STACK - 4) as u32, 0x444, "gs is on top");
    assert!(!machine.cpu.segments[DS].is_present());
}

#[test]
fn task_gate_switches_to_the_task_and_iret_returns() {
    const OTHER: u64 = 0x8000;
    let mut machine = Machine::protected(&[0x90]);
    machine.put_u64(GDT + 0x38, 0x0000_8900_0000_0067 | OTHER << 16);
    let mut tss = [0_u32; 26];
    tss[8] = 0x11000; // eip
    tss[9] = 2; // eflags
    tss[14] = 0x19000; // esp
    tss[18..24].fill(u32::from(KERNEL_DATA));
    tss[19] = u32::from(KERNEL_CODE);
    for (index, value) in tss.into_iter().enumerate() {
        machine.put(OTHER + 4 * index as u64, &value.to_le_bytes());
    }
    machine.put_u64(IDT + 8 * 13, 0x8500 << 32 | 0x38 << 16);
    machine.put(0x11000, &[0x83, 0xc4, 0x04, 0xcf]); // add esp,4; iretd
    machine.cpu.gpr[3] = 0x1234;
    machine.deliver(gp(0x50)).unwrap();
    assert_eq!(machine.cpu.tr.selector, 0x38);
    assert_eq!(machine.cpu.rip, 0x11000);
    assert_eq!(machine.cpu.gpr[4], 0x18ffc);
    assert_eq!(machine.get(0x18ffc) as u32, 0x50);
    assert_ne!(machine.cpu.rflags() & flags::NT, 0);
    assert_ne!(machine.cpu.cr0 & x86::control::CR0_TS, 0);
    machine.steps(2);
    assert_eq!(machine.cpu.tr.selector, TASK);
    assert_eq!((machine.cpu.rip, machine.cpu.gpr[3]), (CODE, 0x1234));
    assert_eq!(machine.get(GDT + 0x38) >> 40 & 0xff, 0x89, "no longer busy");
    assert_eq!(machine.cpu.rflags() & flags::NT, 0);
}

#[test]
fn sixteen_bit_code_wraps_and_repeats() {
    // rep movsb with 16-bit registers.
    let mut machine = Machine::real(&[0xf3, 0xa4]);
    machine.cpu.gpr[1] = 0xffff_0004;
    machine.cpu.gpr[6] = 0x100;
    machine.cpu.gpr[7] = 0x200;
    machine.put(0x100, b"abcd");
    machine.steps(1);
    assert_eq!(machine.get(0x200) as u32, u32::from_le_bytes(*b"abcd"));
    assert_eq!((machine.cpu.gpr[1], machine.cpu.gpr[6], machine.cpu.gpr[7]), (0xffff_0000, 0x104, 0x204));
}

#[test]
fn loading_a_segment_sets_the_accessed_bit_and_checks_rights() {
    // mov ds, ax
    let mut machine = Machine::protected(&[0x8e, 0xd8]);
    machine.put_u64(GDT + 0x40, flat(0x92, 0xc));
    machine.cpu.gpr[0] = 0x40;
    machine.steps(1);
    assert_eq!(machine.get(GDT + 0x40) >> 40 & 0xff, 0x93);
    for (selector, code) in [(0x80, 0x80), (0x40 | 4, 0x44), (u64::from(TASK), 0x30)] {
        machine.cpu.rip = CODE;
        machine.cpu.gpr[0] = selector;
        assert_eq!(machine.step().unwrap_err(), gp(code), "{selector:#x}");
    }
    machine.put_u64(GDT + 0x40, flat(0x12, 0xc));
    machine.cpu.gpr[0] = 0x40;
    assert_eq!(machine.step().unwrap_err(), Exception::with_code(vector::NP, 0x40));
    machine.cpu.gpr[0] = 0;
    machine.steps(1);
    assert_eq!(machine.cpu.segments[DS], Segment::default());
}
