//! The host's tools that make file systems.
use std::process::Command;

/// Runs a tool. A tool that is not there makes the test pass without having looked at anything, which is said.
pub fn run(tool: &str, arguments: &[&str]) -> bool {
    let sbin = ["/usr/sbin", "/sbin"].map(|directory| format!("{directory}/{tool}"));
    for program in [tool.to_owned()].into_iter().chain(sbin) {
        let mut command = Command::new(program);
        // Whatever the host's date is, the image has it in UTC.
        match command.args(arguments).env("TZ", "UTC").output() {
            Ok(output) => {
                assert!(output.status.success(), "{tool}: {}", String::from_utf8_lossy(&output.stderr));
                return true;
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => panic!("{tool}: {error}"),
        }
    }
    eprintln!("skipped: this host has no {tool}");
    false
}
