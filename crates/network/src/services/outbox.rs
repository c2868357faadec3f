//! What services want to have done.
use std::net::IpAddr;

use super::PortId;

/// Who gets a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Destination {
    /// One port.
    Port(PortId),
    /// Every port.
    Flood,
}

/// A frame that services send. Its checksums are complete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// Who gets it.
    pub to: Destination,
    /// From its Ethernet header on.
    pub frame: Vec<u8>,
}

/// What others may want to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A guest was given an address, or was told that it may keep it.
    AddressAssigned {
        /// Where it is.
        port: PortId,
        /// Its address.
        address: IpAddr,
    },
    /// A guest showed an address that it was not seen with before. It may have made it up.
    AddressSeen {
        /// Where it is.
        port: PortId,
        /// Its address.
        address: IpAddr,
    },
    /// The leases are worth being written to their file.
    LeasesChanged,
}

/// Frames and events of one call, in order.
#[derive(Debug, Default)]
pub struct Outbox {
    /// To be sent.
    pub frames: Vec<Outgoing>,
    /// To be told.
    pub events: Vec<Event>,
}

impl Outbox {
    /// Sends a frame to one port.
    pub fn send(&mut self, port: PortId, frame: Vec<u8>) {
        self.frames.push(Outgoing { to: Destination::Port(port), frame });
    }
    /// Sends a frame to every port.
    pub fn flood(&mut self, frame: Vec<u8>) {
        self.frames.push(Outgoing { to: Destination::Flood, frame });
    }
}
