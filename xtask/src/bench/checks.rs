//! Whether all contenders computed the same.
use super::guest::Run;

/// What speaks against it: rows that failed, and rows whose output differs from the reference's, which is the last
/// contender that ran: the host, if it can.
pub fn faults(contenders: &[(&str, &[Run])]) -> Vec<String> {
    let mut faults = Vec::new();
    let reference = contenders.iter().rev().find_map(|(name, runs)| Some((*name, runs.first()?)));
    for (contender, runs) in contenders {
        for (round, run) in runs.iter().enumerate() {
            let place = format!("under {contender}, round {}", round + 1);
            faults.extend(run.failures.iter().map(|failure| format!("{place}: {failure}")));
            let Some((reference_name, reference)) = reference else { continue };
            for (row, digest) in &run.checks {
                if reference.checks.get(row).is_some_and(|expected| expected != digest) {
                    faults.push(format!("{place}: {row} differs from {reference_name}'s result"));
                }
            }
        }
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(lines: &[&str]) -> Run {
        let mut run = Run::default();
        lines.iter().for_each(|line| run.read(line));
        run
    }

    #[test]
    fn equal_results_are_no_fault() {
        let runs = [run(&["BENCH xz 1.0", "CHECK xz abc"])];
        assert_eq!(faults(&[("gasang", &runs), ("the host", &runs)]), [""; 0]);
        assert_eq!(faults(&[("gasang", &runs), ("the host", &[])]), [""; 0]);
    }

    #[test]
    fn a_difference_and_a_failure_are_faults() {
        let host = [run(&["CHECK xz abc"])];
        let guest = [run(&["CHECK xz abd", "FAILED gcc with 4: it broke"])];
        assert_eq!(
            faults(&[("gasang", &guest), ("the host", &host)]),
            [
                "under gasang, round 1: gcc with 4: it broke",
                "under gasang, round 1: xz differs from the host's result"
            ]
        );
    }
}
