//! Networks on which things go wrong.
use std::io::{Read, Write};
use std::net::Shutdown;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use boot_tests::console::Guest;
use boot_tests::lands::{Lands, OUTSIDE};
use manager::images::INIT_MARKER;

use super::{address, boot, bytes, end, gasang, sum, told};
use crate::lab::{Lab, Setup};

/// The network's process is killed while the machine runs.
pub fn restored(lab: &Lab, lands: &Lands) -> anyhow::Result<()> {
    let small = Arc::new(b"a small page\n".to_vec());
    lands.serve_outside(vec![("/small", small)])?;
    let mut guest = boot(lab, lands, "web", &[])?;
    address(&mut guest, "eth0")?;
    let get = format!("curl -s -m 10 http://{OUTSIDE}/small || echo lost");
    guest.says(&get, "a small page")?;
    let info = told(lab, lands, &["net", "info", "web", "--format", "json"], 0)?;
    let pid = info.lines().find(|line| line.contains("\"pid\"")).context("no pid")?;
    let pid: i32 = pid.chars().filter(char::is_ascii_digit).collect::<String>().parse()?;
    let killed = Command::new("kill").args(["-9", &pid.to_string()]).status()?;
    ensure!(killed.success());
    guest.says("sleep 1; cat /sys/class/net/eth0/carrier", "0")?;
    guest.says(&get, "lost")?;
    told(lab, lands, &["net", "restore", "web"], 0)?;
    guest.comes_to_say(&get, "a small page")?;
    end(guest)
}

/// A machine is killed: the next one's ports may be the same.
pub fn killed(lab: &Lab, lands: &Lands) -> anyhow::Result<()> {
    let setup = Setup::shell();
    let kernel = lab.images().kernel(setup.kernel)?;
    let initramfs = lab.images().initramfs(&setup.script)?;
    let port = "127.0.0.1:9000".parse()?;
    for name in ["first", "second", "third"] {
        let mut words = gasang(lab, lands, &["run", "--name", name, "--publish", "9000:9000"]);
        words.arg("--kernel").arg(&kernel).arg("--initrd").arg(&initramfs);
        words.args(["--append", "console=ttyS0"]);
        let mut guest = Guest::start(&mut words)?;
        guest.expect(INIT_MARKER).with_context(|| format!("the {name} does not start"))?;
        lands.connect_from_host(port).with_context(|| format!("nothing leads to the {name}"))?;
        Command::new("kill").args(["-9", &guest.id().to_string()]).status()?;
        let complaints = guest.finish()?.errors;
        ensure!(complaints.is_empty(), "the {name} complains: {complaints}");
        // The network's process has to notice.
        let killed = Instant::now();
        while lands.connect_from_host(port).is_ok() {
            ensure!(killed.elapsed() < Duration::from_secs(3), "the {name} keeps its port");
        }
    }
    Ok(())
}

/// Bytes of the files that go over a bad line.
const FILE_BYTES: usize = 6 << 20;

/// Frames are lost, late and in another order on the guest's cable, by netem of its own kernel on what it sends and on what
/// it receives, and between the host and the outside, where the host's kernel has netem; the largest packet changes in
/// mid-transfer on both. What arrives is what was sent.
pub fn bad_line(lab: &Lab, lands: &Lands) -> anyhow::Result<()> {
    let file = Arc::new(bytes(FILE_BYTES));
    lands.serve_outside(vec![("/file", Arc::clone(&file))])?;
    let mut guest = boot(lab, lands, "web", &["--publish", "9000:9000"])?;
    address(&mut guest, "eth0")?;
    let netem = "netem loss 5% delay 8ms 4ms reorder 10% duplicate 1%";
    let setup = format!(
        "modprobe -a sch_netem sch_ingress ifb act_mirred cls_matchall; ip link add ifb0 type ifb; ip link set ifb0 up && \
         tc qdisc add dev eth0 root {netem} && tc qdisc add dev eth0 handle ffff: ingress && \
         tc filter add dev eth0 parent ffff: matchall action mirred egress redirect dev ifb0 && \
         tc qdisc add dev ifb0 root {netem}; echo $?"
    );
    guest.says(&setup, "0")?;
    let on_host = Command::new("ip")
        .args(["netns", "exec", lands.host(), "tc", "qdisc", "add", "dev", "h0", "root"])
        .args(netem.split(' '))
        .output()?;
    if !on_host.status.success() {
        println!("         without netem on the host: {}", String::from_utf8_lossy(&on_host.stderr).trim());
    }

    // In, out, and in by a forward; the largest packet is another after a while, on the cable and outside.
    let wanted = sum(&file)?;
    let cut = "(sleep 1; ip link set eth0 mtu 700; sleep 2; ip link set eth0 mtu 1400) & ";
    let fetch = format!("{cut} curl -s http://{OUTSIDE}/file -o /tmp/f; md5sum < /tmp/f | cut -d' ' -f1");
    guest.says(&fetch, &wanted)?;
    lands.host_mtu(900)?;
    let listener = lands.listen_outside(9000)?;
    let taken = std::thread::spawn(move || -> anyhow::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        listener.accept()?.0.read_to_end(&mut bytes)?;
        Ok(bytes)
    });
    guest.ask(&format!("nc -N {OUTSIDE} 9000 < /tmp/f"))?;
    let came = taken.join().map_err(|_| anyhow::anyhow!("a thread panicked"))??;
    ensure!(came == *file, "{} of {} bytes came out, or others", came.len(), file.len());
    lands.host_mtu(1500)?;
    // Not on the terminal, where a command in the background that looks for input is stopped.
    guest.ask(
        "{ (nc -l -p 9000 < /dev/null > /tmp/g; md5sum < /tmp/g | cut -d' ' -f1 > /tmp/sum) & } 2>/dev/null",
    )?;
    guest.comes_to_say("ss -Hltn 'sport = 9000' | wc -l", "1")?;
    let mut stream = lands.connect_from_host("127.0.0.1:9000".parse()?)?;
    stream.write_all(&file)?;
    stream.shutdown(Shutdown::Write)?;
    guest.comes_to_say("cat /tmp/sum 2>/dev/null", &wanted)?;
    // It was a bad line indeed.
    let dropped = guest.ask("tc -s qdisc show dev ifb0 | grep -o 'dropped [1-9][0-9]*' | head -1")?;
    ensure!(dropped.starts_with("dropped"), "nothing was lost on the way: {dropped}");
    end(guest)
}
