//! A machine behind NAT of its own.
use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use boot_tests::console::Guest;
use boot_tests::lands::{HOST, Lands, NAME, NOBODY, OUTSIDE, OUTSIDE6};

use super::{address, boot, bytes, end, sum, told};
use crate::lab::Lab;

/// Bytes of the large file that is fetched; `GASANG_NET_MIB` chooses more.
fn large() -> Vec<u8> {
    let wanted = std::env::var("GASANG_NET_MIB").ok().and_then(|text| text.parse().ok());
    bytes(wanted.unwrap_or(64_usize) << 20)
}

/// From the guest to the outside, and back by forwards.
pub fn nat(lab: &Lab, lands: &Lands) -> anyhow::Result<()> {
    let (small, large) = (Arc::new(b"a small page\n".repeat(79)), Arc::new(large()));
    lands.serve_outside(vec![("/small", Arc::clone(&small)), ("/large", Arc::clone(&large))])?;
    let mut guest = boot(lab, lands, "web", &["--publish", "8080:80"])?;
    ensure!(address(&mut guest, "eth0")? == "10.0.2.15/24");
    guest.says("ip -4 route show default | cut -d' ' -f3", "10.0.2.2")?;

    // To the outside: a page printed and saved, small and large, by address and by name; ping.
    guest.says(&format!("curl -s http://{OUTSIDE}/small | md5sum | cut -d' ' -f1"), &sum(&small)?)?;
    let save = format!("curl -s http://{NAME}/small -o /tmp/s && md5sum < /tmp/s | cut -d' ' -f1");
    guest.says(&save, &sum(&small)?)?;
    let fetch = format!("curl -s http://{OUTSIDE}/large -o /tmp/l && md5sum < /tmp/l | cut -d' ' -f1");
    guest.says(&fetch, &sum(&large)?)?;
    guest.says(&format!("getent ahostsv4 {NAME} | head -1 | cut -d' ' -f1"), OUTSIDE)?;
    guest.says("getent ahostsv4 no-such.test; echo $?", "2")?;
    guest.says("getent ahostsv4 web.internal | head -1 | cut -d' ' -f1", "10.0.2.15")?;
    guest.says(&format!("ping -q -c 3 -i 0.2 {OUTSIDE} | grep -o '3 received'"), "3 received")?;
    guest.says("ping -q -c 1 10.0.2.2 | grep -o '1 received'", "1 received")?;
    // Its own address is in use when it has asked whether others have it (RFC 4862 §5.4).
    let fetch6 = format!("curl -s -g http://[{OUTSIDE6}]/small | md5sum | cut -d' ' -f1");
    guest.comes_to_say(&fetch6, &sum(&small)?)?;
    // A large upload, and a port where nobody listens.
    let uploaded = upload(&mut guest, lands, "/tmp/l")?;
    ensure!(uploaded == *large, "{} of {} bytes came", uploaded.len(), large.len());
    guest.says(&format!("curl -s -m 10 http://{OUTSIDE}:81/; echo $?"), "7")?;

    // Nobody has that address on the host's link: the host's error is the guest's, long before it would give up.
    guest.says(&format!("curl -s -m 60 http://{NOBODY}/; echo $?"), "7")?;

    // The host is dark.
    let _loopback = lands.listen_on_host("127.0.0.1:9100".parse()?)?;
    let _own = lands.listen_on_host(format!("{HOST}:9101").parse()?)?;
    for url in ["10.0.2.2:9100", &format!("{HOST}:9101"), "169.254.169.254:80"] {
        guest.says(&format!("curl -s -m 5 http://{url}/ >/dev/null; test $? -ne 0 && echo dark"), "dark")?;
    }

    // To the guest: by the forward alone, and by others added and removed while it runs.
    ensure!(lands.connect_from_host("10.0.2.15:80".parse()?).is_err(), "the host reaches the guest");
    guest.ask("systemctl start apache2")?;
    ensure!(lands.page("127.0.0.1:8080", "/")?.contains("Apache2"), "no page through the forward");
    ensure!(lands.connect_from_host("127.0.0.1:8081".parse()?).is_err());
    told(lab, lands, &["net", "forward", "add", "web", "8081:80"], 0)?;
    ensure!(lands.page("127.0.0.1:8081", "/")?.contains("Apache2"), "no page through the new forward");
    ensure!(told(lab, lands, &["net", "forward", "ls", "web"], 0)?.lines().count() == 3);
    told(lab, lands, &["net", "forward", "add", "web", "8081:80"], 16)?;
    told(lab, lands, &["net", "forward", "rm", "web", "8081"], 0)?;
    told(lab, lands, &["net", "forward", "rm", "web", "8081"], 4)?;
    ensure!(lands.connect_from_host("127.0.0.1:8081".parse()?).is_err(), "the forward is still there");

    datagrams(lab, lands, &mut guest)?;
    written_down(lab, lands, &mut guest)?;
    // The machine's process has given up networks (proc_pid_status(5)): a filter is in force.
    let status = std::fs::read_to_string(format!("/proc/{}/status", guest.id()))?;
    ensure!(status.contains("\nSeccomp:\t2\n"), "there is no filter: {status}");

    // A second machine: the same address, a port that is taken, and neither sees the other.
    let mut other = boot(lab, lands, "other", &["--publish", "8080:80", "--net", "nat,model=e1000"])?;
    ensure!(address(&mut other, "eth0")? == "10.0.2.15/24");
    other.says("basename $(readlink /sys/class/net/eth0/device/driver)", "e1000")?;
    other.says(&fetch, &sum(&large)?)?;
    let uploaded = upload(&mut other, lands, "/tmp/l")?;
    ensure!(uploaded == *large, "by e1000, {} of {} bytes came", uploaded.len(), large.len());
    other.says("ip -4 neigh show 10.0.2.15 | wc -l", "0")?;
    let ended = {
        other.type_line("poweroff")?;
        other.finish()?
    };
    ensure!(ended.errors.contains("8080"), "nothing was said of the port: {}", ended.errors);
    end(guest)
}

/// What comes to the outside when a guest sends a file.
fn upload(guest: &mut Guest, lands: &Lands, file: &str) -> anyhow::Result<Vec<u8>> {
    let listener = lands.listen_outside(9000)?;
    let taken = std::thread::spawn(move || -> anyhow::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        listener.accept()?.0.read_to_end(&mut bytes)?;
        Ok(bytes)
    });
    guest.ask(&format!("nc -N {OUTSIDE} 9000 < {file}"))?;
    taken.join().map_err(|_| anyhow::anyhow!("a thread panicked"))?
}

/// A forward for UDP, added while the machine runs: there and back.
fn datagrams(lab: &Lab, lands: &Lands, guest: &mut Guest) -> anyhow::Result<()> {
    told(lab, lands, &["net", "forward", "add", "web", "9002:9002/udp"], 0)?;
    guest.ask("{ (echo back | nc -u -l -p 9002 -W 1 > /tmp/udp) & } 2>/dev/null")?;
    guest.comes_to_say("ss -Hlun 'sport = 9002' | wc -l", "1")?;
    let socket = lands.datagrams_on_host()?;
    socket.set_read_timeout(Some(Duration::from_secs(20)))?;
    socket.send_to(b"there\n", "127.0.0.1:9002")?;
    let mut answer = [0; 16];
    let length = socket.recv(&mut answer).context("no datagram came back")?;
    ensure!(&answer[..length] == b"back\n", "{:?} came back", &answer[..length]);
    guest.comes_to_say("cat /tmp/udp", "there")?;
    told(lab, lands, &["net", "forward", "rm", "web", "9002/udp"], 0).map(drop)
}

/// A capture has what passed while it was on.
fn written_down(lab: &Lab, lands: &Lands, guest: &mut Guest) -> anyhow::Result<()> {
    let place = tempfile::tempdir()?;
    let file = place.path().join("web.pcap");
    let path = file.to_str().context("a strange path")?;
    told(lab, lands, &["net", "capture", "web", path], 0)?;
    guest.ask(&format!("curl -s http://{OUTSIDE}/captured"))?;
    told(lab, lands, &["net", "capture", "web", "--stop"], 0)?;
    guest.ask(&format!("curl -s http://{OUTSIDE}/not-captured"))?;
    let bytes = std::fs::read(&file)?;
    let has = |text: &[u8]| bytes.windows(text.len()).any(|part| part == text);
    // The magic numbers of pcap, with micro- and with nanoseconds.
    let is_pcap = [0xa1b2_c3d4_u32, 0xa1b2_3c4d].iter().any(|magic| bytes.starts_with(&magic.to_le_bytes()));
    ensure!(is_pcap && has(b"GET /captured"), "the capture of {} bytes has no request", bytes.len());
    ensure!(!has(b"GET /not-captured"), "the capture goes on");
    Ok(())
}
