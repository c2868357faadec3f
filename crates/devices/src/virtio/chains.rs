//! A device's queues, as it sees them while it is called.
use platform::GuestRam;

use super::registers::Slot;
use super::{Chain, Completions, Reply, VirtioError};

/// Chains to take and to give back. Those of one queue can be taken, those of all queues can be given back.
pub struct Chains<'a> {
    slots: &'a mut [Slot],
    queue: usize,
    ram: &'a GuestRam,
    completions: &'a Completions,
}

impl<'a> Chains<'a> {
    pub(super) fn new(
        slots: &'a mut [Slot],
        queue: usize,
        ram: &'a GuestRam,
        completions: &'a Completions,
    ) -> Self {
        Self { slots, queue, ram, completions }
    }
    /// Guest memory, where the chains' buffers are.
    pub fn ram(&self) -> &'a GuestRam {
        self.ram
    }
    /// By which chains are completed later.
    pub fn completions(&self) -> &'a Completions {
        self.completions
    }
    /// The next chain that waits. `None` once the driver has been asked to notify of further ones and there are none.
    pub fn take(&mut self) -> Result<Option<Chain>, VirtioError> {
        match self.slots.get_mut(self.queue) {
            Some(slot) => Ok(slot.queue.take(self.ram)?),
            None => Ok(None),
        }
    }
    /// Whether the driver waits for a chain: it was neither given back nor forgotten by a reset.
    pub fn awaits(&self, chain: &Chain) -> bool {
        self.slots.get(chain.queue()).is_some_and(|slot| slot.queue.has(chain))
    }
    /// Gives a chain back, with so many bytes written to it.
    pub fn complete(&mut self, chain: &Chain, written: u32) -> Result<(), VirtioError> {
        match self.slots.get_mut(chain.queue()) {
            Some(slot) => Ok(slot.queue.give(self.ram, chain, written)?),
            None => Ok(()),
        }
    }
    /// Undoes [`Chains::take`] for the chain of this queue that was taken last: it waits again.
    pub fn put_back(&mut self, chain: &Chain) {
        if let Some(slot) = self.slots.get_mut(chain.queue()) {
            slot.queue.put_back(chain);
        }
    }
    /// Writes a reply and gives its chain back. Nothing is written if nobody waits for it.
    pub fn reply(&mut self, reply: &Reply) -> Result<(), VirtioError> {
        if !self.awaits(&reply.chain) {
            return Ok(());
        }
        reply.chain.writable().put(self.ram, reply.at, &reply.bytes);
        self.complete(&reply.chain, reply.written)
    }
}
