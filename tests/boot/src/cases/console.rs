//! The console over pipes.
use anyhow::ensure;

use super::Case;
use crate::lab::{Lab, Setup};
use boot_tests::console::Guest;

/// All of them.
pub fn cases() -> Vec<Case> {
    vec![
        Case::new("console/the-default-guest-takes-piped-commands", piped),
        Case::new("console/a-shell-answers", shell),
        Case::new("console/long-input-arrives-whole", long_input),
    ]
}

/// `echo … | gasang run`: what is there before the guest listens must not be lost.
fn piped(lab: &Lab) -> anyhow::Result<()> {
    let mut guest = Guest::start(&mut lab.default_guest())?;
    guest.type_line("echo first=$((40 + 2)); uname -s -m; poweroff -f")?;
    guest.end_input();
    let finished = guest.finish()?;
    ensure!(finished.output.contains("first=42"), "no answer in:\n{}", finished.output);
    ensure!(finished.output.contains("Linux x86_64"), "no system's name in:\n{}", finished.output);
    ensure!(finished.status.code() == Some(0), "{}: {}", finished.status, finished.errors);
    Ok(())
}

fn shell(lab: &Lab) -> anyhow::Result<()> {
    let mut guest = lab.start(&Setup::shell())?;
    guest.expect("# ")?;
    for (line, answer) in [
        ("grep -c '^model name' /proc/cpuinfo", "\n1\r"),
        ("dmesg | grep -c 'Linux version'", "\n1\r"),
        ("test -d /sys/bus/pci/devices/0000:00:00.0 && echo pci-is-there=$?", "pci-is-there=0"),
        ("tty", "/dev/ttyS0"),
        ("sleep 1; echo slept=$?", "slept=0"),
    ] {
        guest.type_line(line)?;
        guest.expect(answer)?;
        guest.expect("# ")?;
    }
    // The end of the shell turns the guest off.
    guest.type_line("exit")?;
    let finished = guest.finish()?;
    ensure!(finished.status.code() == Some(0), "{}: {}", finished.status, finished.errors);
    Ok(())
}

fn long_input(lab: &Lab) -> anyhow::Result<()> {
    let mut guest =
        lab.start(&Setup::script("console", "stty raw -echo; echo ready; head -c 20000 | md5sum"))?;
    guest.expect("ready")?;
    for _ in 0..2000 {
        guest.type_line("123456789")?;
    }
    let finished = guest.finish()?;
    // md5sum of 2000 lines of "123456789".
    let expected = md5_of_lines()?;
    ensure!(finished.output.contains(&expected), "no {expected} in:\n{}", finished.output);
    Ok(())
}

/// The host's own answer.
fn md5_of_lines() -> anyhow::Result<String> {
    let script = "i=0; while [ $i -lt 2000 ]; do echo 123456789; i=$((i+1)); done | md5sum";
    let output = std::process::Command::new("sh").args(["-c", script]).output()?;
    let text = String::from_utf8(output.stdout)?;
    ensure!(text.len() > 32, "the host has no md5sum");
    Ok(text[..32].to_owned())
}
