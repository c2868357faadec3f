//! The workloads on the bare host, with the same programs.
mod busybox;
mod chroot;

use std::path::PathBuf;
use std::process::Command;

use anyhow::ensure;

use super::guest::Run;
use super::workload::Workload;

/// Where the host runs them.
pub enum Host {
    /// With this busybox.
    Busybox(PathBuf),
    /// In the root directory that the guest has.
    Root(PathBuf),
    /// Nowhere.
    Unable,
}

impl Host {
    /// In a root directory, if the host lets this user enter one; says so if not.
    pub fn root(root: PathBuf) -> Self {
        match chroot::probe(&root) {
            Ok(()) => Host::Root(root),
            Err(error) => {
                eprintln!(
                    "NOT compared with the host, which does not let this user enter another root: {error:#}"
                );
                Host::Unable
            }
        }
    }

    /// Runs them; `None` if the host cannot.
    pub fn measure(&self, workload: &Workload) -> anyhow::Result<Option<Run>> {
        match self {
            Host::Busybox(program) => busybox::measure(program, workload).map(Some),
            Host::Root(root) => chroot::measure(root, workload).map(Some),
            Host::Unable => Ok(None),
        }
    }
}

/// What a script prints, read to its end.
fn read(command: &mut Command) -> anyhow::Result<Run> {
    let output = command.output()?;
    let why = || format!("{}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim());
    ensure!(output.status.success(), "the script ended with {}", why());
    let mut run = Run::default();
    String::from_utf8_lossy(&output.stdout).lines().for_each(|line| run.read(line));
    Ok(run)
}
