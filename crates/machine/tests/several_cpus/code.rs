//! One CPU changes code that others run (SDM 3A §8.1.3: a flag, and a serializing instruction before the new code).
use platform::GuestRam;
use x86::{Gpa, reg};

use crate::guest::{CELLS, Code, Engine, run, word};

/// `mov eax, 0; ret`, its operand in one aligned word.
const FUNCTION: u64 = CELLS + 0x2_0003;
const FLAG: u64 = CELLS;
const FAILED: u64 = CELLS + 64;

fn start() -> Code {
    let mut code = Code::default();
    code.load(reg::RBP, FLAG).load(reg::RSI, FUNCTION).load(reg::RDI, FAILED);
    code
}

/// `j… +7; mov dword [rdi], 1`, with the condition under which all is well.
fn check(code: &mut Code, condition: u8) {
    code.raw(&[condition, 6, 0xc7, 0x07, 1, 0, 0, 0]);
}

/// Changes the function to return 1, 2, 3, …, calls it itself, and says in the flag what it returns.
fn writer(count: u32) -> Vec<u8> {
    let mut code = start();
    code.raw(&[0xb9, 1, 0, 0, 0]); // mov ecx, 1
    let again = code.here();
    code.raw(&[0x89, 0x4e, 1, 0xff, 0xd6, 0x39, 0xc8]); // mov [rsi + 1], ecx; call rsi; cmp eax, ecx
    check(&mut code, 0x74);
    code.raw(&[0x89, 0x4d, 0, 0xff, 0xc1, 0x81, 0xf9]).raw(&count.to_le_bytes()); // mov [rbp], ecx; inc ecx; cmp ecx
    code.back(&[0x0f, 0x86], again).raw(&[0xf4]);
    code.bytes().to_vec()
}

/// Reads the flag, serializes, and calls the function, which must return that or something newer.
fn reader(count: u32) -> Vec<u8> {
    let mut code = start();
    let again = code.here();
    // mov edx, [rbp]; push rdx; xor eax, eax; cpuid; pop rdx; call rsi; cmp eax, edx
    code.raw(&[0x8b, 0x55, 0, 0x52, 0x31, 0xc0, 0x0f, 0xa2, 0x5a, 0xff, 0xd6, 0x39, 0xd0]);
    check(&mut code, 0x73);
    code.raw(&[0x81, 0xfa]).raw(&count.to_le_bytes()).back(&[0x0f, 0x85], again).raw(&[0xf4]);
    code.bytes().to_vec()
}

fn prepare(ram: &GuestRam) {
    ram.write(Gpa(FUNCTION), &[0xb8, 0, 0, 0, 0, 0xc3]).unwrap();
}

fn run_with_readers(readers: usize) {
    let engines = [
        (Engine::Translator, 2000),
        (Engine::Sharing, 2000),
        (Engine::Young, 2000),
        (Engine::Light, 500),
        (Engine::Interpreter, 500),
    ];
    for (engine, count) in engines {
        let mut programs = vec![writer(count)];
        programs.extend((0..readers).map(|_| reader(count)));
        let ram = run(engine, &programs, prepare);
        assert_eq!(word(&ram, FLAG), count);
        assert_eq!(word(&ram, FAILED), 0, "{engine:?}: old code ran");
    }
}

#[test]
fn changed_code_is_run_by_another_cpu() {
    run_with_readers(1);
}

#[test]
fn changed_code_is_run_by_many_cpus() {
    run_with_readers(3);
}

#[test]
fn code_written_anew_and_again_is_run_as_written() {
    // Each CPU writes and runs a function of its own, in a page that all of them mark and unmark all the time, or in
    // pages apart.
    let count = 2000_u32;
    let program = |index: u64, distance: u64| {
        let mut code = Code::default();
        code.load(reg::RSI, FUNCTION + distance * index).load(reg::RDI, FAILED).raw(&[0xb9, 1, 0, 0, 0]);
        let again = code.here();
        code.raw(&[0xc6, 0x06, 0xb8, 0xc6, 0x46, 5, 0xc3]); // mov byte [rsi], 0xb8; mov byte [rsi + 5], 0xc3
        code.raw(&[0x89, 0x4e, 1, 0xff, 0xd6, 0x39, 0xc8]); // mov [rsi + 1], ecx; call rsi; cmp eax, ecx
        check(&mut code, 0x74);
        code.raw(&[0xff, 0xc1, 0x81, 0xf9]).raw(&count.to_le_bytes()).back(&[0x0f, 0x86], again);
        code.raw(&[0xf4]);
        code.bytes().to_vec()
    };
    for distance in [0x80, 0x1000] {
        for engine in [Engine::Translator, Engine::Sharing, Engine::Young] {
            let programs = [0, 1, 2].map(|index| program(index, distance));
            let ram = run(engine, &programs, |_| {});
            assert_eq!(word(&ram, FAILED), 0, "{engine:?}, {distance:#x} bytes apart");
        }
    }
}
