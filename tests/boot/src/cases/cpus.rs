//! Several CPUs: kernels start them all without a complaint, they compute what one computes, and code that one changes is
//! changed for all.
use anyhow::{Context, ensure};
use manager::images::Kernel;

use super::Case;
use super::kernels::complaints;
use crate::lab::{Lab, Setup};

const COUNTS: [u32; 3] = [2, 4, 16];

const BOOT: &str = "echo cpus $(grep -c ^processor /proc/cpuinfo)
echo online $(cat /sys/devices/system/cpu/online)
echo clock $(cat /sys/devices/system/clocksource/clocksource0/current_clocksource)
echo dmesg; dmesg; echo end";

/// Each line of work prints one checksum; all CPUs do all of them at the same time.
const WORK: &str = "work() {
    cat $B | sha256sum
    cat $B | gzip -9 -c | gunzip -c | md5sum
    cat $B | bzip2 -c | bunzip2 -c | md5sum
    seq 1 20000 | sort -r -n | uniq | tr 0-9 a-j | md5sum
    awk 'BEGIN{s=0;for(i=0;i<100000;i++){s=(s*31+i)%1000003}print s}'
    i=0; while [ $i -lt 100 ]; do $B true || echo failed; i=$((i + 1)); done
}
B=/bin/busybox
work > /tmp/0
for n in $(seq $(grep -c ^processor /proc/cpuinfo)); do work > /tmp/$n & done; wait
echo same $(md5sum /tmp/[0-9]* | cut -d' ' -f1 | sort -u | wc -l)
echo lines $(cat /tmp/[0-9]* | wc -l)
echo dmesg; dmesg; echo end";

/// A static key is switched, every function of the kernel is patched for its tracer, and CPU 1 is stopped and started,
/// while other CPUs run the kernel.
const PATCHES: &str = "(while :; do cat /bin/busybox | md5sum > /dev/null; done) &
(while :; do /bin/busybox true; done) &
for i in 1 2 3 4 5; do for on in 1 0; do echo $on > /proc/sys/kernel/sched_schedstats; done; done
mount -t tracefs tracefs /sys/kernel/tracing
for i in 1 2; do for tracer in function nop; do echo $tracer > /sys/kernel/tracing/current_tracer; done; done
for i in 1 2; do for on in 0 1; do echo $on > /sys/devices/system/cpu/cpu1/online; done; done
echo tracer $(cat /sys/kernel/tracing/current_tracer)
echo online $(cat /sys/devices/system/cpu/online)
echo dmesg; dmesg; echo end";

/// All of them, by number of CPUs.
pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for count in COUNTS {
        cases.push(Case::new(format!("cpus/{count}-boot"), move |lab| boot(lab, Kernel::Cloud61, count)));
    }
    for kernel in [Kernel::Generic61, Kernel::Cloud612] {
        cases.push(Case::new(format!("cpus/2-boot-{}", kernel.name()), move |lab| boot(lab, kernel, 2)));
    }
    for count in [2, 4] {
        cases.push(Case::new(format!("cpus/{count}-work"), move |lab| work(lab, count)));
        cases.push(Case::new(format!("cpus/{count}-patches"), move |lab| patches(lab, count)));
    }
    cases
}

/// What the script says on that many CPUs, if the kernel does not complain.
fn run(lab: &Lab, kernel: Kernel, count: u32, name: &str, script: &str) -> anyhow::Result<String> {
    let setup = Setup { kernel, ..Setup::script(name, script).options(&["--cpus", &count.to_string()]) };
    let said = lab.run_script(&setup)?;
    let complaints = complaints(&said);
    ensure!(complaints.is_empty(), "the kernel complains:\n{}", complaints.join("\n"));
    Ok(said)
}

fn field<'a>(said: &'a str, name: &str) -> anyhow::Result<&'a str> {
    let line = said.lines().find_map(|line| line.strip_prefix(name));
    line.map(str::trim).with_context(|| format!("the guest did not print '{name}'; it said:\n{said}"))
}

fn boot(lab: &Lab, kernel: Kernel, count: u32) -> anyhow::Result<()> {
    let said = run(lab, kernel, count, "cpus-boot", BOOT)?;
    ensure!(field(&said, "cpus ")? == count.to_string(), "not {count} CPUs in:\n{said}");
    ensure!(field(&said, "online ")? == format!("0-{}", count - 1), "not all are online in:\n{said}");
    ensure!(field(&said, "clock ")? == "tsc", "the TSC was not trusted:\n{said}");
    Ok(())
}

fn work(lab: &Lab, count: u32) -> anyhow::Result<()> {
    let said = run(lab, Kernel::Cloud61, count, "cpus-work", WORK)?;
    ensure!(field(&said, "same ")? == "1", "CPUs computed different things:\n{said}");
    let lines = 5 * (count + 1);
    ensure!(field(&said, "lines ")? == lines.to_string(), "not {lines} results:\n{said}");
    Ok(())
}

fn patches(lab: &Lab, count: u32) -> anyhow::Result<()> {
    let said = run(lab, Kernel::Cloud61, count, "cpus-patches", PATCHES)?;
    ensure!(field(&said, "tracer ")? == "nop", "the tracer was not switched:\n{said}");
    ensure!(field(&said, "online ")? == format!("0-{}", count - 1), "CPU 1 did not come back:\n{said}");
    Ok(())
}
