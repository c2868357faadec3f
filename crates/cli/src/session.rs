//! One machine in the foreground: the threads around it, and how it ends.
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use anyhow::Context;
use api::MachineInfo;
use machine::{ConsoleOutput, Machine, MachineConfig, MachineHandle, News, Statistics};
use manager::running::{Listener, RunningError};

use crate::console::input;
use crate::console::output::{Notice, Stdout};
use crate::console::quiet::{Quiet, Tail};
use crate::console::terminal::RawTerminal;
use crate::control::Control;
use crate::disks::OpenDisk;
use crate::ending::{Cause, Ender, Verdict};
use crate::guest_command::{self, GuestCommand};
use crate::output::say;
use crate::panic_watch::SILENCE;
use crate::signals::Signals;

/// What came of a session.
pub struct Ended {
    /// The exit code, and what to tell the user.
    pub verdict: Verdict,
    /// The counters of each CPU.
    pub statistics: Vec<Statistics>,
}

/// How a machine runs here.
pub struct Setting {
    /// It ends after this time.
    pub timeout: Option<Duration>,
    /// Others may talk to it under this name.
    pub name: Option<String>,
    /// Its disks.
    pub disks: Vec<OpenDisk>,
    /// Its network cards.
    pub nics: Vec<api::Nic>,
    /// A command that runs in the guest, instead of a console here.
    pub command: Option<GuestCommand>,
}

/// Runs a machine until it ends, its console on stdin and stdout. The terminal is as before when this returns.
pub fn run(config: &MachineConfig, setting: Setting) -> anyhow::Result<Ended> {
    let Setting { timeout, name, disks, nics, command } = setting;
    let signals = Signals::block().context("cannot block signals")?;
    let (notices, noticed) = channel();
    let tail = Tail::default();
    let console: Box<dyn ConsoleOutput> = match &command {
        Some(_) => Box::new(Quiet::new(tail.clone(), notices)),
        None => Box::new(Stdout::new(notices)),
    };
    let mut machine = Machine::new(config, console)?;
    let ender = Arc::new(Ender::new(machine.handle()));
    machine.handle().listen(Box::new(|news| say(&describe(news))));
    let _listener = name.map(|name| listen(name, config, machine.handle(), &disks, nics)).transpose()?;
    signals.watch(Arc::clone(&ender)).context("no thread for signals")?;
    let terminal = match command {
        Some(command) => {
            let channel = machine.handle().channel().context("the machine has no channel")?;
            guest_command::start(command, channel, machine.handle(), Arc::clone(&ender))
                .context("no thread for the command")?;
            None
        }
        None => {
            let terminal = RawTerminal::enter().context("cannot set the terminal's mode")?;
            input::start(machine.handle(), Arc::clone(&ender), terminal.is_some())
                .context("no thread for input")?;
            terminal
        }
    };
    watch(noticed, timeout, Arc::clone(&ender)).context("no thread for timeouts")?;
    let outcome = machine.run();
    drop(terminal);
    let verdict = Verdict::of(outcome?, ender.cause());
    let lines = tail.lines();
    if !lines.is_empty() && !matches!(ender.cause(), Some(Cause::Command(_))) {
        say(&format!("gasang: the guest's last messages:\n{lines}"));
    }
    Ok(Ended { verdict, statistics: machine.statistics() })
}

/// Lets others talk to the machine.
fn listen(
    name: String,
    config: &MachineConfig,
    handle: MachineHandle,
    disks: &[OpenDisk],
    nics: Vec<api::Nic>,
) -> Result<Listener, RunningError> {
    let info = MachineInfo { name, pid: std::process::id(), cpus: config.cpus, memory: config.memory_bytes };
    Control::new(info, handle, disks, nics).listen()
}

/// News in words. The terminal may be raw, so lines begin with a return.
fn describe(news: &News) -> String {
    match news {
        News::DiskFull { disk } => format!(
            "\r\ngasang: no room is left on the host for the disk {disk:?}: the guest is paused, and goes on once there is\r"
        ),
        News::DiskHasRoom { disk } => {
            format!("\r\ngasang: there is room again for the disk {disk:?}: the guest goes on\r")
        }
        News::LinkLost { nic } => format!(
            "\r\ngasang: the network of {nic:?} is gone: the guest sees its cable pulled out, and goes on; 'gasang net restore' brings it back\r"
        ),
    }
}

/// Ends the machine when its time is over, its output is closed, or its kernel has panicked.
fn watch(noticed: Receiver<Notice>, timeout: Option<Duration>, ender: Arc<Ender>) -> io::Result<()> {
    let limit =
        timeout.and_then(|timeout| Some((Instant::now().checked_add(timeout)?, Cause::Timeout(timeout))));
    let body = move || {
        let mut panic = None;
        loop {
            let due = [limit, panic].into_iter().flatten().min_by_key(|(at, _)| *at);
            let notice = match due {
                Some((at, cause)) => match noticed.recv_timeout(at.saturating_duration_since(Instant::now()))
                {
                    Err(RecvTimeoutError::Timeout) => {
                        ender.end(cause);
                        return;
                    }
                    other => other.ok(),
                },
                None => noticed.recv().ok(),
            };
            match notice {
                Some(Notice::Panicked(panicked)) => {
                    panic = panicked.then(|| (Instant::now() + SILENCE, Cause::KernelPanic));
                }
                Some(Notice::Closed(error)) => drop(ender.end(Cause::of_output_error(error))),
                // The console's thread is gone, and with it the machine.
                None => return,
            }
        }
    };
    std::thread::Builder::new().name("watch".to_owned()).spawn(body).map(drop)
}
