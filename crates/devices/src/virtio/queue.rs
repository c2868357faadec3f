//! A queue as a device sees it: chains to take and to give back.
use std::sync::atomic::Ordering;

use platform::ram::Memory;
use virtio_queue::{DescriptorChain, Queue, QueueOwnedT, QueueT};
use vm_memory::{Bytes, GuestAddress};

use super::VirtioError;
use super::spec;

/// A chain of buffers in guest memory.
pub type Chain<'a> = DescriptorChain<&'a Memory>;

/// A queue that its driver has enabled.
pub struct QueueView<'a> {
    queue: &'a mut Queue,
    memory: &'a Memory,
    completed: bool,
}

impl<'a> QueueView<'a> {
    pub(super) fn new(queue: &'a mut Queue, memory: &'a Memory) -> Self {
        Self { queue, memory, completed: false }
    }
    /// Guest memory, which the chains' readers and writers need.
    pub fn memory(&self) -> &'a Memory {
        self.memory
    }
    /// The next chain that waits. `None` once the driver has been asked to notify of further ones and there are none.
    pub fn take(&mut self) -> Result<Option<Chain<'a>>, VirtioError> {
        for _ in 0..2 {
            let chain = self.queue.iter(self.memory).map_err(VirtioError::Queue)?.next();
            if chain.is_some() || !self.queue.enable_notification(self.memory).map_err(VirtioError::Queue)? {
                return Ok(chain);
            }
        }
        // The ring said twice that there is a chain, and gave none.
        Err(VirtioError::Rings)
    }
    /// Gives a chain back, with so many bytes written to it.
    pub fn complete(&mut self, chain: u16, written: u32) -> Result<(), VirtioError> {
        self.completed = true;
        self.queue.add_used(self.memory, chain, written).map_err(VirtioError::Queue)
    }

    /// Whether the driver wants an interrupt for what was completed.
    pub(super) fn wants_interrupt(&mut self) -> Result<bool, VirtioError> {
        if !self.completed {
            return Ok(false);
        }
        if self.queue.event_idx_enabled() {
            return self.queue.needs_notification(self.memory).map_err(VirtioError::Queue);
        }
        let flags: Result<u16, _> =
            self.memory.load(GuestAddress(self.queue.avail_ring()), Ordering::Acquire);
        let flags = flags.map_err(|error| VirtioError::Queue(virtio_queue::Error::GuestMemory(error)))?;
        Ok(u16::from_le(flags) & spec::AVAIL_NO_INTERRUPT == 0)
    }
}
