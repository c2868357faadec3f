//! An engine for tests: it executes no instructions but a script of what a guest would ask of its machine.
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::{Condvar, Mutex};
use platform::{Attention, CpuIo, RestoreError, Stop, Vcpu};
use x86::CpuState;

/// One step of a guest: it goes on, or the engine stops.
pub type Step = Box<dyn FnMut(&dyn CpuIo) -> Option<Stop> + Send>;

/// An engine that runs a script. At its end it runs on without doing anything, until asked to stop.
pub struct Scripted {
    steps: VecDeque<Step>,
    bell: Arc<Bell>,
    state: CpuState,
}

/// Attention, as something to wait for.
#[derive(Default)]
pub struct Bell {
    rung: Mutex<bool>,
    changed: Condvar,
    restored: AtomicBool,
    /// What the machine set last.
    pub tsc_offset: AtomicU64,
}

impl Attention for Bell {
    fn raise(&self) {
        *self.rung.lock() = true;
        self.changed.notify_all();
    }
}

impl Bell {
    fn wait(&self) {
        let mut rung = self.rung.lock();
        while !*rung {
            self.changed.wait(&mut rung);
        }
        *rung = false;
    }
}

impl Scripted {
    /// An engine that takes these steps, across resets.
    pub fn new(steps: Vec<Step>) -> Self {
        Self { steps: steps.into(), bell: Arc::default(), state: CpuState::default() }
    }
}

/// A step after which the guest goes on.
pub fn act(mut act: impl FnMut(&dyn CpuIo) + Send + 'static) -> Step {
    Box::new(move |io| {
        act(io);
        None
    })
}

/// A step that stops the engine.
pub fn stop(stop: Stop) -> Step {
    Box::new(move |_| Some(stop))
}

impl Vcpu for Scripted {
    fn run(&mut self, io: &dyn CpuIo) -> Stop {
        assert!(self.bell.restored.load(Ordering::SeqCst), "runs before it has a state");
        loop {
            if io.stop_requested() {
                return Stop::Requested;
            }
            let Some(mut step) = self.steps.pop_front() else {
                self.bell.wait();
                continue;
            };
            if let Some(stop) = step(io) {
                return stop;
            }
        }
    }
    fn attention(&self) -> Arc<dyn Attention> {
        Arc::<Bell>::clone(&self.bell)
    }
    fn save(&self) -> CpuState {
        self.state.clone()
    }
    fn restore(&mut self, state: &CpuState) -> Result<(), RestoreError> {
        self.bell.restored.store(true, Ordering::SeqCst);
        self.state = state.clone();
        Ok(())
    }
    fn set_tsc_offset(&mut self, offset: u64) {
        self.bell.tsc_offset.store(offset, Ordering::SeqCst);
    }
    fn statistics(&self) -> Vec<(&'static str, u64)> {
        vec![("steps_left", self.steps.len() as u64)]
    }
}
