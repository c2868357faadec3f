//! Disks: what the user wants ([`config`]), and the threads that do what devices ask for ([`queue`]).

pub mod config;
pub mod queue;

pub use config::{DiskBus, DiskConfig, DiskKind};
pub use queue::{DiskQueue, Trouble};
