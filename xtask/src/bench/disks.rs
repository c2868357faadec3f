//! A Debian from its disk to the login prompt, and fio on a second disk, on each kind of bus; in turns with QEMU TCG.
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use boot_tests::console::Guest;
use manager::images::{DISK_COMMAND_LINE, DiskGuest, Qemu, Recipe};
use serde::Serialize;

use super::{Bench, emulator, median};
use crate::{guests, project};

const BUSES: [&str; 3] = ["sata", "scsi", "virtio"];
const MEMORY: &str = "1G";
/// Bytes of the disk that fio reads and writes.
const DATA_BYTES: u64 = 1 << 30;

/// A row of fio: its name, what is done, block size, depth.
const ROWS: [(&str, &str, &str, u32); 5] = [
    ("write 128k, depth 8", "write", "128k", 8),
    ("read 128k, depth 8", "read", "128k", 8),
    ("write 4k, depth 16", "randwrite", "4k", 16),
    ("read 4k, depth 16", "randread", "4k", 16),
    ("read 4k, depth 1", "randread", "4k", 1),
];
/// Seconds of each row.
const SECONDS: u32 = 4;
/// How long an answer of a guest may take.
const PATIENCE: Duration = Duration::from_secs(300);

/// One boot.
#[derive(Clone, Debug, Serialize)]
struct Run {
    bus: &'static str,
    contender: &'static str,
    /// Wall seconds from the start to the login prompt.
    login_s: f64,
    /// KiB a second of each row.
    kib_per_s: BTreeMap<&'static str, f64>,
}

/// All of them.
#[derive(Serialize)]
pub struct Disks {
    runs: Vec<Run>,
}

/// What the contenders share.
struct Files {
    guest: DiskGuest,
    data: PathBuf,
    gasang: PathBuf,
    qemu: Option<Qemu>,
}

impl Disks {
    /// Measures in turns.
    pub fn measure(bench: &Bench) -> anyhow::Result<Self> {
        let place = tempfile::tempdir_in(project::target()).context("no room for a disk")?;
        let data = place.path().join("data.raw");
        std::fs::File::create(&data)?.set_len(DATA_BYTES)?;
        let (guest, qemu) = guests::with_images(|images| -> anyhow::Result<_> {
            let recipe = Recipe::of("debian-12").context("no recipe")?;
            let guest = images.disk_guest(recipe);
            let guest = guest.context("there is no Debian guest; 'gasang image build debian-12' makes it")?;
            Ok((guest, if bench.no_tcg { None } else { Some(images.qemu()?) }))
        })?;
        let files = Files { guest, data, gasang: project::build_gasang()?, qemu };
        let mut runs = Vec::new();
        for round in 1..=bench.runs {
            eprintln!("round {round} of {}", bench.runs);
            for bus in BUSES {
                if let Some(qemu) = &files.qemu {
                    runs.push(run(bus, "tcg", &mut tcg(&files, qemu, bus)).context("under QEMU TCG")?);
                }
                runs.push(run(bus, "gasang", &mut gasang(&files, bus)).context("under gasang")?);
            }
        }
        Ok(Self { runs })
    }

    /// For people, in Markdown: medians, in MiB or thousands of operations a second.
    pub fn table(&self) -> String {
        let mut text = "| bus | | QEMU TCG | gasang | ratio |\n|---|---|---|---|---|\n".to_owned();
        for bus in BUSES {
            let values = |contender: &str, of: &dyn Fn(&Run) -> Option<f64>| {
                let ours = self.runs.iter().filter(|run| run.bus == bus && run.contender == contender);
                median(ours.filter_map(of).collect())
            };
            let mut line = |what: &str,
                            unit: &str,
                            faster_is_less: bool,
                            of: &dyn Fn(&Run) -> Option<f64>| {
                let (tcg, ours) = (values("tcg", of), values("gasang", of));
                let ratio = tcg.zip(ours).map(|(tcg, us)| if faster_is_less { tcg / us } else { us / tcg });
                let cell = |value: Option<f64>| value.map_or("–".to_owned(), |value| format!("{value:.1}"));
                // Writing to a string cannot fail.
                let _ = writeln!(
                    text,
                    "| {bus} | {what}, {unit} | {} | {} | {} |",
                    cell(tcg),
                    cell(ours),
                    cell(ratio)
                );
            };
            line("to the login prompt", "s", true, &|run| Some(run.login_s));
            for (name, _, size, _) in ROWS {
                let (unit, kib) = if size == "4k" { ("thousand/s", 4000.0) } else { ("MiB/s", 1024.0) };
                line(name, unit, false, &|run| run.kib_per_s.get(name).map(|speed| speed / kib));
            }
        }
        text
    }
}

fn gasang(files: &Files, bus: &str) -> Command {
    let mut command = Command::new(&files.gasang);
    command.env("GASANG_GUESTS", guests::directory()).args(["run", "debian-12", "--memory", MEMORY]);
    command.args(["--translations", "none", "--image-bus", bus]);
    command.arg("--disk").arg(format!("{},bus={bus}", files.data.display()));
    command
}

fn tcg(files: &Files, qemu: &Qemu, bus: &str) -> Command {
    let mut command = emulator(qemu);
    command.args(["-m", MEMORY, "-append", DISK_COMMAND_LINE]);
    command.arg("-kernel").arg(&files.guest.kernel).arg("-initrd").arg(&files.guest.initrd);
    if bus == "scsi" {
        command.args(["-device", "virtio-scsi-pci,id=scsi"]);
    }
    let drive = |path: &Path, more: &str| format!("if=none,file={},{more}", path.display());
    command.arg("-drive").arg(drive(&files.guest.disk, "id=d0,format=qcow2,snapshot=on"));
    command.arg("-drive").arg(drive(&files.data, "id=d1,format=raw"));
    for number in 0..2 {
        command.arg("-device").arg(match bus {
            "sata" => format!("ide-hd,drive=d{number},bus=ide.{number}"),
            "scsi" => format!("scsi-hd,drive=d{number},bus=scsi.0"),
            _ => format!("virtio-blk-pci,drive=d{number}"),
        });
    }
    command
}

fn run(bus: &'static str, contender: &'static str, command: &mut Command) -> anyhow::Result<Run> {
    eprintln!("  {contender} with {bus} …");
    let start = Instant::now();
    let mut console = Guest::start(command)?.with_patience(PATIENCE);
    console.expect("login: ")?;
    let login_s = start.elapsed().as_secs_f64();
    console.become_root()?;
    // Linux finds disks in any order.
    let known = console.ask(&format!("lsblk -bdnpo NAME,SIZE | awk '$2 == {DATA_BYTES} {{ print $1 }}'"))?;
    let device = known.trim();
    ensure!(device.starts_with("/dev/"), "there is no disk of {DATA_BYTES} bytes, but {known:?}");
    let mut kib_per_s = BTreeMap::new();
    for (name, kind, size, depth) in ROWS {
        let said = console.ask(&format!(
            "fio --name=row --filename={device} --rw={kind} --bs={size} --iodepth={depth} --direct=1 \
             --ioengine=libaio --time_based --runtime={SECONDS} --randseed=7 --output-format=terse --terse-version=3"
        ))?;
        let speed = speed(&said).with_context(|| format!("{name}: fio said {said}"))?;
        eprintln!("    {name}: {speed} KiB/s");
        kib_per_s.insert(name, speed);
    }
    Ok(Run { bus, contender, login_s, kib_per_s })
}

/// KiB a second, of reading and writing together, from fio's terse output (fio(1), "TERSE OUTPUT", version 3).
fn speed(said: &str) -> Option<f64> {
    const ERROR: usize = 4;
    const READ_SPEED: usize = 6;
    const WRITE_SPEED: usize = 47;
    let fields: Vec<&str> = said.lines().find(|line| line.starts_with("3;"))?.split(';').collect();
    let number = |at: usize| fields.get(at)?.parse::<f64>().ok();
    (number(ERROR)? == 0.0).then_some(number(READ_SPEED)? + number(WRITE_SPEED)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fio_is_read() {
        let mut fields = vec!["0"; 130];
        (fields[0], fields[1], fields[2], fields[6]) = ("3", "fio-3.33", "row", "1024");
        assert_eq!(speed(&format!("note\r\n{}\r\n", fields.join(";"))), Some(1024.0));
        fields[4] = "5";
        assert_eq!(speed(&fields.join(";")), None);
        assert_eq!(speed("fio: not found"), None);
    }

    #[test]
    fn ratios_say_how_much_faster() {
        let run = |contender, login_s, speed| {
            let kib_per_s = [(ROWS[0].0, speed)].into();
            Run { bus: "sata", contender, login_s, kib_per_s }
        };
        let disks = Disks { runs: vec![run("tcg", 30.0, 1024.0), run("gasang", 10.0, 5120.0)] };
        let table = disks.table();
        assert!(table.contains("| sata | to the login prompt, s | 30.0 | 10.0 | 3.0 |"), "{table}");
        assert!(table.contains("| sata | write 128k, depth 8, MiB/s | 1.0 | 5.0 | 5.0 |"), "{table}");
    }
}
