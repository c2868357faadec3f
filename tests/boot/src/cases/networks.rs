//! Debian guests on networks; hosts and the outside are namespaces that the tests make.
use std::io::{Read, Write};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use manager::images::Recipe;

use super::Case;
use crate::Verdict;
use crate::console::Guest;
use crate::lab::Lab;
use crate::lands::{HOST, Lands, NAME, OUTSIDE};

/// The whole list.
pub fn cases() -> Vec<Case> {
    vec![case("nat", nat), case("shared-and-hostonly", shared), case("without-a-network-process", restored)]
}

fn case(name: &str, test: fn(&Lab, &Lands) -> anyhow::Result<()>) -> Case {
    let run = move |lab: &Lab| {
        let guest = Recipe::of("debian-12").and_then(|recipe| lab.images().disk_guest(recipe));
        if guest.is_none() {
            let why = "there is no Debian guest; 'gasang image build debian-12' makes it";
            return Ok(Verdict::Skipped(why.to_owned()));
        }
        match Lands::new()? {
            Ok(lands) => {
                lands.prepare()?;
                test(lab, &lands).map(|()| Verdict::Passed)
            }
            Err(why) => Ok(Verdict::Skipped(why)),
        }
    };
    Case { name: format!("networks/{name}"), run: Box::new(run) }
}

/// gasang, on the host of the test.
fn gasang(lab: &Lab, lands: &Lands, words: &[&str]) -> Command {
    let mut command = lab.gasang();
    command.env("GASANG_GUESTS", lab.guests_directory()).args(words);
    lands.on_host(&command)
}

/// The same, with an exit code; what it prints.
fn told(lab: &Lab, lands: &Lands, words: &[&str], code: i32) -> anyhow::Result<String> {
    let output = gasang(lab, lands, words).output()?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.code() == Some(code), "{words:?} ended with {}: {errors}", output.status);
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// A Debian with a shell on its console that echoes nothing.
fn boot(lab: &Lab, lands: &Lands, name: &str, options: &[&str]) -> anyhow::Result<Guest> {
    let mut words = vec!["run", "debian-12", "--name", name, "--timeout", "15m"];
    words.extend(options);
    let mut guest = Guest::start(&mut gasang(lab, lands, &words))?;
    guest.expect("login: ")?;
    guest.type_line("root")?;
    guest.expect("root@")?;
    guest.type_line("PS1=; stty -echo; echo 'rea''dy'")?;
    guest.expect("ready")?;
    Ok(guest)
}

/// What a command says on such a shell.
fn ask(guest: &mut Guest, command: &str) -> anyhow::Result<String> {
    guest.type_line(&format!("echo 'be''gin'; {command}; echo 'e''nd'"))?;
    guest.expect("begin\r\n")?;
    let said = guest.expect("end\r\n")?;
    let lines = said.lines().map(str::trim_end).filter(|line| !line.starts_with('['));
    Ok(lines.map(|line| format!("{line}\n")).collect())
}

/// Asserts on what a command says.
fn says(guest: &mut Guest, command: &str, expected: &str) -> anyhow::Result<()> {
    let said = ask(guest, command)?;
    ensure!(said.trim_end() == expected, "'{command}' says:\n{said}rather than:\n{expected}");
    Ok(())
}

/// Asks until an address is there.
fn address(guest: &mut Guest, interface: &str) -> anyhow::Result<String> {
    let start = Instant::now();
    loop {
        let said = ask(guest, &format!("ip -4 -o address show {interface}"))?;
        if let Some(address) = said.split_whitespace().skip_while(|word| *word != "inet").nth(1) {
            return Ok(address.to_owned());
        }
        ensure!(start.elapsed() < Duration::from_secs(60), "{interface} has no address: {said}");
        ask(guest, "sleep 0.5")?;
    }
}

fn end(mut guest: Guest) -> anyhow::Result<()> {
    guest.type_line("poweroff")?;
    let finished = guest.finish()?;
    ensure!(finished.status.code() == Some(0), "it ended with {}: {}", finished.status, finished.errors);
    Ok(())
}

/// Bytes of the large file that is fetched; `GASANG_NET_MIB` chooses more.
fn large() -> Vec<u8> {
    let wanted = std::env::var("GASANG_NET_MIB").ok().and_then(|text| text.parse().ok());
    let length = wanted.unwrap_or(64_usize) << 20;
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut bytes = Vec::with_capacity(length);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend(state.to_le_bytes());
    }
    bytes
}

fn sum(bytes: &[u8]) -> anyhow::Result<String> {
    let mut program = Command::new("md5sum")
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()?;
    program.stdin.take().context("no stdin")?.write_all(bytes)?;
    let said = String::from_utf8(program.wait_with_output()?.stdout)?;
    Ok(said.split(' ').next().unwrap_or_default().to_owned())
}

fn nat(lab: &Lab, lands: &Lands) -> anyhow::Result<()> {
    let (small, large) = (Arc::new(b"a small page\n".repeat(79)), Arc::new(large()));
    lands.serve_outside(vec![("/small", Arc::clone(&small)), ("/large", Arc::clone(&large))])?;
    let mut guest = boot(lab, lands, "web", &["--publish", "8080:80"])?;
    ensure!(address(&mut guest, "eth0")? == "10.0.2.15/24");
    says(&mut guest, "ip -4 route show default | cut -d' ' -f3", "10.0.2.2")?;

    // To the outside: a page printed and saved, small and large, by address and by name; ping.
    says(&mut guest, &format!("curl -s http://{OUTSIDE}/small | md5sum | cut -d' ' -f1"), &sum(&small)?)?;
    let save = format!("curl -s http://{NAME}/small -o /tmp/s && md5sum < /tmp/s | cut -d' ' -f1");
    says(&mut guest, &save, &sum(&small)?)?;
    let fetch = format!("curl -s http://{OUTSIDE}/large -o /tmp/l && md5sum < /tmp/l | cut -d' ' -f1");
    says(&mut guest, &fetch, &sum(&large)?)?;
    says(&mut guest, &format!("getent ahostsv4 {NAME} | head -1 | cut -d' ' -f1"), OUTSIDE)?;
    says(&mut guest, "getent ahostsv4 no-such.test; echo $?", "2")?;
    says(&mut guest, "getent ahostsv4 web.internal | head -1 | cut -d' ' -f1", "10.0.2.15")?;
    says(&mut guest, &format!("ping -q -c 3 -i 0.2 {OUTSIDE} | grep -o '3 received'"), "3 received")?;
    says(&mut guest, "ping -q -c 1 10.0.2.2 | grep -o '1 received'", "1 received")?;
    // A large upload, and a port where nobody listens.
    let listener = lands.listen_outside(9000)?;
    let taken = std::thread::spawn(move || -> anyhow::Result<Vec<u8>> {
        let (mut stream, _) = listener.accept()?;
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes)?;
        Ok(bytes)
    });
    ask(&mut guest, &format!("nc -N {OUTSIDE} 9000 < /tmp/l"))?;
    let uploaded = taken.join().map_err(|_| anyhow::anyhow!("a thread panicked"))??;
    ensure!(uploaded == *large, "{} of {} bytes came", uploaded.len(), large.len());
    says(&mut guest, &format!("curl -s -m 10 http://{OUTSIDE}:81/; echo $?"), "7")?;

    // The host is dark.
    let _loopback = lands.listen_on_host("127.0.0.1:9100".parse()?)?;
    let _own = lands.listen_on_host(format!("{HOST}:9101").parse()?)?;
    for url in ["10.0.2.2:9100", &format!("{HOST}:9101"), "169.254.169.254:80"] {
        says(
            &mut guest,
            &format!("curl -s -m 5 http://{url}/ >/dev/null; test $? -ne 0 && echo dark"),
            "dark",
        )?;
    }

    // To the guest: by the forward alone, and by others added and removed while it runs.
    ensure!(lands.connect_from_host("10.0.2.15:80".parse()?).is_err(), "the host reaches the guest");
    ask(&mut guest, "systemctl start apache2")?;
    ensure!(lands.page("127.0.0.1:8080", "/")?.contains("Apache2"), "no page through the forward");
    ensure!(lands.connect_from_host("127.0.0.1:8081".parse()?).is_err());
    told(lab, lands, &["net", "forward", "add", "web", "8081:80"], 0)?;
    ensure!(lands.page("127.0.0.1:8081", "/")?.contains("Apache2"), "no page through the new forward");
    ensure!(told(lab, lands, &["net", "forward", "ls", "web"], 0)?.lines().count() == 3);
    told(lab, lands, &["net", "forward", "add", "web", "8081:80"], 16)?;
    told(lab, lands, &["net", "forward", "rm", "web", "8081"], 0)?;
    told(lab, lands, &["net", "forward", "rm", "web", "8081"], 4)?;
    ensure!(lands.connect_from_host("127.0.0.1:8081".parse()?).is_err(), "the forward is still there");

    // A second machine: the same address, a port that is taken, and neither sees the other.
    let mut other = boot(lab, lands, "other", &["--publish", "8080:80", "--net", "nat,model=e1000"])?;
    ensure!(address(&mut other, "eth0")? == "10.0.2.15/24");
    says(&mut other, "basename $(readlink /sys/class/net/eth0/device/driver)", "e1000")?;
    says(&mut other, &fetch.replace("/large", "/small"), &sum(&small)?)?;
    says(&mut other, "ip -4 neigh show 10.0.2.15 | wc -l", "0")?;
    let ended = {
        other.type_line("poweroff")?;
        other.finish()?
    };
    ensure!(ended.errors.contains("8080"), "nothing was said of the port: {}", ended.errors);
    end(guest)
}

fn shared(lab: &Lab, lands: &Lands) -> anyhow::Result<()> {
    let small = Arc::new(b"a small page\n".to_vec());
    lands.serve_outside(vec![("/small", Arc::clone(&small))])?;
    let nets = ["--net", "natnet:lab", "--net", "hostonly:room"];
    let mut one = boot(lab, lands, "one", &nets)?;
    let mut two = boot(lab, lands, "two", &["--net", "natnet:lab"])?;
    let (first, second) = (address(&mut one, "eth0")?, address(&mut two, "eth0")?);
    ensure!(
        first != second && first.starts_with("10.0.2.") && second.starts_with("10.0.2."),
        "{first} {second}"
    );
    let (first, second) = (first.replace("/24", ""), second.replace("/24", ""));

    // One another, by address and by name, and the outside.
    ask(&mut two, "systemctl start apache2")?;
    for there in [second.as_str(), "two.internal", "two"] {
        says(&mut one, &format!("ping -q -c 2 -i 0.2 {there} | grep -o '2 received'"), "2 received")?;
        let page = format!("curl -s -m 20 http://{there}/ | grep -c -m1 Apache2");
        says(&mut one, &page, "1")?;
    }
    says(&mut two, &format!("curl -s http://{NAME}/small"), "a small page")?;

    // Host-only: the host reaches the guest without a forward, and the guest nobody else.
    ask(&mut one, "ip link set eth1 up; dhclient eth1; systemctl start apache2")?;
    let there = address(&mut one, "eth1")?.replace("/24", "");
    ensure!(there == "192.168.56.101", "host-only: {there}");
    ensure!(
        lands.page(&format!("{there}:80"), "/")?.contains("Apache2"),
        "no page over the host-only network"
    );
    says(&mut one, "ping -q -c 1 -I eth1 192.168.56.1 | grep -o '1 received'", "1 received")?;
    let outside = format!("curl -s -m 3 --interface eth1 http://{OUTSIDE}/small; test $? -ne 0 && echo dark");
    says(&mut one, &outside, "dark")?;

    groups(lab, lands, &mut one, &mut two, (&first, &second))?;
    zones(lab, lands, &mut one, &second)?;

    // The same card has its address again after a restart.
    end(two)?;
    let mut two = boot(lab, lands, "two", &["--net", "natnet:lab"])?;
    ensure!(address(&mut two, "eth0")?.replace("/24", "") == second, "another address after a restart");
    end(two)?;
    end(one)
}

/// Security groups on the second machine's card.
fn groups(
    lab: &Lab,
    lands: &Lands,
    one: &mut Guest,
    two: &mut Guest,
    (first, second): (&str, &str),
) -> anyhow::Result<()> {
    let sg = |words: &[&str]| told(lab, lands, &[&["sg"], words].concat(), 0);
    let page = format!("curl -s -m 3 http://{second}/ | grep -c -m1 Apache2");
    sg(&["create", "web"])?;
    sg(&["assign", "two", "web"])?;
    says(one, &page, "0")?;
    sg(&["allow", "web", "ingress", "tcp", "80"])?;
    says(one, &page, "1")?;
    let traced = sg(&["trace", "two", "ingress", "tcp", "80", "--from", first])?;
    ensure!(traced.contains("web"), "the trace names no rule: {traced}");

    // What flows goes on after a revoke, and ends with --cut.
    ask(two, "(yes | nc -l -p 7000 >/dev/null 2>&1 &)")?;
    sg(&["allow", "web", "ingress", "tcp", "7000"])?;
    ask(one, &format!("(nc {second} 7000 > /tmp/stream 2>/dev/null &) ; sleep 1"))?;
    let rule = sg(&["ls", "web"])?;
    let id = rule.lines().find(|line| line.contains("7000")).context("no rule for 7000")?;
    let id = id.split_whitespace().find(|word| word.parse::<u64>().is_ok()).context("no id")?.to_owned();
    let grows = "a=$(stat -c %s /tmp/stream); sleep 1; b=$(stat -c %s /tmp/stream); \
                 test $b -gt $a && echo flows || echo stands";
    says(one, grows, "flows")?;
    sg(&["revoke", "web", &id])?;
    says(one, grows, "flows")?;
    sg(&["allow", "web", "ingress", "tcp", "7000"])?;
    let rule = sg(&["ls", "web"])?;
    let id = rule.lines().find(|line| line.contains("7000")).context("no rule for 7000")?;
    let id = id.split_whitespace().find(|word| word.parse::<u64>().is_ok()).context("no id")?.to_owned();
    sg(&["revoke", "web", &id, "--cut"])?;
    ask(one, "sleep 1")?;
    says(one, grows, "stands")?;
    ask(one, "pkill nc; true")?;

    // From group to group.
    sg(&["create", "clients"])?;
    sg(&["allow", "web", "ingress", "tcp", "22", "--from", "group:clients"])?;
    let ssh = format!("nc -z -w 3 {second} 22 && echo open || echo dark");
    ask(two, "systemctl start ssh")?;
    says(one, &ssh, "dark")?;
    sg(&["assign", "one", "clients"])?;
    says(one, &ssh, "open")?;
    sg(&["unassign", "one", "clients"])?;

    // Whoever speaks for others is not heard.
    ask(two, "ip address add 10.0.2.77/24 dev eth0; ping -q -c 2 -W 1 -I 10.0.2.77 10.0.2.1; true")?;
    ask(two, "ip link set eth0 address 52:54:00:00:00:77; ping -q -c 2 -W 1 10.0.2.1; true")?;
    let mac = "$(cat /sys/class/net/eth0/address)";
    ask(
        two,
        &format!(
            "ip address del 10.0.2.77/24 dev eth0; ip link set eth0 address $(ethtool -P eth0 | cut -d' ' -f3); : {mac}"
        ),
    )?;
    let stats = sg(&["stats", "lab"])?;
    ensure!(stats.contains("source-address") || stats.contains("arp-sender"), "nothing was counted: {stats}");
    ensure!(stats.contains("source-mac"), "no MAC was counted: {stats}");
    sg(&["unassign", "two", "web"])?;
    says(one, &page, "1")
}

/// Zones of the shared network.
fn zones(lab: &Lab, lands: &Lands, one: &mut Guest, second: &str) -> anyhow::Result<()> {
    let firewall = |words: &[&str], code| told(lab, lands, &[&["firewall", "lab"], words].concat(), code);
    let page = format!("curl -s -m 3 http://{second}/ | grep -c -m1 Apache2");
    firewall(&["--state"], 252)?;
    firewall(&["--start"], 0)?;
    says(one, &page, "0")?;
    ensure!(firewall(&["--add-service=http"], 0)? == "success\n");
    says(one, &page, "1")?;
    firewall(&["--reload"], 0)?;
    says(one, &page, "0")?;
    firewall(&["--add-service=http", "--permanent"], 0)?;
    says(one, &page, "0")?;
    firewall(&["--reload"], 0)?;
    says(one, &page, "1")?;
    ensure!(firewall(&["--query-service=http"], 0)? == "yes\n");
    firewall(&["--stop"], 0)?;
    says(one, &page, "1")
}

/// The network's process is killed while the machine runs.
fn restored(lab: &Lab, lands: &Lands) -> anyhow::Result<()> {
    let small = Arc::new(b"a small page\n".to_vec());
    lands.serve_outside(vec![("/small", small)])?;
    let mut guest = boot(lab, lands, "web", &[])?;
    address(&mut guest, "eth0")?;
    let get = format!("curl -s -m 10 http://{OUTSIDE}/small || echo lost");
    says(&mut guest, &get, "a small page")?;
    let info = told(lab, lands, &["net", "info", "web", "--format", "json"], 0)?;
    let pid = info.lines().find(|line| line.contains("\"pid\"")).context("no pid")?;
    let pid: i32 = pid.chars().filter(char::is_ascii_digit).collect::<String>().parse()?;
    let killed = Command::new("kill").args(["-9", &pid.to_string()]).status()?;
    ensure!(killed.success());
    says(&mut guest, "sleep 1; cat /sys/class/net/eth0/carrier", "0")?;
    says(&mut guest, &get, "lost")?;
    told(lab, lands, &["net", "restore", "web"], 0)?;
    let start = Instant::now();
    while ask(&mut guest, &get)?.trim_end() != "a small page" {
        if start.elapsed() > Duration::from_secs(60) {
            bail!("the link does not come back");
        }
        ask(&mut guest, "sleep 1")?;
    }
    end(guest)
}
