//! Time that passes, stops, and goes on where it stopped.
use std::hint::spin_loop;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// Where time stopped, while it does not stand.
const PASSES: u64 = u64::MAX;

/// Nanoseconds since a moment, without those of stops. Never goes back, whoever reads it.
pub(super) struct Passing {
    start: Instant,
    /// Held while the fields below change.
    changing: Mutex<()>,
    /// Counts the beginnings and endings of changes; whoever reads during one reads again.
    changes: AtomicU64,
    stopped_at_ns: AtomicU64,
    lost_ns: AtomicU64,
}

impl Passing {
    pub(super) fn from_now() -> Self {
        let zero = || AtomicU64::new(0);
        let stopped_at_ns = AtomicU64::new(PASSES);
        let (changing, changes, lost_ns) = (Mutex::default(), zero(), zero());
        Self { start: Instant::now(), changing, changes, stopped_at_ns, lost_ns }
    }
    pub(super) fn now_ns(&self) -> u64 {
        loop {
            let before = self.changes.load(Ordering::SeqCst);
            let now_ns = self.read();
            if before.is_multiple_of(2) && self.changes.load(Ordering::SeqCst) == before {
                return now_ns;
            }
            spin_loop();
        }
    }
    /// Stops; without effect if it stands.
    pub(super) fn stop(&self) {
        self.change(|| self.stopped_at_ns.store(self.read(), Ordering::SeqCst));
    }
    /// Goes on; without effect if it passes.
    pub(super) fn go_on(&self) {
        self.change(|| {
            let lost_ns = self.host_ns() - self.read();
            self.lost_ns.store(lost_ns, Ordering::SeqCst);
            self.stopped_at_ns.store(PASSES, Ordering::SeqCst);
        });
    }
    /// The host's time at `ns`; `None` while nobody knows when that will be.
    pub(super) fn instant_of(&self, ns: u64) -> Option<Instant> {
        let stands = self.stopped_at_ns.load(Ordering::SeqCst) != PASSES;
        let host_ns = ns.checked_add(self.lost_ns.load(Ordering::SeqCst)).filter(|_| !stands)?;
        self.start.checked_add(Duration::from_nanos(host_ns))
    }

    fn change(&self, change: impl FnOnce()) {
        let _changing = self.changing.lock();
        self.changes.fetch_add(1, Ordering::SeqCst);
        change();
        self.changes.fetch_add(1, Ordering::SeqCst);
    }
    fn read(&self) -> u64 {
        let passed_ns = self.host_ns().saturating_sub(self.lost_ns.load(Ordering::SeqCst));
        passed_ns.min(self.stopped_at_ns.load(Ordering::SeqCst))
    }
    fn host_ns(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A_WHILE: Duration = Duration::from_millis(20);

    #[test]
    fn stops_do_not_count() {
        let passing = Passing::from_now();
        passing.stop();
        let stopped_ns = passing.now_ns();
        std::thread::sleep(A_WHILE);
        passing.stop();
        assert_eq!(passing.now_ns(), stopped_ns);
        assert_eq!(passing.instant_of(stopped_ns), None);
        passing.go_on();
        let lost = Instant::now().duration_since(passing.start) - Duration::from_nanos(passing.now_ns());
        assert!(lost >= A_WHILE, "{lost:?}");
        passing.go_on();
        assert!(passing.now_ns() >= stopped_ns);
        assert_eq!(passing.instant_of(stopped_ns).unwrap() - passing.start, {
            Duration::from_nanos(stopped_ns + passing.lost_ns.load(Ordering::SeqCst))
        });
    }

    #[test]
    fn time_never_goes_back() {
        let passing = Passing::from_now();
        std::thread::scope(|scope| {
            let reader = scope.spawn(|| {
                let mut last_ns = 0;
                while last_ns < 20_000_000 {
                    let now_ns = passing.now_ns();
                    assert!(now_ns >= last_ns, "{now_ns} after {last_ns}");
                    last_ns = now_ns;
                }
            });
            while !reader.is_finished() {
                passing.stop();
                passing.go_on();
            }
        });
    }
}
