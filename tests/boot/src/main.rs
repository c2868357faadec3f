//! Boot tests: real, unmodified guests under the built command, driven over their consoles, asserting on what they say.
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use clap::Parser;

mod cases;
mod lab;

use cases::Case;
use lab::Lab;

/// Boots guests and asserts on what they say.
#[derive(Parser)]
struct Options {
    /// The command under test
    #[arg(long)]
    gasang: PathBuf,
    /// Where guests are kept
    #[arg(long)]
    guests_dir: PathBuf,
    /// Only tests whose name contains this
    filter: Option<String>,
    /// Run the chosen tests so many times
    #[arg(long, default_value_t = 1)]
    repeat: u32,
    /// Run so many tests at a time
    #[arg(long, default_value_t = 1)]
    jobs: usize,
}

/// A test: passes, fails with an error, or says why it cannot run here.
pub enum Verdict {
    /// It held.
    Passed,
    /// It cannot be tried on this host.
    Skipped(String),
}

fn main() -> ExitCode {
    let options = Options::parse();
    let lab = match Lab::new(options.gasang.clone(), options.guests_dir.clone()) {
        Ok(lab) => lab,
        Err(error) => {
            println!("FAILED   all: {error:#}");
            return ExitCode::FAILURE;
        }
    };
    let counts = Counts::default();
    for _ in 0..options.repeat {
        // What is about time and about several CPUs has the host for itself.
        run(&options, &lab, &counts, 1, |case| case.is_alone());
        run(&options, &lab, &counts, options.jobs.max(1), |case| !case.is_alone());
    }
    let [passed, failed, skipped] =
        [&counts.passed, &counts.failed, &counts.skipped].map(|count| count.load(Ordering::SeqCst));
    println!("{passed} passed, {failed} failed, {skipped} skipped");
    if failed == 0 && passed > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// What came of all tests.
#[derive(Default)]
struct Counts {
    passed: AtomicUsize,
    failed: AtomicUsize,
    skipped: AtomicUsize,
}

/// Runs the chosen tests, several at a time.
fn run(options: &Options, lab: &Lab, counts: &Counts, jobs: usize, is_chosen: fn(&Case) -> bool) {
    let fits = |case: &Case| {
        let named = options.filter.as_ref().is_none_or(|filter| case.name.contains(filter.as_str()));
        named && is_chosen(case)
    };
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(|| {
                let cases: Vec<Case> = cases::all().into_iter().filter(fits).collect();
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::SeqCst)) {
                    judge(case, lab, counts);
                }
            });
        }
    });
}

fn judge(case: &Case, lab: &Lab, counts: &Counts) {
    let start = Instant::now();
    let count = match (case.run)(lab) {
        Ok(Verdict::Passed) => {
            println!("ok       {} ({:.1} s)", case.name, start.elapsed().as_secs_f64());
            &counts.passed
        }
        Ok(Verdict::Skipped(why)) => {
            println!("skipped  {}: {why}", case.name);
            &counts.skipped
        }
        Err(error) => {
            println!("FAILED   {}: {error:#}", case.name);
            &counts.failed
        }
    };
    count.fetch_add(1, Ordering::SeqCst);
}
