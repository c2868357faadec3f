//! The real firewalld, in a Debian guest: the study notes' steps with it, and gasang's zones compared with it.
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use anyhow::ensure;
use boot_tests::console::Guest;
use boot_tests::lands::Lands;

use super::{boot, end, gasang};
use crate::lab::Lab;

/// Apache is there after a reboot; firewalld makes it dark until its service is allowed.
pub fn in_the_guest(lab: &Lab, lands: &Lands) -> anyhow::Result<()> {
    let page = |wanted: bool| {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let page = lands.page("127.0.0.1:8080", "/");
            if page.as_ref().is_ok_and(|page| page.contains("Apache2")) == wanted {
                return Ok(());
            }
            ensure!(Instant::now() < deadline, "wanted: {wanted}, but the page is {page:?}");
            std::thread::sleep(Duration::from_millis(200));
        }
    };
    let mut guest = boot(lab, lands, "web", &["--publish", "8080:80"])?;
    page(false)?;
    guest.ask("systemctl enable --now apache2")?;
    page(true)?;
    guest.type_line("reboot")?;
    guest.log_in()?;
    guest.says("systemctl is-enabled apache2", "enabled")?;
    page(true)?;
    guest.ask("systemctl enable --now firewalld")?;
    guest.says("firewall-cmd --state", "running")?;
    page(false)?;
    guest.says("firewall-cmd --add-service=http --permanent", "success")?;
    page(false)?;
    guest.says("firewall-cmd --reload", "success")?;
    page(true)?;
    end(guest)
}

/// The calls that people use most, in an order in which each has something to do, and some that fail.
const CALLS: &[&str] = &[
    "--state",
    "--get-default-zone",
    "--get-zones",
    "--get-services",
    "--get-icmptypes",
    "--get-active-zones",
    "--list-all",
    "--list-services",
    "--add-service=http",
    "--add-service=http",
    "--query-service=http",
    "--query-service=https",
    "--remove-service=http",
    "--add-port=8080/tcp",
    "--add-port=6000-6010/udp",
    "--list-ports",
    "--query-port=8080/tcp",
    "--remove-port=8080/tcp",
    "--permanent --add-service=https",
    "--list-services",
    "--reload",
    "--list-services",
    "--permanent --list-all",
    "--info-service=ssh",
    "--zone=dmz --add-source=192.0.2.0/24",
    "--get-active-zones",
    "--get-zone-of-source=192.0.2.0/24",
    "--zone=dmz --list-all",
    "--add-rich-rule='rule family=ipv4 source address=198.51.100.0/24 service name=http accept'",
    "--list-rich-rules",
    "--add-masquerade",
    "--query-masquerade",
    "--add-forward-port=port=2222:proto=tcp:toport=22",
    "--list-forward-ports",
    "--add-icmp-block=echo-request",
    "--list-all",
    "--runtime-to-permanent",
    "--permanent --list-all",
    "--permanent --new-zone=lab",
    "--permanent --zone=lab --set-target=ACCEPT",
    "--permanent --new-service=myapp",
    "--permanent --service=myapp --add-port=9000/tcp",
    "--reload",
    "--zone=lab --list-all",
    "--info-service=myapp",
    "--set-default-zone=home",
    "--get-default-zone",
    "--list-all",
    "--list-all-zones",
    "--panic-on",
    "--query-panic",
    "--panic-off",
    "--add-service=nosuch",
    "--zone=nosuch --list-all",
    "--add-port=99999/tcp",
    "--remove-service=ftp",
    "--bogus",
];

/// What gasang's zones print and how they end is what the guest's firewalld prints and how it ends.
pub fn compared(lab: &Lab, lands: &Lands) -> anyhow::Result<()> {
    let mut guest = boot(lab, lands, "real", &["--net", "natnet:lab"])?;
    guest.ask("systemctl start firewalld")?;
    guest.comes_to_say("firewall-cmd --state 2>&1", "running")?;
    let started = gasang(lab, lands, &["firewall", "lab", "--start"]).status()?;
    ensure!(started.success(), "the network's firewall does not start");
    let mut differences = String::new();
    for call in CALLS {
        let (theirs, ours) = (real(&mut guest, call)?, zones(lab, lands, call)?);
        if theirs != ours {
            writeln!(differences, "firewall-cmd {call}\n{theirs}gasang firewall lab {call}\n{ours}")?;
        }
    }
    ensure!(differences.is_empty(), "these differ:\n{differences}");
    end(guest)
}

/// Lines of stdout, of stderr behind `! `, the exit code behind `? `.
fn real(guest: &mut Guest, call: &str) -> anyhow::Result<String> {
    guest.ask(&format!(
        "firewall-cmd {call} >/tmp/out 2>/tmp/err; code=$?; cat /tmp/out; sed 's/^/! /' /tmp/err; echo \"? $code\""
    ))
}

fn zones(lab: &Lab, lands: &Lands, call: &str) -> anyhow::Result<String> {
    // The quotes of the rich rule are a shell's.
    let words = call.split_once('\'').map_or_else(
        || call.split(' ').map(str::to_owned).collect(),
        |(option, rule)| vec![format!("{option}{}", rule.trim_end_matches('\''))],
    );
    let words: Vec<&str> = ["firewall", "lab"].into_iter().chain(words.iter().map(String::as_str)).collect();
    let output = gasang(lab, lands, &words).output()?;
    let mut said = String::from_utf8_lossy(&output.stdout).lines().fold(String::new(), |mut said, line| {
        said.push_str(line.trim_end());
        said.push('\n');
        said
    });
    for line in String::from_utf8_lossy(&output.stderr).lines() {
        writeln!(said, "! {}", line.trim_end())?;
    }
    writeln!(said, "? {}", output.status.code().unwrap_or(-1))?;
    Ok(said)
}
