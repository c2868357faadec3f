//! How other threads reach a CPU that runs: hold it, ask it something, wake it.
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, mpsc};

use parking_lot::Mutex;
use platform::Attention;

use crate::parking::Parking;

/// Rows of counter name and value, in the order in which to print them.
pub type Statistics = Vec<(&'static str, u64)>;

/// The outside's end of one CPU.
#[derive(Default)]
pub struct CpuControl {
    /// The thread shall leave its loop.
    held: AtomicBool,
    /// How many want the CPU to stand still for a while.
    pauses: AtomicUsize,
    /// There is something in `questions`.
    asked: AtomicBool,
    questions: Mutex<Vec<mpsc::Sender<Statistics>>>,
    /// Set once the engine exists.
    attention: OnceLock<Arc<dyn Attention>>,
    /// Where the thread sleeps while the guest is halted.
    pub parking: Parking,
}

impl CpuControl {
    /// Names the engine's handle; the first call counts.
    pub fn set_attention(&self, attention: Arc<dyn Attention>) {
        // A second engine for the same CPU is not made.
        let _ = self.attention.set(attention);
    }

    /// Makes the engine look at interrupts and requests, now or when it next runs.
    pub fn raise(&self) {
        if let Some(attention) = self.attention.get() {
            attention.raise();
        }
    }

    /// Makes the CPU look at its interrupts and requests, whether it runs or sleeps.
    pub fn kick(&self) {
        self.raise();
        self.parking.wake();
    }

    /// Asks the CPU's thread to end, soon; it executes no further guest instruction than the one it is at.
    pub fn hold(&self) {
        self.held.store(true, Ordering::SeqCst);
        self.kick();
    }

    /// Takes back [`CpuControl::hold`], before a new thread is started.
    pub fn release(&self) {
        self.held.store(false, Ordering::SeqCst);
    }

    /// Whether the thread shall end.
    pub fn is_held(&self) -> bool {
        self.held.load(Ordering::SeqCst)
    }

    /// Lets the CPU stand still, soon, until [`CpuControl::resume`] is called as often.
    pub fn pause(&self) {
        self.pauses.fetch_add(1, Ordering::SeqCst);
        self.kick();
    }

    /// Takes back one [`CpuControl::pause`].
    pub fn resume(&self) {
        self.pauses.fetch_sub(1, Ordering::SeqCst);
        self.kick();
    }

    /// Whether the thread shall execute nothing for now.
    pub fn is_paused(&self) -> bool {
        self.pauses.load(Ordering::SeqCst) > 0
    }

    /// Whether the engine shall return from `run`.
    pub fn is_wanted(&self) -> bool {
        self.held.load(Ordering::Relaxed)
            || self.asked.load(Ordering::Relaxed)
            || self.pauses.load(Ordering::Relaxed) > 0
    }

    /// Asks for the engine's counters. The answer comes from the CPU's thread; the channel closes unanswered if that
    /// thread ends before.
    pub fn ask_statistics(&self) -> mpsc::Receiver<Statistics> {
        let (sender, receiver) = mpsc::channel();
        self.questions.lock().push(sender);
        self.asked.store(true, Ordering::SeqCst);
        self.kick();
        receiver
    }

    /// The CPU's thread answers what was asked so far.
    pub fn answer(&self, statistics: impl Fn() -> Statistics) {
        if !self.asked.swap(false, Ordering::SeqCst) {
            return;
        }
        for question in std::mem::take(&mut *self.questions.lock()) {
            // Whoever asked may have gone meanwhile.
            let _ = question.send(statistics());
        }
    }

    /// Drops what was asked and not answered: the thread has ended.
    pub fn refuse(&self) {
        self.asked.store(false, Ordering::SeqCst);
        self.questions.lock().clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_answered_once() {
        let control = CpuControl::default();
        let answer = control.ask_statistics();
        assert!(control.is_wanted());
        control.answer(|| vec![("blocks", 7)]);
        assert_eq!(answer.recv(), Ok(vec![("blocks", 7)]));
        assert!(!control.is_wanted());
    }

    #[test]
    fn a_refused_question_does_not_block_its_asker() {
        let control = CpuControl::default();
        let answer = control.ask_statistics();
        control.refuse();
        assert!(answer.recv().is_err());
    }

    #[test]
    fn hold_wakes_a_sleeper() {
        let control = Arc::new(CpuControl::default());
        let sleeper = Arc::clone(&control);
        let thread = std::thread::spawn(move || {
            while !sleeper.is_held() {
                sleeper.parking.wait();
            }
        });
        control.hold();
        thread.join().unwrap();
    }
}
