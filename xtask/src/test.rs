//! `cargo xtask test`: everything that CI runs.
use std::path::Path;
use std::thread::{self, JoinHandle};

use anyhow::Context;
use clap::Args;
use manager::images::{Kernel, Recipe, Script};

use crate::steps::Steps;
use crate::{guests, prepush, project};

#[derive(Args, Debug)]
pub struct Test {
    /// Leave out the steps that fetch and boot guests
    #[arg(long)]
    no_boot: bool,
}

impl Test {
    /// Runs everything, then says what passed, failed and was skipped.
    pub fn execute(self) -> anyhow::Result<()> {
        let mut steps = Steps::default();
        // Mostly waits for the package archive, and for programs that use one CPU.
        let guests = if self.no_boot { None } else { Some(thread::spawn(fetch_guests)) };
        prepush::add(&mut steps);
        steps.step("unit and integration tests", workspace_tests);
        isa(&mut steps);
        match guests {
            Some(guests) => boot(&mut steps, guests),
            None => steps.skip("boot tests", "--no-boot"),
        }
        steps.finish()
    }
}

fn workspace_tests() -> anyhow::Result<()> {
    if project::has_cargo_tool("nextest") {
        let arguments = ["nextest", "run", "--workspace", "--locked", "--no-fail-fast", "--no-tests=pass"];
        project::run(project::cargo().args(arguments))
    } else {
        project::run(project::cargo().args(["test", "--workspace", "--locked", "--no-fail-fast", "--quiet"]))
    }
}

/// Random sequences in each run; longer runs by hand: `cargo run --release -p isa-tests -- random --count N --seed S`.
const SEQUENCES: &str = "1000000";

/// The same of each kind of code that is not 64-bit.
const LEGACY_SEQUENCES: &str = "30000";

fn isa(steps: &mut Steps) {
    steps.step("instruction rows", || isa_tests(&["rows"]));
    let jobs = std::thread::available_parallelism().map_or(1, std::num::NonZero::get).to_string();
    steps.step("random instruction sequences", || {
        isa_tests(&["random", "--count", SEQUENCES, "--jobs", &jobs])
    });
    steps.step("random sequences of 16-bit and 32-bit code", || {
        isa_tests(&["legacy", "--count", LEGACY_SEQUENCES])
    });
}

fn isa_tests(arguments: &[&str]) -> anyhow::Result<()> {
    let mut command = project::cargo();
    command.args(["run", "--release", "--locked", "--quiet", "--package", "isa-tests", "--"]);
    project::run(command.args(arguments))
}

/// Kernels, an initramfs, and a Debian with a disk.
fn fetch_guests() -> anyhow::Result<()> {
    guests::with_images(|images| -> anyhow::Result<()> {
        Kernel::ALL.into_iter().try_for_each(|kernel| images.kernel(kernel).map(drop))?;
        images.initramfs(&Script::shell())?;
        let recipe = Recipe::of("debian-12").context("there is no such recipe")?;
        images.made_disk_guest(recipe)?;
        Ok(())
    })
}

fn boot(steps: &mut Steps, guests: JoinHandle<anyhow::Result<()>>) {
    let mut gasang = None;
    steps.step("build gasang", || {
        gasang = Some(project::build_gasang()?);
        Ok(())
    });
    let mut fetched = false;
    steps.step("fetch guests", || {
        guests.join().map_err(|_| anyhow::anyhow!("fetching panicked"))??;
        fetched = true;
        Ok(())
    });
    match gasang {
        Some(gasang) if fetched => steps.step("boot tests", || boot_tests(&gasang)),
        _ => steps.skip("boot tests", "gasang or its guests could not be had, see above"),
    }
}

fn boot_tests(gasang: &Path) -> anyhow::Result<()> {
    let mut command = project::cargo();
    command.args(["run", "--locked", "--quiet", "--package", "boot-tests", "--", "--jobs", "2"]);
    project::run(command.arg("--gasang").arg(gasang).arg("--guests-dir").arg(guests::directory()))
}
