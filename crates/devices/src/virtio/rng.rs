//! The entropy device (VirtIO 1.2 §5.4): one queue, whose buffers come back full of random bytes.

mod device;
mod host;

pub use device::{Entropy, VirtioRng};
pub use host::HostEntropy;

#[cfg(test)]
mod tests;
