//! The console device (VirtIO 1.2 §5.3) with one port: a stream of bytes each way between the guest and a [`Channel`],
//! whose other end is a program of the host.

mod channel;
mod device;

pub use channel::Channel;
pub use device::{RECEIVE, TRANSMIT, VirtioConsole};

#[cfg(test)]
mod tests;
