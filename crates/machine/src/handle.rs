//! How other threads reach a machine that runs.
use std::sync::Arc;
use std::time::Duration;

use crate::control::{CpuControl, Statistics};
use crate::lifecycle::{Event, Events, Outcome, ResetCause, State};
use crate::vcpu::Report;

/// How long an answer of a CPU's thread is awaited; it comes in microseconds unless the CPU has just ended.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);

/// What all threads of a machine share.
pub(crate) struct Shared {
    pub events: Events,
    pub cpus: Vec<Arc<CpuControl>>,
}

impl Shared {
    pub fn new(cpus: usize) -> Self {
        Self { events: Events::default(), cpus: (0..cpus).map(|_| Arc::default()).collect() }
    }

    pub fn hold_all(&self) {
        self.cpus.iter().for_each(|cpu| cpu.hold());
    }

    pub fn release_all(&self) {
        self.cpus.iter().for_each(|cpu| cpu.release());
    }
}

impl Report for Shared {
    fn post(&self, event: Event) {
        if self.events.post(event) {
            self.hold_all();
        }
    }
}

/// A handle to a machine, for any thread. Cheap to clone; it does not keep the machine's memory alive.
#[derive(Clone)]
pub struct MachineHandle {
    pub(crate) shared: Arc<Shared>,
}

impl MachineHandle {
    /// Ends the machine; `Machine::run` returns [`Outcome::Stopped`] unless it has ended by itself.
    pub fn stop(&self) {
        self.shared.post(Event::End(Outcome::Stopped));
    }

    /// Starts the machine again, as its reset button would. Without effect while it does not run.
    pub fn reset(&self) {
        if self.shared.events.state() == State::Running {
            self.shared.post(Event::Reset(ResetCause::User));
        }
    }

    /// Where the machine is in its life.
    pub fn state(&self) -> State {
        self.shared.events.state()
    }

    /// The counters of each CPU that runs now; nothing for one that does not.
    pub fn statistics(&self) -> Vec<Statistics> {
        if self.state() != State::Running {
            return Vec::new();
        }
        let answers: Vec<_> = self.shared.cpus.iter().map(|cpu| cpu.ask_statistics()).collect();
        answers.iter().map(|answer| answer.recv_timeout(ANSWER_TIMEOUT).unwrap_or_default()).collect()
    }
}
