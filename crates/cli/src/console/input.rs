//! What is typed or piped, to the guest.
//!
//! Two threads: one reads stdin, so that `Ctrl-]` works even while the guest takes nothing; one feeds the guest, which
//! blocks while the guest takes nothing. The end of a piped stdin ends nothing but the reading.
use std::io::{self, Read, Write};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::Builder;

use machine::MachineHandle;

use super::escape::{Command, Escape, MENU, Typed};
use crate::ending::{Cause, Ender};
use crate::statistics;

/// How many reads may wait for the guest.
const WAITING_READS: usize = 64;
/// Bytes taken from stdin at a time.
const READ_BYTES: usize = 4096;

/// Starts both threads. They end with the process.
pub fn start(handle: MachineHandle, ender: Arc<Ender>, is_terminal: bool) -> io::Result<()> {
    let (sender, receiver) = sync_channel(WAITING_READS);
    let feeder = handle.clone();
    Builder::new().name("console-feed".to_owned()).spawn(move || feed(&feeder, &receiver))?;
    let body = move || {
        // Losing the terminal also brings SIGHUP, which says what to do.
        let _ = if is_terminal { read_terminal(&handle, &ender, &sender) } else { read_pipe(&sender) };
    };
    Builder::new().name("console-read".to_owned()).spawn(body)?;
    Ok(())
}

fn feed(handle: &MachineHandle, typed: &Receiver<Vec<u8>>) {
    for bytes in typed {
        if !handle.feed(&bytes) {
            return;
        }
    }
}

/// Nothing of a pipe is lost: reading waits for the guest.
fn read_pipe(guest: &SyncSender<Vec<u8>>) -> io::Result<()> {
    let mut buffer = [0; READ_BYTES];
    loop {
        let length = io::stdin().read(&mut buffer)?;
        if length == 0 || guest.send(buffer[..length].to_vec()).is_err() {
            return Ok(());
        }
    }
}

/// Keys that a stuck guest has no room for are lost, as on a real line; commands never are.
fn read_terminal(handle: &MachineHandle, ender: &Ender, guest: &SyncSender<Vec<u8>>) -> io::Result<()> {
    let mut buffer = [0; READ_BYTES];
    let mut escape = Escape::default();
    loop {
        let length = io::stdin().read(&mut buffer)?;
        if length == 0 {
            return Ok(());
        }
        for part in escape.split(&buffer[..length]) {
            match part {
                Typed::Bytes(bytes) => match guest.try_send(bytes) {
                    Ok(()) => {}
                    Err(TrySendError::Full(_)) => say("\x07"),
                    Err(TrySendError::Disconnected(_)) => return Ok(()),
                },
                Typed::Command(command) => obey(command, handle, ender),
            }
        }
    }
}

fn obey(command: Command, handle: &MachineHandle, ender: &Ender) {
    match command {
        Command::Quit => drop(ender.end(Cause::Quit)),
        Command::Reset => handle.reset(),
        Command::Statistics => say(&format!("\n{}", statistics::table(&handle.statistics()))),
        Command::Help => say(&format!("\n{MENU}")),
    }
}

/// A message between the guest's own output. Nothing depends on its being seen.
fn say(text: &str) {
    let _ = io::stderr().write_all(text.as_bytes());
}
