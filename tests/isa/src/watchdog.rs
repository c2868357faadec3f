//! Stops a case that does not end: bare code by a signal, an engine by a stop request.
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering};
use std::sync::{Arc, Once};
use std::time::Duration;

/// Cases begun in this process; odd while one runs.
static PULSE: AtomicU64 = AtomicU64::new(0);
/// The thread that runs cases.
static RUNNER: AtomicI32 = AtomicI32::new(0);
/// What to tell when a case takes too long.
static ENGINE: std::sync::Mutex<Option<Arc<dyn Stoppable>>> = std::sync::Mutex::new(None);
/// A bare case is over time.
pub static EXPIRED: AtomicBool = AtomicBool::new(false);

/// How long a case may compute; it takes microseconds. Time in which the host runs something else does not count.
const LIMIT: Duration = Duration::from_millis(500);

/// The signal that stops bare code.
pub const SIGNAL: libc::c_int = libc::SIGUSR2;

/// An engine that can be asked to stop.
pub trait Stoppable: Send + Sync {
    /// Asks it, from another thread.
    fn stop(&self);
}

/// Starts the thread that watches, once.
pub fn start() {
    static STARTED: Once = Once::new();
    STARTED.call_once(|| {
        std::thread::spawn(watch);
    });
}

fn watch() {
    let (mut last, mut since) = (0, Duration::ZERO);
    loop {
        std::thread::sleep(LIMIT);
        let (now, computed) = (PULSE.load(Ordering::SeqCst), computed());
        if now != last {
            (last, since) = (now, computed);
        } else if now % 2 == 1 && computed.saturating_sub(since) >= LIMIT * 9 / 10 {
            EXPIRED.store(true, Ordering::SeqCst);
            if let Some(engine) = ENGINE.lock().unwrap_or_else(|e| e.into_inner()).as_ref() {
                engine.stop();
            }
            signal_runner();
        }
    }
}

/// CPU time of this process.
#[expect(unsafe_code, reason = "asks for the process's CPU time")]
fn computed() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the kernel writes to a local.
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut time) };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

#[expect(unsafe_code, reason = "sends a signal to one thread of this process")]
fn signal_runner() {
    // SAFETY: plain system calls; the handler of SIGNAL is installed before the first case.
    unsafe {
        let (process, thread) = (libc::getpid(), RUNNER.load(Ordering::SeqCst));
        libc::syscall(libc::SYS_tgkill, process, thread, SIGNAL);
    }
}

/// Names the calling thread as the one that runs cases.
#[expect(unsafe_code, reason = "asks for the thread's number")]
pub fn set_runner() {
    // SAFETY: plain system call.
    RUNNER.store(unsafe { libc::gettid() }, Ordering::SeqCst);
}

/// Names what is to stop when the case that begins now takes too long; for engines.
pub fn watch_engine(engine: Option<Arc<dyn Stoppable>>) {
    *ENGINE.lock().unwrap_or_else(|e| e.into_inner()) = engine;
}

/// A case begins.
pub fn begin() {
    EXPIRED.store(false, Ordering::Relaxed);
    PULSE.fetch_add(1, Ordering::SeqCst);
}

/// The case is over.
pub fn end() {
    PULSE.fetch_add(1, Ordering::SeqCst);
}
