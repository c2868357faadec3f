//! The life of a machine: its states, what ends it, and how that is made known.
//!
//! | from \ to | Running | Resetting | Stopped |
//! |---|---|---|---|
//! | **Ready** | `Machine::run` | | `MachineHandle::stop` before `run` |
//! | **Running** | | guest or user asks for a reset | every other [`Outcome`] |
//! | **Resetting** | kernel loaded again | | user stops it, or the kernel's file is gone |
//! | **Stopped** | | | |
//!
//! An empty field is a transition that does not exist. A panic of the guest's kernel is not seen from outside: such a
//! guest goes on running (`panic=` on its command line makes it reset).
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

/// Where a machine is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Built, kernel loaded, no instruction executed.
    Ready,
    /// CPUs run.
    Running,
    /// CPUs are held, devices and RAM go back to where they began.
    Resetting,
    /// Over.
    Stopped,
}

impl State {
    /// Whether the table above has this transition.
    pub const fn may_become(self, next: State) -> bool {
        matches!(
            (self, next),
            (State::Ready, State::Running | State::Stopped)
                | (State::Running, State::Resetting | State::Stopped)
                | (State::Resetting, State::Running | State::Stopped)
        )
    }
}

/// How a machine's life ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The guest turned the power off (ACPI S5).
    PowerOff,
    /// The guest wrote to the debug-exit port; the exit code that `isa-debug-exit` of QEMU would give, always odd.
    DebugExit(u32),
    /// The guest's CPU shut down: an exception while a double fault was being delivered.
    TripleFault {
        /// Which CPU.
        cpu: usize,
        /// Its instruction pointer.
        rip: u64,
        /// The first exception vector of the three.
        vector: u8,
    },
    /// The last CPU that ran halted with interrupts disabled, like all others or before they were started: nothing can
    /// wake any of them.
    HaltedForever {
        /// Which CPU.
        cpu: usize,
        /// The address after the HLT.
        rip: u64,
    },
    /// The engine met something that it cannot execute; the log has the details.
    EngineError {
        /// Which CPU.
        cpu: usize,
        /// Its instruction pointer.
        rip: u64,
    },
    /// [`crate::MachineHandle::stop`] was called.
    Stopped,
}

/// Who asked for a reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResetCause {
    /// The guest, by the keyboard controller, port 0x92 or the reset control register (which ACPI names).
    Guest,
    /// [`crate::MachineHandle::reset`] was called.
    User,
}

/// What interrupts a running machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// Start again.
    Reset(ResetCause),
    /// Do not go on.
    End(Outcome),
}

/// The first event since the CPUs started, and the state. Any thread may post; the thread in `Machine::run` waits.
#[derive(Debug)]
pub struct Events {
    inner: Mutex<Inner>,
    posted: Condvar,
}

#[derive(Debug)]
struct Inner {
    state: State,
    first: Option<Event>,
    /// The user's wish to stop outlives resets.
    stop: bool,
}

impl Default for Events {
    fn default() -> Self {
        let inner = Inner { state: State::Ready, first: None, stop: false };
        Self { inner: Mutex::new(inner), posted: Condvar::new() }
    }
}

impl Events {
    /// Where the machine is.
    pub fn state(&self) -> State {
        self.inner.lock().state
    }

    /// Records an event. Later ones of the same run are dropped, but for a stop by the user. Returns whether the
    /// event counts.
    pub fn post(&self, event: Event) -> bool {
        let mut inner = self.inner.lock();
        if event == Event::End(Outcome::Stopped) {
            inner.stop = true;
        } else if inner.first.is_none() {
            inner.first = Some(event);
        } else {
            return false;
        }
        self.posted.notify_all();
        true
    }

    /// Waits for the first event of this run.
    pub fn wait(&self) -> Event {
        let mut inner = self.inner.lock();
        loop {
            if let Some(event) = inner.current() {
                return event;
            }
            self.posted.wait(&mut inner);
        }
    }

    /// The same, but for so long at most.
    pub fn wait_for(&self, time: Duration) -> Option<Event> {
        let end = Instant::now() + time;
        let mut inner = self.inner.lock();
        while inner.current().is_none() {
            if self.posted.wait_until(&mut inner, end).timed_out() {
                break;
            }
        }
        inner.current()
    }

    /// Changes the state; `None` and no change if the machine cannot go there from where it is.
    pub fn enter(&self, next: State) -> Option<()> {
        let mut inner = self.inner.lock();
        if !inner.state.may_become(next) {
            return None;
        }
        inner.state = next;
        if next == State::Running {
            // What the held CPUs posted last belongs to the run before.
            inner.first = None;
        }
        Some(())
    }

    /// Whether a stop by the user is due.
    pub fn is_stop_due(&self) -> bool {
        self.inner.lock().stop
    }
}

impl Inner {
    /// The user's word comes first, except that a machine that has ended by itself has ended.
    fn current(&self) -> Option<Event> {
        match self.first {
            Some(Event::End(outcome)) => Some(Event::End(outcome)),
            _ if self.stop => Some(Event::End(Outcome::Stopped)),
            first => first,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RESET: Event = Event::Reset(ResetCause::Guest);
    const STOP: Event = Event::End(Outcome::Stopped);

    #[test]
    fn transitions_are_those_of_the_table() {
        use State::{Ready, Resetting, Running, Stopped};
        let all = [Ready, Running, Resetting, Stopped];
        let legal: Vec<_> =
            all.iter().flat_map(|from| all.map(|to| (*from, to))).filter(|(a, b)| a.may_become(*b)).collect();
        let expected = [
            (Ready, Running),
            (Ready, Stopped),
            (Running, Resetting),
            (Running, Stopped),
            (Resetting, Running),
            (Resetting, Stopped),
        ];
        assert_eq!(legal, expected);
    }

    #[test]
    fn the_first_event_wins() {
        let events = Events::default();
        assert!(events.post(Event::End(Outcome::PowerOff)));
        assert!(!events.post(Event::End(Outcome::HaltedForever { cpu: 0, rip: 0 })));
        assert_eq!(events.wait(), Event::End(Outcome::PowerOff));
    }

    #[test]
    fn a_stop_during_a_reset_is_kept_and_a_guest_event_is_not() {
        let events = Events::default();
        events.enter(State::Running).unwrap();
        events.post(RESET);
        assert_eq!(events.wait(), RESET);
        events.enter(State::Resetting).unwrap();
        events.post(Event::End(Outcome::PowerOff));
        events.post(STOP);
        events.enter(State::Running).unwrap();
        assert_eq!(events.wait(), STOP);
    }

    #[test]
    fn an_illegal_transition_changes_nothing() {
        let events = Events::default();
        assert_eq!(events.enter(State::Resetting), None);
        assert_eq!(events.state(), State::Ready);
    }
}
