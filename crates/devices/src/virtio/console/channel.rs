//! Bytes on their way, bounded in number: a guest that talks to nobody waits, as does a program that talks to a guest that
//! does not listen.
use std::collections::VecDeque;

use parking_lot::{Condvar, Mutex};

/// Most bytes of the guest that wait to be read.
const FROM_GUEST: usize = 1 << 20;
/// Most bytes that wait for the guest.
const TO_GUEST: usize = 64 << 10;

/// What is between the device and the host's program. A leaf among locks.
#[derive(Debug, Default)]
pub struct Channel {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    from_guest: VecDeque<u8>,
    to_guest: VecDeque<u8>,
    /// The device has left chains in its queue for want of room.
    refused: bool,
    closed: bool,
}

impl Channel {
    /// Takes bytes of the guest, if there is room for all of them.
    pub(super) fn push(&self, bytes: &[u8]) -> bool {
        let mut state = self.state.lock();
        if state.closed {
            return true;
        }
        state.refused = state.from_guest.len() + bytes.len() > FROM_GUEST;
        if state.refused {
            return false;
        }
        state.from_guest.extend(bytes);
        self.changed.notify_all();
        true
    }
    /// Gives up to `most` bytes to the guest.
    pub(super) fn pull(&self, most: usize) -> Vec<u8> {
        let mut state = self.state.lock();
        let count = most.min(state.to_guest.len());
        let bytes = state.to_guest.drain(..count).collect();
        self.changed.notify_all();
        bytes
    }
    /// Whether there is anything for the guest.
    pub(super) fn has_input(&self) -> bool {
        !self.state.lock().to_guest.is_empty()
    }

    /// Waits for bytes of the guest, and takes up to `most` of them; none once the channel is closed and empty. The second
    /// value is whether the device is to be served again.
    pub fn read(&self, most: usize) -> (Vec<u8>, bool) {
        let mut state = self.state.lock();
        while state.from_guest.is_empty() && !state.closed {
            self.changed.wait(&mut state);
        }
        let count = most.min(state.from_guest.len());
        let bytes = state.from_guest.drain(..count).collect();
        (bytes, std::mem::take(&mut state.refused))
    }
    /// Waits for room, and leaves as many bytes for the guest as there is room for; 0 once the channel is closed.
    pub fn write(&self, bytes: &[u8]) -> usize {
        let mut state = self.state.lock();
        while state.to_guest.len() >= TO_GUEST && !state.closed {
            self.changed.wait(&mut state);
        }
        if state.closed {
            return 0;
        }
        let count = bytes.len().min(TO_GUEST - state.to_guest.len());
        state.to_guest.extend(&bytes[..count]);
        count
    }
    /// The guest is gone: nobody waits any more.
    pub fn close(&self) {
        self.state.lock().closed = true;
        self.changed.notify_all();
    }
}
