//! Running rows: everybody must agree, and come to what the row says.
use iced_x86::{CpuidFeature as F, Decoder, DecoderOptions};

use super::print;
use super::{Expectation, Row};
use crate::case::Runner;
use crate::compare;
use crate::oracle::Oracle;
use crate::state::{Ending, Outcome};

pub use super::families::FILES;

/// Whether this CPU, and so the engines' on top of it, lacks instructions that a row is about.
pub fn is_foreign(row: &Row) -> bool {
    let mut decoder = Decoder::with_ip(64, &row.case.code, row.case.state.rip, DecoderOptions::NONE);
    decoder.iter().any(|instruction| instruction.cpuid_features().iter().any(|feature| !is_here(*feature)))
}

fn is_here(feature: F) -> bool {
    use std::is_x86_feature_detected as has;
    match feature {
        F::SSSE3 => has!("ssse3"),
        F::SSE4_1 => has!("sse4.1"),
        F::SSE4_2 => has!("sse4.2"),
        F::POPCNT => has!("popcnt"),
        F::LZCNT => has!("lzcnt"),
        F::BMI1 => has!("bmi1"),
        F::BMI2 => has!("bmi2"),
        F::ADX => has!("adx"),
        F::MOVBE => has!("movbe"),
        F::AES => has!("aes"),
        F::PCLMULQDQ => has!("pclmulqdq"),
        F::SHA => has!("sha"),
        F::AVX => has!("avx"),
        F::AVX2 => has!("avx2"),
        F::FMA => has!("fma"),
        F::F16C => has!("f16c"),
        F::GFNI => has!("gfni"),
        F::VAES => has!("vaes"),
        F::VPCLMULQDQ => has!("vpclmulqdq"),
        F::RDRAND => has!("rdrand"),
        F::RDSEED => has!("rdseed"),
        // What every 64-bit CPU has, and what no guest sees.
        _ => true,
    }
}

/// What is wrong with a row, one line each; empty if nothing is.
pub fn check(oracle: &mut Oracle, row: &Row) -> Vec<String> {
    let mut complaints = Vec::new();
    let disassembly = print::disassembly(&row.case);
    if disassembly != row.text {
        complaints.push(format!("the code says {disassembly:?}"));
    }
    oracle.forget();
    if !oracle.run(&row.case, row.bare) {
        complaints.extend(oracle.differences(&row.case, row.bare));
    }
    if let Some(expected) = &row.expected {
        for (runner, outcome) in oracle.results(row.bare) {
            if !fulfils(row, expected, runner, outcome) {
                let came = print::right_side(&row.case, runner, outcome);
                complaints.push(format!("{}: came to{came}", runner.name()));
            }
        }
    }
    complaints
}

fn fulfils(row: &Row, expected: &Expectation, runner: &dyn Runner, outcome: &Outcome) -> bool {
    let mut wanted = Outcome { state: expected.state.clone(), ending: Ending::exception(13, 0, 0) };
    if let Some((vector, code, cr2)) = expected.exception {
        wanted.ending = Ending::exception(vector, code, cr2);
    }
    let ignored = compare::tolerance(&row.case, outcome, runner);
    if !expected.rip_matters {
        wanted.state.rip = outcome.state.rip;
    }
    compare::registers_agree(&row.case, &wanted, outcome, ignored)
        && expected.memory.regions().all(|(region, bytes)| runner.memory(region) == bytes)
}

/// A row with its right side (and its disassembly, if that is written `"?"`) as the first runner (the bare CPU, where it can serve) has it.
pub fn record(oracle: &mut Oracle, row: &Row) -> String {
    oracle.forget();
    oracle.run(&row.case, row.bare);
    let results = oracle.results(row.bare);
    let right = results.first().map(|(runner, outcome)| print::right_side(&row.case, *runner, outcome));
    let source = row.source.replacen("\"?\"", &format!("\"{}\"", print::disassembly(&row.case)), 1);
    format!("{source} =>{}", right.unwrap_or_default())
}
