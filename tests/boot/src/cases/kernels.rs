//! Stock kernels boot, with and without KASLR, with little and much memory, without a complaint.
use anyhow::ensure;
use manager::images::Kernel;

use super::Case;
use crate::Verdict;
use crate::lab::{Lab, Setup};

/// What a kernel prints when something is wrong with its machine.
const COMPLAINTS: [&str; 14] = [
    "WARNING:",
    "BUG:",
    "Oops",
    "Call Trace",
    "general protection",
    "Firmware Bug",
    "unchecked MSR access",
    "soft lockup",
    "hard lockup",
    "rcu_sched",
    "rcu_preempt detected",
    "rcu: INFO",
    "unstable",
    "not responding",
];

/// The lines in which a kernel complains.
pub fn complaints(said: &str) -> Vec<&str> {
    said.lines().filter(|line| COMPLAINTS.iter().any(|complaint| line.contains(complaint))).collect()
}

const SCRIPT: &str = "echo release $(uname -r)
echo memory $(awk '/MemTotal/{print $2}' /proc/meminfo)
echo cpus $(grep -c ^processor /proc/cpuinfo)
for d in /sys/bus/pci/devices/*; do echo pci ${d##*/} $(cat $d/vendor $d/device $d/class); done
echo dmesg; dmesg; echo end";

/// Every kernel, each way.
pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for kernel in Kernel::ALL {
        for layout in ["kaslr", "nokaslr"] {
            for (memory, mib) in [("128M", 128), ("8G", 8192)] {
                let name = format!("kernels/{}-{layout}-{memory}", kernel.name());
                let run = move |lab: &Lab| boots(lab, kernel, layout, memory, mib);
                cases.push(Case { name, run: Box::new(run) });
            }
        }
    }
    cases
}

fn boots(lab: &Lab, kernel: Kernel, layout: &str, memory: &'static str, mib: u64) -> anyhow::Result<Verdict> {
    if let Some(total) = host_memory_mib().filter(|total| *total < mib) {
        return Ok(Verdict::Skipped(format!(
            "the host has {total} MiB of memory, the guest shall have {mib}"
        )));
    }
    let append = if layout == "nokaslr" { "nokaslr" } else { "" };
    let setup = Setup { kernel, memory, ..Setup::script("kernels", SCRIPT).append(append) };
    let said = lab.run_script(&setup)?;
    let field = |name: &str| {
        let line = said.lines().find_map(|line| line.strip_prefix(name));
        line.map(str::trim)
            .ok_or_else(|| anyhow::anyhow!("the guest did not print '{name}'; it said:\n{said}"))
    };
    let version = kernel.name().split('-').next().unwrap_or_default();
    let release = field("release ")?;
    ensure!(release.starts_with(&format!("{version}.")), "release {release}, not {version}");
    let memory_kib: u64 = field("memory ")?.parse()?;
    ensure!(
        (mib * 1024 * 6 / 10..=mib * 1024).contains(&memory_kib),
        "the guest sees {memory_kib} KiB of {mib} MiB"
    );
    ensure!(field("cpus ")? == "1", "the guest does not see one CPU");
    ensure!(said.contains("pci 0000:00:00.0 "), "no PCI host bridge; the guest said:\n{said}");
    let complaints = complaints(&said);
    ensure!(complaints.is_empty(), "the kernel complains:\n{}", complaints.join("\n"));
    Ok(Verdict::Passed)
}

fn host_memory_mib() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    Some(line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()? / 1024)
}
