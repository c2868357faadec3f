//! From the guest to the host: what came in order, what came early, and how much more may come.
use std::io;

use smallvec::SmallVec;

use super::options::BLOCKS_MAX;
use super::retained::Retained;
use super::{Budget, HostStream, Pool, Sequence, Stretch};

/// Segments that may wait for those before them.
const EARLY_MAX: usize = 1024;
/// Data from here on goes to the host by a system call of its own; less is gathered.
const DIRECT: usize = 16 << 10;

/// The receiving half of a flow.
#[derive(Debug)]
pub struct Inbound {
    /// What is expected next.
    next: Sequence,
    /// How far the guest may go.
    edge: Sequence,
    /// By how much windows are shifted.
    scale: u8,
    capacity: usize,
    /// Came in order; the host has not taken it.
    waiting: Retained,
    /// Came early, in order of sequence; stretches may overlap.
    early: Vec<Early>,
    budget: Budget,
    /// Where the guest's data ends, once it has said so.
    end: Option<Sequence>,
    /// The host was told that nothing more comes.
    told: bool,
    /// The guest waits for an acknowledgment.
    pub due: bool,
}

#[derive(Debug)]
struct Early {
    sequence: Sequence,
    bytes: Vec<u8>,
}

impl Inbound {
    pub fn new(first: Sequence, scale: Option<u8>, capacity: usize, pool: Pool, budget: Budget) -> Self {
        let capacity = if scale.is_some() { capacity } else { capacity.min(usize::from(u16::MAX)) };
        Self {
            next: first,
            edge: first.plus(capacity.min(usize::from(u16::MAX))),
            scale: scale.unwrap_or(0),
            capacity,
            waiting: Retained::new(pool, budget.clone()),
            early: Vec::new(),
            budget,
            end: None,
            told: false,
            due: false,
        }
    }
    /// The acknowledgment number: behind all data, and behind the guest's FIN once all before it came.
    pub fn next(&self) -> Sequence {
        if self.has_ended() { self.next.plus(1) } else { self.next }
    }
    /// Whether all that the guest ever sends has come.
    pub fn has_ended(&self) -> bool {
        self.end == Some(self.next)
    }
    /// Whether the host has all of it, too.
    pub fn is_done(&self) -> bool {
        self.told
    }
    /// Whether the host has not taken everything.
    pub fn waits(&self) -> bool {
        !self.waiting.is_empty() || (self.has_ended() && !self.told)
    }
    /// Whether a reset with this sequence number is of this connection (RFC 9293 §3.10.7.4).
    pub fn covers(&self, sequence: Sequence) -> bool {
        !sequence.is_before(self.next) && !self.edge.is_before(sequence)
    }

    /// Takes a segment's data and FIN.
    pub fn take(
        &mut self,
        sequence: Sequence,
        data: &[u8],
        finish: bool,
        host: &mut dyn HostStream,
    ) -> io::Result<()> {
        if data.is_empty() && !finish {
            // A probe is answered; a plain acknowledgment is not.
            self.due |= sequence != self.next();
            return Ok(());
        }
        self.due = true;
        // An end before what came already is none.
        let end = sequence.plus(data.len());
        if finish && self.end.is_none() && !self.edge.is_before(end) && !end.is_before(self.next) {
            self.end = Some(end);
        }
        let known = self.next.since(sequence);
        let Some(data) = data.get(known..).filter(|data| !data.is_empty()) else { return Ok(()) };
        let sequence = sequence.plus(known);
        let data = &data[..data.len().min(self.edge.since(sequence))];
        if sequence != self.next {
            self.keep_early(sequence, data);
            return Ok(());
        }
        self.append(data, host)?;
        self.take_early(host)
    }
    fn append(&mut self, mut data: &[u8], host: &mut dyn HostStream) -> io::Result<()> {
        // Behind the end nothing comes.
        if let Some(end) = self.end {
            data = &data[..data.len().min(end.since(self.next))];
        }
        if self.waiting.is_empty() && data.len() >= DIRECT {
            let count = write(host, &[io::IoSlice::new(data)])?;
            self.next = self.next.plus(count);
            data = &data[count..];
        }
        // What the budget does not allow was never there: the guest sends it again.
        if self.waiting.extend(data) {
            self.next = self.next.plus(data.len());
        }
        Ok(())
    }
    fn keep_early(&mut self, sequence: Sequence, data: &[u8]) {
        let place = self.early.partition_point(|early| early.sequence.is_before(sequence));
        let is_known = self
            .early
            .get(place)
            .is_some_and(|early| early.sequence == sequence && early.bytes.len() >= data.len());
        if is_known || data.is_empty() || self.early.len() >= EARLY_MAX || !self.budget.take(data.len()) {
            return;
        }
        self.early.insert(place, Early { sequence, bytes: data.to_vec() });
    }
    fn take_early(&mut self, host: &mut dyn HostStream) -> io::Result<()> {
        while self.early.first().is_some_and(|early| !self.next.is_before(early.sequence)) {
            let Early { sequence, bytes } = self.early.remove(0);
            self.budget.give(bytes.len());
            let known = self.next.since(sequence).min(bytes.len());
            self.append(&bytes[known..], host)?;
        }
        Ok(())
    }

    /// Lets the host take what waits.
    pub fn drain(&mut self, host: &mut dyn HostStream) -> io::Result<()> {
        while !self.waiting.is_empty() {
            let count = write(host, &self.waiting.slices(0, usize::MAX >> 1).0)?;
            if count == 0 {
                return Ok(());
            }
            self.waiting.drop_front(count);
        }
        if self.has_ended() && !self.told {
            self.told = true;
            host.finish();
        }
        Ok(())
    }
    /// The window field, and with it how far the guest may go.
    pub fn window(&mut self) -> u16 {
        // A part of what is free, since others want some too.
        let capacity = self.capacity.min(self.budget.free() / 4);
        let free = capacity.saturating_sub(self.waiting.len());
        let field = (free.max(self.edge.since(self.next)) >> self.scale).min(usize::from(u16::MAX));
        self.edge = self.edge.latest(self.next.plus(field << self.scale));
        field as u16
    }
    /// Whether much more may come than the guest knows.
    pub fn has_reopened(&self) -> bool {
        let free = self.capacity.min(self.budget.free() / 4).saturating_sub(self.waiting.len());
        self.edge.since(self.next) < self.capacity / 4 && free >= self.capacity / 2
    }
    /// What came early, as far as an option has room for it (RFC 2018 §3).
    pub fn blocks(&self) -> SmallVec<[Stretch; BLOCKS_MAX]> {
        let mut blocks: SmallVec<[Stretch; BLOCKS_MAX]> = SmallVec::new();
        for Early { sequence, bytes } in &self.early {
            let end = sequence.plus(bytes.len());
            if let Some(last) = blocks.last_mut().filter(|last| !last.end.is_before(*sequence)) {
                last.end = last.end.latest(end);
            } else if blocks.len() < BLOCKS_MAX {
                blocks.push(*sequence..end);
            } else {
                break;
            }
        }
        blocks
    }
}

impl Drop for Inbound {
    fn drop(&mut self) {
        let bytes: usize = self.early.iter().map(|early| early.bytes.len()).sum();
        self.budget.give(bytes);
    }
}

/// Bytes that the host has taken; none if it has no room.
fn write(host: &mut dyn HostStream, slices: &[io::IoSlice<'_>]) -> io::Result<usize> {
    loop {
        match host.write(slices) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(0),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Host {
        got: Vec<u8>,
        finished: bool,
    }

    impl HostStream for Host {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::ErrorKind::WouldBlock.into())
        }
        fn write(&mut self, from: &[io::IoSlice<'_>]) -> io::Result<usize> {
            assert!(!self.finished);
            let before = self.got.len();
            from.iter().for_each(|piece| self.got.extend_from_slice(piece));
            Ok(self.got.len() - before)
        }
        fn finish(&mut self) {
            self.finished = true;
        }
        fn reset(&mut self) {}
    }

    /// What the host gets of segments: where each begins, its bytes, and whether it is the last.
    fn of(segments: &[(u32, &[u8], bool)]) -> (Vec<u8>, bool) {
        let budget = Budget::new(1 << 20);
        let mut inbound = Inbound::new(Sequence(0), Some(7), 1 << 16, Pool::default(), budget);
        let mut host = Host::default();
        for (at, data, finish) in segments {
            inbound.take(Sequence(*at), data, *finish, &mut host).unwrap();
            inbound.drain(&mut host).unwrap();
        }
        (host.got, host.finished)
    }

    #[test]
    fn nothing_comes_behind_the_end() {
        assert_eq!(of(&[(0, b"all", true), (3, b"more", false)]), (b"all".to_vec(), true));
        assert_eq!(of(&[(3, b"more", false), (0, b"all", true)]), (b"all".to_vec(), true));
        assert_eq!(of(&[(2, b"", true), (0, b"all", false)]), (b"al".to_vec(), true));
        let long = [7; 40_000];
        assert_eq!(of(&[(100, b"", true), (0, &long, false)]), (long[..100].to_vec(), true));
        // One that contradicts what came already does not stop the real one.
        assert_eq!(of(&[(0, b"all", false), (1, b"", true), (3, b"", true)]), (b"all".to_vec(), true));
    }
}
