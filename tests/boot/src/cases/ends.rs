//! How guests end, and that a reset is no end.
use std::process::Command;

use anyhow::ensure;
use manager::images::{INIT_MARKER, Kernel};

use super::Case;
use crate::lab::{Lab, Setup};

/// All of them.
pub fn cases() -> Vec<Case> {
    vec![
        Case::new("ends/power-off", |lab| ends(lab, &Setup::script("true", "true"), 0, "")),
        Case::new("ends/kernel-panic", |lab| {
            ends(lab, &Setup::shell().append("rdinit=/none init=/none"), 8, "kernel panicked")
        }),
        Case::new("ends/timeout", |lab| {
            ends(lab, &Setup::script("wait", "sleep 1000").options(&["--timeout", "5s"]), 6, "--timeout")
        }),
        Case::new("ends/debug-exit", |lab| {
            let script = "printf '\\020' | dd of=/dev/port bs=1 seek=244 conv=notrunc; sleep 1000";
            // The cloud kernels have no /dev/port.
            let setup = Setup { kernel: Kernel::Generic61, ..Setup::script("debug-exit", script) };
            ends(lab, &setup.options(&["--debug-exit", "0xf4"]), 33, "")
        }),
        Case::new("ends/signal", signal),
        Case::new("ends/reset", reset),
        Case::new("ends/panic-resets-if-asked", panic_resets),
        Case::new("ends/statistics", statistics),
    ]
}

fn ends(lab: &Lab, setup: &Setup, code: i32, message: &str) -> anyhow::Result<()> {
    let finished = lab.finish(setup)?;
    ensure!(
        finished.status.code() == Some(code),
        "{} instead of exit code {code}; it said: {}{}",
        finished.status,
        finished.output,
        finished.errors
    );
    ensure!(finished.errors.contains(message), "no '{message}' in: {}", finished.errors);
    Ok(())
}

fn signal(lab: &Lab) -> anyhow::Result<()> {
    let mut guest = lab.start(&Setup::script("wait", "sleep 1000"))?;
    guest.expect(INIT_MARKER)?;
    let status = Command::new("kill").arg(guest.id().to_string()).status()?;
    ensure!(status.success(), "cannot send a signal");
    let finished = guest.finish()?;
    ensure!(finished.status.code() == Some(143), "{}: {}", finished.status, finished.errors);
    Ok(())
}

fn reset(lab: &Lab) -> anyhow::Result<()> {
    for kind in ["", "reboot=kbd", "reboot=acpi", "reboot=pci", "reboot=triple"] {
        let mut guest = lab.start(&Setup::script("reset", "reboot -f").append(kind))?;
        guest.expect(INIT_MARKER)?;
        if kind == "reboot=triple" {
            // A triple fault resets a real PC; here it is reported, since nobody does it on purpose.
            let finished = guest.finish()?;
            ensure!(finished.status.code() == Some(8), "{}: {}", finished.status, finished.errors);
            continue;
        }
        guest.expect("Linux version")?;
        guest.expect(INIT_MARKER)?;
    }
    Ok(())
}

fn panic_resets(lab: &Lab) -> anyhow::Result<()> {
    let mut guest = lab.start(&Setup::shell().append("rdinit=/none init=/none panic=1"))?;
    guest.expect("Kernel panic - not syncing")?;
    guest.expect("Linux version")?;
    guest.expect("Kernel panic - not syncing")?;
    Ok(())
}

fn statistics(lab: &Lab) -> anyhow::Result<()> {
    let finished = lab.finish(&Setup::script("true", "true").options(&["--stats"]))?;
    ensure!(finished.errors.contains("cpu0\n"), "no counters in: {}", finished.errors);
    Ok(())
}
