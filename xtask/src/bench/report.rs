//! From runs to ratios: a table for people and a summary for programs.
use std::collections::BTreeMap;
use std::fmt::Write as _;

use anyhow::Context;
use serde::Serialize;

use super::guest::Run;
use super::{checks, median, row_median};
use crate::project;

/// All runs of all contenders.
pub struct Report {
    scale: u32,
    rounds: u32,
    pub tcg: Vec<Run>,
    pub gasang: Vec<Run>,
    /// Boots with what an earlier one has translated.
    pub again: Vec<Run>,
    pub native: Vec<Run>,
}

/// What is written as JSON: medians, and every run.
#[derive(Serialize)]
pub struct Summary<'a> {
    scale: u32,
    runs: u32,
    rows: Vec<Row>,
    geomean_tcg_over_gasang: Option<f64>,
    geomean_gasang_over_native: Option<f64>,
    boot: BTreeMap<&'static str, Boot>,
    tcg: &'a [Run],
    gasang: &'a [Run],
    again: &'a [Run],
    native: &'a [Run],
}

/// Medians of one workload, in seconds.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    name: String,
    tcg_s: Option<f64>,
    gasang_s: f64,
    native_s: Option<f64>,
}

/// Medians of the kernel's boot to `/init`, and of memory.
#[derive(Clone, Debug, Serialize)]
pub struct Boot {
    cpu_s: f64,
    wall_s: f64,
    peak_mib: f64,
}

impl Row {
    fn tcg_over_gasang(&self) -> Option<f64> {
        ratio(self.tcg_s?, self.gasang_s)
    }

    fn gasang_over_native(&self) -> Option<f64> {
        ratio(self.gasang_s, self.native_s?)
    }
}

impl Report {
    /// Without runs yet.
    pub fn new(rounds: u32, scale: u32) -> Self {
        Self { scale, rounds, tcg: Vec::new(), gasang: Vec::new(), again: Vec::new(), native: Vec::new() }
    }

    /// Rows that failed, or differ.
    pub fn faults(&self) -> Vec<String> {
        checks::faults(&[("QEMU TCG", &self.tcg), ("gasang", &self.gasang), ("the host", &self.native)])
    }

    fn rows(&self) -> Vec<Row> {
        let names = self.gasang.first().map(|run| run.seconds.keys().cloned().collect::<Vec<_>>());
        let row = |name: String| {
            let gasang_s = row_median(&self.gasang, &name)?;
            let (tcg_s, native_s) = (row_median(&self.tcg, &name), row_median(&self.native, &name));
            Some(Row { name, tcg_s, gasang_s, native_s })
        };
        names.unwrap_or_default().into_iter().filter_map(row).collect()
    }

    fn boot(&self) -> BTreeMap<&'static str, Boot> {
        let of = |runs: &[Run]| {
            let middle = |field: fn(&Run) -> f64| median(runs.iter().map(field).collect());
            Some(Boot {
                cpu_s: middle(|run| run.boot_cpu_s)?,
                wall_s: middle(|run| run.boot_wall_s)?,
                peak_mib: middle(|run| run.peak_mib)?,
            })
        };
        [("tcg", of(&self.tcg)), ("gasang", of(&self.gasang)), ("again", of(&self.again))]
            .into_iter()
            .filter_map(|(name, boot)| Some((name, boot?)))
            .collect()
    }

    /// For programs.
    pub fn summary(&self) -> Summary<'_> {
        let rows = self.rows();
        Summary {
            scale: self.scale,
            runs: self.rounds,
            geomean_tcg_over_gasang: geomean(rows.iter().filter_map(Row::tcg_over_gasang)),
            geomean_gasang_over_native: geomean(rows.iter().filter_map(Row::gasang_over_native)),
            rows,
            boot: self.boot(),
            tcg: &self.tcg,
            gasang: &self.gasang,
            again: &self.again,
            native: &self.native,
        }
    }

    /// For people, in Markdown.
    pub fn table(&self) -> String {
        let summary = self.summary();
        let mut text = format!("Medians of {} runs; seconds by the guest's clock.\n\n", self.rounds);
        text += "| workload | QEMU TCG | gasang | host | TCG / gasang | gasang / host |\n|---|---|---|---|---|---|\n";
        for row in &summary.rows {
            // Writing to a string cannot fail.
            let _ = writeln!(
                text,
                "| {} | {} | {:.2} | {} | {} | {} |",
                row.name,
                cell(row.tcg_s),
                row.gasang_s,
                cell(row.native_s),
                cell(row.tcg_over_gasang()),
                cell(row.gasang_over_native())
            );
        }
        let (tcg, native) = (summary.geomean_tcg_over_gasang, summary.geomean_gasang_over_native);
        let _ = writeln!(text, "| **geomean** | | | | **{}** | **{}** |", cell(tcg), cell(native));
        let boot = |name: &str, field: fn(&Boot) -> f64| {
            let [tcg, gasang] = ["tcg", name].map(|name| summary.boot.get(name).map(field));
            let ratio = tcg.zip(gasang).and_then(|(tcg, gasang)| ratio(tcg, gasang));
            format!("{} | {} | | {} | |", cell(tcg), cell(gasang), cell(ratio))
        };
        for (what, name) in [("boot to /init", "gasang"), ("boot again, translations kept", "again")] {
            let _ = writeln!(text, "| {what}, CPU s | {}", boot(name, |boot| boot.cpu_s));
            let _ = writeln!(text, "| {what}, wall s | {}", boot(name, |boot| boot.wall_s));
        }
        let _ = writeln!(text, "| peak memory, MiB | {}", boot("gasang", |boot| boot.peak_mib));
        text
    }
}

/// Times below the guest clock's step count as one step.
fn ratio(over: f64, under: f64) -> Option<f64> {
    const STEP_S: f64 = 0.01;
    Some(over.max(STEP_S) / under.max(STEP_S))
}

fn geomean(ratios: impl Iterator<Item = f64>) -> Option<f64> {
    let logarithms: Vec<_> = ratios.map(f64::ln).collect();
    let count = logarithms.len() as f64;
    (count > 0.0).then(|| (logarithms.iter().sum::<f64>() / count).exp())
}

fn cell(value: Option<f64>) -> String {
    value.map_or_else(|| "–".to_owned(), |value| format!("{value:.2}"))
}

/// Puts a set's table into the README, between the marks that bear its name.
pub fn write_readme(name: &str, table: &str) -> anyhow::Result<()> {
    let path = project::root().join("README.md");
    let text = std::fs::read_to_string(&path).context("cannot read README.md")?;
    let text = replaced(&text, name, table)
        .with_context(|| format!("README.md has no place for the table: no <!-- {name}:begin --> and end"))?;
    Ok(manager::cache::replace(&path, text.as_bytes())?)
}

fn replaced(text: &str, name: &str, table: &str) -> Option<String> {
    let (begin, end) = (format!("<!-- {name}:begin -->"), format!("<!-- {name}:end -->"));
    let (before, rest) = text.split_once(&begin)?;
    let (_, after) = rest.split_once(&end)?;
    Some(format!("{before}{begin}\n{table}{end}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(seconds: f64) -> Run {
        Run { seconds: [("gzip".to_owned(), seconds)].into(), boot_cpu_s: seconds, ..Run::default() }
    }

    #[test]
    fn ratios_are_of_medians() {
        let mut report = Report::new(3, 1);
        report.tcg = [4.0, 6.0, 100.0].map(run).to_vec();
        report.gasang = [2.0, 3.0, 1.0].map(run).to_vec();
        report.native = [1.0; 3].map(run).to_vec();
        let summary = report.summary();
        assert_eq!(summary.geomean_tcg_over_gasang.map(|ratio| (ratio * 100.0).round()), Some(300.0));
        assert!(report.table().contains("| gzip | 6.00 | 2.00 | 1.00 | 3.00 | 2.00 |"), "{}", report.table());
    }

    #[test]
    fn the_readmes_table_is_replaced() {
        let text = |table: &str| format!("a\n<!-- x:begin -->\n{table}\n<!-- x:end -->\nb\n");
        assert_eq!(replaced(&text("old"), "x", "new\n"), Some(text("new")));
        assert_eq!(replaced("none", "x", "new"), None);
    }
}
