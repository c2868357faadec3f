//! The command line of the instruction oracles. Exit code 1: a divergence.
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use clap::{Parser, Subcommand, ValueEnum};
use isa_tests::engine::Entry;
use isa_tests::legacy::{self, World};
use isa_tests::oracle::Oracle;
use isa_tests::random::{self, Plan};
use isa_tests::row::{self, run};

/// Instruction oracles: rows and random sequences on every engine and on the bare CPU.
#[derive(Parser)]
struct Options {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Run the rows.
    Rows {
        /// Only rows whose file name or text contains this.
        #[arg(long)]
        filter: Option<String>,
    },
    /// Run random sequences.
    Random {
        /// How many.
        #[arg(long, default_value_t = 1_000_000)]
        count: u64,
        /// Which ones.
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// Stop after so many seconds, if earlier.
        #[arg(long)]
        seconds: Option<u64>,
        /// Processes to share the work among.
        #[arg(long, default_value_t = 1)]
        jobs: u64,
        /// Stop after so many divergences.
        #[arg(long, default_value_t = 5)]
        divergences: usize,
        /// Show the engines' counters at the end.
        #[arg(long)]
        stats: bool,
    },
    /// Run random sequences of code that is not 64-bit.
    Legacy {
        /// Of which kind; all of them by default.
        #[arg(long)]
        world: Option<World>,
        /// How many of each.
        #[arg(long, default_value_t = 100_000)]
        count: u64,
        /// Which ones.
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// Stop after so many divergences.
        #[arg(long, default_value_t = 5)]
        divergences: usize,
    },
    /// Run every opcode with every kind of prefix and operand: whether it exists and how long it is.
    Encodings,
    /// Print a file's rows with their right sides as the bare CPU has them.
    Record {
        /// A file of rows.
        file: std::path::PathBuf,
    },
}

fn main() -> anyhow::Result<ExitCode> {
    let agreed = match Options::parse().verb {
        Verb::Rows { filter } => rows(filter.as_deref())?,
        Verb::Random { count, seed, seconds, jobs, divergences, stats } => {
            let plan =
                Plan { count, seed, limit: seconds.map(Duration::from_secs), max_divergences: divergences };
            if jobs > 1 { share(&plan, jobs)? } else { random_run(&plan, stats)? }
        }
        Verb::Legacy { world, count, seed, divergences } => legacy_run(world, count, seed, divergences)?,
        Verb::Encodings => encodings()?,
        Verb::Record { file } => record(&file)?,
    };
    Ok(if agreed { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

fn oracle() -> anyhow::Result<Oracle> {
    let oracle = Oracle::new(Entry::Restored)?;
    if let Some(missing) = &oracle.bare_missing {
        eprintln!("engines are compared with each other only: {missing}");
    }
    Ok(oracle)
}

fn rows(filter: Option<&str>) -> anyhow::Result<bool> {
    let mut oracle = oracle()?;
    let (mut count, mut wrong, mut foreign) = (0, 0, 0);
    for (name, text) in run::FILES {
        for row in row::parse::file(text).with_context(|| (*name).to_owned())? {
            if filter.is_some_and(|part| !name.contains(part) && !row.text.contains(part)) {
                continue;
            }
            if run::is_foreign(&row) {
                foreign += 1;
                continue;
            }
            count += 1;
            let complaints = run::check(&mut oracle, &row);
            if !complaints.is_empty() {
                wrong += 1;
                println!("{name}:{}: {}\n  {}", row.line, row.text, complaints.join("\n  "));
            }
        }
    }
    println!("{count} rows, {wrong} wrong");
    if foreign > 0 {
        println!("{foreign} rows more are about instructions that this CPU does not have");
    }
    Ok(wrong == 0)
}

fn random_run(plan: &Plan, stats: bool) -> anyhow::Result<bool> {
    let mut oracle = oracle()?;
    let start = Instant::now();
    let mut shown = start;
    let mut printed = 0;
    let report = random::run(&mut oracle, plan, |report| {
        for divergence in &report.divergences[printed..] {
            println!("{divergence}\n");
        }
        printed = report.divergences.len();
        if shown.elapsed() >= Duration::from_secs(10) {
            shown = Instant::now();
            eprintln!("{} sequences", report.cases);
        }
    });
    let rate = report.cases as f64 / start.elapsed().as_secs_f64();
    println!(
        "seed {}: {} sequences, {} to their end, {rate:.0} a second, {} divergences",
        plan.seed,
        report.cases,
        report.completed,
        report.divergences.len()
    );
    if stats {
        for (engine, counters) in oracle.statistics() {
            counters.iter().for_each(|(name, value)| println!("{engine}: {name} {value}"));
        }
    }
    Ok(report.divergences.is_empty())
}

fn legacy_run(world: Option<World>, count: u64, seed: u64, divergences: usize) -> anyhow::Result<bool> {
    let worlds = world.map_or_else(|| World::value_variants().to_vec(), |world| vec![world]);
    let mut agreed = true;
    for world in worlds {
        let start = Instant::now();
        let mut shown = start;
        let report = legacy::run(world, count, seed, divergences, |report| {
            if shown.elapsed() >= Duration::from_secs(10) {
                shown = Instant::now();
                eprintln!("{} sequences", report.cases);
            }
        })?;
        report.divergences.iter().for_each(|divergence| println!("{divergence}\n"));
        agreed &= report.divergences.is_empty();
        let rate = report.cases as f64 / start.elapsed().as_secs_f64();
        println!(
            "{world:?}, seed {seed}: {} sequences, {} to their end, {rate:.0} a second, {} overlooked, {} divergences",
            report.cases,
            report.completed,
            report.overlooked,
            report.divergences.len()
        );
    }
    Ok(agreed)
}

/// Shares a plan among processes: the bare CPU's pages have fixed addresses, so one process runs one case at a time.
fn share(plan: &Plan, jobs: u64) -> anyhow::Result<bool> {
    let program = std::env::current_exe().context("where is this program?")?;
    let mut children = Vec::new();
    for job in 0..jobs {
        let mut command = Command::new(&program);
        command.args(["random", "--count", &plan.count.div_ceil(jobs).to_string()]);
        command.args(["--seed", &plan.seed.wrapping_add(job << 24).to_string()]);
        command.args(["--divergences", &plan.max_divergences.to_string()]);
        if let Some(limit) = plan.limit {
            command.args(["--seconds", &limit.as_secs().to_string()]);
        }
        children.push(command.spawn().context("another process cannot be started")?);
    }
    let mut agreed = true;
    for mut child in children {
        let status = child.wait().context("waiting for a process")?;
        match status.code() {
            Some(0) => {}
            Some(1) => agreed = false,
            _ => bail!("a process ended with {status}"),
        }
    }
    Ok(agreed)
}

fn encodings() -> anyhow::Result<bool> {
    let mut oracle = Oracle::new(Entry::Resumed)?;
    if isa_tests::amd::is_here() {
        bail!("the engine's guest sees an Intel CPU, and AMD's have other encodings");
    }
    if let Some(missing) = &oracle.bare_missing {
        bail!("without the bare CPU there is nothing to compare with: {missing}");
    }
    let mut shown = Instant::now();
    let (count, differing) = isa_tests::encodings::run(&mut oracle, |count| {
        if shown.elapsed() >= Duration::from_secs(10) {
            shown = Instant::now();
            eprintln!("{count} encodings");
        }
    });
    differing.iter().for_each(|line| println!("{line}"));
    println!("{count} encodings, {} differ", differing.len());
    Ok(differing.is_empty())
}

fn record(file: &std::path::Path) -> anyhow::Result<bool> {
    let text = std::fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()))?;
    let mut rows = row::parse::file(&text)?.into_iter();
    let mut oracle = oracle()?;
    for line in text.lines() {
        let is_row = !line.trim().is_empty() && !line.starts_with('#');
        match (is_row, line.contains("=>")) {
            (true, true) => {
                rows.next();
                println!("{line}");
            }
            (true, false) => {
                let row = rows.next().context("fewer rows than lines")?;
                println!("{}", run::record(&mut oracle, &row));
            }
            _ => println!("{line}"),
        }
    }
    Ok(true)
}
