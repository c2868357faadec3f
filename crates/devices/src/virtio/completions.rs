//! Chains that are completed after their device has returned to the driver.
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use smallvec::SmallVec;

use super::Chain;

/// What to tell the driver of a chain.
#[derive(Clone, Debug)]
pub struct Reply {
    pub(super) chain: Chain,
    pub(super) at: u32,
    pub(super) bytes: SmallVec<[u8; 32]>,
    pub(super) written: u32,
}

impl Reply {
    /// Puts `bytes` at byte `at` of the chain's writable buffers and says that `written` bytes of them were written.
    pub fn new(chain: Chain, at: u32, bytes: &[u8], written: u32) -> Self {
        Self { chain, at, bytes: SmallVec::from_slice(bytes), written }
    }
}

/// A device's way to complete chains later, from any thread that does not hold its transport's lock. Replies to chains
/// that nobody waits for any more, as after a reset, are dropped.
#[derive(Clone)]
pub struct Completions {
    shared: Arc<Shared>,
}

struct Shared {
    /// Replies that the transport has not seen; not empty only while somebody is about to tell it.
    waiting: Mutex<Vec<Reply>>,
    transport: Weak<Mutex<dyn Transport>>,
}

/// What has the queues.
pub(super) trait Transport: Send {
    /// Gives all chains back for which replies wait.
    fn take_replies(&mut self);
}

impl Completions {
    pub(super) fn new(transport: Weak<Mutex<dyn Transport>>) -> Self {
        Self { shared: Arc::new(Shared { waiting: Mutex::default(), transport }) }
    }
    /// Replies to a chain. Replies that come while the transport is busy go to the driver together.
    pub fn complete(&self, reply: Reply) {
        let is_first = {
            let mut waiting = self.shared.waiting.lock();
            waiting.push(reply);
            waiting.len() == 1
        };
        // Whoever puts the first one in takes all to the transport.
        if is_first {
            match self.shared.transport.upgrade() {
                Some(transport) => transport.lock().take_replies(),
                None => self.shared.waiting.lock().clear(),
            }
        }
    }

    /// Exchanges the replies that wait for an empty list.
    pub(super) fn swap_waiting(&self, replies: &mut Vec<Reply>) {
        std::mem::swap(&mut *self.shared.waiting.lock(), replies);
    }
}
