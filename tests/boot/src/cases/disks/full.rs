//! A host whose file system is full, and a guest that notices nothing of it.
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};

use super::{create, gasang};
use crate::Verdict;
use crate::lab::Lab;
use boot_tests::console::Guest;

/// What the guest writes; random bytes, so that nothing can be left out.
const WRITTEN_MIB: u64 = 64;
/// The file system has room for this.
const ROOM_MIB: u64 = 96;
/// What the test puts there, and takes away later.
const BALLAST_MIB: u64 = 64;
/// How long the guest stands still; `GASANG_FULL_SECONDS` chooses more.
const PAUSE_SECONDS: u64 = 5;

/// A small file system in memory. Dropping it unmounts it.
struct SmallRoom(PathBuf);

impl SmallRoom {
    /// The host's word against it, if there is one.
    fn mount(at: &Path) -> anyhow::Result<Result<Self, String>> {
        std::fs::create_dir(at)?;
        let size = format!("size={ROOM_MIB}m");
        let output = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(at).output();
        Ok(match output {
            Ok(output) if output.status.success() => Ok(Self(at.to_owned())),
            Ok(output) => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
            Err(error) => Err(error.to_string()),
        })
    }
}

impl Drop for SmallRoom {
    fn drop(&mut self) {
        // Lazily, as a gasang that a failed test leaves behind may still be about to end.
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

/// The image outgrows its file system; the guest pauses, goes on, and has lost neither data nor time.
pub fn pauses(lab: &Lab, bus: &str) -> anyhow::Result<Verdict> {
    let seconds = std::env::var("GASANG_FULL_SECONDS").ok().and_then(|text| text.parse().ok());
    let pause = Duration::from_secs(seconds.unwrap_or(PAUSE_SECONDS));
    let place = tempfile::tempdir()?;
    let room = match SmallRoom::mount(&place.path().join("small"))? {
        Ok(room) => room,
        Err(why) => return Ok(Verdict::Skipped(format!("no file system of its own: {why}"))),
    };
    let ballast = room.0.join("ballast");
    std::fs::write(&ballast, vec![1; (BALLAST_MIB << 20) as usize])?;
    let disk = create(lab, &room.0, "data.qcow2", "1G")?;
    // With two CPUs Linux may find the disks in either order.
    let script = format!(
        "disk=/dev/$(lsblk --nodeps --noheadings --raw -o NAME,SERIAL | awk '$2 == \"FULL\" {{ print $1 }}')
         test -b $disk || exit 1
         dd if=/dev/urandom of=/root/data bs=1M count={WRITTEN_MIB} 2>/dev/null; sync; dmesg -C
         now() {{ cut -d' ' -f1 /proc/uptime; }}
         before=$(now); echo writing
         dd if=/root/data of=$disk bs=1M oflag=direct conv=fsync 2>/dev/null && echo written
         echo uptime $before $(now)
         md5sum < /root/data; head -c {WRITTEN_MIB}M $disk | md5sum; dmesg"
    );
    let option = format!("{disk},bus={bus},serial=FULL");
    let command = ["run", "debian-12", "--disk", &option, "--cpus", "2", "--", "sh", "-c", &script];
    let mut guest = Guest::start(gasang(lab, &room.0).args(command))?;
    guest.expect("writing\n")?;
    let start = Instant::now();
    guest.expect_error("no room is left on the host")?;
    std::thread::sleep(pause);
    std::fs::remove_file(&ballast)?;
    guest.expect_error("there is room again")?;
    guest.expect("written\n")?;
    let took = start.elapsed();
    let said = guest.finish()?;
    ensure!(said.status.code() == Some(0), "it ended with {}: {}", said.status, said.errors);
    check_words(&said.output, pause, took)?;
    check_image(lab, &room.0, &disk, &said.output)?;
    Ok(Verdict::Passed)
}

/// What the guest itself says: nothing about its disk, and that less time has passed than on the host.
fn check_words(said: &str, pause: Duration, took: Duration) -> anyhow::Result<()> {
    let times = said.lines().find_map(|line| line.strip_prefix("uptime ")).context("no times")?;
    let (before, after) = times.split_once(' ').context("no two times")?;
    let passed = Duration::try_from_secs_f64(after.parse::<f64>()? - before.parse::<f64>()?)?;
    let most = took.saturating_sub(pause) + Duration::from_secs(1);
    ensure!(passed <= most, "a pause of {pause:?} in {took:?} was {passed:?} to the guest");
    let sums: Vec<_> = said.lines().filter(|line| line.ends_with("  -")).collect();
    ensure!(sums.len() == 2 && sums[0] == sums[1], "the guest reads something else: {said}");
    let messages: Vec<_> = said.lines().filter(|line| line.starts_with('[')).collect();
    ensure!(messages.is_empty(), "the guest's kernel has noticed: {messages:?}");
    Ok(())
}

/// The image is sound, and has what the guest wrote.
fn check_image(lab: &Lab, place: &Path, disk: &str, said: &str) -> anyhow::Result<()> {
    let check = gasang(lab, place).args(["disk", "check", disk]).output()?;
    ensure!(check.status.success(), "{}", String::from_utf8_lossy(&check.stdout));
    let elsewhere = tempfile::tempdir()?;
    let raw = elsewhere.path().join("data.raw");
    let convert = gasang(lab, place).args(["disk", "convert", disk]).arg(&raw).output()?;
    ensure!(convert.status.success(), "{}", String::from_utf8_lossy(&convert.stderr));
    std::fs::File::options().write(true).open(&raw)?.set_len(WRITTEN_MIB << 20)?;
    let sum = Command::new("md5sum").stdin(std::fs::File::open(&raw)?).output()?;
    let sum = String::from_utf8_lossy(&sum.stdout);
    ensure!(said.contains(sum.trim_end()), "the image has {sum}, and the guest said: {said}");
    Ok(())
}
