//! How a run ended, as message and exit code.
use std::io::Write;
use std::sync::OnceLock;
use std::time::Duration;

use machine::{MachineHandle, Outcome};

use crate::console::terminal;
use crate::exit::Code;

/// Why this side, not the guest, ended a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// `--timeout` passed.
    Timeout(Duration),
    /// A signal came.
    Signal(u8),
    /// Nobody reads our output any more.
    OutputClosed,
    /// Our output cannot be written; the host's error number.
    OutputFailed(i32),
    /// The user chose to quit in the menu.
    Quit,
    /// The guest's kernel reported a panic, and nothing came after it.
    KernelPanic,
    /// The command in the guest ended, with this exit code.
    Command(u8),
    /// What the agent in the guest says makes no sense.
    AgentConfused,
}

impl Cause {
    /// What it means that writing the output failed with this error number.
    pub fn of_output_error(error: i32) -> Self {
        match error {
            libc::EPIPE => Self::OutputClosed,
            // The terminal is gone; SIGHUP says the same, but may come later.
            libc::EIO if writes_to_device() => Self::Signal(libc::SIGHUP as u8),
            error => Self::OutputFailed(error),
        }
    }
}

/// Whether stdout is a device, such as a terminal; asking the terminal fails once it is gone.
fn writes_to_device() -> bool {
    rustix::fs::fstat(rustix::stdio::stdout())
        .is_ok_and(|status| rustix::fs::FileType::from_raw_mode(status.st_mode).is_char_device())
}

/// Ends a machine from any thread; the first cause is the one that counts.
pub struct Ender {
    handle: MachineHandle,
    cause: OnceLock<Cause>,
}

impl Ender {
    /// For the machine behind `handle`.
    pub fn new(handle: MachineHandle) -> Self {
        Self { handle, cause: OnceLock::new() }
    }

    /// Ends the machine, and says why. Returns whether this was the first cause.
    pub fn end(&self, cause: Cause) -> bool {
        let first = self.cause.set(cause).is_ok();
        self.handle.stop();
        if first {
            // Where threads are not to be had, the machine ends by itself or by a second signal.
            let _ = std::thread::Builder::new().name("patience".to_owned()).spawn(give_up_later);
        }
        first
    }

    /// Says why the machine will end, without ending it.
    pub fn note(&self, cause: Cause) {
        // Only the first counts.
        let _ = self.cause.set(cause);
    }

    /// The first cause, if there was any.
    pub fn cause(&self) -> Option<Cause> {
        self.cause.get().copied()
    }
}

/// How long a machine may take to end. It takes milliseconds, unless its engine hangs.
const PATIENCE: Duration = Duration::from_secs(20);

/// Ends the process, should the machine not end.
fn give_up_later() {
    std::thread::sleep(PATIENCE);
    terminal::restore();
    let text = format!(
        "gasang: the machine has not stopped for {} s, which is a bug of its engine; the process ends without it",
        PATIENCE.as_secs()
    );
    let _ = writeln!(std::io::stderr(), "\n{text}");
    std::process::exit(Code::ENGINE.0.into());
}

/// The exit code, and what to tell the user.
pub struct Verdict {
    pub code: Code,
    pub message: Option<String>,
}

impl Verdict {
    fn silent(code: Code) -> Self {
        Self { code, message: None }
    }

    fn saying(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: Some(message.into()) }
    }

    /// Judges the machine's own end together with what this side did.
    pub fn of(outcome: Outcome, cause: Option<Cause>) -> Self {
        match outcome {
            Outcome::PowerOff => match cause {
                Some(Cause::Command(code)) => Self::silent(Code(code)),
                _ => Self::silent(Code::OK),
            },
            Outcome::DebugExit(code) => Self::silent(Code(code as u8)),
            Outcome::TripleFault { cpu, rip, vector } => Self::saying(
                Code::GUEST_CRASH,
                format!(
                    "the guest crashed: triple fault on CPU {cpu} at {rip:#x}, first exception {vector}; \
                     its last messages are above, 'earlyprintk=ttyS0' on its command line may show more"
                ),
            ),
            Outcome::HaltedForever { cpu, rip } => Self::saying(
                Code::GUEST_HALTED,
                format!("the guest halted for ever: CPU {cpu} waits at {rip:#x} with interrupts disabled"),
            ),
            Outcome::EngineError { cpu, rip } => Self::saying(
                Code::ENGINE,
                format!(
                    "the engine met something on CPU {cpu} at {rip:#x} that it cannot execute; the log above says \
                     what; please report it with the guest's kernel and command line"
                ),
            ),
            Outcome::Stopped => cause.map_or(Self::silent(Code::OK), Self::of_cause),
        }
    }

    fn of_cause(cause: Cause) -> Self {
        match cause {
            Cause::Timeout(limit) => {
                Self::saying(Code::TIMEOUT, format!("the guest was ended after {limit:?}, its --timeout"))
            }
            Cause::Signal(signal) => {
                Self::saying(Code::of_signal(signal), format!("the guest was ended by signal {signal}"))
            }
            Cause::OutputClosed => Self::silent(Code::of_signal(libc::SIGPIPE as u8)),
            Cause::OutputFailed(error) => {
                let error = std::io::Error::from_raw_os_error(error);
                Self::saying(
                    Code::FAILURE,
                    format!("the guest was ended because its output cannot be written: {error}"),
                )
            }
            Cause::Quit => Self::silent(Code::OK),
            Cause::Command(code) => Self::silent(Code(code)),
            Cause::AgentConfused => Self::saying(
                Code::FAILURE,
                "the agent in the guest does not speak as this gasang does; make the image again \
                 ('gasang image rm', 'gasang image build')",
            ),
            Cause::KernelPanic => Self::saying(
                Code::GUEST_CRASH,
                "the guest crashed: its kernel panicked, its messages are above; with 'panic=1' on its command line \
                 it restarts instead",
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_guests_own_end_comes_first() {
        assert_eq!(Verdict::of(Outcome::PowerOff, Some(Cause::Signal(15))).code, Code::OK);
        assert_eq!(Verdict::of(Outcome::DebugExit(33), None).code, Code(33));
    }

    #[test]
    fn each_cause_has_its_code() {
        let code = |cause| Verdict::of(Outcome::Stopped, Some(cause)).code;
        assert_eq!(code(Cause::Timeout(Duration::from_secs(1))), Code::TIMEOUT);
        assert_eq!(code(Cause::Signal(15)), Code(143));
        assert_eq!(code(Cause::OutputClosed), Code(141));
        assert_eq!(code(Cause::of_output_error(libc::EPIPE)), Code(141));
        assert_eq!(code(Cause::of_output_error(libc::ENOSPC)), Code::FAILURE);
        assert_eq!(code(Cause::Quit), Code::OK);
        assert_eq!(code(Cause::KernelPanic), Code::GUEST_CRASH);
    }
}
