//! The project's own tasks: `cargo xtask demo`, `test`, `prepush`, `bench`, `soak`, and the checks one by one.
use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod bench;
mod demo;
mod deps;
mod docpaths;
mod floors;
mod guests;
mod prepush;
mod programs;
mod project;
mod sizes;
mod soak;
mod steps;
mod test;

#[derive(Parser)]
#[command(name = "cargo xtask", about = "The project's own tasks")]
struct Command {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// From a fresh clone to a guest's shell prompt: fetch kernel and busybox, build, boot
    Demo(demo::Demo),
    /// Everything that CI runs
    Test(test::Test),
    /// What to run before each push: format, lints, floors, sizes, document paths, dependencies
    Prepush(prepush::Prepush),
    /// Compare with QEMU TCG and with the bare host, in one run
    Bench(bench::Bench),
    /// An hour of mixed work in a guest, checked for wrong results, complaints and growth
    Soak(soak::Soak),
    /// Check that crates depend only on lower floors of ARCHITECTURE.md
    Floors,
    /// Check the sizes of files and functions
    Sizes,
    /// Check that paths named in documents exist
    Docpaths,
    /// Check licences, sources and duplicates of dependencies with cargo-deny
    Deps(deps::Deps),
}

fn main() -> ExitCode {
    let result = match Command::parse().task {
        Task::Demo(demo) => demo.execute(),
        Task::Test(test) => test.execute(),
        Task::Prepush(prepush) => prepush.execute(),
        Task::Bench(bench) => bench.execute(),
        Task::Soak(soak) => soak.execute(),
        Task::Floors => floors::check(),
        Task::Sizes => sizes::check(),
        Task::Docpaths => docpaths::check(),
        Task::Deps(deps) => deps.execute(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}
