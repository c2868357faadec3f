//! A clock that stands still until a test moves it.
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use super::schedule::Schedule;
use super::{Clock, Timer, TimerCallback, TimerQueue};

/// A clock for tests. Clones are the same clock.
#[derive(Clone, Default)]
pub struct ManualClock(Arc<Shared>);

#[derive(Default)]
struct Shared {
    now_ns: AtomicU64,
    schedule: Mutex<Schedule>,
}

impl ManualClock {
    /// A clock at 0.
    pub fn new() -> Self {
        Self::default()
    }
    /// Moves time on by `ns`, firing timers on this thread, each at its own deadline.
    pub fn advance(&self, ns: u64) {
        let until_ns = self.now_ns().saturating_add(ns);
        while let Some(deadline_ns) = self.next_deadline_ns().filter(|deadline_ns| *deadline_ns <= until_ns) {
            self.0.now_ns.fetch_max(deadline_ns, Ordering::SeqCst);
            let due = self.0.schedule.lock().take_due(deadline_ns);
            if let Some(callback) = due {
                callback();
            }
        }
        self.0.now_ns.fetch_max(until_ns, Ordering::SeqCst);
    }
    /// The earliest deadline of an armed timer.
    pub fn next_deadline_ns(&self) -> Option<u64> {
        self.0.schedule.lock().earliest_ns()
    }
}

impl Clock for ManualClock {
    fn now_ns(&self) -> u64 {
        self.0.now_ns.load(Ordering::SeqCst)
    }
    fn timer(&self, callback: TimerCallback) -> Timer {
        let id = self.0.schedule.lock().create(callback);
        Timer { id, queue: Arc::<Shared>::clone(&self.0) }
    }
}

impl TimerQueue for Shared {
    fn arm(&self, id: u64, deadline_ns: u64) {
        self.schedule.lock().set(id, Some(deadline_ns));
    }
    fn disarm(&self, id: u64) {
        self.schedule.lock().set(id, None);
    }
    fn forget(&self, id: u64) {
        let forgotten = self.schedule.lock().forget(id);
        drop(forgotten);
    }
}
