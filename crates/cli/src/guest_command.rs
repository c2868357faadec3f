//! A command that runs in the guest instead of a console: its input, output and exit code are this program's.
//!
//! The agent in the guest (`crates/manager/src/images/debian/agent.pl`) says how the two talk.
use std::io::{self, Read, Write};
use std::sync::Arc;
use std::thread::Builder;
use std::time::Duration;

use machine::{GuestChannel, MachineHandle};

use crate::ending::{Cause, Ender};
use messages::Messages;

mod messages;

/// What the agent and this file agree on.
const VERSION: &[u8] = b"1";
/// Bytes of standard input in one message.
const INPUT_BYTES: usize = 32 << 10;
/// How long a guest has to shut down after the command.
const SHUTDOWN: Duration = Duration::from_secs(90);

/// A command for a guest.
pub struct GuestCommand {
    /// The program and its arguments.
    pub arguments: Vec<String>,
    /// The guest shuts itself down afterwards, since its disk is needed again; otherwise it is just ended.
    pub shut_down: bool,
}

/// Starts talking to the guest's agent. What comes of it is the machine's end.
pub fn start(
    command: GuestCommand,
    channel: GuestChannel,
    handle: MachineHandle,
    ender: Arc<Ender>,
) -> io::Result<()> {
    let body = move || match converse(&command, &channel) {
        Ok(Some(code)) if command.shut_down => shut_down(&handle, &ender, code),
        Ok(Some(code)) => drop(ender.end(Cause::Command(code))),
        // The machine has ended by itself, and says how.
        Ok(None) => {}
        Err(cause) => drop(ender.end(cause)),
    };
    Builder::new().name("command".to_owned()).spawn(body).map(drop)
}

/// Runs the command to its end, and returns its exit code; `None` if the machine ended before.
fn converse(command: &GuestCommand, channel: &GuestChannel) -> Result<Option<u8>, Cause> {
    let mut messages = Messages::of(channel);
    while let Some((word, bytes)) = messages.next().map_err(|()| Cause::AgentConfused)? {
        let written = match word.as_str() {
            "ready" if bytes != VERSION => return Err(Cause::AgentConfused),
            "ready" => {
                let arguments: Vec<u8> =
                    command.arguments.iter().flat_map(|word| word.bytes().chain([0])).collect();
                messages::send(channel, "run", &arguments);
                start_input(channel.clone())
            }
            "out" => io::stdout().write_all(&bytes).and_then(|()| io::stdout().flush()),
            "err" => io::stderr().write_all(&bytes),
            "exit" => {
                let code = std::str::from_utf8(&bytes).ok().and_then(|code| code.parse().ok());
                return code.map(Some).ok_or(Cause::AgentConfused);
            }
            _ => return Err(Cause::AgentConfused),
        };
        written.map_err(|error| Cause::of_output_error(error.raw_os_error().unwrap_or(libc::EIO)))?;
    }
    Ok(None)
}

/// Passes standard input on. The thread ends with its input, or with the process.
fn start_input(channel: GuestChannel) -> io::Result<()> {
    let body = move || {
        let mut buffer = vec![0; INPUT_BYTES];
        loop {
            match io::stdin().read(&mut buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(0) | Err(_) => {
                    messages::send(&channel, "eof", b"");
                    return;
                }
                Ok(length) => {
                    if !messages::send(&channel, "in", &buffer[..length]) {
                        return;
                    }
                }
            }
        }
    };
    Builder::new().name("command-input".to_owned()).spawn(body).map(drop)
}

/// Has the guest turn itself off, so that nothing is lost.
fn shut_down(handle: &MachineHandle, ender: &Ender, code: u8) {
    ender.note(Cause::Command(code));
    handle.press_power_button();
    std::thread::sleep(SHUTDOWN);
    // Usually the process has ended long ago.
    ender.end(Cause::Command(code));
}
