//! What the process takes, over time: memory of its own, the guest's, threads and open files.
use std::time::Duration;

use anyhow::ensure;

/// One look at the process (proc_pid_status(5)).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sample {
    /// Its own memory.
    anon_kib: u64,
    /// What it shares: mostly guest RAM and translated code.
    shared_kib: u64,
    threads: u64,
    files: u64,
}

impl Sample {
    /// Of a process; `None` if it is gone.
    pub fn of(pid: u32) -> Option<Self> {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let files = std::fs::read_dir(format!("/proc/{pid}/fd")).ok()?.count() as u64;
        Some(Self { files, ..Self::read(&status)? })
    }

    fn read(status: &str) -> Option<Self> {
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            line.split_whitespace().next()?.parse::<u64>().ok()
        };
        Some(Self {
            anon_kib: field("RssAnon:")?,
            shared_kib: field("RssShmem:")? + field("RssFile:")?,
            threads: field("Threads:")?,
            files: 0,
        })
    }
}

/// What is looked at, and its name.
type Field = (&'static str, fn(&Sample) -> u64);

/// All looks so far, with their times.
#[derive(Debug, Default)]
pub struct Memory {
    samples: Vec<(Duration, Sample)>,
}

/// Growth from the level after the warm-up to that at the end: more than this part of it, and this much, is a leak.
const GROWTH_PART: f64 = 0.05;
const GROWTH_KIB: f64 = 24.0 * 1024.0;

impl Memory {
    /// Whether it is time to look again.
    pub fn due(&self, now: Duration, every: Duration) -> bool {
        self.samples.last().is_none_or(|(last, _)| *last + every <= now)
    }

    /// Adds a look.
    pub fn extend(&mut self, sample: Option<(Duration, Sample)>) {
        self.samples.extend(sample);
    }

    /// The last look, in words.
    pub fn last(&self) -> String {
        let (_, last) = self.samples.last().copied().unwrap_or_default();
        let (own, shared) = (last.anon_kib / 1024, last.shared_kib / 1024);
        format!("{own} MiB own, {shared} MiB shared, {} threads, {} files", last.threads, last.files)
    }

    /// The level in the second quarter of the time, and that in the last; medians.
    fn levels(&self, field: fn(&Sample) -> u64) -> (f64, f64) {
        let end = self.samples.last().map_or(Duration::ZERO, |(time, _)| *time);
        let level = |from: f64, to: f64| {
            let between = |time: &Duration| *time >= end.mul_f64(from) && *time <= end.mul_f64(to);
            let mut values: Vec<_> =
                self.samples.iter().filter(|(time, _)| between(time)).map(|(_, s)| field(s)).collect();
            values.sort_unstable();
            values.get(values.len() / 2).copied().unwrap_or(0) as f64
        };
        (level(0.25, 0.5), level(0.75, 1.0))
    }

    /// For the end.
    pub fn summary(&self) -> String {
        let words = |name: &str, field: fn(&Sample) -> u64| {
            let (early, late) = self.levels(field);
            format!("{name} {:.0} MiB after the warm-up, {:.0} at the end", early / 1024.0, late / 1024.0)
        };
        [words("own memory", |s| s.anon_kib), words("shared", |s| s.shared_kib)].join("; ")
    }

    /// An error if something grew.
    pub fn judge(&self) -> anyhow::Result<()> {
        let memory: [Field; 2] = [("own memory", |s| s.anon_kib), ("shared memory", |s| s.shared_kib)];
        for (name, field) in memory {
            let (early, late) = self.levels(field);
            let grown = late - early;
            ensure!(
                grown <= GROWTH_KIB.max(early * GROWTH_PART),
                "the process's {name} grew by {:.0} MiB, from {:.0}",
                grown / 1024.0,
                early / 1024.0
            );
        }
        let counts: [Field; 2] = [("threads", |s| s.threads), ("open files", |s| s.files)];
        for (name, field) in counts {
            let (early, late) = self.levels(field);
            ensure!(late <= early, "the process's {name} went from {early} to {late}");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn memory(kib: impl Fn(u64) -> u64) -> Memory {
        let sample = |second| Sample { anon_kib: kib(second), threads: 5, ..Sample::default() };
        let samples = (0..100).map(|second| (Duration::from_secs(second), sample(second)));
        Memory { samples: samples.collect() }
    }

    #[test]
    fn a_level_is_no_leak_and_the_warm_up_does_not_count() {
        assert!(memory(|_| 100 << 10).judge().is_ok());
        assert!(memory(|second| if second < 20 { 0 } else { 100 << 10 }).judge().is_ok());
    }

    #[test]
    fn steady_growth_is_a_leak() {
        let error = memory(|second| (100 + second) << 10).judge().unwrap_err();
        assert_eq!(error.to_string(), "the process's own memory grew by 50 MiB, from 137");
    }

    #[test]
    fn status_is_read() {
        let text =
            "Name:\tgasang\nRssAnon:\t    9000 kB\nRssFile:\t 100 kB\nRssShmem:\t 200 kB\nThreads:\t7\n";
        let expected = Sample { anon_kib: 9000, shared_kib: 300, threads: 7, files: 0 };
        assert_eq!(Sample::read(text), Some(expected));
        assert!(Sample::of(std::process::id()).is_some());
    }
}
