//! A net helper with privileges of its file, asked by an ordinary user. This program is all three: the test, the user and
//! the helper.
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use gasang_network::host::capability;
use gasang_network::host::helper::{self, HelperError};
use gasang_network::host::trunk::{Trunk, TrunkKind};

/// In namespaces of its own: a device file as most hosts have it, and then the user, who is nobody.
const STAGE: &str = "mount -t tmpfs tmpfs /dev/net && mknod -m 666 /dev/net/tun c 10 200 && \
                     exec setpriv --reuid=65534 --regid=65534 --clear-groups \"$0\" user";

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    match arguments.first().map(String::as_str) {
        Some("net-helper") => return helper::serve(&arguments[1..]),
        Some("user") => user(&std::env::current_exe().unwrap()),
        // What test runners ask for before they run anything; nothing here is ignored.
        Some("--list") if arguments.iter().any(|argument| argument == "--ignored") => {}
        Some("--list") => println!("an_installed_helper: test"),
        _ => test(),
    }
    ExitCode::SUCCESS
}

fn test() {
    let is_there = |program: &str| {
        let status =
            Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
        status.is_ok()
    };
    if !capability::may_administer() || !["setcap", "unshare", "setpriv"].into_iter().all(is_there) {
        return println!("skipped: not root, or no setcap(8), unshare(1) or setpriv(1)");
    }
    let directory = tempfile::tempdir().unwrap();
    std::fs::set_permissions(directory.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let program = directory.path().join("gasang-net-helper");
    std::fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).unwrap();
    let status = Command::new("setcap").arg("cap_net_admin,cap_net_raw+ep").arg(&program).status().unwrap();
    if !status.success() {
        return println!("skipped: files can be given no privileges here");
    }
    let mut stage = Command::new("timeout");
    stage.args(["60", "unshare", "-nm", "sh", "-c", STAGE]).arg(&program).current_dir("/");
    assert!(stage.status().unwrap().success());
}

fn user(helper: &Path) {
    assert!(!rustix::process::geteuid().is_root());
    let ask = |text: &str| {
        let words: Vec<_> = text.split_whitespace().map(str::to_owned).collect();
        helper::ask(helper, &words)
    };
    let device = ask("tap gasang-lab mtu=9000 192.168.56.1/24").unwrap();
    let trunk = Trunk::of_descriptor(TrunkKind::Tap, device);
    // The kernel sends the interface's first words, by IPv6, or nothing at all.
    let received = trunk.receive(&mut [0; 2000]);
    println!("{received:?}");
    for (text, reason) in [
        ("tap gasang-lab 192.168.57.1/24", "already"),
        ("tap gasang-two 192.168.56.2/24", "overlaps"),
        ("tap gasang-two 10.0.0.1/24", "allows"),
        ("tap gasang-two 8.8.8.1/24", "allows"),
        ("tap eth0 192.168.57.1/24", "no name"),
        ("bridged lo", "root's"),
        ("bridge lo", "usage"),
    ] {
        match ask(text) {
            Err(HelperError::Refused { text, .. }) => {
                println!("{text}");
                assert!(text.contains(reason), "{text}");
            }
            other => panic!("{text}: {other:?}"),
        }
    }
}
