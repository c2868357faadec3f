//! How a run ends: exit code and message.
use std::io::{Read, Write};
use std::process::Stdio;

use super::process::{errors, gasang};
use super::sample::{self, kernel};

fn boot(code: &[u8], options: &[&str]) -> std::process::Output {
    let directory = tempfile::tempdir().unwrap();
    gasang().arg("run").arg("--kernel").arg(kernel(directory.path(), code)).args(options).output().unwrap()
}

#[test]
fn a_guest_that_halts_for_ever() {
    assert!(errors(&boot(sample::HALT, &[]), 10).contains("interrupts disabled"));
}

#[test]
fn a_guest_that_crashes() {
    assert!(errors(&boot(sample::TRIPLE_FAULT, &[]), 8).contains("triple fault"));
}

#[test]
fn a_guest_that_takes_too_long() {
    assert!(errors(&boot(sample::LOOP, &["--timeout", "300ms"]), 6).contains("--timeout"));
}

#[test]
fn a_guest_that_gives_its_own_exit_code() {
    errors(&boot(sample::DEBUG_EXIT, &["--debug-exit", "0xf4"]), 33);
    errors(&boot(sample::DEBUG_EXIT, &["--timeout", "300ms"]), 6);
}

#[test]
fn counters_are_printed_on_request() {
    let output = boot(sample::HALT, &["--stats"]);
    assert!(errors(&output, 10).contains("cpu0"));
    assert!(output.stdout.is_empty());
}

#[test]
fn a_closed_output_pipe_ends_the_run() {
    let directory = tempfile::tempdir().unwrap();
    let mut command = gasang();
    command.arg("run").arg("--kernel").arg(kernel(directory.path(), sample::CHATTER));
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut output = child.stdout.take().unwrap();
    let mut first = [0; 3];
    output.read_exact(&mut first).unwrap();
    assert_eq!(&first, b"yyy");
    drop(output);
    let output = child.wait_with_output().unwrap();
    assert_eq!(errors(&output, 141), "");
}

#[test]
fn a_full_disk_ends_the_run_and_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let mut command = gasang();
    command.arg("run").arg("--kernel").arg(kernel(directory.path(), sample::CHATTER));
    let output = command.stdout(std::fs::File::create("/dev/full").unwrap()).output().unwrap();
    assert!(errors(&output, 1).contains("No space left"));
}

#[test]
fn signals_end_the_run() {
    for (signal, code) in [(libc::SIGTERM, 143), (libc::SIGINT, 130), (libc::SIGHUP, 129)] {
        let directory = tempfile::tempdir().unwrap();
        let mut command = gasang();
        command.arg("run").arg("--kernel").arg(kernel(directory.path(), sample::READY));
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut first = [0; 1];
        child.stdout.as_mut().unwrap().read_exact(&mut first).unwrap();
        let pid = rustix::process::Pid::from_child(&child);
        rustix::process::kill_process(pid, rustix::process::Signal::from_named_raw(signal).unwrap()).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(errors(&output, code).contains("signal"));
    }
}

#[test]
fn piped_input_reaches_the_guest_and_its_end_ends_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let mut command = gasang();
    command
        .arg("run")
        .arg("--kernel")
        .arg(kernel(directory.path(), sample::ECHO))
        .args(["--debug-exit", "0xf4"]);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(b"k").unwrap();
    drop(input);
    let output = child.wait_with_output().unwrap();
    errors(&output, 33);
    assert_eq!(output.stdout, b"!k");
}
