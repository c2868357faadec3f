//! A CPU's thread: runs the engine, sleeps while the guest is halted, ends when held.
use std::sync::Arc;
use std::time::Instant;

use platform::{CpuIo, ShutdownCause, Stop, Vcpu};

use crate::control::{CpuControl, Statistics};
use crate::lifecycle::{Event, Outcome};

/// What a halted CPU's thread asks of its interrupt controllers, beside what the engine asks.
pub trait HaltedCpu: CpuIo {
    /// Whether an NMI waits.
    fn nmi_pending(&self) -> bool;
    /// Whether any source of NMIs or any other CPU could still wake a CPU that has interrupts disabled.
    fn nmi_possible(&self) -> bool;
}

/// Where a CPU's thread reports what ends the machine's run.
pub trait Report: Send + Sync {
    /// Takes an event and holds all CPUs.
    fn post(&self, event: Event);
}

/// All that a CPU's thread works with.
pub struct CpuThread {
    /// Number of the CPU, from 0.
    pub index: usize,
    /// The engine.
    pub vcpu: Box<dyn Vcpu>,
    /// The machine as this CPU sees it.
    pub io: Arc<dyn HaltedCpu>,
    /// The outside's end.
    pub control: Arc<CpuControl>,
    /// Where events go.
    pub report: Arc<dyn Report>,
    /// Counters of this loop.
    pub counters: Counters,
}

/// What the loop around the engine counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// HLT instructions that found nothing pending.
    pub halts: u64,
    /// Time asleep in them, in nanoseconds.
    pub halted_ns: u64,
    /// Returns from the engine on request.
    pub requests: u64,
}

impl CpuThread {
    /// Runs until the CPU is held, and returns the engine and the counters.
    pub fn run(mut self) -> (Box<dyn Vcpu>, Counters) {
        while !self.control.is_held() {
            match self.vcpu.run(self.io.as_ref()) {
                Stop::Halted { interrupts_enabled } => self.halt(interrupts_enabled),
                Stop::Requested => self.counters.requests += 1,
                Stop::Shutdown(cause) => self.shut_down(cause),
            }
            self.answer();
        }
        self.control.refuse();
        (self.vcpu, self.counters)
    }

    /// Sleeps until there is something to do. The engine is not asked meanwhile, so that an idle guest costs nothing.
    fn halt(&mut self, interrupts_enabled: bool) {
        if self.is_due(interrupts_enabled) {
            self.control.raise();
            return;
        }
        self.counters.halts += 1;
        if !interrupts_enabled && !self.io.nmi_possible() {
            let rip = self.vcpu.save().rip;
            self.end(Outcome::HaltedForever { cpu: self.index, rip });
            return;
        }
        let start = Instant::now();
        while !self.is_due(interrupts_enabled) {
            self.control.parking.wait();
            self.answer();
        }
        self.control.raise();
        self.counters.halted_ns += start.elapsed().as_nanos() as u64;
    }

    fn is_due(&self, interrupts_enabled: bool) -> bool {
        self.control.is_held() || (interrupts_enabled && self.io.interrupt_pending()) || self.io.nmi_pending()
    }

    fn shut_down(&self, cause: ShutdownCause) {
        let cpu = self.index;
        self.end(match cause {
            ShutdownCause::TripleFault { rip, vector } => Outcome::TripleFault { cpu, rip, vector },
            ShutdownCause::EngineError { rip } => Outcome::EngineError { cpu, rip },
        });
    }

    /// Reports an outcome and waits to be held, answering questions.
    fn end(&self, outcome: Outcome) {
        tracing::debug!(cpu = self.index, ?outcome, "cpu stopped");
        self.report.post(Event::End(outcome));
        while !self.control.is_held() {
            self.control.parking.wait();
            self.answer();
        }
    }

    fn answer(&self) {
        self.control.answer(|| statistics(self.vcpu.as_ref(), self.counters));
    }
}

/// The engine's counters followed by those of the loop around it.
pub fn statistics(vcpu: &dyn Vcpu, counters: Counters) -> Statistics {
    let mut rows = vcpu.statistics();
    rows.extend([
        ("halts", counters.halts),
        ("control requests", counters.requests),
        ("time halted, us", counters.halted_ns / 1000),
    ]);
    rows
}
