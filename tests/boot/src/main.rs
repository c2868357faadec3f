//! Boot tests: real, unmodified guests under the built command, driven over their consoles, asserting on what they say.
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;

mod cases;
mod console;
mod lab;
mod lands;

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
    let lab = match Lab::new(options.gasang, options.guests_dir) {
        Ok(lab) => lab,
        Err(error) => {
            println!("FAILED   all: {error:#}");
            return ExitCode::FAILURE;
        }
    };
    let (mut passed, mut failed, mut skipped) = (0, 0, 0);
    for _ in 0..options.repeat {
        for case in cases::all() {
            if options.filter.as_ref().is_some_and(|filter| !case.name.contains(filter.as_str())) {
                continue;
            }
            let start = Instant::now();
            match (case.run)(&lab) {
                Ok(Verdict::Passed) => {
                    passed += 1;
                    println!("ok       {} ({:.1} s)", case.name, start.elapsed().as_secs_f64());
                }
                Ok(Verdict::Skipped(why)) => {
                    skipped += 1;
                    println!("skipped  {}: {why}", case.name);
                }
                Err(error) => {
                    failed += 1;
                    println!("FAILED   {}: {error:#}", case.name);
                }
            }
        }
    }
    println!("{passed} passed, {failed} failed, {skipped} skipped");
    if failed == 0 && passed > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
