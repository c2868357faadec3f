//! Locked read-modify-writes lose nothing, wherever their operand lies.
use x86::reg;

use crate::guest::{CELLS, Code, ENGINES, PROGRAMS, rounds, run, word};

const CPUS: u32 = 2;

/// Puts `lock add dword [address], 1` and a LOCK CMPXCHG loop that adds 1 in each round, on all CPUs.
fn count_at(address: u64) {
    for (engine, count) in ENGINES {
        let mut body = Code::default();
        body.load(reg::RBP, address);
        body.raw(&[0xf0, 0x83, 0x45, 0, 1]); // lock add dword [rbp], 1
        let again = body.here();
        body.raw(&[0x8b, 0x45, 0, 0x8d, 0x50, 1]); // mov eax, [rbp]; lea edx, [rax + 1]
        body.raw(&[0xf0, 0x0f, 0xb1, 0x55, 0]).back(&[0x0f, 0x85], again); // lock cmpxchg [rbp], edx; jne
        body.raw(&[0xba, 1, 0, 0, 0, 0xf0, 0x0f, 0xc1, 0x55, 0]); // mov edx, 1; lock xadd [rbp], edx
        let programs: Vec<_> = (0..CPUS).map(|index| rounds(index, CPUS, count, body.bytes())).collect();
        let ram = run(engine, &programs, |_| {});
        assert_eq!(word(&ram, address), 3 * CPUS * count, "{engine:?}");
    }
}

#[test]
fn counters_lose_nothing() {
    count_at(CELLS);
}

#[test]
fn counters_beside_code_lose_nothing() {
    // In the page of the first CPU's program, whose writes are never in line for long.
    count_at(PROGRAMS + 0x800);
}

#[test]
fn bit_tests_lose_nothing() {
    for (engine, count) in ENGINES {
        // Each CPU flips a bit of its own in one byte.
        let body = |index: u32| {
            let mut body = Code::default();
            body.load(reg::RBP, CELLS).raw(&[0xb8]).raw(&(8 + index).to_le_bytes()); // mov eax, bit
            body.raw(&[0xf0, 0x0f, 0xbb, 0x45, 0]); // lock btc [rbp], eax
            body.bytes().to_vec()
        };
        let count = count | 1;
        let programs: Vec<_> = (0..CPUS).map(|index| rounds(index, CPUS, count, &body(index))).collect();
        let ram = run(engine, &programs, |_| {});
        assert_eq!(word(&ram, CELLS), 0x300, "{engine:?}");
    }
}

#[test]
fn split_counters_lose_nothing_against_one_another() {
    // Across the end of a page. A plain load of such an operand may be torn, so no CMPXCHG loop here.
    let address = CELLS + 0xffe;
    for (engine, count) in ENGINES {
        let mut body = Code::default();
        body.load(reg::RBP, address);
        body.raw(&[0xf0, 0x83, 0x45, 0, 1]); // lock add dword [rbp], 1
        body.raw(&[0xba, 1, 0, 1, 0, 0xf0, 0x0f, 0xc1, 0x55, 0]); // mov edx, 0x10001; lock xadd [rbp], edx
        let programs: Vec<_> = (0..CPUS).map(|index| rounds(index, CPUS, count, body.bytes())).collect();
        let ram = run(engine, &programs, |_| {});
        assert_eq!(word(&ram, address), (0x1_0002_u32).wrapping_mul(CPUS * count), "{engine:?}");
    }
}

#[test]
fn a_spin_lock_excludes() {
    for (engine, count) in ENGINES {
        let mut body = Code::default();
        body.load(reg::RBP, CELLS);
        let again = body.here();
        // mov eax, 1; pause; xchg [rbp], eax; test eax, eax; jne
        body.raw(&[0xb8, 1, 0, 0, 0, 0xf3, 0x90, 0x87, 0x45, 0, 0x85, 0xc0]).back(&[0x0f, 0x85], again);
        // add dword [rbp + 64], 1; mov dword [rbp], 0
        body.raw(&[0x83, 0x45, 64, 1, 0xc7, 0x45, 0, 0, 0, 0, 0]);
        let programs: Vec<_> = (0..CPUS).map(|index| rounds(index, CPUS, count, body.bytes())).collect();
        let ram = run(engine, &programs, |_| {});
        assert_eq!(word(&ram, CELLS + 64), CPUS * count, "{engine:?}");
    }
}
