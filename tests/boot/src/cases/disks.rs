//! A Debian with systemd on a disk, and disks of every kind and format beside it.
mod full;

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use manager::images::Recipe;

use super::Case;
use crate::Verdict;
use crate::lab::Lab;
use boot_tests::console::Guest;

/// One test: the whole list.
pub fn cases() -> Vec<Case> {
    let passes = |test: fn(&Lab) -> anyhow::Result<()>| move |lab: &Lab| test(lab).map(|()| Verdict::Passed);
    let mut cases = vec![
        case("a-command-runs-in-a-debian", passes(command)),
        case("what-is-written-is-thrown-away-or-kept", passes(kept)),
        case("file-systems-are-made-and-mounted", passes(file_systems)),
        case("images-of-all-formats", formats),
        case("what-was-flushed-survives-kill", passes(killed)),
        case("an-iso-is-a-cdrom", passes(cdrom)),
        case("a-full-host-disk-pauses-the-guest", |lab| full::pauses(lab, "sata")),
    ];
    cases.extend(["sata", "scsi", "virtio"].map(|bus| {
        case(&format!("they-come-and-go-on-{bus}"), move |lab: &Lab| {
            come_and_go(lab, bus).map(|()| Verdict::Passed)
        })
    }));
    cases
}

/// A test that needs the Debian guest, which takes minutes to make: whoever calls has made it.
fn case(name: &str, test: impl Fn(&Lab) -> anyhow::Result<Verdict> + 'static) -> Case {
    let run = move |lab: &Lab| match Recipe::of("debian-12").map(|recipe| lab.images().disk_guest(recipe)) {
        Some(Some(_)) => test(lab),
        _ => Ok(Verdict::Skipped(
            "there is no Debian guest; 'gasang image build debian-12' makes it".to_owned(),
        )),
    };
    Case { name: format!("disks/{name}"), run: Box::new(run) }
}

/// How long a guest may take that runs a command; what is chosen to take longer, takes long.
const TIMEOUT: &str = "60m";

/// A gasang with its own sockets and the tests' guests.
fn gasang(lab: &Lab, place: &Path) -> Command {
    let mut command = lab.gasang();
    command.env("XDG_RUNTIME_DIR", place).env("GASANG_GUESTS", lab.guests_directory());
    command
}

/// Runs a command in a new Debian, with options of `gasang run`.
fn in_debian(lab: &Lab, place: &Path, options: &[&str], script: &str) -> anyhow::Result<Output> {
    let mut command = gasang(lab, place);
    command.args(["run", "debian-12"]).args(options).args(["--timeout", TIMEOUT, "--", "sh", "-ec", script]);
    command.stdin(Stdio::null()).output().context("cannot start gasang")
}

/// The same for a script that has to succeed; returns what it said.
fn said_in_debian(lab: &Lab, place: &Path, options: &[&str], script: &str) -> anyhow::Result<String> {
    let output = in_debian(lab, place, options, script)?;
    let (said, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    ensure!(output.status.code() == Some(0), "it ended with {}: {said}\n{errors}", output.status);
    Ok(said.into_owned())
}

fn create(lab: &Lab, place: &Path, name: &str, size: &str) -> anyhow::Result<String> {
    let path = place.join(name).to_str().context("a strange path")?.to_owned();
    let output = gasang(lab, place).args(["disk", "create", &path, size]).output()?;
    ensure!(output.status.success(), "disk create: {}", String::from_utf8_lossy(&output.stderr));
    Ok(path)
}

fn command(lab: &Lab) -> anyhow::Result<()> {
    let place = tempfile::tempdir()?;
    let mut command = gasang(lab, place.path());
    command.args(["run", "debian-12", "--timeout", "5m", "--", "sh", "-c"]);
    command.arg("tr a-z A-Z; echo to stderr >&2; systemctl is-active dbus; uname -s; exit 7");
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let text: String = (0..20_000).map(|number| format!("line {number}\n")).collect();
    let mut input = child.stdin.take().context("no stdin")?;
    let typed = text.clone();
    let typing = std::thread::spawn(move || input.write_all(typed.as_bytes()));
    let output = child.wait_with_output()?;
    typing.join().map_err(|_| anyhow::anyhow!("typing failed"))??;
    let said = String::from_utf8(output.stdout)?;
    ensure!(output.status.code() == Some(7), "it ended with {}", output.status);
    ensure!(said == text.to_uppercase() + "active\nLinux\n", "it said something else: {} bytes", said.len());
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(errors.contains("to stderr"), "nothing came on stderr: {errors}");
    let missing = in_debian(lab, place.path(), &[], "exec /no/such/program")?;
    ensure!(missing.status.code() == Some(127), "a missing program ended with {}", missing.status);
    Ok(())
}

fn kept(lab: &Lab) -> anyhow::Result<()> {
    let place = tempfile::tempdir()?;
    let name = format!("test-{}", std::process::id());
    let keep = ["--persist", "--name", &name];
    let look = "cat /root/thrown /root/kept 2>/dev/null || true";
    said_in_debian(lab, place.path(), &[], "echo thrown > /root/thrown; sync")?;
    said_in_debian(lab, place.path(), &keep, "echo kept > /root/kept")?;
    let without = said_in_debian(lab, place.path(), &[], look)?;
    let with = said_in_debian(lab, place.path(), &keep, look);
    lab.remove_kept(&name)?;
    ensure!(without.is_empty(), "a thrown-away disk has {without:?}");
    let with = with?;
    ensure!(with == "kept\n", "a kept disk has {with:?}");
    Ok(())
}

/// What the study notes do with a second disk, with each file system.
fn file_systems(lab: &Lab) -> anyhow::Result<()> {
    let place = tempfile::tempdir()?;
    let disk = create(lab, place.path(), "data.qcow2", "1G")?;
    let script = r#"
        # Linux may find the disks in either order.
        disk=/dev/$(lsblk --nodeps --noheadings --raw -o NAME,SERIAL | awk '$2 == "DATA" { print $1 }')
        mkdir -p /data; echo hidden > /data/before
        one() {
            echo "== $1"
            $2 $disk >/dev/null 2>&1
            mount $disk /data
            test ! -e /data/before && echo the directory is hidden
            dd if=/dev/urandom of=/data/file bs=1M count=40 2>/dev/null
            before=$(md5sum < /data/file)
            umount /data
            cat /data/before
            mount $disk /data
            test "$(md5sum < /data/file)" = "$before" && echo the data is there
            umount /data
            $3 $disk >/dev/null 2>&1 && echo it is clean
        }
        one ext4 "mkfs -t ext4 -q -F" "fsck.ext4 -f -n"
        one xfs "mkfs -t xfs -f -q" "xfs_repair -n"
        one ntfs "mkfs -t ntfs -f -F -q" "ntfsfix -n"
    "#;
    let said = said_in_debian(lab, place.path(), &["--disk", &format!("{disk},serial=DATA")], script)?;
    let each =
        |name: &str| format!("== {name}\nthe directory is hidden\nhidden\nthe data is there\nit is clean\n");
    ensure!(said == ["ext4", "xfs", "ntfs"].map(each).concat(), "it said: {said}");
    Ok(())
}

/// Everything that `lsblk` says of disks, but for CD-ROM drives.
const LSBLK: &str = "lsblk --nodeps --noheadings --raw --exclude 11 -o NAME,SIZE,SERIAL";

fn come_and_go(lab: &Lab, bus: &str) -> anyhow::Result<()> {
    let place = tempfile::tempdir()?;
    let place = place.path();
    let (second, third) = (create(lab, place, "b.qcow2", "64M")?, create(lab, place, "c.vdi", "96M")?);
    let mut guest = Guest::start(
        gasang(lab, place)
            .args(["run", "debian-12", "--name", "lab", "--image-bus", bus, "--timeout", "5m"])
            .args(["--disk", &format!("{second},bus={bus},name=b,serial=BBB")]),
    )?;
    guest.expect("login: ")?;
    guest.type_line("root")?;
    guest.expect("root@gasang")?;
    guest.type_line("PS1=; stty -echo; echo 'rea''dy'")?;
    guest.expect("ready")?;
    let names = if bus == "virtio" { ["vda", "vdb", "vdc"] } else { ["sda", "sdb", "sdc"] };
    let mut expected = format!("{} 8G GASANG0000\n{} 64M BBB\n", names[0], names[1]);
    ensure!(ask(&mut guest, LSBLK)? == expected, "at first: {}", ask(&mut guest, LSBLK)?);
    disk(lab, place, &["attach", "lab", &format!("{third},bus={bus},name=c,serial=CCC")], 0)?;
    expected += &format!("{} 96M CCC\n", names[2]);
    wait_for(&mut guest, &expected)?;
    disk(lab, place, &["attach", "lab", &third], 16)?;
    let listed = disk(lab, place, &["attached", "lab"], 0)?;
    ensure!(listed.lines().count() == 4, "attached: {listed}");
    ask(&mut guest, &format!("echo data > /dev/{}; sync", names[2]))?;
    let device = ask(&mut guest, &format!("readlink -f /sys/block/{}/device", names[2]))?;
    disk(lab, place, &["detach", "lab", "c"], 0)?;
    disk(lab, place, &["detach", "lab", "c"], 4)?;
    expected.truncate(expected.len() - format!("{} 96M CCC\n", names[2]).len());
    wait_for(&mut guest, &expected)?;
    // The name is free when the kernel has let go of the device and udev of its file, after lsblk has
    // forgotten it.
    ask(&mut guest, &format!("while test -e {}; do sleep 0.1; done; udevadm settle", device.trim()))?;
    disk(lab, place, &["attach", "lab", &format!("{third},bus={bus},name=d,ro,serial=DDD")], 0)?;
    expected += &format!("{} 96M DDD\n", names[2]);
    wait_for(&mut guest, &expected)?;
    let write =
        format!("dd if=/dev/zero of=/dev/{} count=1 conv=fsync 2>/dev/null || echo refused", names[2]);
    let read =
        ask(&mut guest, &format!("head -c 4 /dev/{0}; echo; {write}; head -c 4 /dev/{0}; echo", names[2]))?;
    ensure!(read == "data\nrefused\ndata\n", "the disk that came back read-only: {read}");
    guest.type_line("poweroff")?;
    let finished = guest.finish()?;
    ensure!(finished.status.code() == Some(0), "it ended with {}: {}", finished.status, finished.errors);
    Ok(())
}

/// What a command says, on a shell that echoes nothing.
fn ask(guest: &mut Guest, command: &str) -> anyhow::Result<String> {
    guest.type_line(&format!("echo 'be''gin'; {command}; echo 'e''nd'"))?;
    guest.expect("begin\r\n")?;
    let said = guest.expect("end\r\n")?;
    // The kernel's messages go to the same console.
    let lines = said.lines().map(str::trim_end).filter(|line| !line.starts_with('['));
    Ok(lines.map(|line| format!("{line}\n")).collect())
}

/// Waits until `lsblk` says what is expected.
fn wait_for(guest: &mut Guest, expected: &str) -> anyhow::Result<()> {
    let start = Instant::now();
    loop {
        let said = ask(guest, LSBLK)?;
        if said == expected {
            return Ok(());
        }
        ensure!(start.elapsed() < Duration::from_secs(60), "lsblk says:\n{said}rather than:\n{expected}");
        ask(guest, "sleep 0.2")?;
    }
}

fn disk(lab: &Lab, place: &Path, arguments: &[&str], code: i32) -> anyhow::Result<String> {
    let output = gasang(lab, place).arg("disk").args(arguments).output()?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.code() == Some(code), "disk {arguments:?} ended with {}: {errors}", output.status);
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// A guest writes to images of all formats, and another program finds them sound and equal. `GASANG_FIO=2g` lets it write
/// as much to each, and makes them as long.
fn formats(lab: &Lab) -> anyhow::Result<Verdict> {
    const FORMATS: [(&str, &str, &str); 5] = [
        ("raw", "raw", "sata"),
        ("qcow2", "qcow2", "scsi"),
        ("vdi", "vdi", "virtio"),
        ("vmdk", "vmdk", "sata"),
        ("vhd", "vpc", "virtio"),
    ];
    let place = tempfile::tempdir()?;
    let mut options = Vec::new();
    let (amount, size) = match std::env::var("GASANG_FIO") {
        Ok(amount) => (amount.clone(), amount),
        Err(_) => ("48m".to_owned(), "256m".to_owned()),
    };
    for (extension, _, bus) in FORMATS {
        let path = create(lab, place.path(), &format!("disk.{extension}"), &size)?;
        options.extend(["--disk".to_owned(), format!("{path},bus={bus},serial={extension}")]);
    }
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    let script = r#"
        for serial in raw qcow2 vdi vmdk vhd; do
            name=$(lsblk --nodeps --noheadings --raw -o NAME,SERIAL | awk -v s=$serial '$2 == s { print $1 }')
            fio --name=$serial --filename=/dev/$name --rw=randwrite --bsrange=4k-64k --io_size=$FIO_AMOUNT \
                --ioengine=libaio --iodepth=16 --direct=1 --verify=crc32c --do_verify=1 --randseed=7 >/tmp/log 2>&1 \
                || { cat /tmp/log >&2; exit 1; }
            blkdiscard -o 64M -l 16M /dev/$name 2>/dev/null || true
            echo $serial $(md5sum < /dev/$name)
        done
        sync
    "#;
    let script = format!("FIO_AMOUNT={amount}\n{script}");
    let said = said_in_debian(lab, place.path(), &options, &script)?;
    if Command::new("qemu-img").arg("--version").output().is_err() {
        return Ok(Verdict::Skipped(
            "qemu-img is not installed, so nobody else can judge the images".to_owned(),
        ));
    }
    let sums: Vec<(&str, &str)> = said
        .lines()
        .filter_map(|line| line.split_once(' '))
        .map(|(name, sum)| (name, sum.trim_end_matches([' ', '-'])))
        .collect();
    ensure!(sums.len() == FORMATS.len(), "the guest said: {said}");
    for ((extension, theirs, _), (name, sum)) in FORMATS.into_iter().zip(sums) {
        ensure!(extension == name, "the guest said: {said}");
        let path = place.path().join(format!("disk.{extension}"));
        if matches!(extension, "qcow2" | "vdi" | "vmdk") {
            let check = Command::new("qemu-img").args(["check", "-f", theirs]).arg(&path).output()?;
            ensure!(check.status.success(), "{extension}: {}", String::from_utf8_lossy(&check.stdout));
        }
        let raw = place.path().join("copy");
        let convert = Command::new("qemu-img")
            .args(["convert", "-f", theirs, "-O", "raw"])
            .args([&path, &raw])
            .output()?;
        ensure!(convert.status.success(), "{extension}: {}", String::from_utf8_lossy(&convert.stderr));
        let copy = Command::new("md5sum").stdin(std::fs::File::open(&raw)?).output()?;
        let copy = String::from_utf8_lossy(&copy.stdout).trim_end_matches([' ', '-', '\n']).to_owned();
        ensure!(copy == sum, "{extension}: the guest saw {sum}, qemu-img {copy}");
    }
    Ok(Verdict::Passed)
}

/// Rounds of the next test; `GASANG_KILLS` chooses more.
const KILLS: u32 = 4;

/// A guest writes records and flushes each before it says so; the process is killed at any moment.
fn killed(lab: &Lab) -> anyhow::Result<()> {
    let kills = std::env::var("GASANG_KILLS").ok().and_then(|count| count.parse().ok()).unwrap_or(KILLS);
    for round in 0..kills {
        let place = tempfile::tempdir()?;
        let disk = create(lab, place.path(), "data.qcow2", "1G")?;
        // Linux may find the disks in either order. udev would look at the disk anew after each record.
        let script = "udevadm control --stop-exec-queue; disk=/dev/$(lsblk --nodeps --noheadings --raw -o NAME,SERIAL | awk '$2 == \"DATA\" { print $1 }'); \
                      test -b $disk || exit 1; echo the disk is $disk; \
                      i=0; while :; do i=$((i+1)); \
                      printf 'record %08d\\n' $i | dd of=$disk bs=512 seek=$((i * 137 % 2000000)) conv=sync,fsync \
                      2>/dev/null || exit 1; echo $i; done";
        let mut guest = Guest::start(gasang(lab, place.path()).args([
            "run",
            "debian-12",
            "--disk",
            &format!("{disk},serial=DATA"),
            "--timeout",
            "5m",
            "--",
            "sh",
            "-c",
            script,
        ]))?;
        let until = 20 + round * 37 % 150;
        guest.expect(&format!("\n{until}\n"))?;
        let more = Duration::from_millis(u64::from(round * 61 % 200));
        std::thread::sleep(more);
        let said = guest.kill()?;
        let last: u64 =
            said.lines().filter_map(|line| line.parse().ok()).max().context("nothing was said")?;
        let check = gasang(lab, place.path()).args(["disk", "check", &disk]).output()?;
        ensure!(check.status.success(), "{}", String::from_utf8_lossy(&check.stdout));
        let raw = place.path().join("data.raw");
        let convert = gasang(lab, place.path()).args(["disk", "convert", &disk]).arg(&raw).output()?;
        ensure!(convert.status.success(), "{}", String::from_utf8_lossy(&convert.stderr));
        let bytes = std::fs::read(&raw)?;
        for record in 1..=last {
            let at = (record * 137 % 2_000_000 * 512) as usize;
            let expected = format!("record {record:08}\n");
            ensure!(
                bytes[at..].starts_with(expected.as_bytes()),
                "round {round}: record {record} of {last} was flushed and is lost; the guest said: {said}"
            );
        }
    }
    Ok(())
}

fn cdrom(lab: &Lab) -> anyhow::Result<()> {
    let place = tempfile::tempdir()?;
    // No file system, but the right size and contents.
    let path = place.path().join("medium.iso");
    let bytes: Vec<u8> = (0..400_u32 * 2048 / 4).flat_map(u32::to_le_bytes).collect();
    std::fs::write(&path, &bytes)?;
    let path = path.to_str().context("a strange path")?;
    for bus in ["sata", "scsi"] {
        let script = "lsblk --noheadings --raw -o NAME,TYPE,RO /dev/sr0; blockdev --getsize64 /dev/sr0; \
                      md5sum < /dev/sr0; echo x > /dev/sr0 2>/dev/null || echo read-only";
        let said =
            said_in_debian(lab, place.path(), &["--disk", &format!("{path},bus={bus},cdrom")], script)?;
        let mut sum = Command::new("md5sum").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        sum.stdin.take().context("no stdin")?.write_all(&bytes)?;
        let sum = String::from_utf8(sum.wait_with_output()?.stdout)?;
        let expected = format!("sr0 rom 1\n819200\n{sum}read-only\n");
        if said != expected {
            bail!("on {bus} it said:\n{said}rather than:\n{expected}");
        }
    }
    Ok(())
}
