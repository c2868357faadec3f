//! One CPU's end of the watch, as the others see it.
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::{Mutex, MutexGuard};

use super::MAIL_MAX;
use crate::Attention;

/// One CPU's end.
#[derive(Default)]
pub(super) struct Slot {
    pub taken: AtomicBool,
    /// It executes guest code, or is about to; unset, it looks into its mailbox before it does so again.
    pub running: AtomicBool,
    /// There is something in its mailbox, or in that of its keeper.
    pub has_mail: AtomicBool,
    mail: Mutex<Mail>,
    /// Number of the last request; grows with the mailbox locked.
    asked: AtomicU64,
    /// Number of the last request that was served.
    served: AtomicU64,
    pub attention: Mutex<Option<Arc<dyn Attention>>>,
}

/// What is asked of a CPU.
#[derive(Default)]
pub(super) struct Mail {
    /// Frames that it shall not write in line any more.
    pub protect: Vec<u64>,
    pub protect_all: bool,
    /// Parts of the translations that go away: a bit for each.
    pub forget: u32,
}

impl Slot {
    /// Begins anew for another CPU.
    pub fn reset(&self, attention: Arc<dyn Attention>) {
        *self.mail.lock() = Mail::default();
        self.has_mail.store(false, Ordering::SeqCst);
        *self.attention.lock() = Some(attention);
    }

    /// Makes the CPU look for mail.
    pub fn call(&self) {
        self.has_mail.store(true, Ordering::SeqCst);
        self.rouse();
    }
    /// Makes the CPU leave the code that it runs, if it runs any.
    pub fn rouse(&self) {
        // One that does not run looks before it does: it stores `running` and then loads `has_mail`, both in one total
        // order with the store and the load here, so at least one of the two sees the other.
        if self.running.load(Ordering::SeqCst)
            && let Some(attention) = &*self.attention.lock()
        {
            attention.raise();
        }
    }

    /// Asks the CPU to drop its right to write a frame in line; returns the number of the request.
    pub fn ask_to_protect(&self, frame: u64) -> u64 {
        let mut mail = self.mail.lock();
        if mail.protect.len() < MAIL_MAX {
            mail.protect.push(frame);
        } else {
            mail.protect_all = true;
        }
        self.ask(mail)
    }
    /// Asks the CPU to forget parts of the translations; returns the number of the request.
    pub fn ask_to_forget(&self, parts: u32) -> u64 {
        let mut mail = self.mail.lock();
        mail.forget |= parts;
        self.ask(mail)
    }
    fn ask(&self, mail: MutexGuard<'_, Mail>) -> u64 {
        let ticket = self.asked.load(Ordering::Relaxed) + 1;
        self.asked.store(ticket, Ordering::Relaxed);
        drop(mail);
        self.call();
        ticket
    }

    /// Takes what is asked of the CPU, and the number of the last request.
    pub fn take(&self) -> (Mail, u64) {
        let mut mail = self.mail.lock();
        (std::mem::take(&mut *mail), self.asked.load(Ordering::Relaxed))
    }
    /// All requests up to a number were served.
    pub fn has_served_up_to(&self, ticket: u64) {
        self.served.store(ticket, Ordering::SeqCst);
    }
    /// Whether nobody has to wait for a request any more.
    pub fn is_done(&self, ticket: u64) -> bool {
        self.served.load(Ordering::SeqCst) >= ticket || !self.running.load(Ordering::SeqCst)
    }
}
