//! Time in the guest runs at the host's rate, and an idle guest leaves the host alone.
use std::time::Instant;

use anyhow::{Context, ensure};

use super::Case;
use crate::lab::{Lab, Setup};

/// How far the guest's clock may be off, relatively; the console's own delay included.
const RATE_TOLERANCE: f64 = 0.005;
/// The share of one core that an idle guest may use.
const IDLE_SHARE: f64 = 0.05;
/// As long as is measured.
const SPAN_S: u32 = 30;

/// All of them.
pub fn cases() -> Vec<Case> {
    vec![Case::new("clock/rate-and-idle", rate_and_idle)]
}

fn rate_and_idle(lab: &Lab) -> anyhow::Result<()> {
    let now = "cut -d' ' -f1 /proc/uptime";
    let script = format!(
        "sleep 5; echo begin $({now}) $(date +%s) $(hwclock -u | wc -l); sleep {SPAN_S}; echo end $({now}) $(date +%s) x"
    );
    let mut guest = lab.start(&Setup::script("clock", &script))?;
    guest.expect("begin ")?;
    let (start, cpu) = (Instant::now(), cpu_seconds(guest.id())?);
    let first = numbers(&guest.expect("\r")?)?;
    guest.expect("end ")?;
    let (host, used) = (start.elapsed().as_secs_f64(), cpu_seconds(guest.id())? - cpu);
    let last = numbers(&guest.expect("\r")?)?;
    let in_guest = last.0 - first.0;
    let off = (in_guest - host) / host;
    ensure!(off.abs() < RATE_TOLERANCE, "{in_guest:.2} s in the guest were {host:.2} s on the host");
    let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_secs_f64();
    ensure!((last.1 - since_epoch).abs() < 3.0, "the guest's date is {:.0} s off", last.1 - since_epoch);
    ensure!(used / host < IDLE_SHARE, "the idle guest used {:.1} % of a core", 100.0 * used / host);
    Ok(())
}

/// Uptime and seconds since 1970.
fn numbers(text: &str) -> anyhow::Result<(f64, f64)> {
    let mut words = text.split_whitespace();
    let mut number = || words.next().context("a number is missing")?.parse::<f64>().context(text.to_owned());
    Ok((number()?, number()?))
}

/// User and system time of a process so far (proc_pid_stat(5), fields 14 and 15; 100 ticks a second on x86).
fn cpu_seconds(pid: u32) -> anyhow::Result<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let (_, fields) = stat.rsplit_once(')').context("odd stat")?;
    let fields: Vec<_> = fields.split_whitespace().collect();
    let ticks = |index: usize| fields.get(index).context("odd stat")?.parse::<f64>().context("odd stat");
    Ok((ticks(11)? + ticks(12)?) / 100.0)
}
