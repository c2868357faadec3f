//! The network device (VirtIO 1.2 §5.1): frames go between the driver's buffers and a cable
//! ([`NetPort`](platform::net::NetPort)) by one system call each.
//!
//! The driver's thread sends, with the transport's lock held. The cable's thread receives: with the lock held it takes
//! chains ahead ([`intake`]), without it it has frames put into them, and with it again it gives them back.
//!
//! Lock order: the transport, then the intake.

mod config;
mod control;
mod device;
mod filter;
mod header;
mod intake;
mod receive;
mod saved;
mod spec;

pub use device::{NetOptions, VirtioNet};
pub use receive::card;

#[cfg(test)]
mod tests;
