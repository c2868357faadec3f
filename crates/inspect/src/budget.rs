//! How much may be read before something is taken to go in circles.
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What one step may read: far more than any directory has, and little enough to be over soon.
const STEP: u64 = 512 << 20;
/// What a read costs besides its bytes, so that empty reads come to an end too.
const PER_READ: u64 = 64;

/// Bytes that may still be read. Clones share them.
#[derive(Clone, Debug)]
pub struct Budget(Arc<AtomicU64>);

impl Budget {
    /// Enough for one step.
    pub fn new() -> Self {
        Self(Arc::new(AtomicU64::new(STEP)))
    }
    /// Begins another step.
    pub fn refill(&self) {
        self.0.store(STEP, Ordering::Relaxed);
    }
    /// Pays for a read.
    pub fn spend(&self, bytes: usize) -> io::Result<()> {
        let cost = PER_READ + bytes as u64;
        let rest = self.0.load(Ordering::Relaxed).checked_sub(cost);
        let rest = rest.ok_or_else(|| io::Error::other("it has no end, or goes in circles"))?;
        self.0.store(rest, Ordering::Relaxed);
        Ok(())
    }
}
