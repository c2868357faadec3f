//! Workloads in the guest's root directory: entered by root, or by an ordinary user as the root of a namespace.
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, ensure};

use crate::bench::guest::Run;
use crate::bench::workload::Workload;
use crate::programs;

/// Mounts what the root lacks, out of sight of the rest of the host, and keeps the cached root from being written to.
/// The positional parameters are the root, the files for `/work`, and the command.
const ENTER: &str = r#"
root=$1 work=$2; shift 2
mount --bind "$root" "$root" && mount -o remount,bind,ro "$root" &&
mount --rbind /dev "$root/dev" && mount --rbind /proc "$root/proc" &&
mount -t tmpfs tmp "$root/tmp" && mount --bind "$work" "$root/work" &&
exec chroot "$root" /bin/busybox env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root USER=root TERM=linux "$@"
"#;

/// Whether the host lets us.
pub fn probe(root: &Path) -> anyhow::Result<()> {
    let empty = tempfile::tempdir()?;
    let output = enter(root, empty.path())?.arg("/bin/true").output().context("cannot run unshare")?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(())
}

/// Runs them.
pub fn measure(root: &Path, workload: &Workload) -> anyhow::Result<Run> {
    let work = tempfile::tempdir()?;
    for (name, contents) in programs::files("benches/programs")? {
        std::fs::write(work.path().join(name), contents)?;
    }
    std::fs::write(work.path().join("script"), workload.text())?;
    super::read(enter(root, work.path())?.args(["/bin/sh", "/work/script"]))
}

fn enter(root: &Path, work: &Path) -> anyhow::Result<Command> {
    let mut command = Command::new("unshare");
    if std::fs::metadata("/proc/self")?.uid() != 0 {
        command.arg("--map-root-user");
    }
    command.args(["--mount", "sh", "-c", ENTER, "sh"]).arg(root).arg(work);
    Ok(command)
}
