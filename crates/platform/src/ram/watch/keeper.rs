//! Who keeps translations: one CPU, or several that share them.
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use parking_lot::Mutex;

use super::{MAIL_MAX, Shared, Watcher};
use crate::Attention;

/// What CPUs that share their translations have in common. Those that have joined are told of writes to what any of them
/// has marked.
pub struct Keeper {
    shared: Arc<Shared>,
    keeping: Arc<Keeping>,
}

#[derive(Default)]
pub(super) struct Keeping {
    /// The CPUs that have joined, one bit each.
    members: AtomicU32,
    news: Mutex<News>,
}

/// What was written by others.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct News {
    /// Everything may have been written: all translations go.
    pub all_written: bool,
    /// Guest-physical ranges that were written, as start and length.
    pub written: Vec<(u64, u64)>,
}

impl Keeper {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        let keeping = Arc::<Keeping>::default();
        shared.keepers.write().push(Arc::clone(&keeping));
        Self { shared, keeping }
    }
    /// A CPU joins; `attention` makes it look at [`Watcher::has_news`]. `None` if too many have.
    pub fn join(&self, attention: Arc<dyn Attention>) -> Option<Watcher> {
        let slots = &self.shared.slots;
        let index = slots.iter().position(|slot| !slot.taken.swap(true, Ordering::SeqCst))?;
        slots[index].reset(attention);
        self.keeping.members.fetch_or(1 << index, Ordering::SeqCst);
        Some(Watcher::new(Arc::clone(&self.shared), Arc::clone(&self.keeping), index))
    }
    /// There are no translations of a frame any more. Whoever marked it to make one has to mark it again.
    pub fn unmark(&self, frame: u64) {
        self.shared.marks.remove(frame, self.keeping.members());
    }
    /// Takes what was written by others since the last time. Whoever takes it makes it true for all who have joined.
    pub fn take_news(&self) -> News {
        std::mem::take(&mut *self.keeping.news.lock())
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.shared.keepers.write().retain(|keeping| !Arc::ptr_eq(keeping, &self.keeping));
        // Marks of these CPUs may have been left until now.
        let members = self.keeping.members();
        self.shared.slots(members).for_each(|slot| slot.taken.store(false, Ordering::SeqCst));
    }
}

impl Keeping {
    pub fn members(&self) -> u32 {
        self.members.load(Ordering::SeqCst)
    }
    pub fn put(&self, address: u64, length: u64) {
        let mut news = self.news.lock();
        if news.written.len() < MAIL_MAX {
            news.written.push((address, length));
        } else {
            news.all_written = true;
        }
    }
    pub fn put_all(&self) {
        let mut news = self.news.lock();
        news.written.clear();
        news.all_written = true;
    }
    /// Makes all members look.
    pub fn call(&self, shared: &Shared) {
        shared.slots(self.members()).for_each(super::Slot::call);
    }
}
