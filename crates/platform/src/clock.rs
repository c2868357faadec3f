//! The machine's time: nanoseconds since its start, and timers. It stops while the whole machine stands still.
//!
//! Lock order: a clock's own lock is a leaf. A device may arm and disarm timers with its own lock held. A callback runs
//! without the clock's lock and may lock its device; so a callback that was already under way can come after `arm` or
//! `disarm`, and every callback must look at its device's state and the time before it acts.

mod host;
mod manual;
mod passing;
mod schedule;

use std::sync::Arc;

pub use host::HostClock;
pub use manual::ManualClock;

/// What a timer calls when its time has come: on the clock's thread, briefly.
pub type TimerCallback = Arc<dyn Fn() + Send + Sync>;

/// A monotonic clock with timers.
pub trait Clock: Send + Sync {
    /// Nanoseconds since the machine started, without those in which it stood still.
    fn now_ns(&self) -> u64;
    /// A new timer, not armed.
    fn timer(&self, callback: TimerCallback) -> Timer;
}

/// What timers are handles of.
trait TimerQueue: Send + Sync {
    fn arm(&self, id: u64, deadline_ns: u64);
    fn disarm(&self, id: u64);
    fn forget(&self, id: u64);
}

/// One timer of a clock. It fires once for each time it is armed; dropping it disarms it.
pub struct Timer {
    id: u64,
    queue: Arc<dyn TimerQueue>,
}

impl Timer {
    /// Fires at `deadline_ns`, at once if that is past, instead of at any earlier set deadline.
    pub fn arm(&self, deadline_ns: u64) {
        self.queue.arm(self.id, deadline_ns);
    }
    /// Does not fire until armed again.
    pub fn disarm(&self) {
        self.queue.disarm(self.id);
    }
    /// Armed for a deadline, or disarmed without one.
    pub fn set(&self, deadline_ns: Option<u64>) {
        match deadline_ns {
            Some(deadline_ns) => self.arm(deadline_ns),
            None => self.disarm(),
        }
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        self.queue.forget(self.id);
    }
}

impl std::fmt::Debug for Timer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Timer").field("id", &self.id).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
