//! How much all flows together may hold, so that neither guests nor their peers can take the host's memory.
use std::cell::Cell;
use std::rc::Rc;

/// Bytes that may still be held. Clones share them.
#[derive(Clone, Debug)]
pub struct Budget {
    free: Rc<Cell<usize>>,
}

impl Budget {
    /// Of so many bytes.
    pub fn new(bytes: usize) -> Self {
        Self { free: Rc::new(Cell::new(bytes)) }
    }
    /// Bytes that are free.
    pub fn free(&self) -> usize {
        self.free.get()
    }
    /// Takes bytes, if there are so many.
    #[must_use]
    pub fn take(&self, bytes: usize) -> bool {
        match self.free.get().checked_sub(bytes) {
            Some(left) => {
                self.free.set(left);
                true
            }
            None => false,
        }
    }
    /// Gives bytes back.
    pub fn give(&self, bytes: usize) {
        self.free.set(self.free.get() + bytes);
    }
}
