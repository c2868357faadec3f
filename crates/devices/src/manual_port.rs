//! A cable whose other end is a test.
use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;
use platform::Span;
use platform::net::{FrameHeader, NetPort, Offloads, Received, Sent};

/// The cable.
pub struct ManualPort(Mutex<State>);

struct State {
    up: bool,
    /// Frames that it takes before it is full.
    room: usize,
    sent: Vec<(FrameHeader, Vec<u8>)>,
    waiting: VecDeque<(FrameHeader, Vec<u8>)>,
    listens: bool,
    offloads: Offloads,
}

impl ManualPort {
    /// With nothing on it.
    pub fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::new(State {
            up: true,
            room: usize::MAX,
            sent: Vec::new(),
            waiting: VecDeque::new(),
            listens: true,
            offloads: Offloads::default(),
        })))
    }
    /// What was sent.
    pub fn take_sent(&self) -> Vec<(FrameHeader, Vec<u8>)> {
        std::mem::take(&mut self.0.lock().sent)
    }
    /// Puts a frame on it; whoever does calls the card.
    pub fn push(&self, header: FrameHeader, frame: &[u8]) {
        self.0.lock().waiting.push_back((header, frame.to_vec()));
    }
    /// Frames that the card has not taken.
    pub fn waiting(&self) -> usize {
        self.0.lock().waiting.len()
    }
    /// Takes so many frames more, then is full.
    pub fn set_room(&self, frames: usize) {
        self.0.lock().room = frames;
    }
    /// Whether the card listens.
    pub fn listens(&self) -> bool {
        self.0.lock().listens
    }
    /// What the card takes.
    pub fn offloads(&self) -> Offloads {
        self.0.lock().offloads
    }
}

impl NetPort for ManualPort {
    fn is_up(&self) -> bool {
        self.0.lock().up
    }
    fn send(&self, header: &FrameHeader, head: &[u8], rest: Span<'_>) -> Sent {
        let mut state = self.0.lock();
        let Some(room) = state.room.checked_sub(1) else { return Sent::Busy };
        state.room = if state.room == usize::MAX { usize::MAX } else { room };
        let mut frame = head.to_vec();
        frame.extend(rest.to_vec());
        state.sent.push((*header, frame));
        Sent::Done
    }
    fn receive(&self, into: Span<'_>, spare: &mut [u8]) -> Received {
        let Some((header, frame)) = self.0.lock().waiting.pop_front() else { return Received::Nothing };
        let inside = frame.len().min(into.len());
        into.put(0, &frame[..inside]);
        spare[..frame.len() - inside].copy_from_slice(&frame[inside..]);
        Received::Frame { header, length: frame.len(), inside }
    }
    fn listen(&self, wanted: bool) {
        self.0.lock().listens = wanted;
    }
    fn tell(&self, offloads: Offloads) {
        self.0.lock().offloads = offloads;
    }
}
