//! Whole machines with the real engine, running a few hand-assembled instructions from each kind of kernel.
use std::sync::OnceLock;

use parking_lot::Mutex;

use super::*;
use crate::boot::{BootFiles, samples};

const DEBUG_EXIT: u16 = 0xf4;
/// `mov al, 0x2a; out 0xf4, al; hlt`
const EXIT_42: &[u8] = &[0xb0, 0x2a, 0xe6, 0xf4, 0xf4];
const EXIT_CODE: Outcome = Outcome::DebugExit(42 << 1 | 1);

/// More output than any of these guests makes unless it starts over and over.
const OUTPUT_MAX: usize = 16;

/// Runs a kernel to its end; returns that and what it wrote to its console. A guest that babbles is stopped.
fn run(kernel: &[u8]) -> (Outcome, Vec<u8>) {
    run_on(1, kernel)
}

/// The same on several CPUs.
fn run_on(cpus: u8, kernel: &[u8]) -> (Outcome, Vec<u8>) {
    let directory = tempfile::tempdir().unwrap();
    let kernel = samples::file(directory.path(), "kernel", kernel);
    let mut config = MachineConfig::new(64 << 20, BootFiles { kernel, ..BootFiles::default() });
    config.debug_exit = Some(DEBUG_EXIT);
    config.cpus = cpus;
    let said = Arc::<Mutex<Vec<u8>>>::default();
    let handle = Arc::<OnceLock<MachineHandle>>::default();
    let (heard, stopper) = (Arc::clone(&said), Arc::clone(&handle));
    let output = move |bytes: &[u8]| {
        let mut heard = heard.lock();
        heard.extend_from_slice(bytes);
        if heard.len() > OUTPUT_MAX {
            stopper.get().unwrap().stop();
        }
    };
    let mut machine = Machine::new(&config, Box::new(output)).unwrap();
    assert!(handle.set(machine.handle()).is_ok());
    let outcome = machine.run().unwrap();
    let said = std::mem::take(&mut *said.lock());
    (outcome, said)
}

/// A Linux kernel whose 64-bit entry point has this code.
fn linux(code: &[u8]) -> Vec<u8> {
    let mut kernel = samples::bzimage();
    let entry = kernel.len() - samples::BZIMAGE_CODE.len() + 0x200;
    kernel[entry..entry + code.len()].copy_from_slice(code);
    kernel
}

/// Code that goes on behind `jne +1; hlt` if what went before it compared equal, and halts for ever otherwise.
fn checked(compare: &[u8], then: &[u8]) -> Vec<u8> {
    [compare, &[0x74, 0x01, 0xf4], then].concat()
}

#[test]
fn linux_starts_in_64_bit_mode_with_its_boot_parameters() {
    // cmp dword [rsi + 0x202], "HdrS"
    let compare = [0x81, 0xbe, 0x02, 0x02, 0, 0, b'H', b'd', b'r', b'S'];
    assert_eq!(run(&linux(&checked(&compare, EXIT_42))).0, EXIT_CODE);
}

#[test]
fn pvh_starts_in_32_bit_mode_with_its_start_info() {
    // cmp dword [ebx], the magic value
    let code = checked(&[0x81, 0x3b, 0x78, 0xc5, 0x6e, 0x33], EXIT_42);
    let mut kernel = samples::pvh_elf();
    let entry = kernel.len() - 32 + (samples::PVH_ENTRY - 0x20_0000) as usize;
    kernel[entry..entry + code.len()].copy_from_slice(&code);
    assert_eq!(run(&kernel).0, EXIT_CODE);
}

#[test]
fn multiboot_starts_in_32_bit_mode_with_its_magic_value() {
    // cmp eax, the magic value; push and pop through the bss as stack
    let stack = [0xbc, 0x00, 0x80, 0x10, 0x00, 0x50, 0x58];
    let compare = [&stack[..], &[0x3d, 0x02, 0xb0, 0xad, 0x2b]].concat();
    let mut kernel = samples::multiboot_flat();
    kernel.resize(0x1000, 0);
    kernel.extend(checked(&compare, EXIT_42));
    assert_eq!(run(&kernel).0, EXIT_CODE);
}

#[test]
fn a_guest_that_speaks_and_halts_for_ever_is_heard() {
    // mov dx, 0x3f8; mov al, '!'; out dx, al; cli; hlt
    let (outcome, said) = run(&linux(&[0x66, 0xba, 0xf8, 0x03, 0xb0, b'!', 0xee, 0xfa, 0xf4]));
    let rip = samples::BZIMAGE_ADDRESS + 0x200 + 9;
    assert_eq!(outcome, Outcome::HaltedForever { cpu: 0, rip });
    assert_eq!(said, b"!");
}

#[test]
fn an_exception_without_handlers_is_a_triple_fault() {
    // ud2
    let (outcome, _) = run(&linux(&[0x0f, 0x0b]));
    assert!(matches!(outcome, Outcome::TripleFault { cpu: 0, .. }), "{outcome:?}");
}

#[test]
fn a_guest_that_resets_itself_starts_again() {
    // mov dx, 0x3f8; mov al, '.'; out dx, al
    let speak = [0x66, 0xba, 0xf8, 0x03, 0xb0, b'.', 0xee];
    // mov al, 0x50; out 0x70, al; in al, 0x71; cmp al, 1; je to the exit: a battery keeps this byte
    let look = [0xb0, 0x50, 0xe6, 0x70, 0xe4, 0x71, 0x3c, 0x01, 0x74, 0x0c];
    // mov al, 1; out 0x71, al; mov dx, 0xcf9; mov al, 6; out dx, al; hlt
    let reset = [0xb0, 0x01, 0xe6, 0x71, 0x66, 0xba, 0xf9, 0x0c, 0xb0, 0x06, 0xee, 0xf4];
    let (outcome, said) = run(&linux(&[&speak, &look[..], &reset, EXIT_42].concat()));
    assert_eq!(outcome, EXIT_CODE);
    assert_eq!(said, b"..");
}

/// `mov ecx, 0x1b; rdmsr; or eax, 0xc00; wrmsr`: x2APIC mode.
const X2APIC: &[u8] = &[0xb9, 0x1b, 0, 0, 0, 0x0f, 0x32, 0x0d, 0, 0x0c, 0, 0, 0x0f, 0x30];

/// `mov ecx, 0x830; mov edx, 1; mov eax, command; wrmsr`: a message to CPU 1.
fn message(command: u16) -> Vec<u8> {
    let [low, high] = command.to_le_bytes();
    vec![0xb9, 0x30, 0x08, 0, 0, 0xba, 1, 0, 0, 0, 0xb8, low, high, 0, 0, 0x0f, 0x30]
}

/// `mov byte [address], value`
fn put_byte(address: u32, value: u8) -> Vec<u8> {
    [&[0xc6, 0x04, 0x25][..], &address.to_le_bytes(), &[value]].concat()
}

/// `pause; cmp byte [address], value; jne` back.
fn await_byte(address: u32, value: u8) -> Vec<u8> {
    [&[0xf3, 0x90, 0x80, 0x3c, 0x25][..], &address.to_le_bytes(), &[value, 0x75, 0xf4]].concat()
}

/// Puts code where the other CPU starts: at the beginning of page 4.
fn put_code(code: &[u8]) -> Vec<u8> {
    (0x4000..).zip(code).flat_map(|(at, byte)| put_byte(at, *byte)).collect()
}

const INIT: u16 = 0x4500;
const START_AT_4000: u16 = 0x4604;

#[test]
fn another_cpu_starts_in_real_mode_and_starts_anew_after_init() {
    // inc byte [0x3000]; hlt (with interrupts off)
    let other = put_code(&[0xfe, 0x06, 0x00, 0x30, 0xf4]);
    let parts = [
        X2APIC.to_vec(),
        put_byte(0x3000, 0),
        other,
        message(INIT),
        message(START_AT_4000),
        await_byte(0x3000, 1),
        // A start-up message to one that runs is ignored, INIT is not.
        message(START_AT_4000),
        message(INIT),
        message(START_AT_4000),
        await_byte(0x3000, 2),
        EXIT_42.to_vec(),
    ];
    assert_eq!(run_on(2, &linux(&parts.concat())).0, EXIT_CODE);
}

#[test]
fn all_cpus_must_sleep_before_a_machine_has_halted_for_ever() {
    // The first one starts the other and halts; the other speaks (mov dx, 0x3f8; mov al, '!'; out dx, al) and halts too.
    let other = put_code(&[0xba, 0xf8, 0x03, 0xb0, b'!', 0xee, 0xfa, 0xf4]);
    let parts = [X2APIC.to_vec(), other, message(INIT), message(START_AT_4000), vec![0xfa, 0xf4]];
    let (outcome, said) = run_on(2, &linux(&parts.concat()));
    assert!(matches!(outcome, Outcome::HaltedForever { .. }), "{outcome:?}");
    assert_eq!(said, b"!");
}

#[test]
fn one_cpu_wakes_another_from_a_deep_sleep() {
    // The first one halts with interrupts off; the second one resets it by INIT, which starts the machine again; the
    // clock's memory (byte 0x50) tells the second time from the first.
    let send = [
        // mov ecx, 0x1b; rdmsr; or eax, 0xc00; wrmsr; mov ecx, 0x830; xor edx, edx; mov eax, INIT; wrmsr; hlt
        &[0x66, 0xb9, 0x1b, 0, 0, 0, 0x0f, 0x32, 0x66, 0x0d, 0, 0x0c, 0, 0, 0x0f, 0x30][..],
        &[0x66, 0xb9, 0x30, 0x08, 0, 0, 0x66, 0x31, 0xd2, 0x66, 0xb8, 0, 0x45, 0, 0, 0x0f, 0x30, 0xf4],
    ];
    // mov al, 0x50; out 0x70, al; in al, 0x71; cmp al, 1; jne +5; exit
    let look = [&[0xb0, 0x50, 0xe6, 0x70, 0xe4, 0x71, 0x3c, 0x01, 0x75, 0x05][..], EXIT_42].concat();
    let mark = [0xb0, 0x01, 0xe6, 0x71]; // mov al, 1; out 0x71, al
    let parts = [
        look,
        mark.to_vec(),
        X2APIC.to_vec(),
        put_code(&send.concat()),
        message(INIT),
        message(START_AT_4000),
        vec![0xfa, 0xf4],
    ];
    assert_eq!(run_on(2, &linux(&parts.concat())).0, EXIT_CODE);
}
