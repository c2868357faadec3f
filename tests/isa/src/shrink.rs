//! From a divergence to the shortest case that still diverges.
use crate::engine::Entry;
use crate::generate::Sequence;
use crate::layout::Image;
use crate::oracle::Oracle;
use crate::random;
use crate::row::{Row, print};

/// Shrinks a sequence that diverged, and describes it: a row, and who came to what.
pub fn reproducer(oracle: &mut Oracle, sequence: &Sequence, restored: bool) -> String {
    let first = oracle.differences(&sequence.case, true).join("\n  ");
    let mut smallest = copy(sequence);
    let mut how = "each time";
    oracle.forget();
    oracle.set_entry(Entry::Restored);
    if !diverges(oracle, &mut smallest) {
        how = "entered by the guest's kernel only";
        oracle.set_entry(Entry::Resumed);
        if restored || !diverges(oracle, &mut smallest) {
            // It needs what ran before it: nothing can be taken away.
            let row = print::left_side(&sequence.case);
            oracle.set_entry(if restored { Entry::Restored } else { Entry::Resumed });
            return format!("{row}\n  not alone, only after what ran before\n  {first}");
        }
    }
    instructions(oracle, &mut smallest);
    registers(oracle, &mut smallest);
    memory(oracle, &mut smallest);
    diverges(oracle, &mut smallest);
    let expected = oracle.results(true);
    let right = expected
        .first()
        .map(|(runner, outcome)| print::right_side(&smallest.case, *runner, outcome))
        .unwrap_or_default();
    let lines = oracle.differences(&smallest.case, true).join("\n  ");
    let report = format!("{} =>{right}\n  {how}\n  {lines}", print::left_side(&smallest.case));
    oracle.set_entry(if restored { Entry::Restored } else { Entry::Resumed });
    report
}

fn copy(sequence: &Sequence) -> Sequence {
    Sequence { program: sequence.program.clone(), case: sequence.case.clone() }
}

/// Whether it diverges, twice in a row: code that was seen before may be treated differently.
fn diverges(oracle: &mut Oracle, sequence: &mut Sequence) -> bool {
    !random::agrees(oracle, sequence) || !random::agrees(oracle, sequence)
}

fn instructions(oracle: &mut Oracle, smallest: &mut Sequence) {
    let mut size = smallest.program.items.len().div_ceil(2).max(1);
    loop {
        let mut shrunk = false;
        let mut at = 0;
        while at < smallest.program.items.len() {
            let end = (at + size).min(smallest.program.items.len());
            let mut shorter =
                Sequence { program: smallest.program.without(at..end), case: smallest.case.clone() };
            shorter.program.encode(shorter.case.state.rip, &mut shorter.case.code);
            if shorter.program.trace_undefined() && diverges(oracle, &mut shorter) {
                *smallest = shorter;
                shrunk = true;
            } else {
                at = end;
            }
        }
        if !shrunk && size == 1 {
            return;
        }
        size = (size / 2).max(1);
    }
}

fn attempt(oracle: &mut Oracle, smallest: &mut Sequence, change: impl FnOnce(&mut Sequence)) {
    let mut simpler = copy(smallest);
    change(&mut simpler);
    if simpler.case.state != smallest.case.state || simpler.case.memory != smallest.case.memory {
        let still = diverges(oracle, &mut simpler);
        if still {
            *smallest = simpler;
        }
    }
}

/// Registers become what rows have by default, where that does not matter.
fn registers(oracle: &mut Oracle, smallest: &mut Sequence) {
    let defaults = Row::defaults();
    attempt(oracle, smallest, |s| s.case.state.vectors = defaults.vectors.clone());
    for index in 0..16 {
        attempt(oracle, smallest, |s| s.case.state.gpr[index] = defaults.gpr[index]);
        attempt(oracle, smallest, |s| s.case.state.vectors.set_xmm(index, defaults.vectors.xmm(index)));
        attempt(oracle, smallest, |s| s.case.state.vectors.set_upper(index, defaults.vectors.upper(index)));
        attempt(oracle, smallest, |s| s.case.state.vectors.set_st(index % 8, 0));
    }
    attempt(oracle, smallest, |s| s.case.state.rflags = defaults.rflags);
    attempt(oracle, smallest, |s| s.case.state.fs_base = defaults.fs_base);
    attempt(oracle, smallest, |s| s.case.state.gs_base = defaults.gs_base);
    attempt(oracle, smallest, |s| s.case.state.vectors.set_fcw(0x37f));
    attempt(oracle, smallest, |s| s.case.state.vectors.set_fsw(0));
    attempt(oracle, smallest, |s| s.case.state.vectors.set_ftw(0));
    attempt(oracle, smallest, |s| s.case.state.vectors.set_mxcsr(0x1f80));
}

/// Memory becomes zero, in ever smaller pieces, where that does not matter.
fn memory(oracle: &mut Oracle, smallest: &mut Sequence) {
    attempt(oracle, smallest, |s| s.case.memory = Image::default());
    let mut size = smallest.case.memory.0.len() / 2;
    while size >= 16 {
        for start in (0..smallest.case.memory.0.len()).step_by(size) {
            let end = (start + size).min(smallest.case.memory.0.len());
            if smallest.case.memory.0[start..end].iter().any(|byte| *byte != 0) {
                attempt(oracle, smallest, |s| s.case.memory.0[start..end].fill(0));
            }
        }
        size /= 2;
    }
}
