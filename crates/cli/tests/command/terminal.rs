//! The console on a terminal: raw while the guest runs, as before on every way out.
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::process::{Child, ExitStatus};

use rustix::fs::{Mode, OFlags, open};
use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Termios, tcgetattr};

use super::process::gasang;
use super::sample::{self, kernel};

/// A guest on a pseudo-terminal.
struct Session {
    screen: File,
    /// Our own hold on the terminal's other end.
    terminal: OwnedFd,
    before: Termios,
    child: Child,
    _directory: tempfile::TempDir,
}

impl Session {
    /// Boots, and waits until the guest has said `!`.
    fn start(code: &[u8]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let screen = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&screen).unwrap();
        unlockpt(&screen).unwrap();
        let name = ptsname(&screen, Vec::new()).unwrap();
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let terminal = open(name.as_c_str(), flags, Mode::empty()).unwrap();
        let before = tcgetattr(&terminal).unwrap();
        let mut command = gasang();
        command.arg("run").arg("--kernel").arg(kernel(directory.path(), code)).args(["--debug-exit", "0xf4"]);
        let end = || terminal.try_clone().unwrap();
        let child = command.stdin(end()).stdout(end()).stderr(end()).spawn().unwrap();
        let mut session = Self { screen: File::from(screen), terminal, before, child, _directory: directory };
        session.wait_for("!");
        session
    }

    /// Reads the screen until it shows `text`.
    fn wait_for(&mut self, text: &str) {
        let mut seen = Vec::new();
        let mut byte = [0; 1];
        while !seen.ends_with(text.as_bytes()) {
            self.screen.read_exact(&mut byte).unwrap();
            seen.push(byte[0]);
        }
    }

    fn type_keys(&mut self, keys: &[u8]) {
        self.screen.write_all(keys).unwrap();
    }

    fn is_raw(&self) -> bool {
        let modes = tcgetattr(&self.terminal).unwrap().local_modes;
        !modes.intersects(LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG)
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits for the end, and checks that the terminal is as it was.
    fn end(mut self) -> ExitStatus {
        let status = self.child.wait().unwrap();
        let after = tcgetattr(&self.terminal).unwrap();
        assert_eq!(after.local_modes, self.before.local_modes);
        assert_eq!(after.input_modes, self.before.input_modes);
        assert_eq!(after.output_modes, self.before.output_modes);
        assert_eq!(after.control_modes, self.before.control_modes);
        status
    }
}

#[test]
fn keys_reach_the_guest_and_its_end_restores_the_terminal() {
    let mut session = Session::start(sample::ECHO);
    assert!(session.is_raw());
    // Ctrl-C is a key like any other.
    session.type_keys(b"\x03");
    assert_eq!(session.end().code(), Some(33));
}

#[test]
fn the_menu_quits() {
    let mut session = Session::start(sample::READY);
    session.type_keys(b"\x1d?");
    session.wait_for("send Ctrl-] to the guest");
    session.type_keys(b"\x1dq");
    assert_eq!(session.end().code(), Some(0));
}

#[test]
fn the_menu_resets() {
    let mut session = Session::start(sample::READY);
    session.type_keys(b"\x1dr");
    // The guest starts again.
    session.wait_for("!");
    session.type_keys(b"\x1dq");
    assert_eq!(session.end().code(), Some(0));
}

#[test]
fn escape_twice_goes_to_the_guest() {
    let mut session = Session::start(sample::ECHO);
    session.type_keys(b"\x1d\x1d");
    session.wait_for("\x1d");
    assert_eq!(session.end().code(), Some(33));
}

#[test]
fn signals_restore_the_terminal() {
    for (signal, code) in [(Signal::TERM, 143), (Signal::INT, 130), (Signal::HUP, 129)] {
        let session = Session::start(sample::READY);
        assert!(session.is_raw());
        session.signal(signal);
        assert_eq!(session.end().code(), Some(code));
    }
}
