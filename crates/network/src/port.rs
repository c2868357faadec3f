//! The switch's ports: what frames come from and go to.
use std::collections::VecDeque;
use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use platform::net::{FrameHeader, Mac, Offloads};

use crate::host::trunk::Trunk;
use crate::wire::{Packet, offload};

/// What carries messages: a frame's header and the frame. Nothing blocks.
pub trait Link {
    /// What to wait on.
    fn descriptor(&self) -> BorrowedFd<'_>;
    /// Takes the next message; 0 if the other side is gone.
    fn read(&mut self, message: &mut [u8]) -> io::Result<usize>;
    /// Sends a message, whole or not at all.
    fn write(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<()>;
    /// The network has these cards, besides those behind the link.
    fn set_stations(&self, stations: &[Mac]) {
        let _ = stations;
    }
}

/// A socket that keeps the bounds of messages, or a TAP device with headers of the same kind.
#[derive(Debug)]
pub struct Cable(pub OwnedFd);

impl Link for Cable {
    fn descriptor(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
    fn read(&mut self, message: &mut [u8]) -> io::Result<usize> {
        Ok(rustix::io::readv(&self.0, &mut [IoSliceMut::new(message)])?)
    }
    fn write(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<()> {
        Ok(rustix::io::writev(&self.0, pieces).map(drop)?)
    }
}

/// An interface of the host that takes each message in one piece.
pub struct Packets {
    trunk: Trunk,
    message: Vec<u8>,
}

impl Packets {
    /// Over a trunk.
    pub fn new(trunk: Trunk) -> Self {
        Self { trunk, message: Vec::new() }
    }
}

impl Link for Packets {
    fn descriptor(&self) -> BorrowedFd<'_> {
        self.trunk.as_fd()
    }
    fn read(&mut self, message: &mut [u8]) -> io::Result<usize> {
        Ok(self.trunk.receive(message)?)
    }
    fn write(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<()> {
        self.message.clear();
        pieces.iter().for_each(|piece| self.message.extend_from_slice(piece));
        Ok(self.trunk.send(&self.message)?)
    }
    fn set_stations(&self, stations: &[Mac]) {
        if let Err(error) = self.trunk.set_stations(stations) {
            tracing::warn!(%error, "an interface does not hear of a card");
        }
    }
}

/// Bytes that wait for a port at most, beside what its link holds.
const BACKLOG_BYTES: usize = 1 << 20;

/// A port.
pub struct Port {
    link: Box<dyn Link>,
    /// The card at it.
    pub mac: Mac,
    /// What the card takes off our hands.
    pub accepts: Offloads,
    backlog: VecDeque<Vec<u8>>,
    backlog_bytes: usize,
    /// The link has no room.
    blocked: bool,
    /// What passed.
    pub counters: Counters,
}

/// What passed a port, from the network's view.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Frames from the card.
    pub received: u64,
    /// Their bytes.
    pub received_bytes: u64,
    /// Frames for the card.
    pub sent: u64,
    /// Their bytes.
    pub sent_bytes: u64,
    /// Frames for the card that found no room.
    pub dropped: u64,
    /// Frames from the card that made no sense.
    pub malformed: u64,
}

impl Port {
    /// A port with a card.
    pub fn new(link: Box<dyn Link>, mac: Mac) -> Self {
        Self {
            link,
            mac,
            accepts: Offloads::default(),
            backlog: VecDeque::new(),
            backlog_bytes: 0,
            blocked: false,
            counters: Counters::default(),
        }
    }
    /// What to wait on.
    pub fn descriptor(&self) -> BorrowedFd<'_> {
        self.link.descriptor()
    }
    /// Tells the link which cards the network has besides those behind it.
    pub fn set_stations(&self, stations: &[Mac]) {
        self.link.set_stations(stations);
    }
    /// Takes the next message of the card; `None` once there are no more for now, 0 if the other side is gone.
    pub fn read(&mut self, message: &mut [u8]) -> io::Result<Option<usize>> {
        loop {
            match self.link.read(message) {
                Ok(length) => {
                    self.counters.received += 1;
                    self.counters.received_bytes += length.saturating_sub(FrameHeader::BYTES) as u64;
                    return Ok(Some(length));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
    /// Bytes of frames that wait for room.
    pub fn backlog_bytes(&self) -> usize {
        self.backlog_bytes
    }
    /// Whether there is no room for more at the moment.
    pub fn is_blocked(&self) -> bool {
        self.blocked
    }
    /// There is room again. True if more may be sent now.
    pub fn unblock(&mut self) -> bool {
        self.blocked = false;
        while let Some(message) = self.backlog.pop_front() {
            self.backlog_bytes -= message.len();
            if !self.put(&[IoSlice::new(&message)]) {
                self.backlog_bytes += message.len();
                self.backlog.push_front(message);
                return false;
            }
        }
        true
    }

    /// Sends a frame that can be sent again later: a message in pieces, the header's first. False if there is no room.
    pub fn offer(&mut self, header: &FrameHeader, head: &[u8], data: &[IoSlice<'_>]) -> bool {
        if self.blocked {
            return false;
        }
        if !offload::suits(header, self.accepts) {
            let mut frame = head[FrameHeader::BYTES..].to_vec();
            data.iter().for_each(|piece| frame.extend_from_slice(piece));
            self.push_cut(header, &mut frame);
            return true;
        }
        let mut pieces: smallvec::SmallVec<[IoSlice<'_>; 20]> = smallvec::smallvec![IoSlice::new(head)];
        pieces.extend(data.iter().map(|piece| IoSlice::new(piece)));
        let sent = self.put(&pieces);
        if sent {
            let length =
                data.iter().map(|piece| piece.len()).sum::<usize>() + head.len() - FrameHeader::BYTES;
            self.count(length);
        }
        sent
    }
    /// Sends a frame now or later; what finds no room is dropped. The header was checked.
    pub fn send(&mut self, header: &FrameHeader, frame: &mut [u8]) {
        if offload::suits(header, self.accepts) {
            self.push(header, frame);
        } else {
            self.push_cut(header, frame);
        }
    }
    /// Sends a whole frame.
    pub fn send_whole(&mut self, frame: &[u8]) {
        self.push(&FrameHeader::default(), frame);
    }
    fn push_cut(&mut self, header: &FrameHeader, frame: &mut [u8]) {
        let accepts = self.accepts;
        offload::finish(header, frame, accepts, &mut |header, frame| self.push(header, frame));
    }
    fn push(&mut self, header: &FrameHeader, frame: &[u8]) {
        let header = header.to_bytes();
        if !self.blocked && self.put(&[IoSlice::new(&header), IoSlice::new(frame)]) {
            return self.count(frame.len());
        }
        let length = header.len() + frame.len();
        if self.backlog_bytes + length > BACKLOG_BYTES {
            self.counters.dropped += 1;
            return;
        }
        self.backlog_bytes += length;
        self.backlog.push_back([&header[..], frame].concat());
        self.count(frame.len());
    }
    fn count(&mut self, length: usize) {
        self.counters.sent += 1;
        self.counters.sent_bytes += length as u64;
    }
    /// Gives a message to the link.
    fn put(&mut self, pieces: &[IoSlice<'_>]) -> bool {
        loop {
            match self.link.write(pieces) {
                Ok(()) => return true,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.blocked = true;
                    return false;
                }
                // The other side is gone, which reading tells; or the message does not fit, which nothing mends.
                Err(_) => {
                    self.counters.dropped += 1;
                    return true;
                }
            }
        }
    }
}

/// Checks what a card has left to us; `None` if the frame makes no sense.
pub fn checked(header: &FrameHeader, frame: &mut [u8]) -> Option<(FrameHeader, Packet)> {
    let packet = Packet::parse(frame).ok()?;
    let header = offload::check(header, &packet, frame).ok()?;
    Some((header, packet))
}
