//! How much all flows together may hold, so that neither guests nor their peers can take the host's memory.
use std::cell::Cell;
use std::rc::Rc;

/// Bytes that may still be held. Clones share them.
///
/// A [`Budget::share`] holds no more than is free for the others, so that whoever comes later finds as much again: one share
/// gets half of all, a second one a third or a quarter, and nobody nothing.
#[derive(Clone, Debug)]
pub struct Budget {
    free: Rc<Cell<usize>>,
    /// What a share holds.
    own: Option<Rc<Cell<usize>>>,
}

impl Budget {
    /// Of so many bytes.
    pub fn new(bytes: usize) -> Self {
        Self { free: Rc::new(Cell::new(bytes)), own: None }
    }
    /// A part of the same bytes, for one of several.
    pub fn share(&self) -> Self {
        Self { free: Rc::clone(&self.free), own: Some(Rc::default()) }
    }
    /// Bytes that are free for this one.
    pub fn free(&self) -> usize {
        match &self.own {
            None => self.free.get(),
            Some(own) => self.free.get().saturating_sub(own.get()) / 2,
        }
    }
    /// Takes bytes, if there are so many.
    #[must_use]
    pub fn take(&self, bytes: usize) -> bool {
        if bytes > self.free() {
            return false;
        }
        self.free.set(self.free.get() - bytes);
        if let Some(own) = &self.own {
            own.set(own.get() + bytes);
        }
        true
    }
    /// Gives bytes back.
    pub fn give(&self, bytes: usize) {
        self.free.set(self.free.get() + bytes);
        if let Some(own) = &self.own {
            own.set(own.get() - bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_share_takes_all() {
        let all = Budget::new(1200);
        let (one, other) = (all.share(), all.share());
        assert!(!one.take(601) && one.take(600) && !one.take(1));
        assert_eq!((all.free(), one.free(), other.free()), (600, 0, 300));
        assert!(other.take(300) && !other.take(1));
        // What one gives back is there for both.
        one.give(600);
        assert_eq!((one.free(), other.free()), (450, 300));
        other.give(300);
        assert_eq!(all.free(), 1200);
    }
}
