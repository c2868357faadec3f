//! Chains that were taken ahead, and the frames that are put into them. This goes on without the transport's lock, so that
//! the driver can send meanwhile.
use std::collections::VecDeque;

use parking_lot::Mutex;
use platform::net::{FrameHeader, MESSAGE_BYTES_MAX, NetPort, Received};
use platform::{Buffers, GuestRam, Span};

use super::super::Chain;
use super::device::Rules;
use super::filter::LOOK_BYTES;
use super::header;
use super::spec::feature;

/// Bytes of buffers to take ahead: two of the largest frames.
const AHEAD_BYTES: u32 = 2 * MESSAGE_BYTES_MAX as u32;
/// Frames between two looks at the driver.
const FRAMES_PER_TURN: usize = 64;
/// Bytes of the shortest frame: two addresses and a type.
const FRAME_BYTES_MIN: usize = 14;

/// What is between the driver and the cable.
#[derive(Default)]
pub struct Intake(Mutex<State>);

#[derive(Default)]
struct State {
    /// Without frames.
    chains: VecDeque<Chain>,
    /// Bytes of them.
    room: u32,
    /// With frames, and how many bytes were written to each.
    done: Vec<(Chain, u32)>,
    /// A frame that waits for further buffers.
    pending: Option<(FrameHeader, Vec<u8>)>,
    /// Takes what has no room; made when it is needed first.
    spare: Vec<u8>,
}

/// Why frames are not taken any more for now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pause {
    /// There are none.
    NoFrames,
    /// Chains with frames are to be given back and others to be taken.
    Turn,
    /// The next frame needs more room than there is.
    NoRoom,
}

impl Intake {
    /// Chains with frames, each with the bytes written.
    pub fn take_done(&self) -> Vec<(Chain, u32)> {
        std::mem::take(&mut self.0.lock().done)
    }
    /// Bytes of buffers that are missing.
    pub fn missing(&self) -> u32 {
        AHEAD_BYTES.saturating_sub(self.0.lock().room)
    }
    /// Whether there are no chains.
    pub fn is_empty(&self) -> bool {
        self.0.lock().chains.is_empty()
    }
    /// Adds chains.
    pub fn add(&self, chains: impl IntoIterator<Item = Chain>) {
        let mut state = self.0.lock();
        for chain in chains {
            state.room = state.room.saturating_add(chain.writable().length());
            state.chains.push_back(chain);
        }
    }
    /// Takes all chains away that have no frames; nothing is written to them any more.
    pub fn take_chains(&self) -> VecDeque<Chain> {
        let mut state = self.0.lock();
        state.room = 0;
        std::mem::take(&mut state.chains)
    }
    /// Forgets everything.
    pub fn clear(&self) {
        let mut state = self.0.lock();
        let spare = std::mem::take(&mut state.spare);
        *state = State { spare, ..State::default() };
    }

    /// Puts frames into the chains.
    pub fn fill(&self, port: &dyn NetPort, ram: &GuestRam, rules: &Rules) -> Pause {
        let mut state = self.0.lock();
        let segments = state.chains.iter().flat_map(|chain| chain.writable().list().iter().copied());
        // The chains' bytes are bounded by what is taken ahead and one more chain.
        let Some(buffers) = Buffers::of_ram(ram, segments) else { return Pause::NoRoom };
        let mut filling = Filling { buffers: &buffers, at: 0, rules, state: &mut state };
        filling.run(port)
    }
    /// Takes frames and drops them; the cable calls again if there are more.
    pub fn discard(&self, port: &dyn NetPort) {
        let mut state = self.0.lock();
        state.pending = None;
        let nowhere = Buffers::none();
        for _ in 0..FRAMES_PER_TURN {
            if port.receive(nowhere.all(), state.spare()) == Received::Nothing {
                return;
            }
        }
    }
}

impl State {
    fn spare(&mut self) -> &mut [u8] {
        self.spare.resize(MESSAGE_BYTES_MAX, 0);
        &mut self.spare
    }
}

/// The chains while frames are put into them.
struct Filling<'a> {
    /// Those of all chains, also those that are done meanwhile.
    buffers: &'a Buffers,
    /// Where the first chain without a frame begins.
    at: usize,
    rules: &'a Rules,
    state: &'a mut State,
}

impl<'a> Filling<'a> {
    fn run(&mut self, port: &dyn NetPort) -> Pause {
        if let Some((header, frame)) = self.state.pending.take() {
            let room = self.room();
            if room.len() < FrameHeader::BYTES + frame.len() {
                self.state.pending = Some((header, frame));
                return Pause::NoRoom;
            }
            room.put(FrameHeader::BYTES, &frame);
            self.deliver(header, frame.len());
        }
        for number in 0..FRAMES_PER_TURN {
            let room = self.room();
            if self.state.chains.is_empty() {
                return Pause::NoRoom;
            }
            if number > 0 && self.is_mergeable() && room.len() < MESSAGE_BYTES_MAX {
                return Pause::Turn;
            }
            let into = room.part(FrameHeader::BYTES..room.len());
            match port.receive(into, self.state.spare()) {
                Received::Nothing => return Pause::NoFrames,
                Received::Other => {}
                Received::Frame { header, length, inside } if self.wants(into, length, inside) => {
                    if length == inside {
                        self.deliver(header, length);
                    } else if self.is_mergeable() {
                        let mut frame = into.part(0..inside).to_vec();
                        frame.extend(&self.state.spare[..length - inside]);
                        self.state.pending = Some((header, frame));
                        return Pause::NoRoom;
                    }
                }
                Received::Frame { .. } => {}
            }
        }
        Pause::Turn
    }

    fn is_mergeable(&self) -> bool {
        self.rules.accepted & feature::MRG_RXBUF != 0
    }
    /// Where the next frame can be.
    fn room(&self) -> Span<'a> {
        let first = self.state.chains.front().map_or(0, |chain| chain.writable().length() as usize);
        let end = if self.is_mergeable() { self.buffers.len() } else { self.at + first };
        self.buffers.part(self.at..end)
    }
    /// Whether the driver wants the frame that has just come.
    fn wants(&self, into: Span<'_>, length: usize, inside: usize) -> bool {
        let mut look = [0; LOOK_BYTES];
        into.part(0..inside).get(0, &mut look);
        let (from, rest) = (inside.min(LOOK_BYTES), length - inside);
        let count = rest.min(LOOK_BYTES - from);
        look[from..from + count].copy_from_slice(&self.state.spare[..count]);
        let vlans = self.rules.accepted & feature::CTRL_VLAN != 0;
        length >= FRAME_BYTES_MIN && self.rules.filter.wants(self.rules.mac, vlans, &look)
    }
    /// A frame is in the first chains, behind the place for its header.
    fn deliver(&mut self, header: FrameHeader, length: usize) {
        let needed = FrameHeader::BYTES + length;
        let mut lengths = self.state.chains.iter().map(|chain| chain.writable().length() as usize);
        let mut sum = 0;
        let count = 1 + lengths.by_ref().take_while(|bytes| (sum += bytes, sum < needed).1).count();
        let Some(header) = header::incoming(header, self.rules.offloads, count as u16) else { return };
        self.room().put(0, &header.to_bytes());
        let mut left = needed;
        for _ in 0..count {
            let Some(chain) = self.state.chains.pop_front() else { return };
            let bytes = chain.writable().length();
            let written = left.min(bytes as usize);
            left -= written;
            self.at += bytes as usize;
            self.state.room = self.state.room.saturating_sub(bytes);
            self.state.done.push((chain, written as u32));
        }
    }
}
