//! From the host to the guest: what was sent and not acknowledged, and what to send next.
use std::io::IoSlice;
use std::time::{Duration, Instant};

use smallvec::SmallVec;

use super::retained::{CHUNK_BYTES, Retained};
use super::{Budget, HostStream, Pool, Sequence, Stretch};

/// How long an acknowledgment is awaited at first. The guest is on this machine, but it may be busy.
const RETRY: Duration = Duration::from_millis(300);
const RETRY_MAX: Duration = Duration::from_secs(30);
/// So often it is tried before the connection is given up.
const TRIES_MAX: u8 = 15;
/// Most bytes on their way to a guest, whatever its window.
const FLIGHT_MAX: usize = 4 << 20;
/// Stretches of the guest's SACK blocks that are remembered.
const BLOCKS_MAX: usize = 32;
/// Duplicates that tell of a loss (RFC 5681 §3.2).
const DUPLICATES: u8 = 3;

/// The sending half of a flow.
#[derive(Debug)]
pub struct Outbound {
    /// From `first` on.
    retained: Retained,
    /// The first byte that is not acknowledged.
    first: Sequence,
    /// What is sent next; behind `highest` after a timeout.
    next: Sequence,
    /// Behind everything that was sent.
    highest: Sequence,
    /// How far the guest lets us go.
    edge: Sequence,
    /// Behind the last byte that the host gave.
    end: Sequence,
    /// No more bytes follow but the FIN, which takes the sequence number `end`.
    ended: bool,
    /// Most bytes of a segment.
    pub segment_size: u16,
    duplicates: u8,
    /// After a loss: where it is over, and what is to be looked at next.
    recovery: Option<Recovery>,
    sacked: SmallVec<[Stretch; 4]>,
    /// When to try again.
    deadline: Option<Instant>,
    tries: u8,
    pool: Pool,
    budget: Budget,
}

#[derive(Clone, Copy, Debug)]
struct Recovery {
    until: Sequence,
    next: Sequence,
}

/// Sends one piece; false if there is no room.
pub type Emit<'a> = dyn FnMut(Piece<'_>) -> bool + 'a;

/// A piece to be sent.
pub struct Piece<'a> {
    pub sequence: Sequence,
    pub data: &'a [IoSlice<'a>],
    pub length: usize,
    /// No data, but a FIN.
    pub finish: bool,
    /// Nothing follows for now.
    pub push: bool,
}

/// Why sending stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paused {
    /// Nothing to send, or the guest's window is full.
    Idle,
    /// The guest's port has no room.
    Blocked,
    /// It was enough for one turn.
    Turn,
}

/// Frames of a turn.
const TURN: usize = 16;

impl Outbound {
    pub fn new(first: Sequence, segment_size: u16, pool: Pool, budget: Budget) -> Self {
        Self {
            retained: Retained::new(pool.clone(), budget.clone()),
            first,
            next: first,
            highest: first,
            edge: first,
            end: first,
            ended: false,
            segment_size,
            duplicates: 0,
            recovery: None,
            sacked: SmallVec::new(),
            deadline: None,
            tries: 0,
            pool,
            budget,
        }
    }
    /// What is sent next.
    pub fn next(&self) -> Sequence {
        self.next
    }
    /// The first byte that is not acknowledged.
    pub fn first(&self) -> Sequence {
        self.first
    }
    /// Whether the guest has everything, and knows that it ended.
    pub fn is_done(&self) -> bool {
        self.ended && self.end.is_before(self.first)
    }
    /// When to call [`Outbound::expire`].
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// The guest's window, from an acknowledgment on.
    pub fn open(&mut self, acknowledgment: Sequence, window: usize) {
        self.edge = acknowledgment.plus(window.min(FLIGHT_MAX));
    }
    /// The guest acknowledges; false if it was never sent. `bare`: the segment has no data and changes no window.
    pub fn acknowledge(
        &mut self,
        acknowledgment: Sequence,
        sack: &[Stretch],
        bare: bool,
        now: Instant,
    ) -> bool {
        if self.highest.is_before(acknowledgment) {
            return false;
        }
        self.remember(sack);
        if self.first == self.highest {
            // Nothing is on its way; the guest has answered a probe, or it has just sent something.
            (self.deadline, self.tries) = (None, 0);
        }
        if self.first.is_before(acknowledgment) {
            // That of a FIN has no byte.
            self.retained.drop_front(acknowledgment.since(self.first));
            self.first = acknowledgment;
            self.next = self.next.latest(acknowledgment);
            (self.duplicates, self.tries) = (0, 0);
            self.sacked.retain(|block| acknowledgment.is_before(block.end));
            match &mut self.recovery {
                Some(recovery) if acknowledgment.is_before(recovery.until) => {
                    recovery.next = recovery.next.latest(acknowledgment);
                    if self.sacked.is_empty() {
                        // A partial acknowledgment: the next segment is lost as well (RFC 6582).
                        recovery.next = acknowledgment;
                    }
                }
                _ => self.recovery = None,
            }
            self.deadline = (self.first != self.highest).then(|| now + RETRY);
        } else if bare && acknowledgment == self.first && self.first != self.highest {
            self.duplicates = self.duplicates.saturating_add(1);
            if self.duplicates == DUPLICATES && self.recovery.is_none() {
                self.recovery = Some(Recovery { until: self.highest, next: self.first });
            }
        }
        true
    }
    fn remember(&mut self, sack: &[Stretch]) {
        for block in sack {
            let sound = block.start.is_before(block.end)
                && !block.start.is_before(self.first)
                && !self.highest.is_before(block.end);
            if !sound || self.sacked.len() >= BLOCKS_MAX {
                continue;
            }
            let place = self.sacked.partition_point(|known| known.start.is_before(block.start));
            self.sacked.insert(place, block.clone());
        }
        self.sacked.dedup_by(|later, earlier| {
            let touches = !earlier.end.is_before(later.start);
            if touches {
                earlier.end = earlier.end.latest(later.end);
            }
            touches
        });
    }

    /// Something was not acknowledged in time; false if it was tried often enough.
    pub fn expire(&mut self, now: Instant) -> bool {
        if self.deadline.is_none_or(|deadline| now < deadline) {
            return true;
        }
        self.tries += 1;
        let wait = RETRY.saturating_mul(1 << self.tries.min(8)).min(RETRY_MAX);
        self.deadline = Some(now + wait);
        self.recovery = None;
        self.sacked.clear();
        // Everything again from the first byte.
        self.next = self.first;
        self.tries < TRIES_MAX
    }
    /// Whether only the guest's closed window keeps data back; it is to be probed when the deadline comes.
    pub fn is_shut(&self) -> bool {
        self.first == self.highest && !self.next.is_before(self.edge)
    }

    /// Sends what may be sent, and takes more from the host while the guest has room for it.
    pub fn pump(
        &mut self,
        now: Instant,
        readable: &mut bool,
        host: &mut dyn HostStream,
        emit: &mut Emit<'_>,
    ) -> std::io::Result<Paused> {
        if !self.mend(emit) {
            return Ok(Paused::Blocked);
        }
        for _ in 0..TURN {
            let unsent = self.end.since(self.next);
            let room = self.edge.since(self.next);
            if unsent > 0 && room > 0 {
                let length = unsent.min(room);
                let last = length == unsent;
                // A small piece of more would be the silly window (RFC 9293 §3.8.6.2.1).
                if !last && length < usize::from(self.segment_size) && self.first != self.next {
                    return Ok(Paused::Idle);
                }
                let Some(sent) = self.send(self.next, length, emit) else { return Ok(Paused::Blocked) };
                self.next = self.next.plus(sent);
                self.sent(now);
                continue;
            }
            if unsent > 0 {
                self.await_window(now);
                return Ok(Paused::Idle);
            }
            if self.ended {
                return Ok(self.finish(now, emit));
            }
            if room == 0 {
                if *readable {
                    self.await_window(now);
                }
                return Ok(Paused::Idle);
            }
            if !*readable || self.budget.free() < CHUNK_BYTES {
                return Ok(Paused::Idle);
            }
            self.read(room, readable, host)?;
        }
        Ok(Paused::Turn)
    }
    fn read(&mut self, room: usize, readable: &mut bool, host: &mut dyn HostStream) -> std::io::Result<()> {
        let mut chunk = self.pool.take();
        // As many as one frame can carry.
        let most = self.frame_data().min(room);
        match host.read(&mut chunk[..most]) {
            Ok(0) => {
                self.pool.give(chunk);
                self.ended = true;
            }
            Ok(count) => {
                self.retained.push(self.pool.chunk(chunk, count));
                self.end = self.end.plus(count);
            }
            Err(error) => {
                self.pool.give(chunk);
                match error.kind() {
                    std::io::ErrorKind::WouldBlock => *readable = false,
                    std::io::ErrorKind::Interrupted => {}
                    _ => return Err(error),
                }
            }
        }
        Ok(())
    }
    /// Sends what was lost again; false if there is no room.
    fn mend(&mut self, emit: &mut Emit<'_>) -> bool {
        while let Some(recovery) = self.recovery {
            let from = recovery.next.latest(self.first);
            let hole = self.hole(from, recovery.until);
            let Some(hole) = hole else { return true };
            let length = hole.end.earliest(self.end).since(hole.start);
            if length == 0 {
                // Only the FIN is missing: the timeout sends it again.
                return true;
            }
            let Some(sent) = self.send(hole.start, length, emit) else { return false };
            self.recovery = Some(Recovery { next: hole.start.plus(sent), ..recovery });
        }
        true
    }
    /// The next stretch from `from` on that the guest does not have.
    fn hole(&self, mut from: Sequence, until: Sequence) -> Option<Stretch> {
        if self.sacked.is_empty() {
            // Only the first segment is known to be lost.
            let end = self.first.plus(self.segment_size.into()).earliest(until);
            return from.is_before(end).then_some(from..end);
        }
        for block in &self.sacked {
            if from.is_before(block.start) {
                return Some(from..block.start);
            }
            from = from.latest(block.end);
        }
        None
    }
    /// Sends one piece of what is retained; how many bytes, or nothing if there is no room.
    fn send(&self, sequence: Sequence, length: usize, emit: &mut Emit<'_>) -> Option<usize> {
        let length = length.min(self.frame_data());
        let (slices, length) = self.retained.slices(sequence.since(self.first), length);
        let push = sequence.plus(length) == self.end;
        emit(Piece { sequence, data: &slices, length, finish: false, push }).then_some(length)
    }
    fn finish(&mut self, now: Instant, emit: &mut Emit<'_>) -> Paused {
        if self.next != self.end {
            return Paused::Idle;
        }
        if !emit(Piece { sequence: self.next, data: &[], length: 0, finish: true, push: false }) {
            return Paused::Blocked;
        }
        self.next = self.next.plus(1);
        self.sent(now);
        Paused::Idle
    }
    /// Most data in a frame: whole segments, so that none in the middle is short.
    fn frame_data(&self) -> usize {
        let size = usize::from(self.segment_size);
        FRAME_DATA_MAX / size * size
    }
    fn sent(&mut self, now: Instant) {
        self.highest = self.highest.latest(self.next);
        self.deadline.get_or_insert(now + RETRY);
    }
    fn await_window(&mut self, now: Instant) {
        self.deadline.get_or_insert(now + RETRY);
    }
}

/// What is left of the longest IP packet by any headers.
const FRAME_DATA_MAX: usize = 65_535 - 60 - 60;
