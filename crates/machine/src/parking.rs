//! Where a CPU's thread sleeps while its guest has nothing to do.
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::{Condvar, Mutex};

/// One thread's bed: [`Parking::wake`] is never lost, whether it comes before or during [`Parking::wait`].
#[derive(Debug, Default)]
pub struct Parking {
    woken: AtomicBool,
    /// Held between the last look at `woken` and falling asleep, so that a waker cannot slip in between.
    bed: Mutex<()>,
    changed: Condvar,
}

impl Parking {
    /// Lets the current or the next [`Parking::wait`] return. Cheap while nobody sleeps.
    pub fn wake(&self) {
        if !self.woken.swap(true, Ordering::SeqCst) {
            let _bed = self.bed.lock();
            self.changed.notify_one();
        }
    }

    /// Sleeps until somebody wakes it, or returns at once if somebody did since the last call. Whoever calls this then
    /// looks at the condition that it waits for, and calls again.
    pub fn wait(&self) {
        let mut bed = self.bed.lock();
        while !self.woken.swap(false, Ordering::SeqCst) {
            self.changed.wait(&mut bed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::AtomicU32;

    #[test]
    fn a_wake_before_the_wait_is_not_lost() {
        let parking = Parking::default();
        parking.wake();
        parking.wake();
        parking.wait();
        assert!(!parking.woken.load(Ordering::SeqCst));
    }

    #[test]
    fn every_change_is_seen_by_a_sleeper() {
        let parking = Arc::new(Parking::default());
        let value = Arc::new(AtomicU32::new(0));
        let (sleeper, seen) = (Arc::clone(&parking), Arc::clone(&value));
        let thread = std::thread::spawn(move || {
            while seen.load(Ordering::SeqCst) < 10_000 {
                sleeper.wait();
            }
        });
        for _ in 0..10_000 {
            value.fetch_add(1, Ordering::SeqCst);
            parking.wake();
        }
        thread.join().unwrap();
    }
}
