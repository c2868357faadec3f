//! The virtio console by which a program of the host talks to one in the guest.
use std::sync::{Arc, Weak};

use devices::virtio::VirtioPci;
use devices::virtio::console::{Channel, RECEIVE, TRANSMIT, VirtioConsole};
use parking_lot::Mutex;

/// The host's end. Cheap to clone; one thread may read and another may write.
#[derive(Clone)]
pub struct GuestChannel {
    pub(super) channel: Arc<Channel>,
    pub(super) function: Weak<Mutex<VirtioPci<VirtioConsole>>>,
}

impl GuestChannel {
    /// Waits for bytes of the guest, and takes up to `most`; none once the machine has ended and everything was taken.
    pub fn read(&self, most: usize) -> Vec<u8> {
        let (bytes, refused) = self.channel.read(most);
        if refused {
            self.serve(TRANSMIT);
        }
        bytes
    }
    /// Writes bytes for the guest, and waits until there was room for all. `false` once the machine has ended.
    pub fn write(&self, mut bytes: &[u8]) -> bool {
        while !bytes.is_empty() {
            let count = self.channel.write(bytes);
            if count == 0 {
                return false;
            }
            bytes = &bytes[count..];
            self.serve(RECEIVE);
        }
        true
    }
    /// The machine has ended.
    pub(crate) fn close(&self) {
        self.channel.close();
    }

    fn serve(&self, queue: usize) {
        if let Some(function) = self.function.upgrade() {
            function.lock().serve(queue);
        }
    }
}
