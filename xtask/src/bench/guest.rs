//! One run of one contender, measured from outside.
#![expect(unsafe_code, reason = "wait4 is the way to a child's resource usage")]
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::mem::MaybeUninit;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use anyhow::{Context, ensure};
use manager::images::INIT_MARKER;
use serde::Serialize;

/// What one run gave.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Run {
    /// Seconds of each row, by the guest's clock.
    pub seconds: BTreeMap<String, f64>,
    /// Digest of what each row computed, for rows that have one.
    pub checks: BTreeMap<String, String>,
    /// Rows that failed, and how.
    pub failures: Vec<String>,
    /// CPU seconds (user and system) of the process until `/init` spoke.
    pub boot_cpu_s: f64,
    /// Wall seconds until `/init` spoke.
    pub boot_wall_s: f64,
    /// CPU seconds of the process to its end.
    pub total_cpu_s: f64,
    /// Most memory that was resident, in MiB.
    pub peak_mib: f64,
}

impl Run {
    /// Takes in a line of a script: `BENCH name seconds`, `CHECK name digest`, or `FAILED name with …`.
    pub fn read(&mut self, line: &str) {
        let (kind, rest) = line.trim().split_once(' ').unwrap_or_default();
        let (name, value) = rest.split_once(' ').unwrap_or_default();
        match kind {
            "BENCH" => self.seconds.extend(value.parse().ok().map(|seconds| (name.to_owned(), seconds))),
            "CHECK" => self.checks.extend([(name.to_owned(), value.to_owned())]),
            "FAILED" => self.failures.push(rest.to_owned()),
            _ => {}
        }
    }
}

/// Runs a contender to its end and reads what its guest says.
pub fn measure(command: &mut Command) -> anyhow::Result<Run> {
    let start = Instant::now();
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().context("cannot start it")?;
    let mut run = Run::default();
    let mut tail = Vec::new();
    let output = child.stdout.take().context("it has no output")?;
    for line in BufReader::new(output).split(b'\n') {
        let line = String::from_utf8_lossy(&line?).trim().to_owned();
        if line == INIT_MARKER && run.boot_wall_s == 0.0 {
            run.boot_wall_s = start.elapsed().as_secs_f64();
            run.boot_cpu_s = cpu_seconds(child.id()).context("cannot read its CPU time")?;
        }
        run.read(&line);
        if line.starts_with("BENCH ") || line.starts_with("FAILED ") {
            eprintln!("    {line}");
        }
        tail.push(line);
    }
    let usage = finish(&child)?;
    let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
    run.total_cpu_s = seconds(usage.ru_utime) + seconds(usage.ru_stime);
    run.peak_mib = usage.ru_maxrss as f64 / 1024.0;
    let last = tail[tail.len().saturating_sub(12)..].join("\n");
    ensure!(run.boot_wall_s > 0.0, "the guest never reached /init; it said at last:\n{last}");
    ensure!(
        tail.iter().any(|line| line == "gasang: script ended with 0"),
        "the workloads did not end:\n{last}"
    );
    Ok(run)
}

/// User and system time of a running process so far (proc_pid_stat(5), fields 14 and 15).
fn cpu_seconds(pid: u32) -> Option<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields: Vec<_> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks: u64 = fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?;
    // SAFETY: a plain question to the C library.
    let per_second = unsafe { libc::sysconf(libc::_SC_CLK_TCK) };
    (per_second > 0).then(|| ticks as f64 / per_second as f64)
}

fn finish(child: &Child) -> anyhow::Result<libc::rusage> {
    let mut status = 0;
    let mut usage = MaybeUninit::uninit();
    // SAFETY: the child is ours and not yet waited for; both pointers are valid for the call.
    let pid = unsafe { libc::wait4(child.id() as libc::pid_t, &raw mut status, 0, usage.as_mut_ptr()) };
    ensure!(pid > 0, "cannot wait for it: {}", std::io::Error::last_os_error());
    // SAFETY: wait4 succeeded and has filled it in.
    Ok(unsafe { usage.assume_init() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_read() {
        let mut run = Run::default();
        ["BENCH gzip 1.25\r", "bench gzip 2", "BENCH gzip", "CHECK gzip 0af\r", "FAILED xz with 1: why"]
            .into_iter()
            .for_each(|line| run.read(line));
        assert_eq!(run.seconds, [("gzip".to_owned(), 1.25)].into());
        assert_eq!(run.checks, [("gzip".to_owned(), "0af".to_owned())].into());
        assert_eq!(run.failures, ["xz with 1: why"]);
    }
}
