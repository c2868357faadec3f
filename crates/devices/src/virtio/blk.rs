//! The block device (VirtIO 1.2 §5.2): a disk whose requests are done by its [`DiskPort`](platform::DiskPort), straight
//! between the image and the driver's buffers.

mod config;
mod device;
mod request;
mod spec;

pub use device::{BlkOptions, VirtioBlk};

#[cfg(test)]
mod tests;
