//! The event queue (§5.6.6.3).
use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::super::{Chains, Reply, VirtioError};
use super::address::Address;
use super::spec::event;

/// Events that wait for a buffer at most.
const WAITING_MAX: usize = 64;

/// Something that the driver is to learn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Event {
    kind: u32,
    address: [u8; 8],
    reason: u32,
}

/// Events that the driver has given no buffer for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Events {
    waiting: VecDeque<Event>,
    /// There were too many; the driver looks at everything itself then.
    missed: bool,
}

impl Events {
    /// Has the driver told about a target's unit 0.
    pub fn add(&mut self, kind: u32, target: u8, reason: u32) {
        if self.waiting.len() >= WAITING_MAX {
            self.missed = true;
            return;
        }
        let address = Address { target, lun: 0 }.bytes();
        self.waiting.push_back(Event { kind, address, reason });
    }
    /// Nothing is to be told any more.
    pub fn clear(&mut self) {
        *self = Self::default();
    }
    /// Whether a saved list can be.
    pub fn is_possible(&self) -> bool {
        self.waiting.len() <= WAITING_MAX
    }
    /// Tells as much as there are buffers for; the chains are those of the event queue.
    pub fn tell(&mut self, chains: &mut Chains<'_>) -> Result<(), VirtioError> {
        while !self.waiting.is_empty() || self.missed {
            let Some(chain) = chains.take()? else { return Ok(()) };
            if chain.writable().length() < event::BYTES {
                return Err(VirtioError::Request("no room for an event"));
            }
            let nothing = Event { kind: event::NONE, address: [0; 8], reason: 0 };
            let Event { kind, address, reason } = self.waiting.pop_front().unwrap_or(nothing);
            let missed = if std::mem::take(&mut self.missed) { event::MISSED } else { 0 };
            let mut bytes = [0; event::BYTES as usize];
            bytes[..4].copy_from_slice(&(kind | missed).to_le_bytes());
            bytes[4..12].copy_from_slice(&address);
            bytes[12..].copy_from_slice(&reason.to_le_bytes());
            chains.reply(&Reply::new(chain, 0, &bytes, event::BYTES))?;
        }
        Ok(())
    }
}
