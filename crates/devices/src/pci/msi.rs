//! MSI (PCI 3.0 §6.8.1): one message, in the capability itself.
use std::sync::Arc;

use platform::MsiSink;

use super::ConfigSpace;
use super::spec::{self, msi};

/// The only message of a function. All of its state is in configuration space.
pub struct Msi {
    /// Where the capability is in configuration space.
    capability: usize,
    sink: Arc<dyn MsiSink>,
}

impl Msi {
    /// Adds the capability, with 64 bits of address, to `config`.
    pub fn new(config: &mut ConfigSpace, sink: Arc<dyn MsiSink>) -> Self {
        let mut body = [0; msi::BODY_BYTES];
        body[..2].copy_from_slice(&msi::WIDE.to_le_bytes());
        let mut writable = [0xff; msi::BODY_BYTES];
        writable[..2].copy_from_slice(&msi::ENABLE.to_le_bytes());
        // Messages are aligned double words.
        writable[2] = !3;
        let capability = config.add_capability(spec::CAPABILITY_MSI, &body, &writable);
        Self { capability: capability.into(), sink }
    }
    /// Whether messages are used rather than the pin.
    pub fn is_enabled(&self, config: &ConfigSpace) -> bool {
        config.word(self.capability + msi::MESSAGE_CONTROL) & msi::ENABLE != 0
    }
    /// Sends the message, if messages are used and the function may send.
    pub fn notify(&self, config: &ConfigSpace) {
        if self.is_enabled(config) && config.is_bus_master() {
            let word = |offset: usize| u64::from(config.word(self.capability + offset));
            let address = word(4) | word(6) << 16 | word(8) << 32 | word(10) << 48;
            self.sink.send(address, word(msi::DATA) as u32);
        }
    }
}
