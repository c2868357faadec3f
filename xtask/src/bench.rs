//! `cargo xtask bench`: the same kernel, initrd and workloads under QEMU TCG, under gasang, and on the bare host, in
//! turns, in one run. Numbers are compared as ratios, by medians; nothing here passes or fails.
mod guest;
mod native;
mod report;
mod workload;

use std::path::PathBuf;
use std::process::Command;

use anyhow::Context;
use clap::Args;
use manager::images::{COMMAND_LINE, Images, Kernel};

use crate::{guests, project};
use guest::Run;
use report::Report;
use workload::Workload;

/// Guest memory; more than the workloads need.
const MEMORY_MIB: u32 = 512;

#[derive(Args, Debug)]
pub struct Bench {
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
    /// Replace the table in README.md
    #[arg(long)]
    write_readme: bool,
    /// Where to write the numbers
    #[arg(long, default_value = "benches/results/latest.json")]
    json: PathBuf,
}

/// What the contenders share.
struct Files {
    kernel: PathBuf,
    initrd: PathBuf,
    busybox: PathBuf,
    gasang: PathBuf,
    qemu: Option<manager::images::Qemu>,
}

impl Bench {
    /// Measures, prints, writes.
    pub fn execute(self) -> anyhow::Result<()> {
        let text = std::fs::read_to_string(project::root().join("benches/guest-workloads.sh"))?;
        let workload = Workload::new(&text, self.scale, &self.rows)?;
        let files = guests::with_images(|images| self.files(images, &workload))?;
        let mut report = Report::new(self.runs, self.scale);
        for round in 1..=self.runs {
            eprintln!("round {round} of {}", self.runs);
            if let Some(qemu) = &files.qemu {
                eprintln!("  QEMU TCG …");
                report.tcg.push(guest::measure(&mut tcg(&files, qemu)).context("under QEMU TCG")?);
            }
            eprintln!("  gasang …");
            report.gasang.push(guest::measure(&mut gasang(&files)).context("under gasang")?);
            eprintln!("  the host …");
            report.native.push(native::measure(&files.busybox, &workload).context("on the host")?);
        }
        println!("{}", report.table());
        let json = project::root().join(&self.json);
        manager::cache::replace(&json, (serde_json::to_string_pretty(&report.summary())? + "\n").as_bytes())?;
        eprintln!("numbers are in {}", json.display());
        if self.write_readme { report::write_readme(&report.table()) } else { Ok(()) }
    }

    fn files(&self, images: &Images, workload: &Workload) -> anyhow::Result<Files> {
        Ok(Files {
            kernel: images.kernel(Kernel::Cloud61)?,
            initrd: images.initramfs(&workload.guest_script())?,
            busybox: images.busybox()?,
            qemu: if self.no_tcg { None } else { Some(images.qemu()?) },
            gasang: project::build_gasang()?,
        })
    }
}

fn gasang(files: &Files) -> Command {
    let mut command = Command::new(&files.gasang);
    command.arg("run").arg("--memory").arg(format!("{MEMORY_MIB}M"));
    command.arg("--kernel").arg(&files.kernel).arg("--initrd").arg(&files.initrd);
    command.args(["--append", COMMAND_LINE]);
    command
}

fn tcg(files: &Files, qemu: &manager::images::Qemu) -> Command {
    let mut command = Command::new(qemu.program());
    command.env("LD_LIBRARY_PATH", qemu.libraries());
    for directory in qemu.firmware() {
        command.arg("-L").arg(directory);
    }
    command.args(["-accel", "tcg", "-cpu", "max", "-machine", "q35", "-smp", "1", "-m"]);
    command.arg(MEMORY_MIB.to_string());
    command.args([
        "-nodefaults",
        "-display",
        "none",
        "-serial",
        "stdio",
        "-no-reboot",
        "-append",
        COMMAND_LINE,
    ]);
    command.arg("-kernel").arg(&files.kernel).arg("-initrd").arg(&files.initrd);
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
