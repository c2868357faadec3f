//! What a virtio device is, whatever the transport.
use platform::{SavedError, SavedState};

use super::{Chains, QueueError};

/// Why a device gives up until its driver resets it: the driver broke the rules, or the host failed.
#[derive(Debug, thiserror::Error)]
pub enum VirtioError {
    /// Rings or descriptors make no sense.
    #[error("the driver's queue is malformed")]
    Queue(#[from] QueueError),
    /// A chain has no room for what every request of the device has.
    #[error("the driver's request is malformed: {0}")]
    Request(&'static str),
    /// The host could not do the device's work.
    #[error("the host failed the device")]
    Host(#[source] std::io::Error),
}

/// A virtio device behind a transport, which calls it with the transport's lock held.
///
/// A device may complete a chain at once, or keep it and complete it later, from any thread, by
/// [`Completions`](super::Completions).
pub trait VirtioDevice: Send {
    /// A short fixed name for logs and saved states.
    fn name(&self) -> &'static str;
    /// Number of the kind of device (VirtIO 1.2 §5).
    fn kind(&self) -> u16;
    /// PCI class, subclass and programming interface, 8 bits each.
    fn class(&self) -> u32;
    /// Largest size of each queue, a power of two of at most 32,768.
    fn queue_sizes(&self) -> &[u16];
    /// Feature bits of this kind of device.
    fn features(&self) -> u64 {
        0
    }
    /// Reads the device's own configuration; `data` is zero before.
    fn read_config(&self, offset: u64, data: &mut [u8]) {
        let _ = (offset, data);
    }
    /// Writes the device's own configuration.
    fn write_config(&mut self, offset: u64, data: &[u8]) {
        let _ = (offset, data);
    }
    /// The driver is ready and has accepted these features.
    fn activate(&mut self, features: u64) {
        let _ = features;
    }
    /// The driver has put chains into a queue.
    fn serve(&mut self, queue: usize, chains: &mut Chains<'_>) -> Result<(), VirtioError>;
    /// Returns once nothing that the device has begun touches guest memory any more. Comes before chains are forgotten.
    fn drain(&mut self) {}
    /// The driver starts over with one queue, whose chains are forgotten. The device was drained before.
    fn reset_queue(&mut self, queue: usize) {
        let _ = queue;
    }
    /// Gives back chains of a queue that the device has taken and not begun ([`Chains::put_back`]), so that it can be saved;
    /// others come back by themselves.
    fn put_back(&mut self, queue: usize, chains: &mut Chains<'_>) -> Result<(), VirtioError> {
        let _ = (queue, chains);
        Ok(())
    }
    /// The driver starts over: the device's own state is that after power-on. It was drained before.
    fn reset(&mut self) {}
    /// The device's own state.
    fn save(&self) -> SavedState {
        SavedState::empty()
    }
    /// Takes a state that `save` made.
    fn restore(&mut self, saved: &SavedState) -> Result<(), SavedError> {
        let _ = saved;
        Ok(())
    }
}
