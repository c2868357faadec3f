//! Timers by deadline: what both clocks keep.
use std::collections::{BTreeSet, HashMap};

use super::TimerCallback;

#[derive(Default)]
pub(super) struct Schedule {
    next_id: u64,
    timers: HashMap<u64, Entry>,
    armed: BTreeSet<(u64, u64)>,
}

struct Entry {
    deadline_ns: Option<u64>,
    callback: TimerCallback,
}

impl Schedule {
    pub(super) fn create(&mut self, callback: TimerCallback) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        self.timers.insert(id, Entry { deadline_ns: None, callback });
        id
    }
    /// Replaces a timer's deadline.
    pub(super) fn set(&mut self, id: u64, deadline_ns: Option<u64>) {
        let Some(entry) = self.timers.get_mut(&id) else { return };
        if let Some(old) = std::mem::replace(&mut entry.deadline_ns, deadline_ns) {
            self.armed.remove(&(old, id));
        }
        if let Some(new) = deadline_ns {
            self.armed.insert((new, id));
        }
    }
    /// Removes a timer; its callback is returned so that it can be dropped without the lock.
    pub(super) fn forget(&mut self, id: u64) -> Option<TimerCallback> {
        self.set(id, None);
        self.timers.remove(&id).map(|entry| entry.callback)
    }
    /// The earliest deadline.
    pub(super) fn earliest_ns(&self) -> Option<u64> {
        self.armed.first().map(|(deadline_ns, _)| *deadline_ns)
    }
    /// Disarms the earliest timer that is due at `now_ns` and returns what it calls.
    pub(super) fn take_due(&mut self, now_ns: u64) -> Option<TimerCallback> {
        let (deadline_ns, id) = *self.armed.first()?;
        if deadline_ns > now_ns {
            return None;
        }
        self.set(id, None);
        self.timers.get(&id).map(|entry| TimerCallback::clone(&entry.callback))
    }
}
