//! The clock of a running machine: the host's monotonic clock and one thread for all timers.
#![expect(unsafe_code, reason = "sets the timer slack of the clock's thread")]
use std::sync::Arc;
use std::thread::JoinHandle;

use parking_lot::{Condvar, Mutex};

use super::passing::Passing;
use super::schedule::Schedule;
use super::{Clock, Timer, TimerCallback, TimerQueue};

/// The host's monotonic clock, from 0 at its creation, without the time during which it was stopped. Dropping it ends its
/// thread; timers that outlive it never fire.
pub struct HostClock {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    time: Passing,
    queue: Mutex<Queue>,
    /// The queue changed in a way that the thread must see: an earlier deadline, or the end.
    changed: Condvar,
}

#[derive(Default)]
struct Queue {
    schedule: Schedule,
    /// Until when the thread sleeps; 0 while it is awake.
    sleeps_until_ns: u64,
    ended: bool,
}

impl HostClock {
    /// Starts the clock and its thread.
    pub fn start() -> std::io::Result<Self> {
        let shared =
            Arc::new(Shared { time: Passing::from_now(), queue: Mutex::default(), changed: Condvar::new() });
        let on_thread = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("timers".into()).spawn(move || on_thread.run())?;
        Ok(Self { shared, thread: Some(thread) })
    }
    /// Stops the time: no timer fires but those that are due. Without effect if it is stopped.
    pub fn stop(&self) {
        self.shared.time.stop();
    }
    /// Lets the time go on where it stopped. Without effect if it is not stopped.
    pub fn go_on(&self) {
        self.shared.time.go_on();
        // The thread either has not looked at the time yet, or sleeps.
        drop(self.shared.queue.lock());
        self.shared.changed.notify_one();
    }
}

impl Drop for HostClock {
    fn drop(&mut self) {
        self.shared.queue.lock().ended = true;
        self.shared.changed.notify_one();
        let Some(thread) = self.thread.take() else { return };
        // The last owner may be a callback.
        if thread.thread().id() != std::thread::current().id() && thread.join().is_err() {
            tracing::error!("a timer callback panicked");
        }
    }
}

impl Clock for HostClock {
    fn now_ns(&self) -> u64 {
        self.shared.time.now_ns()
    }
    fn timer(&self, callback: TimerCallback) -> Timer {
        let id = self.shared.queue.lock().schedule.create(callback);
        Timer { id, queue: Arc::<Shared>::clone(&self.shared) }
    }
}

impl Shared {
    fn run(&self) {
        // The default slack of 50 us would make every timer late by as much.
        // SAFETY: concerns this thread's own timers only; no pointers are passed.
        unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, 1_u64) };
        let mut queue = self.queue.lock();
        while !queue.ended {
            if let Some(callback) = queue.schedule.take_due(self.time.now_ns()) {
                parking_lot::MutexGuard::unlocked(&mut queue, || {
                    callback();
                    drop(callback);
                });
                continue;
            }
            let earliest = queue.schedule.earliest_ns();
            queue.sleeps_until_ns = earliest.unwrap_or(u64::MAX);
            match earliest.and_then(|ns| self.time.instant_of(ns)) {
                Some(deadline) => drop(self.changed.wait_until(&mut queue, deadline)),
                None => self.changed.wait(&mut queue),
            }
            queue.sleeps_until_ns = 0;
        }
    }
}

impl TimerQueue for Shared {
    fn arm(&self, id: u64, deadline_ns: u64) {
        let mut queue = self.queue.lock();
        queue.schedule.set(id, Some(deadline_ns));
        if deadline_ns < queue.sleeps_until_ns {
            // One notification is enough for all that come before the thread wakes.
            queue.sleeps_until_ns = 0;
            drop(queue);
            self.changed.notify_one();
        }
    }
    fn disarm(&self, id: u64) {
        self.queue.lock().schedule.set(id, None);
    }
    fn forget(&self, id: u64) {
        let forgotten = self.queue.lock().schedule.forget(id);
        drop(forgotten);
    }
}
