//! Runs of random cases, until a count, a time or a divergence.
use std::time::{Duration, Instant};

use crate::case::Case;
use crate::engine::Entry;
use crate::generate::{Generator, Placement, Program, Sequence};
use crate::layout::Image;
use crate::oracle::Oracle;
use crate::shrink;
use crate::state::{Ending, UserState};

/// How long, and which.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// How many cases.
    pub count: u64,
    /// Which ones.
    pub seed: u64,
    /// Stop after this time, if earlier.
    pub limit: Option<Duration>,
    /// Stop after so many divergences.
    pub max_divergences: usize,
}

/// What came of a run.
#[derive(Debug, Default)]
pub struct Report {
    /// Cases that ran.
    pub cases: u64,
    /// Cases that ran to their end rather than into an exception.
    pub completed: u64,
    /// Reproducers of what went wrong.
    pub divergences: Vec<String>,
}

/// Cases in a row with one seed of their own and one [`Placement`] and [`Entry`].
const BATCH: u64 = 4096;
/// Of that many batches, one enters by `Vcpu::restore`, which is slow.
const RESTORED_EVERY: u64 = 16;
/// Cases of such a batch.
const RESTORED_BATCH: u64 = 256;

/// Runs a plan. `progress` hears of each divergence and of the number of cases after each batch.
pub fn run(oracle: &mut Oracle, plan: &Plan, mut progress: impl FnMut(&Report)) -> Report {
    let start = Instant::now();
    let mut report = Report::default();
    let mut sequence = empty();
    let mut batch = 0;
    while report.cases < plan.count {
        let restored = batch % RESTORED_EVERY == RESTORED_EVERY - 1;
        let placement = if batch % 2 == 0 { Placement::SamePage } else { Placement::FreshPages };
        oracle.set_entry(if restored { Entry::Restored } else { Entry::Resumed });
        let mut generator = Generator::new(plan.seed.wrapping_add(batch << 32), placement);
        let size = if restored { RESTORED_BATCH } else { BATCH };
        for _ in 0..size.min(plan.count - report.cases) {
            generator.next(&mut sequence);
            report.cases += 1;
            if !agrees(oracle, &mut sequence) {
                let found = shrink::reproducer(oracle, &sequence, restored);
                report.divergences.push(found);
                progress(&report);
                if report.divergences.len() >= plan.max_divergences {
                    return report;
                }
            }
            report.completed += u64::from(completed(oracle, &sequence.case));
        }
        progress(&report);
        if plan.limit.is_some_and(|limit| start.elapsed() >= limit) {
            break;
        }
        batch += 1;
    }
    report
}

/// An empty sequence, to be filled.
pub fn empty() -> Sequence {
    let case =
        Case { code: Vec::new(), state: UserState::default(), memory: Image::default(), undefined_flags: 0 };
    Sequence { program: Program::default(), case }
}

/// Runs a sequence on everybody; flags undefined where it ended are not compared.
pub fn agrees(oracle: &mut Oracle, sequence: &mut Sequence) -> bool {
    oracle.execute(&sequence.case, true);
    let results = oracle.results(true);
    let Some((_, first)) = results.first() else { return true };
    if first.ending == Ending::TimedOut {
        // An endless loop ends anywhere.
        return true;
    }
    let rip = first.state.rip;
    sequence.case.undefined_flags = sequence.program.undefined_at(rip);
    oracle.agree(&sequence.case, true)
}

fn completed(oracle: &Oracle, case: &Case) -> bool {
    oracle.results(true).first().is_some_and(|(_, outcome)| outcome.state.rip == case.end())
}
