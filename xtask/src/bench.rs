//! `cargo xtask bench`: the same kernel, initrd and workloads under QEMU TCG, under gasang, and on the bare host, in
//! turns, in one run. Numbers are compared as ratios, by medians; no number passes or fails, but a wrong result does.
mod checks;
mod disks;
mod guest;
mod native;
mod networks;
mod parallel;
mod report;
mod set;
mod workload;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};
use clap::Args;
use manager::images::{COMMAND_LINE, Images, Kernel, Qemu, Script};
use serde::Serialize;

use crate::{guests, project};
use disks::Disks;
use guest::Run;
use native::Host;
use networks::Networks;
use parallel::Parallel;
use report::Report;
use set::Set;
use workload::Workload;

#[derive(Args, Debug)]
pub struct Bench {
    /// What to measure
    #[arg(long, value_enum, default_value = "busybox")]
    set: Set,
    /// Runs of each contender
    #[arg(short = 'n', long, default_value_t = 3)]
    runs: u32,
    /// Multiplies the work of each row
    #[arg(long, default_value_t = 1)]
    scale: u32,
    /// Only these rows, separated by commas
    #[arg(long, value_delimiter = ',')]
    rows: Vec<String>,
    /// Only gasang and the host, without QEMU
    #[arg(long)]
    no_tcg: bool,
    /// Replace the set's table in README.md
    #[arg(long)]
    write_readme: bool,
    /// Where to write the numbers [default: benches/results/latest-SET.json]
    #[arg(long)]
    json: Option<PathBuf>,
}

/// What the contenders share.
struct Files {
    memory_mib: u32,
    kernel: PathBuf,
    initrd: PathBuf,
    /// A guest that does nothing but boot.
    idle: PathBuf,
    host: Host,
    gasang: PathBuf,
    qemu: Option<Qemu>,
}

impl Bench {
    /// Measures, prints, writes.
    pub fn execute(self) -> anyhow::Result<()> {
        if self.set == Set::Networks {
            let networks = Networks::measure(&self)?;
            return self.publish(&networks.table(), &networks);
        }
        let Some(script) = self.set.script() else {
            let disks = Disks::measure(&self)?;
            return self.publish(&disks.table(), &disks);
        };
        let text = std::fs::read_to_string(project::root().join(script));
        let text = text.with_context(|| format!("cannot read {script}"))?;
        let workload = Workload::new(&text, self.scale, &self.rows)?;
        let files = guests::with_images(|images| self.files(images, &workload))?;
        let faults = if self.set == Set::Parallel {
            let parallel = Parallel::measure(&self, &files)?;
            self.publish(&parallel.table(), &parallel)?;
            parallel.faults()
        } else {
            let report = self.measure(&files, &workload)?;
            self.publish(&report.table(), &report.summary())?;
            report.faults()
        };
        ensure!(faults.is_empty(), "{} wrong results:\n  {}", faults.len(), faults.join("\n  "));
        Ok(())
    }

    fn measure(&self, files: &Files, workload: &Workload) -> anyhow::Result<Report> {
        let mut report = Report::new(self.runs, self.scale);
        let translations = tempfile::tempdir().context("no directory for translations")?;
        let mut again = gasang(files, 1, &files.idle);
        again.arg("--translations").arg(translations.path());
        guest::measure(&mut again).context("a first boot")?;
        for round in 1..=self.runs {
            eprintln!("round {round} of {}", self.runs);
            if let Some(qemu) = &files.qemu {
                eprintln!("  QEMU TCG …");
                report.tcg.push(guest::measure(&mut tcg(files, qemu)).context("under QEMU TCG")?);
            }
            eprintln!("  gasang …");
            report.gasang.push(guest::measure(&mut cold(files, 1)).context("under gasang")?);
            report.again.push(guest::measure(&mut again).context("booting again")?);
            eprintln!("  the host …");
            report.native.extend(files.host.measure(workload).context("on the host")?);
        }
        Ok(report)
    }

    fn publish(&self, table: &str, numbers: &impl Serialize) -> anyhow::Result<()> {
        println!("{table}");
        let default = || format!("benches/results/latest-{}.json", self.set.name()).into();
        let json = project::root().join(self.json.clone().unwrap_or_else(default));
        manager::cache::replace(&json, (serde_json::to_string_pretty(numbers)? + "\n").as_bytes())?;
        eprintln!("numbers are in {}", json.display());
        if self.write_readme { report::write_readme(self.set.name(), table) } else { Ok(()) }
    }

    fn files(&self, images: &Images, workload: &Workload) -> anyhow::Result<Files> {
        let (initrd, host) = self.set.prepare(images, workload.text())?;
        let compared = !self.no_tcg && self.set != Set::Parallel;
        Ok(Files {
            memory_mib: self.set.memory_mib(),
            kernel: images.kernel(Kernel::Cloud61)?,
            initrd,
            idle: images.initramfs(&Script::of("bench-boot", "true"))?,
            host,
            qemu: if compared { Some(images.qemu()?) } else { None },
            gasang: project::build_gasang()?,
        })
    }
}

/// A run that knows nothing of earlier ones.
fn cold(files: &Files, cpus: u32) -> Command {
    let mut command = gasang(files, cpus, &files.initrd);
    command.args(["--translations", "none"]);
    command
}

fn gasang(files: &Files, cpus: u32, initrd: &Path) -> Command {
    let mut command = Command::new(&files.gasang);
    command.arg("run").arg("--memory").arg(format!("{}M", files.memory_mib));
    command.arg("--cpus").arg(cpus.to_string());
    command.arg("--kernel").arg(&files.kernel).arg("--initrd").arg(initrd);
    command.args(["--append", COMMAND_LINE]);
    command
}

fn tcg(files: &Files, qemu: &Qemu) -> Command {
    let mut command = emulator(qemu);
    command.arg("-m").arg(files.memory_mib.to_string()).args(["-append", COMMAND_LINE]);
    command.arg("-kernel").arg(&files.kernel).arg("-initrd").arg(&files.initrd);
    command
}

/// QEMU TCG with one CPU and a console, and nothing else.
fn emulator(qemu: &Qemu) -> Command {
    let mut command = Command::new(qemu.program());
    command.env("LD_LIBRARY_PATH", qemu.libraries());
    for directory in qemu.firmware() {
        command.arg("-L").arg(directory);
    }
    command.args(["-accel", "tcg", "-cpu", "max", "-machine", "q35", "-smp", "1"]);
    command.args(["-nodefaults", "-display", "none", "-serial", "stdio", "-no-reboot"]);
    command
}

/// The middle value; of an even number, the mean of the two middle ones. `None` of nothing.
fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => None,
        length if length % 2 == 1 => Some(values[middle]),
        _ => Some(f64::midpoint(values[middle - 1], values[middle])),
    }
}

/// Seconds of a row in each run, middled.
fn row_median(runs: &[Run], row: &str) -> Option<f64> {
    median(runs.iter().filter_map(|run| run.seconds.get(row).copied()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians() {
        assert_eq!(median(vec![]), None);
        assert_eq!(median(vec![3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), Some(2.5));
    }
}
