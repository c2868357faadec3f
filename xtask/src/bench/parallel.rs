//! Two virtual CPUs compared with one: the same work, in turns.
use std::fmt::Write as _;

use anyhow::Context;
use serde::Serialize;

use super::guest::Run;
use super::{Bench, Files, checks, cold, guest, row_median};

/// All runs.
#[derive(Default, Serialize)]
pub struct Parallel {
    one: Vec<Run>,
    two: Vec<Run>,
}

impl Parallel {
    /// Measures in turns.
    pub fn measure(bench: &Bench, files: &Files) -> anyhow::Result<Self> {
        let mut parallel = Self::default();
        for round in 1..=bench.runs {
            eprintln!("round {round} of {}", bench.runs);
            for (cpus, runs) in [(1, &mut parallel.one), (2, &mut parallel.two)] {
                eprintln!("  gasang with --cpus {cpus} …");
                let run = guest::measure(&mut cold(files, cpus));
                runs.push(run.with_context(|| format!("with --cpus {cpus}"))?);
            }
        }
        Ok(parallel)
    }

    /// For people, in Markdown.
    pub fn table(&self) -> String {
        let mut text = "| workload | one vCPU | two vCPUs | throughput |\n|---|---|---|---|\n".to_owned();
        let names = self.one.first().map(|run| run.seconds.keys());
        for name in names.into_iter().flatten() {
            let (one, two) = (row_median(&self.one, name), row_median(&self.two, name));
            let (Some(one), Some(two)) = (one, two) else { continue };
            // Writing to a string cannot fail.
            let _ = writeln!(text, "| {name} | {one:.2} | {two:.2} | {:.2} |", one / two.max(0.01));
        }
        text
    }

    /// Rows that failed, or differ.
    pub fn faults(&self) -> Vec<String> {
        checks::faults(&[("two vCPUs", &self.two), ("one vCPU", &self.one)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn throughput_is_the_ratio_of_times() {
        let run = |line: &str| {
            let mut run = Run::default();
            run.read(line);
            run
        };
        let parallel = Parallel { one: vec![run("BENCH two-xz 3.80")], two: vec![run("BENCH two-xz 2.00")] };
        assert!(parallel.table().contains("| two-xz | 3.80 | 2.00 | 1.90 |"), "{}", parallel.table());
    }
}
