//! `cargo xtask prepush`: the checks that take little time.
use clap::Args;

use crate::steps::Steps;
use crate::{deps, docpaths, floors, project, sizes};

#[derive(Args, Debug)]
pub struct Prepush {}

impl Prepush {
    /// Runs all of them.
    pub fn execute(self) -> anyhow::Result<()> {
        let mut steps = Steps::default();
        add(&mut steps);
        steps.finish()
    }
}

/// The same steps, as a part of others.
pub fn add(steps: &mut Steps) {
    steps.step("format", || project::run(project::cargo().args(["fmt", "--all", "--check"])));
    steps.step("clippy", || {
        let arguments =
            ["clippy", "--workspace", "--all-targets", "--locked", "--quiet", "--", "-D", "warnings"];
        project::run(project::cargo().args(arguments))
    });
    steps.step("fuzz targets", || {
        let arguments = ["check", "--manifest-path", "fuzz/Cargo.toml", "--bins", "--examples"];
        let quickly = ["--no-default-features", "--locked", "--quiet"];
        // Where the rest is built, so that what both need is built once.
        let mut command = project::cargo();
        project::run(command.args(arguments).args(quickly).arg("--target-dir").arg(project::target()))
    });
    steps.step("floors", floors::check);
    steps.step("sizes", sizes::check);
    steps.step("document paths", docpaths::check);
    match deps::program() {
        Some(program) => steps.step("dependencies", || deps::check(&program)),
        None => steps.skip("dependencies", "no cargo-deny; 'cargo xtask deps --install' installs it"),
    }
}
