//! A CPU's thread: runs the engine, sleeps while the guest is halted or waits to be started, ends when held.
use std::sync::Arc;
use std::time::Instant;

use devices::interrupts::CpuEvent;
use platform::{CpuIo, ShutdownCause, Stop, Vcpu};
use x86::CpuState;

use crate::control::{CpuControl, Statistics};
use crate::lifecycle::{Event, Outcome, ResetCause};
use crate::sleepers::Sleepers;
use crate::standstill::Standstill;
use crate::startup;

/// What a halted CPU's thread asks of its interrupt controllers, beside what the engine asks.
pub trait HaltedCpu: CpuIo {
    /// Whether an NMI waits.
    fn nmi_pending(&self) -> bool;
    /// Whether another CPU sent INIT or a start-up message.
    fn event_pending(&self) -> bool;
    /// Takes the oldest of these.
    fn take_event(&self) -> Option<CpuEvent>;
    /// Whether anything waits for any CPU that wakes it even from the deepest sleep: an NMI, INIT, a start-up message.
    fn anybody_called(&self) -> bool;
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
    /// The CPU does nothing before a start-up message: after INIT, and all but the first after power-up.
    pub waits_for_startup: bool,
    /// Who else sleeps deeply.
    pub sleepers: Arc<Sleepers>,
    /// When CPUs stand still, and time with them.
    pub standstill: Arc<Standstill>,
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
            if self.control.is_paused() {
                self.stand();
                continue;
            }
            // Time may also have stood before this thread began.
            self.vcpu.set_tsc_offset(self.standstill.tsc_offset());
            if self.waits_for_startup {
                self.sleep(true, |cpu| cpu.io.event_pending());
            } else {
                self.run_engine();
            }
            self.answer();
            while let Some(event) = self.io.take_event() {
                self.follow(event);
            }
        }
        self.control.refuse();
        (self.vcpu, self.counters)
    }

    /// Stands still while that is wanted.
    fn stand(&self) {
        self.standstill.enter();
        while !self.standstill.leave(self.control.is_held()) {
            self.control.parking.wait();
            self.answer();
        }
    }

    fn run_engine(&mut self) {
        match self.vcpu.run(self.io.as_ref()) {
            Stop::Halted { interrupts_enabled } => self.halt(interrupts_enabled),
            Stop::Requested => self.counters.requests += 1,
            Stop::Shutdown(cause) => self.shut_down(cause),
        }
    }

    /// Does what another CPU wants.
    fn follow(&mut self, event: CpuEvent) {
        match event {
            // The first CPU would go to firmware, which a machine without firmware does by starting again.
            CpuEvent::Init if self.index == 0 => self.post(Event::Reset(ResetCause::Guest)),
            CpuEvent::Init => {
                self.waits_for_startup = true;
                self.restore(&startup::after_init(&self.vcpu.save()));
            }
            CpuEvent::Startup(page) if self.waits_for_startup => {
                self.waits_for_startup = false;
                self.restore(&startup::after_startup(&self.vcpu.save(), page));
            }
            // One that runs ignores it; systems send two to be sure (SDM 3A §9.4.4.1).
            CpuEvent::Startup(_) => {}
        }
    }

    fn restore(&mut self, state: &CpuState) {
        if let Err(error) = self.vcpu.restore(state) {
            tracing::error!(cpu = self.index, %error, "the engine does not take its own state");
            self.end(Outcome::EngineError { cpu: self.index, rip: state.rip });
        }
    }

    /// HLT: sleeps until there is something to do. The engine is not asked meanwhile, so that an idle guest costs nothing.
    fn halt(&mut self, interrupts_enabled: bool) {
        if !self.is_due(interrupts_enabled) {
            self.counters.halts += 1;
            let start = Instant::now();
            self.sleep(!interrupts_enabled, |cpu| cpu.is_due(interrupts_enabled));
            self.counters.halted_ns += start.elapsed().as_nanos() as u64;
        }
        self.control.raise();
    }

    /// Sleeps until it is held or `is_due`; `deep` if only another CPU can bring that about.
    fn sleep(&self, deep: bool, is_due: impl Fn(&Self) -> bool) {
        if deep && self.sleepers.enter() && !self.io.anybody_called() {
            self.end(Outcome::HaltedForever { cpu: self.index, rip: self.vcpu.save().rip });
            return;
        }
        while !self.control.is_held() && !is_due(self) {
            if self.control.is_paused() {
                self.stand();
            } else {
                self.control.parking.wait();
            }
            self.answer();
        }
        if deep {
            self.sleepers.leave();
        }
    }

    fn is_due(&self, interrupts_enabled: bool) -> bool {
        self.control.is_held()
            || (interrupts_enabled && self.io.interrupt_pending())
            || self.io.nmi_pending()
            || self.io.event_pending()
    }

    fn shut_down(&self, cause: ShutdownCause) {
        let cpu = self.index;
        self.end(match cause {
            ShutdownCause::TripleFault { rip, vector } => Outcome::TripleFault { cpu, rip, vector },
            ShutdownCause::EngineError { rip } => Outcome::EngineError { cpu, rip },
        });
    }

    /// Reports an outcome and waits to be held.
    fn end(&self, outcome: Outcome) {
        tracing::debug!(cpu = self.index, ?outcome, "cpu stopped");
        self.post(Event::End(outcome));
    }

    /// Reports an event and waits to be held, answering questions.
    fn post(&self, event: Event) {
        self.report.post(event);
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
