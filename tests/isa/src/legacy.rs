//! Random sequences of code that is not 64-bit, on the interpreter and on the translator: real mode, protected mode with
//! segments of all kinds, and user code under 32-bit paging and under a 64-bit kernel.
//!
//! Instructions are random bytes, as far as a decoder calls them valid, with operands steered into memory that is there.
//! What ends a sequence is an exception or a HLT; then all registers and all memory must agree.

mod bare;
mod compare;
mod instruction;
mod machine;
mod open_flags;
mod sequence;
mod setup;

use anyhow::Context;
use rand::SeedableRng;
use rand::rngs::SmallRng;

pub use setup::World;

use crate::engine::Kind;
use machine::Machine;
use sequence::Case;

/// Sequences with one world and one image of data.
const BATCH: u64 = 2048;

/// What came of a run.
#[derive(Debug, Default)]
pub struct Report {
    /// Sequences that ran.
    pub cases: u64,
    /// Those that reached their HLT.
    pub completed: u64,
    /// Those that ended otherwise, and read flags that they may not count on.
    pub overlooked: u64,
    /// What went wrong.
    pub divergences: Vec<String>,
}

/// Runs `count` sequences of a world. `progress` hears of the number so far.
pub fn run(
    world: World,
    count: u64,
    seed: u64,
    most: usize,
    mut progress: impl FnMut(&Report),
) -> anyhow::Result<Report> {
    let kinds: &[Kind] = if world.is_user() {
        &[Kind::Interpreter, Kind::Translator, Kind::Windows]
    } else {
        &[Kind::Interpreter, Kind::Translator]
    };
    let machines = kinds.iter().map(|kind| Machine::new(*kind, world)).collect::<Result<Vec<_>, _>>();
    let mut machines = machines.context("no machines")?;
    let mut bare = match world {
        // Where it cannot serve, engines are compared with each other.
        World::Linux => bare::Bare::new().inspect_err(|missing| eprintln!("{missing}")).ok(),
        _ => None,
    };
    let mut report = Report::default();
    while report.cases < count {
        let batch = report.cases / BATCH;
        let mut rng = SmallRng::seed_from_u64(seed.wrapping_mul(0x1_0000_0001).wrapping_add(batch));
        let image = setup::image(&mut rng);
        machines.iter_mut().for_each(|machine| machine.install(&image));
        if let Some(bare) = &mut bare {
            bare.install(&image);
        }
        for _ in 0..BATCH.min(count - report.cases) {
            let case = sequence::make(&mut rng, world);
            if let Some(text) = run_case(&case, &mut machines, bare.as_mut(), &mut report) {
                report.divergences.push(format!("seed {seed}, batch {batch}: {text}"));
                if report.divergences.len() >= most {
                    return Ok(report);
                }
            }
        }
        progress(&report);
    }
    Ok(report)
}

/// Runs a case everywhere; what went wrong.
fn run_case(
    case: &Case,
    machines: &mut [Machine],
    bare: Option<&mut bare::Bare>,
    report: &mut Report,
) -> Option<String> {
    report.cases += 1;
    let ends: Vec<_> = machines.iter_mut().map(|machine| machine.run(case)).collect();
    report.completed += u64::from(ends[0].completed(case));
    let beside = bare.map(|bare| bare.differences(case, &machines[0], &ends[0])).unwrap_or_default();
    let among_engines = beside.is_empty();
    let text = compare::difference(case, machines, &ends, beside)?;
    if among_engines && open_flags::reads_open_flags(case, &mut machines[0]) {
        report.overlooked += 1;
        return None;
    }
    Some(text)
}
