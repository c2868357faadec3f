//! Memory order (SDM 3A §8.2.3): outcomes that x86 forbids must never appear. That an allowed one appears is not asked.
use platform::GuestRam;

use crate::guest::{ENGINES, SLOT, SLOTS, rounds, run, word};

/// Locations in a slot, a cache line apart, and where CPUs leave what they have read.
const X: u64 = 0;
const RESULTS: u64 = 128;

/// `mov dword [rbx], 1` and the same for Y.
const STORE_X: &[u8] = &[0xc7, 0x43, 0, 1, 0, 0, 0];
const STORE_Y: &[u8] = &[0xc7, 0x43, 64, 1, 0, 0, 0];
/// `mov eax, [rbx]` and its like.
const EAX_X: &[u8] = &[0x8b, 0x43, 0];
const EAX_Y: &[u8] = &[0x8b, 0x43, 64];
const EDX_X: &[u8] = &[0x8b, 0x53, 0];
const EDX_Y: &[u8] = &[0x8b, 0x53, 64];
const MFENCE: &[u8] = &[0x0f, 0xae, 0xf0];
/// `mov eax, 1; xchg [rbx], eax`, which is locked without a prefix.
const EXCHANGE_X: &[u8] = &[0xb8, 1, 0, 0, 0, 0x87, 0x43, 0];
const EXCHANGE_Y: &[u8] = &[0xb8, 1, 0, 0, 0, 0x87, 0x43, 64];
/// `lock add dword [rsp - 8], 0`: the fence of operating systems.
const LOCKED_ADD: &[u8] = &[0xf0, 0x83, 0x44, 0x24, 0xf8, 0];

/// `mov [rbx + RESULTS + 8 * index], eax` and, 4 bytes on, EDX.
fn keep(index: u8) -> Vec<u8> {
    let at = RESULTS as u32 + 8 * u32::from(index);
    let store = |opcode: [u8; 2], at: u32| [&opcode[..], &at.to_le_bytes()].concat();
    [store([0x89, 0x83], at), store([0x89, 0x93], at + 4)].concat()
}

/// What one CPU read in one round.
fn result(ram: &GuestRam, round: u32, index: u64) -> (u32, u32) {
    let at = SLOTS + u64::from(round) * SLOT + X + RESULTS + 8 * index;
    (word(ram, at), word(ram, at + 4))
}

/// Runs bodies on as many CPUs, with both engines; `forbidden` gets what each read in a round.
fn check(bodies: &[&[&[u8]]], forbidden: impl Fn(&[(u32, u32)]) -> bool) {
    for (engine, count) in ENGINES {
        let cpus = bodies.len() as u32;
        let programs: Vec<_> = bodies
            .iter()
            .enumerate()
            .map(|(index, parts)| {
                let body = [parts.concat(), keep(index as u8)].concat();
                rounds(index as u32, cpus, count, &body)
            })
            .collect();
        let ram = run(engine, &programs, |_| {});
        for round in 0..count {
            let seen: Vec<_> = (0..u64::from(cpus)).map(|index| result(&ram, round, index)).collect();
            assert!(!forbidden(&seen), "{engine:?}, round {round}: {seen:?}");
        }
    }
}

fn both_read_nothing(seen: &[(u32, u32)]) -> bool {
    seen[0].0 == 0 && seen[1].0 == 0
}

#[test]
fn store_buffering_ends_at_fences() {
    check(&[&[STORE_X, MFENCE, EAX_Y], &[STORE_Y, MFENCE, EAX_X]], both_read_nothing);
}

#[test]
fn store_buffering_ends_at_locked_instructions() {
    check(&[&[EXCHANGE_X, EAX_Y], &[EXCHANGE_Y, EAX_X]], both_read_nothing);
    check(&[&[STORE_X, LOCKED_ADD, EAX_Y], &[STORE_Y, LOCKED_ADD, EAX_X]], both_read_nothing);
}

#[test]
fn store_buffering_ends_at_serializing_instructions() {
    // CPUID takes RBX.
    let cpuid: &[u8] = &[0x53, 0x51, 0x31, 0xc0, 0x0f, 0xa2, 0x59, 0x5b];
    check(&[&[STORE_X, cpuid, EAX_Y], &[STORE_Y, cpuid, EAX_X]], both_read_nothing);
}

#[test]
fn plain_store_buffering_may_show_but_reads_nothing_else() {
    check(&[&[STORE_X, EAX_Y], &[STORE_Y, EAX_X]], |seen| seen.iter().any(|(value, _)| *value > 1));
}

#[test]
fn messages_pass_in_order() {
    // EAX = Y, then EDX = X.
    check(&[&[STORE_X, STORE_Y], &[EAX_Y, EDX_X]], |seen| seen[1] == (1, 0));
}

#[test]
fn loads_are_not_overtaken_by_later_stores() {
    check(&[&[EAX_X, STORE_Y], &[EAX_Y, STORE_X]], |seen| seen[0].0 == 1 && seen[1].0 == 1);
}

#[test]
fn stores_are_seen_by_two_others_in_one_order() {
    let (first, second): (&[&[u8]], &[&[u8]]) = (&[STORE_X], &[STORE_Y]);
    let (third, fourth): (&[&[u8]], &[&[u8]]) = (&[EAX_X, EDX_Y], &[EAX_Y, EDX_X]);
    check(&[first, second, third, fourth], |seen| seen[2] == (1, 0) && seen[3] == (1, 0));
}
