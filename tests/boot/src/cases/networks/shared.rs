//! Machines on a NAT network and on a host-only network; their security groups and zones.
use std::sync::Arc;

use anyhow::{Context, ensure};
use boot_tests::console::Guest;
use boot_tests::lands::{Lands, NAME, OUTSIDE};

use super::{address, boot, end, told};
use crate::lab::Lab;

/// Two machines see one another, the outside and the host as their networks let them.
pub fn shared(lab: &Lab, lands: &Lands) -> anyhow::Result<()> {
    let small = Arc::new(b"a small page\n".to_vec());
    lands.serve_outside(vec![("/small", Arc::clone(&small))])?;
    let nets = ["--net", "natnet:lab", "--net", "hostonly:room", "--net", "internal:cellar"];
    let mut one = boot(lab, lands, "one", &nets)?;
    let mut two = boot(lab, lands, "two", &["--net", "natnet:lab", "--net", "internal:cellar"])?;
    let (first, second) = (address(&mut one, "eth0")?, address(&mut two, "eth0")?);
    ensure!(
        first != second && first.starts_with("10.0.2.") && second.starts_with("10.0.2."),
        "{first} {second}"
    );
    let (first, second) = (first.replace("/24", ""), second.replace("/24", ""));

    // One another, by address and by name, and the outside.
    two.ask("systemctl start apache2")?;
    for there in [second.as_str(), "two.internal", "two"] {
        one.says(&format!("ping -q -c 2 -i 0.2 {there} | grep -o '2 received'"), "2 received")?;
        let page = format!("curl -s -m 20 http://{there}/ | grep -c -m1 Apache2");
        one.says(&page, "1")?;
    }
    two.says(&format!("curl -s http://{NAME}/small"), "a small page")?;

    // Host-only: the host reaches the guest without a forward, and the guest nobody else.
    one.ask("ip link set eth1 up; dhclient eth1; systemctl start apache2")?;
    let there = address(&mut one, "eth1")?.replace("/24", "");
    ensure!(there == "192.168.56.101", "host-only: {there}");
    ensure!(
        lands.page(&format!("{there}:80"), "/")?.contains("Apache2"),
        "no page over the host-only network"
    );
    one.says("ping -q -c 1 -I eth1 192.168.56.1 | grep -o '1 received'", "1 received")?;
    let outside = format!("curl -s -m 3 --interface eth1 http://{OUTSIDE}/small; test $? -ne 0 && echo dark");
    one.says(&outside, "dark")?;

    // Internal: the two see one another, and that is all there is.
    one.ask("ip link set eth2 up; ip address add 172.20.0.1/24 dev eth2")?;
    two.ask("ip link set eth1 up; ip address add 172.20.0.2/24 dev eth1")?;
    one.says("ping -q -c 2 -i 0.2 172.20.0.2 | grep -o '2 received'", "2 received")?;
    one.says(
        &format!("curl -s -m 3 --interface eth2 http://{OUTSIDE}/small; test $? -ne 0 && echo dark"),
        "dark",
    )?;

    groups(lab, lands, &mut one, &mut two, (&first, &second))?;
    zones(lab, lands, &mut one, &second)?;

    // The same card has its address again after a restart.
    end(two)?;
    let mut two = boot(lab, lands, "two", &["--net", "natnet:lab"])?;
    ensure!(address(&mut two, "eth0")?.replace("/24", "") == second, "another address after a restart");
    end(two)?;
    end(one)
}

/// Sends datagrams from an address of somebody else, as a DHCP server, and from another card, and an ARP request of
/// somebody else.
const LIES: &str = "import socket, struct; s = socket.socket(17, 3); s.bind(('eth0', 0x800)); m = s.getsockname()[4]; \
    a = socket.inet_aton; x = bytes.fromhex; b = bytes([255] * 6); \
    h = lambda f, t, k: struct.pack('>BBHHHBBH4s4s', 69, 0, 36, 0, 0, 64, 17, k, a(f), a(t)); \
    c = lambda h: 65535 - sum(struct.unpack('>10H', h)) % 65535; \
    u = lambda e, f, t, p, q: b + e + x('0800') + h(f, t, c(h(f, t, 0))) + struct.pack('>4H', p, q, 16, 0) + bytes(8); \
    s.send(u(m, '10.0.2.77', '10.0.2.255', 9, 9)); s.send(u(m, 'OWN', '255.255.255.255', 67, 68)); \
    s.send(u(x('525400000077'), 'OWN', '10.0.2.255', 9, 9)); \
    s.send(b + m + x('08060001080006040001') + m + a('10.0.2.77') + bytes(6) + a('10.0.2.1'))";

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
    one.says(&page, "0")?;
    sg(&["allow", "web", "ingress", "tcp", "80"])?;
    one.says(&page, "1")?;
    let traced = sg(&["trace", "two", "ingress", "tcp", "80", "--from", first])?;
    ensure!(traced.contains("web"), "the trace names no rule: {traced}");

    // What flows goes on after a revoke, and ends with --cut.
    two.ask("(yes | nc -l -p 7000 >/dev/null 2>&1 &)")?;
    sg(&["allow", "web", "ingress", "tcp", "7000"])?;
    one.ask(&format!("(nc {second} 7000 > /tmp/stream 2>/dev/null &) ; sleep 1"))?;
    let rule = sg(&["ls", "web"])?;
    let id = rule.lines().find(|line| line.contains("7000")).context("no rule for 7000")?;
    let id = id.split_whitespace().find(|word| word.parse::<u64>().is_ok()).context("no id")?.to_owned();
    let grows = "a=$(stat -c %s /tmp/stream); sleep 1; b=$(stat -c %s /tmp/stream); \
                 test $b -gt $a && echo flows || echo stands";
    one.says(grows, "flows")?;
    sg(&["revoke", "web", &id])?;
    one.says(grows, "flows")?;
    sg(&["allow", "web", "ingress", "tcp", "7000"])?;
    let rule = sg(&["ls", "web"])?;
    let id = rule.lines().find(|line| line.contains("7000")).context("no rule for 7000")?;
    let id = id.split_whitespace().find(|word| word.parse::<u64>().is_ok()).context("no id")?.to_owned();
    sg(&["revoke", "web", &id, "--cut"])?;
    one.ask("sleep 1")?;
    one.says(grows, "stands")?;
    one.ask("pkill nc; true")?;

    // From group to group.
    sg(&["create", "clients"])?;
    sg(&["allow", "web", "ingress", "tcp", "22", "--from", "group:clients"])?;
    let ssh = format!("nc -z -w 3 {second} 22 && echo open || echo dark");
    two.ask("systemctl start ssh")?;
    one.says(&ssh, "dark")?;
    sg(&["assign", "one", "clients"])?;
    one.says(&ssh, "open")?;
    sg(&["unassign", "one", "clients"])?;

    // Whoever speaks for others is not heard.
    two.says(&format!("python3 -c \"{}\"; echo $?", LIES.replace("OWN", second)), "0")?;
    let stats = sg(&["stats", "lab"])?;
    for reason in ["source-address", "dhcp-server", "source-mac", "arp-sender"] {
        ensure!(stats.contains(reason), "no {reason} was counted: {stats}");
    }
    sg(&["unassign", "two", "web"])?;
    one.says(&page, "1")
}

/// Zones of the shared network.
fn zones(lab: &Lab, lands: &Lands, one: &mut Guest, second: &str) -> anyhow::Result<()> {
    let firewall = |words: &[&str], code| told(lab, lands, &[&["firewall", "lab"], words].concat(), code);
    let page = format!("curl -s -m 3 http://{second}/ | grep -c -m1 Apache2");
    firewall(&["--state"], 252)?;
    firewall(&["--start"], 0)?;
    one.says(&page, "0")?;
    ensure!(firewall(&["--add-service=http"], 0)? == "success\n");
    one.says(&page, "1")?;
    firewall(&["--reload"], 0)?;
    one.says(&page, "0")?;
    firewall(&["--add-service=http", "--permanent"], 0)?;
    one.says(&page, "0")?;
    firewall(&["--reload"], 0)?;
    one.says(&page, "1")?;
    ensure!(firewall(&["--query-service=http"], 0)? == "yes\n");
    firewall(&["--stop"], 0)?;
    one.says(&page, "1")
}
