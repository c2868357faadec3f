//! The terminal's mode: raw while the guest runs, and as it was on every way out.
use std::io;
use std::sync::Mutex;

use rustix::termios::{OptionalActions, OutputModes, Termios, isatty, tcgetattr, tcgetwinsize, tcsetattr};

/// The mode before, while the terminal is raw. Global, so that panics and signals can restore it.
static BEFORE: Mutex<Option<Termios>> = Mutex::new(None);

/// The terminal is raw while this lives.
#[derive(Debug)]
pub struct RawTerminal(());

impl RawTerminal {
    /// Makes the terminal on stdin raw; `None` if stdin is none. In its background, this process stops until the shell
    /// brings it to the front.
    pub fn enter() -> io::Result<Option<Self>> {
        let stdin = rustix::stdio::stdin();
        if !isatty(stdin) {
            return Ok(None);
        }
        let before = tcgetattr(stdin)?;
        tcsetattr(stdin, OptionalActions::Flush, &raw(&before))?;
        *lock() = Some(before);
        restore_on_panic();
        Ok(Some(Self(())))
    }
}

impl Drop for RawTerminal {
    fn drop(&mut self) {
        restore();
    }
}

/// Rows and columns of the terminal on stdin, where there is one that has any.
pub fn size() -> Option<(u16, u16)> {
    let size = tcgetwinsize(rustix::stdio::stdin()).ok()?;
    (size.ws_row != 0 && size.ws_col != 0).then_some((size.ws_row, size.ws_col))
}

/// Everything as typed, except that the output's line ends stay as they are: messages of this program use them, and a
/// guest that sends its own loses nothing by it.
fn raw(before: &Termios) -> Termios {
    let mut mode = before.clone();
    mode.make_raw();
    mode.output_modes |= before.output_modes & (OutputModes::OPOST | OutputModes::ONLCR);
    mode
}

fn lock() -> std::sync::MutexGuard<'static, Option<Termios>> {
    // A panic elsewhere must not keep the terminal raw.
    BEFORE.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Puts the terminal back as it was; without effect if it is.
pub fn restore() {
    if let Some(before) = lock().take() {
        // Nothing can be done about a terminal that is gone.
        let _ = tcsetattr(rustix::stdio::stdin(), OptionalActions::Drain, &before);
    }
}

/// Makes the terminal raw again after the shell has had it (job control).
pub fn enter_again() {
    if let Some(before) = &*lock() {
        let _ = tcsetattr(rustix::stdio::stdin(), OptionalActions::Now, &raw(before));
    }
}

/// A panic in any thread restores the terminal before it prints; the process may end right after.
fn restore_on_panic() {
    let next = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |information| {
        restore();
        next(information);
    }));
}
