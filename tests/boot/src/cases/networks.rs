//! Debian guests on networks; hosts and the outside are namespaces that the tests make.
mod bridged;
mod faults;
mod firewalld;
mod nat;
mod shared;
mod unprivileged;

use std::io::Write;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use boot_tests::console::Guest;
use boot_tests::lands::Lands;
use manager::images::Recipe;

use super::Case;
use crate::Verdict;
use crate::lab::Lab;

/// The whole list.
pub fn cases() -> Vec<Case> {
    vec![
        case("nat", nat::nat),
        case("shared-and-hostonly", shared::shared),
        case_on("hostonly-without-privilege", unprivileged::unprivileged, || {
            Ok(Lands::new()?.and_then(Lands::without_privilege))
        }),
        case("bridged", bridged::bridged),
        case("apache-and-firewalld-in-the-guest", firewalld::in_the_guest),
        case("zones-answer-as-firewall-cmd", firewalld::compared),
        case("without-a-network-process", faults::restored),
        case("ports-are-free-after-a-kill", faults::killed),
        case("a-bad-line", faults::bad_line),
    ]
}

type Test = fn(&Lab, &Lands) -> anyhow::Result<()>;

fn case(name: &str, test: Test) -> Case {
    case_on(name, test, Lands::new)
}

fn case_on(name: &str, test: Test, lands: fn() -> anyhow::Result<Result<Lands, String>>) -> Case {
    let run = move |lab: &Lab| {
        let guest = Recipe::of("debian-12").and_then(|recipe| lab.images().disk_guest(recipe));
        if guest.is_none() {
            let why = "there is no Debian guest; 'gasang image build debian-12' makes it";
            return Ok(Verdict::Skipped(why.to_owned()));
        }
        match lands()? {
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
    guest.log_in()?;
    Ok(guest)
}

/// Asks until an address is there.
fn address(guest: &mut Guest, interface: &str) -> anyhow::Result<String> {
    let start = Instant::now();
    loop {
        let said = guest.ask(&format!("ip -4 -o address show {interface}"))?;
        if let Some(address) = said.split_whitespace().skip_while(|word| *word != "inet").nth(1) {
            return Ok(address.to_owned());
        }
        ensure!(start.elapsed() < Duration::from_secs(60), "{interface} has no address: {said}");
        guest.ask("sleep 0.5")?;
    }
}

fn end(mut guest: Guest) -> anyhow::Result<()> {
    guest.type_line("poweroff")?;
    let finished = guest.finish()?;
    ensure!(finished.status.code() == Some(0), "it ended with {}: {}", finished.status, finished.errors);
    Ok(())
}

/// Bytes that look like chance.
fn bytes(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend(state.to_le_bytes());
    }
    bytes.truncate(length);
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
