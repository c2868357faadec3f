//! Writing values, and whole cases, as rows.
use std::fmt::Write;

use iced_x86::{Decoder, DecoderOptions, Formatter, NasmFormatter};
use x86::flags as bits;

use super::Row;
use crate::case::{Case, Runner};
use crate::compare;
use crate::layout::{self, CODE};
use crate::state::{Ending, Outcome, UserState, Vectors};

/// General-purpose registers in encoding order.
pub const GPR_NAMES: [&str; 16] = [
    "rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14",
    "r15",
];

/// Names of the flags that rows can hold.
pub const FLAG_NAMES: [(&str, u64); 10] = [
    ("cf", bits::CF),
    ("pf", bits::PF),
    ("af", bits::AF),
    ("zf", bits::ZF),
    ("sf", bits::SF),
    ("of", bits::OF),
    ("df", bits::DF),
    ("nt", bits::NT),
    ("ac", bits::AC),
    ("id", bits::ID),
];

/// Names of exceptions by vector.
pub const EXCEPTION_NAMES: [(&str, u8); 17] = [
    ("#DE", 0),
    ("#DB", 1),
    ("#BP", 3),
    ("#OF", 4),
    ("#BR", 5),
    ("#UD", 6),
    ("#NM", 7),
    ("#DF", 8),
    ("#TS", 10),
    ("#NP", 11),
    ("#SS", 12),
    ("#GP", 13),
    ("#PF", 14),
    ("#MF", 16),
    ("#AC", 17),
    ("#MC", 18),
    ("#XM", 19),
];

/// A number: an address of a region by name, small ones decimal.
pub fn value(number: u64) -> String {
    layout::symbolic(number)
        .unwrap_or_else(|| if number < 10 { number.to_string() } else { format!("{number:#x}") })
}

/// The flags that are set.
pub fn flags(rflags: u64) -> String {
    let set: Vec<&str> =
        FLAG_NAMES.iter().filter(|(_, bit)| rflags & bit != 0).map(|(name, _)| *name).collect();
    if set.is_empty() { "none".to_owned() } else { set.join("|") }
}

/// Bytes in hexadecimal, lowest address first.
pub fn bytes(data: &[u8]) -> String {
    data.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn grouped(number: u128) -> String {
    let (high, low) = ((number >> 64) as u64, number as u64);
    format!("{high:016x}_{low:016x}")
}

/// All x87, SSE and AVX registers by name.
pub fn vectors(vectors: &Vectors) -> Vec<(String, String)> {
    let mut rows = vec![
        ("fcw".to_owned(), format!("{:#x}", vectors.fcw())),
        ("fsw".to_owned(), format!("{:#x}", vectors.fsw())),
        ("ftw".to_owned(), format!("{:#x}", vectors.ftw())),
        ("mxcsr".to_owned(), format!("{:#x}", vectors.mxcsr())),
    ];
    for i in 0..8 {
        let number = vectors.st(i);
        rows.push((format!("st{i}"), format!("{:04x}_{:016x}", number >> 64, number as u64)));
    }
    for i in 0..16 {
        let (upper, lower) = (vectors.upper(i), vectors.xmm(i));
        rows.push(if upper == 0 {
            (format!("xmm{i}"), grouped(lower))
        } else {
            (format!("ymm{i}"), format!("{}_{}", grouped(upper), grouped(lower)))
        });
    }
    rows
}

/// An exception as rows write it.
pub fn exception(f: &mut std::fmt::Formatter<'_>, vector: u8, code: u32, cr2: u64) -> std::fmt::Result {
    match EXCEPTION_NAMES.iter().find(|(_, v)| *v == vector) {
        Some((name, _)) => f.write_str(name)?,
        None => write!(f, "#{vector}")?,
    }
    if crate::engine::has_error_code(vector) {
        write!(f, "({code:#x})")?;
    }
    if vector == x86::exception::vector::PF { write!(f, "@{}", value(cr2)) } else { Ok(()) }
}

/// The disassembly of a case's code, instructions joined by `; `.
pub fn disassembly(case: &Case) -> String {
    let mut decoder = Decoder::with_ip(64, &case.code, case.state.rip, DecoderOptions::NONE);
    let mut formatter = NasmFormatter::new();
    let mut text = String::new();
    for instruction in &mut decoder {
        if !text.is_empty() {
            text.push_str("; ");
        }
        formatter.format(&instruction, &mut text);
    }
    text
}

fn changes(text: &mut String, before: &UserState, after: &UserState) {
    for (index, name) in GPR_NAMES.into_iter().enumerate() {
        if before.gpr[index] != after.gpr[index] {
            let _ = write!(text, " {name}={}", value(after.gpr[index]));
        }
    }
    for (name, old, new) in
        [("fsbase", before.fs_base, after.fs_base), ("gsbase", before.gs_base, after.gs_base)]
    {
        if old != new {
            let _ = write!(text, " {name}={}", value(new));
        }
    }
    let mut known = before.vectors.clone();
    let cleared = |wide: &dyn Fn(&Vectors, usize) -> bool| {
        (0..16).filter(|i| wide(&before.vectors, *i)).count() > 1 && !(0..16).any(|i| wide(&after.vectors, i))
    };
    let all = cleared(&|vectors, i| vectors.xmm(i) != 0 || vectors.upper(i) != 0);
    if all || cleared(&|vectors, i| vectors.upper(i) != 0) {
        text.push_str(if all { " vectors=0" } else { " upper=0" });
        clear(&mut known, all);
    }
    for ((old_name, old), (name, new)) in vectors(&known).into_iter().zip(vectors(&after.vectors)) {
        if old != new || old_name != name {
            let _ = write!(text, " {name}={new}");
        }
    }
}

/// Clears the upper halves of all YMM registers, or all of them whole.
pub fn clear(vectors: &mut Vectors, whole: bool) {
    for i in 0..16 {
        vectors.set_upper(i, 0);
        if whole {
            vectors.set_xmm(i, 0);
        }
    }
}

/// The left side of a row: code, disassembly, and what differs from the defaults.
pub fn left_side(case: &Case) -> String {
    let code: Vec<String> = case.code.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut text = format!("[{}] \"{}\"", code.join(" "), disassembly(case));
    if case.state.rip != CODE.base {
        let _ = write!(text, " at={}", value(case.state.rip));
    }
    let defaults = Row::defaults();
    changes(&mut text, &defaults, &case.state);
    let set = case.state.rflags & crate::state::COMPARED_FLAGS;
    if set != 0 {
        let _ = write!(text, " flags={}", flags(set));
    }
    let undefined = case.undefined_flags;
    if undefined != 0 {
        let _ = write!(text, " undef={}", flags(undefined));
    }
    for (address, data) in nonzero_runs(case) {
        let _ = write!(text, " mem[{}]={}", value(address), bytes(&data));
    }
    text
}

fn nonzero_runs(case: &Case) -> Vec<(u64, Vec<u8>)> {
    const GAP: usize = 8;
    let mut runs: Vec<(u64, Vec<u8>)> = Vec::new();
    for (index, byte) in case.memory.0.iter().enumerate().filter(|(_, byte)| **byte != 0) {
        let address = layout::address_of(index);
        match runs.last_mut() {
            Some((start, data))
                if (address - *start) as usize - data.len().min((address - *start) as usize) < GAP =>
            {
                data.resize((address - *start) as usize, 0);
                data.push(*byte);
            }
            _ => runs.push((address, vec![*byte])),
        }
    }
    runs
}

/// An instruction pointer: as an offset from the code while it lies in it, or directly behind.
fn place_in_code(case: &Case, rip: u64) -> String {
    let offset = rip.wrapping_sub(case.state.rip);
    if offset <= case.code.len() as u64 { format!("+{offset}") } else { value(rip) }
}

/// The right side of a row, without its arrow: what a runner changed.
pub fn right_side(case: &Case, runner: &dyn Runner, outcome: &Outcome) -> String {
    let mut text = String::new();
    let normal = outcome.state.rip == case.end() && outcome.ending == Ending::exception(13, 0, 0);
    if !normal {
        let _ = write!(text, " {} rip={}", outcome.ending, place_in_code(case, outcome.state.rip));
    }
    changes(&mut text, &case.state, &outcome.state);
    let mask = compare::compared_flags(case);
    if (outcome.state.rflags ^ case.state.rflags) & mask != 0 {
        let _ = write!(text, " flags={}", flags(outcome.state.rflags & mask));
    }
    for (address, data) in compare::changed_memory(case, runner) {
        let _ = write!(text, " mem[{}]={}", value(address), bytes(&data));
    }
    if text.is_empty() { " unchanged".to_owned() } else { text }
}
