//! What a user keeps on disk besides running machines: guest images and the cache that holds them.
//!
//! - [`images`]: the guests that gasang can make by itself
//! - [`running`]: machines and networks that run, and how to talk to them
//! - [`networks`]: networks, their processes, and how machines get onto them
//! - [`archive`]: the package archive of the host, by its ordinary clients, without root
//! - [`cache`]: files that are either whole or not there
//! - [`cpio`]: initramfs archives
#![forbid(unsafe_code)]

pub mod archive;
pub mod cache;
pub mod cpio;
pub mod images;
pub mod networks;
pub mod running;
pub mod sources;
