//! What a virtio device is, whatever the transport.
use platform::{SavedError, SavedState};

use super::QueueView;

/// Why a device gives up until its driver resets it: the driver broke the rules, or the host failed.
#[derive(Debug, thiserror::Error)]
pub enum VirtioError {
    /// Rings or descriptors make no sense.
    #[error("the driver's queue is malformed")]
    Queue(#[source] virtio_queue::Error),
    /// The queue's rings are not all in RAM.
    #[error("the driver's rings are not in memory")]
    Rings,
    /// Guest memory could not be reached.
    #[error("the driver's buffers are not in memory")]
    Buffers(#[source] std::io::Error),
    /// The host could not do the device's work.
    #[error("the host failed the device")]
    Host(#[source] std::io::Error),
}

/// A virtio device behind a transport, which calls it with the transport's lock held.
pub trait VirtioDevice: Send {
    /// A short fixed name for logs and saved states.
    fn name(&self) -> &'static str;
    /// Number of the kind of device (VirtIO 1.2 §5).
    fn kind(&self) -> u16;
    /// PCI class, subclass and programming interface, 8 bits each.
    fn class(&self) -> u32;
    /// Largest size of each queue, a power of two of at most 32,768.
    fn queue_sizes(&self) -> &'static [u16];
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
    fn serve(&mut self, queue: usize, chains: &mut QueueView<'_>) -> Result<(), VirtioError>;
    /// The driver starts over.
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
