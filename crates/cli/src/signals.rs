//! Signals of the host: one thread waits for them, all others block them.
#![expect(unsafe_code, reason = "the standard library cannot wait for signals")]
use std::io;
use std::mem::MaybeUninit;
use std::sync::Arc;

use crate::console::terminal;
use crate::ending::{Cause, Ender};
use crate::exit::Code;

const ENDING: [libc::c_int; 4] = [libc::SIGINT, libc::SIGTERM, libc::SIGHUP, libc::SIGQUIT];

/// The signals that are waited for, blocked.
pub struct Signals {
    set: libc::sigset_t,
}

impl Signals {
    /// Blocks them in this thread and in all that it starts; call it before any thread is started.
    pub fn block() -> io::Result<Self> {
        let mut set = MaybeUninit::uninit();
        // SAFETY: sigemptyset initializes the set, sigaddset changes it; both take valid signal numbers.
        let set = unsafe {
            libc::sigemptyset(set.as_mut_ptr());
            for signal in ENDING.into_iter().chain([libc::SIGCONT]) {
                libc::sigaddset(set.as_mut_ptr(), signal);
            }
            set.assume_init()
        };
        // A limit on file sizes counts for guest RAM too: an error says more than the signal's default action.
        // SAFETY: to ignore a signal touches no memory of ours.
        unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };
        // SAFETY: the set is initialized; the old mask is not asked for.
        match unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut()) } {
            0 => Ok(Self { set }),
            error => Err(io::Error::from_raw_os_error(error)),
        }
    }

    /// Waits for the next one.
    fn wait(&self) -> libc::c_int {
        let mut signal = 0;
        loop {
            // SAFETY: set and signal are valid for the call.
            if unsafe { libc::sigwait(&raw const self.set, &raw mut signal) } == 0 {
                return signal;
            }
        }
    }

    /// Ends the machine at the first signal, and the process at the second, should the machine not end.
    pub fn watch(self, ender: Arc<Ender>) -> io::Result<()> {
        let body = move || {
            let mut asked = false;
            loop {
                let signal = self.wait();
                if signal == libc::SIGCONT {
                    terminal::enter_again();
                    continue;
                }
                // Signal numbers lie below 65.
                let signal = signal as u8;
                if asked {
                    terminal::restore();
                    std::process::exit(Code::of_signal(signal).0.into());
                }
                asked = true;
                ender.end(Cause::Signal(signal));
            }
        };
        std::thread::Builder::new().name("signals".to_owned()).spawn(body).map(drop)
    }
}
