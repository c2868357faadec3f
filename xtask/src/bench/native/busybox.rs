//! Busybox's workloads, with its commands in a directory of their own.
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use anyhow::Context;

use crate::bench::guest::Run;
use crate::bench::workload::Workload;

/// Runs them.
pub fn measure(busybox: &Path, workload: &Workload) -> anyhow::Result<Run> {
    let directory = tempfile::tempdir()?;
    let program = directory.path().join("busybox");
    std::fs::copy(busybox, &program).context("cannot copy busybox")?;
    make_executable(&program)?;
    let applets = Command::new(&program).arg("--list").output().context("cannot run busybox")?;
    for applet in String::from_utf8_lossy(&applets.stdout).lines().filter(|applet| *applet != "busybox") {
        symlink(&program, directory.path().join(applet))?;
    }
    let script = directory.path().join("workloads");
    std::fs::write(&script, workload.host_script(&program.to_string_lossy()))?;
    let mut command = Command::new(directory.path().join("sh"));
    super::read(command.arg(&script).env("PATH", directory.path()))
}

fn make_executable(path: &Path) -> anyhow::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    Ok(std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755))?)
}
