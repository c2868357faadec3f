//! The Intel 82540EM gigabit Ethernet controller ("PCI/PCI-X Family of Gigabit Ethernet Controllers Software Developer's
//! Manual", SDM below) with an M88E1011 PHY, for guests that have no virtio drivers.
//!
//! What a descriptor asks for in the way of segments and checksums is left to the network, by the header in front of a
//! frame. Frames are received whole.
//!
//! Lock order: the controller, then its cable and the interrupt sinks. Frames are taken and sent with the controller's
//! lock held.

mod checksum;
mod descriptor;
mod device;
mod eeprom;
mod filter;
mod phy;
mod registers;
mod rx;
mod saved;
mod spec;
mod state;
mod statistics;
mod tx;

pub use device::{E1000, E1000Options, card};

#[cfg(test)]
mod tests;
