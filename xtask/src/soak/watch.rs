//! What the guest says: results that must not change, and complaints of its kernel.
use std::collections::BTreeMap;
use std::collections::VecDeque;

use anyhow::bail;

/// What no healthy kernel says.
const COMPLAINTS: [&str; 17] = [
    "BUG:",
    "WARNING:",
    "Oops",
    "Kernel panic",
    "Call Trace",
    "lockup",
    "rcu_sched",
    "stall",
    "segfault",
    "general protection",
    "invalid opcode",
    "blocked for more than",
    "hung_task",
    "oom-kill",
    "Out of memory",
    "page allocation failure",
    "Marking clocksource",
];
/// Lines that an error quotes.
const LAST_WORDS: usize = 12;

/// Results so far.
#[derive(Debug, Default)]
pub struct Watch {
    /// Digest of each piece in the first round.
    expected: BTreeMap<String, String>,
    results: u64,
    rounds: u64,
    announced: u64,
    ended: bool,
    tail: VecDeque<String>,
}

impl Watch {
    /// Takes in a line; whether it shows progress. An error if the guest has failed.
    pub fn read(&mut self, line: &str) -> anyhow::Result<bool> {
        if self.tail.len() == LAST_WORDS {
            self.tail.pop_front();
        }
        self.tail.push_back(line.to_owned());
        if let Some(complaint) = COMPLAINTS.iter().find(|complaint| line.contains(**complaint)) {
            bail!("the guest's kernel complains ('{complaint}'); {}", self.last_words());
        }
        let Some(result) = line.strip_prefix("SOAK ") else { return Ok(false) };
        let words: Vec<_> = result.splitn(3, ' ').collect();
        match words[..] {
            [_, "end"] => self.ended = true,
            [round, piece, digest] => self.result(round, piece, digest)?,
            _ => bail!("the guest's script says something unknown: '{line}'"),
        }
        Ok(true)
    }

    fn result(&mut self, round: &str, piece: &str, digest: &str) -> anyhow::Result<()> {
        if digest.starts_with("FAILED") {
            bail!("{piece} failed in round {round}: {digest}");
        }
        let expected = self.expected.entry(piece.to_owned()).or_insert_with(|| digest.to_owned());
        if expected != digest {
            bail!("{piece} computed {digest} in round {round}, but {expected} in the first");
        }
        self.results += 1;
        self.rounds += u64::from(piece == "round");
        Ok(())
    }

    /// The number of a round that has ended since this was asked last.
    pub fn finished_round(&mut self) -> Option<u64> {
        (std::mem::replace(&mut self.announced, self.rounds) < self.rounds).then_some(self.rounds)
    }

    /// Whether the guest's script came to its end, after a round at least.
    pub fn ended(&self) -> bool {
        self.ended && self.rounds > 0
    }

    /// For the end.
    pub fn summary(&self) -> String {
        format!("{} rounds, {} results, all as in the first round", self.rounds, self.results)
    }

    /// The last lines, for an error.
    pub fn last_words(&self) -> String {
        let lines: Vec<_> = self.tail.iter().map(String::as_str).collect();
        format!("it said at last:\n    {}", lines.join("\n    "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_results_are_progress() {
        let mut watch = Watch::default();
        assert!(!watch.read("gasang: init").unwrap());
        for round in 1..=2 {
            assert!(watch.read(&format!("SOAK {round} jit abc")).unwrap());
            assert!(watch.read(&format!("SOAK {round} round 0")).unwrap());
            assert_eq!((watch.finished_round(), watch.finished_round()), (Some(round), None));
        }
        assert!(!watch.ended());
        watch.read("SOAK 2 end").unwrap();
        assert!(watch.ended());
    }

    #[test]
    fn a_difference_a_failure_and_a_complaint_end_it() {
        let mut watch = Watch::default();
        watch.read("SOAK 1 jit abc").unwrap();
        for line in ["SOAK 2 jit abd", "SOAK 2 jit FAILED with 1: old code ran", "SOAK what", "[ 1.2] BUG: x"]
        {
            assert!(watch.read(line).is_err(), "{line}");
        }
    }
}
