//! Licences, sources and bans of dependencies, by cargo-deny and `deny.toml`.
use std::path::PathBuf;
use std::process::Command;

use anyhow::Context;
use clap::Args;

use crate::project;

/// What is asked of cargo-deny. Advisories need a database from outside and are left to those who have it.
const CHECKS: [&str; 5] = ["check", "--hide-inclusion-graph", "licenses", "bans", "sources"];

#[derive(Args, Debug)]
pub struct Deps {
    /// Install cargo-deny below `target/tools` if it is missing
    #[arg(long)]
    install: bool,
}

impl Deps {
    /// Runs the checks.
    pub fn execute(self) -> anyhow::Result<()> {
        if program().is_none() && self.install {
            let mut install = project::cargo();
            install.args(["install", "cargo-deny", "--locked", "--root"]).arg(tools());
            project::run(&mut install).context("cannot install cargo-deny")?;
        }
        check(&program().context("cargo-deny is not installed; 'cargo xtask deps --install' installs it")?)
    }
}

/// Runs cargo-deny.
pub fn check(program: &PathBuf) -> anyhow::Result<()> {
    project::run(Command::new(program).current_dir(project::root()).args(CHECKS))
}

fn tools() -> PathBuf {
    project::target().join("tools")
}

/// Our own cargo-deny, or the one on the path.
pub fn program() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let directories = [tools().join("bin")].into_iter().chain(std::env::split_paths(&path));
    directories.map(|directory| directory.join("cargo-deny")).find(|path| path.is_file())
}
