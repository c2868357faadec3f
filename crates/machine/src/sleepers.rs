//! How many CPUs sleep so deeply that only another CPU can wake them: after HLT with interrupts disabled, or waiting for a
//! start-up message. When all do, and none has sent anything before, the machine has halted for ever.
use std::sync::atomic::{AtomicUsize, Ordering};

/// The count, for one run of a machine.
#[derive(Debug)]
pub struct Sleepers {
    cpus: usize,
    asleep: AtomicUsize,
}

impl Sleepers {
    /// Of a machine with so many CPUs, which are all awake.
    pub fn new(cpus: usize) -> Self {
        Self { cpus, asleep: AtomicUsize::new(0) }
    }
    /// A CPU goes to sleep; whether all sleep now. What they sent before is visible by then.
    pub fn enter(&self) -> bool {
        self.asleep.fetch_add(1, Ordering::SeqCst) + 1 >= self.cpus
    }
    /// A CPU is awake, and has not yet taken what woke it.
    pub fn leave(&self) {
        self.asleep.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_one_to_sleep_is_told() {
        let sleepers = Sleepers::new(2);
        assert!(!sleepers.enter());
        sleepers.leave();
        assert!(!sleepers.enter());
        assert!(sleepers.enter());
    }
}
