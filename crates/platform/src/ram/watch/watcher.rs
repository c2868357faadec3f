//! One CPU's part in the watch.
use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};

use x86::address::PAGE_SHIFT;

use super::keeper::Keeping;
use super::{Shared, Slot, WATCHERS_MAX};

/// How often a CPU that waits for another looks before it lets the host run somebody else.
const LOOKS: u32 = 200;

/// What a CPU does for others, between two instructions.
pub trait Serve {
    /// Drops the right to write one frame in line.
    fn protect(&mut self, frame: u64);
    /// Drops the right to write any frame in line.
    fn protect_all(&mut self);
    /// Forgets where the translations of these parts (a bit for each) are: the code that is there goes away.
    fn forget(&mut self, parts: u32);
}

/// One CPU's part in the watch.
pub struct Watcher {
    shared: Arc<Shared>,
    keeping: Arc<Keeping>,
    index: usize,
}

impl Watcher {
    pub(super) fn new(shared: Arc<Shared>, keeping: Arc<Keeping>, index: usize) -> Self {
        Self { shared, keeping, index }
    }
    fn slot(&self) -> &Slot {
        &self.shared.slots[self.index]
    }
    const fn bit(&self) -> u32 {
        1 << self.index
    }

    /// From now on, and until the result is dropped, this CPU may execute guest code; it must look at
    /// [`Watcher::has_news`] first.
    pub fn enter(&self) -> Inside {
        self.slot().running.store(true, Ordering::SeqCst);
        Inside { shared: Arc::clone(&self.shared), index: self.index }
    }
    /// Whether [`Watcher::serve_news`] and [`super::Keeper::take_news`] may have something to do.
    pub fn has_news(&self) -> bool {
        self.slot().has_mail.load(Ordering::SeqCst)
    }
    /// Serves what others ask for, between two instructions. To be called before the keeper's news are taken: what comes
    /// after this is news again.
    pub fn serve_news(&self, own: &mut dyn Serve) {
        self.slot().has_mail.store(false, Ordering::SeqCst);
        self.serve(own);
    }
    /// Serves what others wait for. News stay where they are.
    fn serve(&self, own: &mut dyn Serve) {
        let (mail, ticket) = self.slot().take();
        if mail.protect_all {
            own.protect_all();
        } else {
            mail.protect.into_iter().for_each(|frame| own.protect(frame));
        }
        if mail.forget != 0 {
            own.forget(mail.forget);
        }
        self.slot().has_served_up_to(ticket);
    }

    /// Whether this CPU has marked a frame.
    pub fn has_marked(&self, frame: u64) -> bool {
        self.shared.marks.of(frame) & self.bit() != 0
    }
    /// Marks a frame, before its bytes are read to be translated. When this returns, no CPU can write the frame any more
    /// without telling; until then this one serves the others. To be called between two instructions. Whether the others
    /// had to be asked.
    pub fn mark(&self, frame: u64, own: &mut dyn Serve) -> bool {
        if self.has_marked(frame) {
            return false;
        }
        let alone = self.alone(own);
        // Marked already, it is protected already: whoever did that was alone until all were done.
        let is_first = self.shared.marks.add(frame, self.bit()) == 0;
        if is_first {
            own.protect(frame);
            alone.ask(u32::MAX, |slot| slot.ask_to_protect(frame));
        }
        is_first
    }
    /// Waits until no other CPU takes anything from all, and keeps them from it; until then this one serves the others. To
    /// be called between two instructions, and with nothing locked that another CPU may wait for.
    pub fn alone(&self, own: &mut dyn Serve) -> Alone<'_> {
        let mut looks = 0;
        while self.shared.taking.swap(true, Ordering::SeqCst) {
            // Whoever does may be waiting for this very CPU.
            self.serve(own);
            relax(&mut looks);
        }
        Alone(self)
    }

    /// This CPU has written a range inside one marked frame, and its keeper has made that true for translations: others
    /// that have code of it shall know, and those who run that code leave it. To be called after the write, before the next
    /// instruction.
    pub fn tell(&self, address: u64, length: u64) {
        // The write comes before the look at who has marked the frame. See `CodeWatch::mark_dirty`.
        fence(Ordering::SeqCst);
        let members = self.keeping.members();
        let strangers = self.shared.marks.of(address >> PAGE_SHIFT) & !members;
        if strangers != 0 {
            self.shared.tell(strangers, address, length);
        }
        self.shared.slots(members & !self.bit()).for_each(Slot::rouse);
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        // The slot itself is the keeper's: marks may be left.
        *self.slot().attention.lock() = None;
    }
}

/// As long as this lives, no other CPU takes anything from all.
pub struct Alone<'a>(&'a Watcher);

impl Alone<'_> {
    /// Makes the other CPUs of the same keeper forget parts of its translations, and waits until each has done so or does
    /// not run: when this returns, none of them runs such code, or will.
    pub fn forget(&self, parts: u32) {
        self.ask(self.0.keeping.members(), |slot| slot.ask_to_forget(parts));
    }

    /// Asks other CPUs out of a set for something and waits until they have done it.
    fn ask(&self, members: u32, request: impl Fn(&Slot) -> u64) {
        let Self(Watcher { shared, index: own, .. }) = self;
        let others = || {
            let numbered = shared.slots.iter().enumerate();
            numbered.filter(|(index, slot)| {
                index != own && members & 1 << index != 0 && slot.taken.load(Ordering::SeqCst)
            })
        };
        let mut tickets = [0; WATCHERS_MAX];
        for (index, slot) in others() {
            tickets[index] = request(slot);
        }
        for (index, slot) in others() {
            let mut looks = 0;
            while !slot.is_done(tickets[index]) {
                relax(&mut looks);
            }
        }
    }
}

impl Drop for Alone<'_> {
    fn drop(&mut self) {
        self.0.shared.taking.store(false, Ordering::SeqCst);
    }
}

/// A CPU executes guest code as long as this lives.
pub struct Inside {
    shared: Arc<Shared>,
    index: usize,
}

impl Drop for Inside {
    fn drop(&mut self) {
        // Also when its thread panics: nobody must wait for it.
        self.shared.slots[self.index].running.store(false, Ordering::SeqCst);
    }
}

/// Waits for another CPU a little.
fn relax(looks: &mut u32) {
    *looks += 1;
    if looks.is_multiple_of(LOOKS) { std::thread::yield_now() } else { std::hint::spin_loop() }
}
