//! Every opcode with every kind of operand and prefix: whether it exists and how long it is, as the bare CPU has it.
use std::collections::BTreeSet;

use iced_x86::{Decoder, DecoderOptions, Instruction, Mnemonic};
use translator::cpuid::CpuidModel;

use crate::case::{Case, END};
use crate::engine::{Kind, config};
use crate::layout::{DATA, Image};
use crate::oracle::Oracle;
use crate::row::Row;
use crate::state::{Ending, Outcome};

const PREFIXES: [&[u8]; 14] = [
    &[],
    &[0x66],
    &[0x67],
    &[0xf3],
    &[0xf2],
    &[0xf0],
    &[0x48],
    &[0x66, 0xf3],
    &[0xf2, 0xf3],
    &[0xf3, 0xf2],
    &[0xf2, 0x66],
    &[0xf2, 0xf0],
    &[0x66, 0x48],
    &[0xf3, 0x48],
];
const MAPS: [&[u8]; 4] = [&[], &[0x0f], &[0x0f, 0x38], &[0x0f, 0x3a]];
/// Prefixes before VEX, most of which make it `#UD`.
const VEX_PREFIXES: [&[u8]; 5] = [&[], &[0x66], &[0xf3], &[0xf0], &[0x48]];

/// Legacy encodings: every opcode, with three registers and a memory operand in each extension of the opcode.
fn legacy() -> impl Iterator<Item = Vec<u8>> {
    PREFIXES.into_iter().flat_map(|prefix| {
        MAPS.into_iter().flat_map(move |map| {
            let opcodes = (0..=255_u8).filter(move |opcode| !is_prefix(map, *opcode));
            opcodes.flat_map(move |opcode| {
                (0..32_u8).map(move |number| {
                    let operand = [0xc0, 0xc1, 0xc5, 0x07][usize::from(number >> 3)] | (number & 7) << 3;
                    [prefix, map, &[opcode, operand]].concat()
                })
            })
        })
    })
}

/// VEX encodings: every opcode, W, L and implied prefix, with and without a second source.
fn vex() -> impl Iterator<Item = Vec<u8>> {
    VEX_PREFIXES.into_iter().flat_map(|prefix| {
        (0..128_u8).flat_map(move |bits| {
            let map = 0xe0 | bits >> 5;
            let last = (bits & 8) << 4 | if bits & 0x10 == 0 { 0x78 } else { 0 } | bits & 7;
            // One opcode in eight is enough behind prefixes.
            let step = if prefix.is_empty() { 1 } else { 8 };
            (0..=255_u8).step_by(step).flat_map(move |opcode| {
                (0..16_u8).map(move |number| {
                    let operand = if number < 8 { 0xc1 } else { 0x07 } | (number & 7) << 3;
                    [prefix, &[0xc4, map, last, opcode, operand]].concat()
                })
            })
        })
    })
}

/// Bytes that begin something else than an opcode, and calls of the kernel and the hypervisor below the bare CPU.
fn is_prefix(map: &[u8], opcode: u8) -> bool {
    match map {
        [] => matches!(
            opcode,
            0x0f | 0x26 | 0x2e | 0x36 | 0x3e | 0x40..=0x4f | 0x62 | 0x64..=0x67 | 0xc4 | 0xc5 | 0xcd | 0xf0 | 0xf2 | 0xf3
        ),
        [0x0f] => matches!(opcode, 0x05 | 0x34 | 0x38 | 0x3a),
        _ => false,
    }
}

/// What an ending says about the encoding: vector, error code without the P bit, length; `None` if it says nothing.
fn verdict(outcome: &Outcome) -> Option<(u8, u32, u64)> {
    match outcome.ending {
        Ending::Exception { vector, code, .. } => Some((vector, code & !1, outcome.state.rip)),
        _ => None,
    }
}

/// Whether the bare CPU below may have something that no guest sees, or that shows differently there.
fn is_foreign(model: &CpuidModel, code: &[u8], instruction: &Instruction) -> bool {
    let hypercall = code.windows(3).any(|bytes| bytes == [0x0f, 0x01, 0xc1]);
    let offered = instruction.cpuid_features().iter().all(|feature| model.offers(*feature));
    // The registers of XGETBV, and whether MASKMOVQ without selected bytes looks at its operand.
    let odd = matches!(instruction.mnemonic(), Mnemonic::Xgetbv | Mnemonic::Maskmovq);
    hypercall || odd || (!offered && !instruction.is_invalid())
}

/// Runs all encodings; how many there are, and one line for each on which the runners differ.
pub fn run(oracle: &mut Oracle, mut progress: impl FnMut(u64)) -> (u64, Vec<String>) {
    let model = CpuidModel::new(&config(Kind::Interpreter));
    let mut case =
        Case { code: Vec::new(), state: Row::defaults(), memory: Image::default(), undefined_flags: 0 };
    for register in (0..16).filter(|register| *register != x86::reg::RSP) {
        case.state.gpr[register] = DATA.base + 0x800;
    }
    case.state.gpr[x86::reg::RCX] = 1;
    let (mut count, mut differing) = (0, Vec::new());
    for code in legacy().chain(vex()) {
        count += 1;
        progress(count);
        case.code = [code.as_slice(), &[END; 12]].concat();
        oracle.execute(&case, true);
        let outcomes = oracle.results(true);
        let timed_out = outcomes.first().is_some_and(|(_, outcome)| outcome.ending == Ending::TimedOut);
        let verdicts: BTreeSet<_> = outcomes.iter().map(|(_, outcome)| verdict(outcome)).collect();
        if timed_out || verdicts.len() <= 1 {
            continue;
        }
        let instruction = Decoder::with_ip(64, &case.code, 0, DecoderOptions::NONE).decode();
        if !is_foreign(&model, &code, &instruction) {
            let endings: Vec<_> = outcomes
                .iter()
                .map(|(runner, outcome)| format!("{} {}", runner.name(), outcome.ending))
                .collect();
            differing.push(format!("{code:02x?} {instruction}: {}", endings.join(", ")));
        }
    }
    (count, differing)
}
