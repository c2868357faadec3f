//! Who has translated code of which frame, and how all learn of writes to it.
//!
//! CPUs that share their translations have a [`Keeper`]. A frame that any of them has translated from is *marked*, once for
//! each CPU that has done so, and nobody may write a marked frame without saying so. `docs/decisions/0006-code-watch.md` has
//! the protocol and why it is right.
mod keeper;
mod slot;
mod watcher;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering, fence};

use parking_lot::RwLock;
use vm_memory::bitmap::{Bitmap, BitmapSlice, WithBitmapSlice};
use x86::address::{PAGE_SHIFT, PAGE_SIZE};

use super::marks::Marks;
use keeper::Keeping;
pub use keeper::{Keeper, News};
use slot::Slot;
pub use watcher::{Alone, Inside, Serve, Watcher};

/// How many CPUs can watch one RAM.
pub const WATCHERS_MAX: usize = 32;
/// Entries of one list in a mailbox before it is replaced by "everything".
const MAIL_MAX: usize = 2048;

/// Tells engines which frames that hold translated code were written by somebody else: another CPU, or a device. Every
/// write through [`super::GuestRam::memory`] passes here.
#[derive(Clone)]
pub struct CodeWatch {
    shared: Arc<Shared>,
    first_byte: u64,
}

struct Shared {
    marks: Marks,
    /// Held by the CPU that takes something from all others: the right to write a frame, or code.
    taking: AtomicBool,
    slots: [Slot; WATCHERS_MAX],
    keepers: RwLock<Vec<Arc<Keeping>>>,
}

impl CodeWatch {
    pub(super) fn new(end: u64) -> Self {
        let shared = Shared {
            marks: Marks::new(end >> PAGE_SHIFT),
            taking: AtomicBool::new(false),
            slots: Default::default(),
            keepers: RwLock::default(),
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
    /// Somebody begins to keep translations.
    pub fn keeper(&self) -> Keeper {
        Keeper::new(Arc::clone(&self.shared))
    }
    /// Reports every marked frame as written.
    pub(super) fn all_written(&self) {
        for keeping in &*self.shared.keepers.read() {
            keeping.put_all();
            keeping.call(&self.shared);
        }
    }
}

impl Shared {
    /// Tells those who keep translations that CPUs in `owners` have made of a write that has been done.
    fn tell(&self, owners: u32, address: u64, length: u64) {
        for keeping in self.keepers.read().iter().filter(|keeping| keeping.members() & owners != 0) {
            keeping.put(address, length);
            keeping.call(self);
        }
    }
    /// The slots of a set of CPUs.
    fn slots(&self, members: u32) -> impl Iterator<Item = &Slot> {
        let numbered = self.slots.iter().enumerate();
        numbered.filter(move |(index, _)| members & 1 << index != 0).map(|(_, slot)| slot)
    }
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
