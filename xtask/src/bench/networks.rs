//! iperf3 in a Debian guest with a server outside, both ways, with one stream and with eight: gasang's NAT in turns with QEMU
//! TCG behind slirp and behind passt. Host and outside are network namespaces joined by a cable.
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, ensure};
use boot_tests::console::Guest;
use boot_tests::lands::{Lands, OUTSIDE};
use manager::images::{DISK_COMMAND_LINE, DiskGuest, Qemu, Recipe, Unpacked};
use serde::Serialize;

use super::{Bench, emulator, median};
use crate::{guests, project};

const MEMORY: &str = "1G";
/// Seconds of each row.
const SECONDS: u32 = 5;
/// How long an answer of a guest may take.
const PATIENCE: Duration = Duration::from_secs(300);

/// A row: its name, iperf3's options beside those that all have.
const ROWS: [(&str, &str); 4] = [
    ("out, 1 stream", "-P 1"),
    ("out, 8 streams", "-P 8"),
    ("in, 1 stream", "-P 1 -R"),
    ("in, 8 streams", "-P 8 -R"),
];

/// Who carries the guest's frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Contender {
    Slirp,
    Passt,
    Gasang,
}

/// One guest's rows.
#[derive(Clone, Debug, Serialize)]
struct Run {
    contender: Contender,
    /// Received bits a second of each row, in thousands of millions.
    gbit_per_s: BTreeMap<&'static str, f64>,
}

/// All of them.
#[derive(Serialize)]
pub struct Networks {
    runs: Vec<Run>,
}

/// What the contenders share.
struct Files {
    guest: DiskGuest,
    gasang: std::path::PathBuf,
    qemu: Option<Qemu>,
    /// iperf3 and passt.
    tools: Unpacked,
}

/// A process that ends when it is dropped.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Networks {
    /// Measures in turns.
    pub fn measure(bench: &Bench) -> anyhow::Result<Self> {
        let (guest, qemu, tools) = guests::with_images(|images| -> anyhow::Result<_> {
            let recipe = Recipe::of("debian-12").context("no recipe")?;
            let guest = images.disk_guest(recipe);
            let guest = guest.context("there is no Debian guest; 'gasang image build debian-12' makes it")?;
            let qemu = if bench.no_tcg { None } else { Some(images.qemu()?) };
            Ok((guest, qemu, images.network_tools()?))
        })?;
        let files = Files { guest, gasang: project::build_gasang()?, qemu, tools };
        let lands = Lands::new()?.map_err(|why| anyhow!("no network to measure on: {why}"))?;
        lands.prepare()?;
        let mut server = Command::new(files.tools.program("iperf3"));
        server.env("LD_LIBRARY_PATH", files.tools.libraries()).arg("-s");
        let _server = Ended(lands.on_outside(&server).stdout(Stdio::null()).spawn()?);
        let mut runs = Vec::new();
        for round in 1..=bench.runs {
            eprintln!("round {round} of {}", bench.runs);
            if let Some(qemu) = &files.qemu {
                runs.push(slirp(&files, qemu, &lands).context("under QEMU TCG with slirp")?);
                runs.push(passt(&files, qemu, &lands).context("under QEMU TCG with passt")?);
            }
            let mut command = lands.on_host(&gasang(&files));
            runs.push(run(Contender::Gasang, &mut command).context("under gasang")?);
        }
        Ok(Self { runs })
    }

    /// For people, in Markdown: medians.
    pub fn table(&self) -> String {
        let mut text =
            "| Gbit/s | QEMU TCG, slirp | QEMU TCG, passt | gasang | to slirp | to passt |\n".to_owned();
        text.push_str("|---|---|---|---|---|---|\n");
        for (row, _) in ROWS {
            let value = |contender| {
                let ours = self.runs.iter().filter(|run| run.contender == contender);
                median(ours.filter_map(|run| run.gbit_per_s.get(row).copied()).collect())
            };
            let [slirp, passt, us] = [Contender::Slirp, Contender::Passt, Contender::Gasang].map(value);
            let ratio = |other: Option<f64>| us.zip(other).map(|(us, other)| us / other);
            let cell = |value: Option<f64>| value.map_or("–".to_owned(), |value| format!("{value:.2}"));
            let cells = [slirp, passt, us, ratio(slirp), ratio(passt)].map(cell).join(" | ");
            // Writing to a string cannot fail.
            let _ = writeln!(text, "| {row} | {cells} |");
        }
        text
    }
}

fn gasang(files: &Files) -> Command {
    let mut command = Command::new(&files.gasang);
    command.env("GASANG_GUESTS", guests::directory());
    command.args(["run", "debian-12", "--memory", MEMORY, "--translations", "none"]);
    command
}

fn slirp(files: &Files, qemu: &Qemu, lands: &Lands) -> anyhow::Result<Run> {
    let mut command = tcg(files, qemu);
    command.args(["-netdev", "user,id=n0"]);
    run(Contender::Slirp, &mut lands.on_host(&command))
}

fn passt(files: &Files, qemu: &Qemu, lands: &Lands) -> anyhow::Result<Run> {
    let place = tempfile::tempdir()?;
    let socket = place.path().join("passt");
    let mut passt = Command::new(files.tools.program("passt"));
    passt
        .args(["--foreground", "--quiet", "--runas", "0", "--ipv4-only", "--no-map-gw", "--socket"])
        .arg(&socket);
    let _passt = Ended(lands.on_host(&passt).stderr(Stdio::null()).spawn().context("passt does not start")?);
    wait_for(&socket)?;
    let mut command = tcg(files, qemu);
    command
        .arg("-netdev")
        .arg(format!("stream,id=n0,server=off,addr.type=unix,addr.path={}", socket.display()));
    run(Contender::Passt, &mut lands.on_host(&command))
}

fn wait_for(socket: &Path) -> anyhow::Result<()> {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !socket.exists() {
        ensure!(Instant::now() < deadline, "passt makes no socket");
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

fn tcg(files: &Files, qemu: &Qemu) -> Command {
    let mut command = emulator(qemu);
    command.args(["-m", MEMORY, "-append", DISK_COMMAND_LINE]);
    command.arg("-kernel").arg(&files.guest.kernel).arg("-initrd").arg(&files.guest.initrd);
    command
        .arg("-drive")
        .arg(format!("if=none,id=d0,format=qcow2,snapshot=on,file={}", files.guest.disk.display()));
    command.args(["-device", "virtio-blk-pci,drive=d0", "-device", "virtio-net-pci,netdev=n0,romfile="]);
    command
}

fn run(contender: Contender, command: &mut Command) -> anyhow::Result<Run> {
    eprintln!("  {contender:?} …");
    let mut guest = Guest::start(command)?.with_patience(PATIENCE);
    guest.log_in()?;
    guest.comes_to_say("ip -4 -o address show eth0 | wc -l", "1")?;
    let mut gbit_per_s = BTreeMap::new();
    for (row, options) in ROWS {
        let said = guest.ask(&format!("iperf3 -c {OUTSIDE} -t {SECONDS} --json {options}"))?;
        let speed = speed(&said).with_context(|| format!("{row}: iperf3 said {said}"))?;
        eprintln!("    {row}: {speed:.2} Gbit/s");
        gbit_per_s.insert(row, speed);
    }
    Ok(Run { contender, gbit_per_s })
}

/// Received Gbit a second, of all streams, from iperf3's JSON.
fn speed(said: &str) -> Option<f64> {
    let report: serde_json::Value = serde_json::from_str(said).ok()?;
    Some(report.pointer("/end/sum_received/bits_per_second")?.as_f64()? / 1e9)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn iperf_is_read() {
        let said = r#"{ "end": { "sum_received": { "bits_per_second": 2.5e9 } } }"#;
        assert_eq!(speed(said), Some(2.5));
        assert_eq!(speed(r#"{ "error": "unable to connect to server" }"#), None);
    }

    #[test]
    fn ratios_say_how_much_faster() {
        let run = |contender, speed| Run { contender, gbit_per_s: [(ROWS[0].0, speed)].into() };
        let runs = vec![run(Contender::Slirp, 0.5), run(Contender::Passt, 1.0), run(Contender::Gasang, 3.0)];
        let table = Networks { runs }.table();
        assert!(table.contains("| out, 1 stream | 0.50 | 1.00 | 3.00 | 6.00 | 3.00 |"), "{table}");
        assert!(table.contains("| in, 8 streams | – | – | – | – | – |"), "{table}");
    }
}
