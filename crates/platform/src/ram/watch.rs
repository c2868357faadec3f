//! Who has translated code of which frame, and how all learn of writes to it.
//!
//! Each virtual CPU keeps translations of its own. A frame that any of them has translated from is *marked*, once for each
//! of them, and nobody may write a marked frame without saying so. `docs/decisions/0006-code-watch.md` has the protocol
//! and why it is right.
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering, fence};

use parking_lot::Mutex;
use vm_memory::bitmap::{Bitmap, BitmapSlice, WithBitmapSlice};
use x86::address::{PAGE_SHIFT, PAGE_SIZE};

use super::marks::Marks;
use crate::Attention;

/// How many CPUs can watch one RAM.
pub const WATCHERS_MAX: usize = 32;
/// Entries of one list in a mailbox before it is replaced by "everything".
const MAIL_MAX: usize = 2048;
/// How often a CPU that waits for another looks before it lets the host run somebody else.
const LOOKS: u32 = 200;

/// Tells engines which frames that hold translated code were written by somebody else: another CPU, or a device. Every
/// write through [`super::GuestRam::memory`] passes here.
#[derive(Clone)]
pub struct CodeWatch {
    shared: Arc<Shared>,
    first_byte: u64,
}

struct Shared {
    marks: Marks,
    /// Held by the CPU that takes the others' right to write a frame.
    protecting: AtomicBool,
    watchers: [Slot; WATCHERS_MAX],
}

/// One CPU's end.
#[derive(Default)]
struct Slot {
    taken: AtomicBool,
    /// It executes guest code, or is about to; unset, it looks into its mailbox before it does so again.
    running: AtomicBool,
    /// There is something in the mailbox.
    has_mail: AtomicBool,
    mail: Mutex<Mail>,
    /// Number of the last request to protect; grows with the mailbox locked.
    asked: AtomicU64,
    /// Number of the last such request that was served.
    served: AtomicU64,
    attention: Mutex<Option<Arc<dyn Attention>>>,
}

#[derive(Default)]
struct Mail {
    protect: Vec<u64>,
    protect_all: bool,
    written: Vec<(u64, u64)>,
    all_written: bool,
}

/// What a CPU has to do because of others.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct News {
    /// Everything may have been written: all translations go.
    pub all_written: bool,
    /// Guest-physical ranges that were written, as start and length.
    pub written: Vec<(u64, u64)>,
}

impl CodeWatch {
    pub(super) fn new(end: u64) -> Self {
        let shared = Shared {
            marks: Marks::new(end >> PAGE_SHIFT),
            protecting: AtomicBool::new(false),
            watchers: Default::default(),
        };
        Self { shared: Arc::new(shared), first_byte: 0 }
    }
    pub(super) fn starting_at(&self, first_byte: u64) -> Self {
        Self { shared: Arc::clone(&self.shared), first_byte }
    }
    /// Whether anybody has translated code of a frame.
    pub fn is_code(&self, frame: u64) -> bool {
        self.shared.marks.of(frame) != 0
    }
    /// A CPU begins to watch; `attention` makes it look at [`Watcher::has_news`]. `None` if too many do.
    pub fn join(&self, attention: Arc<dyn Attention>) -> Option<Watcher> {
        let index = self.shared.watchers.iter().position(|slot| !slot.taken.swap(true, Ordering::SeqCst))?;
        let slot = &self.shared.watchers[index];
        *slot.mail.lock() = Mail::default();
        *slot.attention.lock() = Some(attention);
        Some(Watcher { shared: Arc::clone(&self.shared), index })
    }
    /// Reports every marked frame as written.
    pub(super) fn all_written(&self) {
        for slot in self.shared.taken() {
            let mut mail = slot.mail.lock();
            mail.written.clear();
            mail.all_written = true;
            slot.has_mail.store(true, Ordering::SeqCst);
        }
    }
}

impl Shared {
    fn taken(&self) -> impl Iterator<Item = &Slot> {
        self.watchers.iter().filter(|slot| slot.taken.load(Ordering::SeqCst))
    }

    /// Tells the CPUs in `owners` of a write that has been done.
    fn tell(&self, owners: u32, address: u64, length: u64) {
        for (index, slot) in self.watchers.iter().enumerate() {
            if owners & 1 << index == 0 {
                continue;
            }
            let mut mail = slot.mail.lock();
            if mail.written.len() < MAIL_MAX {
                mail.written.push((address, length));
            } else {
                mail.all_written = true;
            }
            slot.call(mail);
        }
    }
}

impl Slot {
    /// Makes a CPU look at the mail that was just put in.
    fn call(&self, mail: parking_lot::MutexGuard<'_, Mail>) {
        self.has_mail.store(true, Ordering::SeqCst);
        drop(mail);
        // One that does not run looks before it does: it stores `running` and then loads `has_mail`, both in one total
        // order with the store and the load here, so at least one of the two sees the other.
        if self.running.load(Ordering::SeqCst)
            && let Some(attention) = &*self.attention.lock()
        {
            attention.raise();
        }
    }

    /// Asks a CPU to drop its right to write a frame in line; returns the number of the request.
    fn ask_to_protect(&self, frame: u64) -> u64 {
        let mut mail = self.mail.lock();
        if mail.protect.len() < MAIL_MAX {
            mail.protect.push(frame);
        } else {
            mail.protect_all = true;
        }
        let ticket = self.asked.load(Ordering::Relaxed) + 1;
        self.asked.store(ticket, Ordering::Relaxed);
        self.call(mail);
        ticket
    }

    fn has_served(&self, ticket: u64) -> bool {
        self.served.load(Ordering::SeqCst) >= ticket || !self.running.load(Ordering::SeqCst)
    }
}

/// Drops the right to write in line.
pub trait Protect {
    /// For one frame.
    fn protect(&mut self, frame: u64);
    /// For every frame.
    fn protect_all(&mut self);
}

/// One CPU's part in the watch.
pub struct Watcher {
    shared: Arc<Shared>,
    index: usize,
}

impl Watcher {
    fn slot(&self) -> &Slot {
        &self.shared.watchers[self.index]
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
    /// Whether [`Watcher::take_news`] has something to do.
    pub fn has_news(&self) -> bool {
        self.slot().has_mail.load(Ordering::SeqCst)
    }
    /// Serves what others ask for, between two instructions, and returns what they have written.
    pub fn take_news(&self, protect: &mut dyn Protect) -> News {
        self.serve(protect);
        let mut mail = self.slot().mail.lock();
        let news = News {
            all_written: std::mem::take(&mut mail.all_written),
            written: std::mem::take(&mut mail.written),
        };
        let is_empty = mail.protect.is_empty() && !mail.protect_all;
        self.slot().has_mail.store(!is_empty, Ordering::SeqCst);
        news
    }
    /// Drops rights that others want dropped. Reports of writes stay where they are.
    fn serve(&self, protect: &mut dyn Protect) {
        let slot = self.slot();
        let (frames, all, ticket) = {
            let mut mail = slot.mail.lock();
            let all = std::mem::take(&mut mail.protect_all);
            (std::mem::take(&mut mail.protect), all, slot.asked.load(Ordering::Relaxed))
        };
        if all {
            protect.protect_all();
        } else {
            frames.into_iter().for_each(|frame| protect.protect(frame));
        }
        slot.served.store(ticket, Ordering::SeqCst);
    }

    /// Whether this CPU has marked a frame.
    pub fn has_marked(&self, frame: u64) -> bool {
        self.shared.marks.of(frame) & self.bit() != 0
    }
    /// Marks a frame, before its bytes are read to be translated. When this returns, no CPU can write the frame any more
    /// without telling; until then this one serves the others through `protect`. To be called between two instructions.
    /// Whether the others had to be asked.
    pub fn mark(&self, frame: u64, protect: &mut dyn Protect) -> bool {
        if self.has_marked(frame) {
            return false;
        }
        let mut looks = 0;
        while self.shared.protecting.swap(true, Ordering::SeqCst) {
            // Whoever protects may be waiting for this very CPU.
            self.serve(protect);
            relax(&mut looks);
        }
        // Marked already, it is protected already: whoever did that had this lock until all were done.
        let is_first = self.shared.marks.add(frame, self.bit()) == 0;
        if is_first {
            protect.protect(frame);
            self.protect_elsewhere(frame);
        }
        self.shared.protecting.store(false, Ordering::SeqCst);
        is_first
    }
    fn protect_elsewhere(&self, frame: u64) {
        let others = || {
            let numbered = self.shared.watchers.iter().enumerate();
            numbered.filter(|(index, slot)| *index != self.index && slot.taken.load(Ordering::SeqCst))
        };
        let mut tickets = [0; WATCHERS_MAX];
        for (index, slot) in others() {
            tickets[index] = slot.ask_to_protect(frame);
        }
        for (index, slot) in others() {
            let mut looks = 0;
            while !slot.has_served(tickets[index]) {
                relax(&mut looks);
            }
        }
    }
    /// This CPU has no translated code of a frame any more.
    pub fn unmark(&self, frame: u64) {
        self.shared.marks.remove(frame, self.bit());
    }
    /// This CPU has written a range inside one marked frame: the others that have code of it shall know. To be called
    /// after the write, before the next instruction.
    pub fn tell(&self, address: u64, length: u64) {
        // The write comes before the look at who has marked the frame. See `CodeWatch::mark_dirty`.
        fence(Ordering::SeqCst);
        let owners = self.shared.marks.of(address >> PAGE_SHIFT) & !self.bit();
        if owners != 0 {
            self.shared.tell(owners, address, length);
        }
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        *self.slot().attention.lock() = None;
        self.slot().taken.store(false, Ordering::SeqCst);
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
        self.shared.watchers[self.index].running.store(false, Ordering::SeqCst);
    }
}

/// Waits for another CPU a little.
fn relax(looks: &mut u32) {
    *looks += 1;
    if looks.is_multiple_of(LOOKS) { std::thread::yield_now() } else { std::hint::spin_loop() }
}

impl fmt::Debug for CodeWatch {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("CodeWatch").field("first_byte", &self.first_byte).finish_non_exhaustive()
    }
}

impl<'a> WithBitmapSlice<'a> for CodeWatch {
    type S = CodeWatch;
}

impl BitmapSlice for CodeWatch {}

impl Bitmap for CodeWatch {
    fn mark_dirty(&self, offset: usize, length: usize) {
        // The bytes were written; now look who has marked the frames. A CPU marks first and reads then, so either it is
        // seen here or it reads the new bytes: with a full fence between the two on both sides.
        fence(Ordering::SeqCst);
        let first = self.first_byte + offset as u64;
        let frames = (first >> PAGE_SHIFT)..=((first + (length as u64).max(1) - 1) >> PAGE_SHIFT);
        for frame in frames {
            let owners = self.shared.marks.of(frame);
            if owners != 0 {
                self.shared.tell(owners, frame << PAGE_SHIFT, PAGE_SIZE);
            }
        }
    }
    fn dirty_at(&self, _offset: usize) -> bool {
        false
    }
    fn slice_at(&self, offset: usize) -> CodeWatch {
        self.starting_at(self.first_byte + offset as u64)
    }
}

// Marks have one bit a watcher.
const _: () = assert!(WATCHERS_MAX <= u32::BITS as usize);

#[cfg(test)]
mod tests;
