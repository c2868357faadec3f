//! Segments of connections on their way to guests.
use std::io::IoSlice;

use platform::net::FrameHeader;

use super::tcp::{Head, Output, Path};
use crate::port::Port;
use crate::switch::{PortId, Ports};
use crate::wire::tcp_flag::{FIN, RST, SYN};

/// A port, a connection's ends, and flags of what was told to its guest.
pub type Turn = (PortId, Path, u8);

/// Frames for a port; without a port they are gone.
pub struct ToPort<'a> {
    id: PortId,
    port: Option<&'a mut Port>,
    turns: &'a mut Vec<Turn>,
}

impl<'a> ToPort<'a> {
    /// For the port of a number.
    pub fn new(id: PortId, ports: &'a mut Ports, turns: &'a mut Vec<Turn>) -> Self {
        Self { id, port: ports.get_mut(id), turns }
    }
}

impl Output for ToPort<'_> {
    fn send(&mut self, head: &Head, data: &[IoSlice<'_>]) -> bool {
        let Some(port) = self.port.as_deref_mut() else { return true };
        let bytes = head.bytes();
        let Some((header, _)) = FrameHeader::split(bytes) else { return true };
        let sent = port.offer(&header, bytes, data);
        if sent && head.flags() & (SYN | FIN | RST) != 0 {
            self.turns.push((self.id, *head.path(), head.flags()));
        }
        sent
    }
}
