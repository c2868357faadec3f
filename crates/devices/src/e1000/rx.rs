//! Receiving (SDM §3.2).
use platform::Buffers;
use platform::net::{FrameHeader, MESSAGE_BYTES_MAX, Mac, Received};
use x86::Gpa;

use super::checksum;
use super::device::E1000;
use super::spec::{cause, ctrl, descriptor, rctl, rxcsum};

/// Bytes of the shortest frame without its check sequence; shorter ones are filled up.
const BYTES_MIN: usize = 60;
/// Bytes of addresses and type.
const HEADER_BYTES: usize = 14;
/// Bytes of a frame without its check sequence at most, tagged or not, and with long ones allowed.
const BYTES_MAX: usize = 1514;
const TAGGED_BYTES_MAX: usize = 1518;
const LONG_BYTES_MAX: usize = 16_384 - 4;
/// Bytes of a check sequence.
const FCS_BYTES: usize = 4;
/// Frames that are taken with the lock held.
const FRAMES_PER_TURN: usize = 64;

impl E1000 {
    /// Takes frames off the cable, as many as there are descriptors for.
    pub(super) fn receive(&mut self) {
        let mut causes = 0;
        for _ in 0..FRAMES_PER_TURN {
            let is_on = self.state.rctl & rctl::ENABLE != 0 && self.config.is_bus_master();
            if is_on && !self.has_room() {
                // Software gives descriptors, and the frames are still there.
                self.starved = true;
                self.port.listen(false);
                break;
            }
            self.frame.resize(MESSAGE_BYTES_MAX, 0);
            let nowhere = Buffers::none();
            match self.port.receive(nowhere.all(), &mut self.frame) {
                Received::Nothing => break,
                Received::Frame { header, length, .. } if is_on => {
                    self.frame.truncate(length);
                    causes |= self.take(&header);
                }
                _ => {}
            }
        }
        if causes != 0 {
            let free = self.state.rx.waiting();
            let low = self.state.rx.count() >> ((self.state.rctl >> rctl::LOW_SHIFT & 3) + 1);
            self.raise(causes | if free <= low { cause::RX_LOW } else { 0 });
        }
    }
    /// Software has given descriptors.
    pub(super) fn descriptors_came(&mut self) {
        if self.starved && (self.has_room() || self.state.rctl & rctl::ENABLE == 0) {
            self.starved = false;
            self.port.listen(true);
        }
    }

    /// Whether there are descriptors for any frame that may come.
    fn has_room(&self) -> bool {
        let most = if self.state.rctl & rctl::LONG == 0 { TAGGED_BYTES_MAX } else { LONG_BYTES_MAX };
        let wanted = (most + FCS_BYTES).div_ceil(self.buffer_bytes()) as u32;
        // A ring that never has so many is used as it is.
        self.state.rx.waiting() >= wanted.min(self.state.rx.count().saturating_sub(1)).max(1)
    }
    fn buffer_bytes(&self) -> usize {
        let bytes = 2048 >> (self.state.rctl >> rctl::BUFFER_SHIFT & 3);
        if self.state.rctl & rctl::BUFFER_LONG == 0 || bytes == 2048 { bytes } else { bytes * 16 }
    }
    /// Puts the frame into memory, if it is wanted; returns causes of an interrupt.
    fn take(&mut self, header: &FrameHeader) -> u32 {
        let length = self.frame.len();
        let Some(&[a, b, c, d, e, f, ..]) = self.frame.first_chunk::<HEADER_BYTES>() else { return 0 };
        let to = Mac([a, b, c, d, e, f]);
        let Some(exact) = self.state.wants(to) else { return 0 };
        let tag = self.tag();
        if tag.is_some_and(|tag| !self.state.wants_vlan(tag)) {
            return 0;
        }
        let most = match (self.state.rctl & rctl::LONG != 0, tag) {
            (true, _) => LONG_BYTES_MAX,
            (false, Some(_)) => TAGGED_BYTES_MAX,
            (false, None) => BYTES_MAX,
        };
        if length > most {
            self.state.statistics.too_long();
            return 0;
        }
        let mut status = self.check(header) | if exact { 0 } else { descriptor::RX_INEXACT };
        let mut special = 0;
        if let Some(tag) = tag.filter(|_| self.state.ctrl & ctrl::VLAN_MODE != 0) {
            self.frame.drain(12..16);
            status |= descriptor::RX_VLAN;
            special = tag;
        }
        self.frame.resize(self.frame.len().max(BYTES_MIN), 0);
        if self.state.rctl & rctl::NO_FCS == 0 {
            self.frame.extend([0; FCS_BYTES]);
        }
        if self.deliver(status, special) {
            self.state.statistics.received(to, length);
            cause::RX_FRAME
        } else {
            self.state.statistics.missed();
            0
        }
    }
    fn tag(&self) -> Option<u16> {
        let bytes: &[u8; 4] = self.frame.get(12..)?.first_chunk()?;
        let kind = u16::from_be_bytes([bytes[0], bytes[1]]);
        (u32::from(kind) == self.state.vet).then_some(u16::from_be_bytes([bytes[2], bytes[3]]))
    }
    /// Completes the frame's checksum if it has to be; returns what the descriptor says of it.
    fn check(&mut self, header: &FrameHeader) -> u8 {
        let is_partial = header.flags & FrameHeader::NEEDS_CHECKSUM != 0;
        if is_partial {
            // Also for a guest that trusts the descriptor: it may send the frame on.
            let (start, end) = (usize::from(header.checksum_start), self.frame.len());
            let at = start + usize::from(header.checksum_offset);
            checksum::complete(&mut self.frame, start, end, at);
        }
        let is_known = is_partial || header.flags & FrameHeader::DATA_VALID != 0;
        if !is_known || self.state.rxcsum & rxcsum::TCP == 0 {
            return descriptor::RX_NO_CHECKSUM;
        }
        let ip = if self.state.rxcsum & rxcsum::IP == 0 { 0 } else { descriptor::RX_IP };
        descriptor::RX_TCP | ip
    }
    /// Puts the frame into as many buffers as it needs; whether there were enough.
    fn deliver(&mut self, status: u8, special: u16) -> bool {
        let room = self.buffer_bytes();
        let count = self.frame.len().div_ceil(room) as u32;
        if count > self.state.rx.waiting() {
            return false;
        }
        for (ahead, piece) in (0..).zip(self.frame.chunks(room)) {
            let at = self.state.rx.address(ahead);
            let mut address = [0; 8];
            // A guest whose ring or buffers are no RAM loses what would be there.
            let _ = self.ram.read(Gpa(at), &mut address);
            let _ = self.ram.write(Gpa(u64::from_le_bytes(address)), piece);
            let end = if ahead + 1 == count { descriptor::RX_END } else { 0 };
            let mut result = [0; 8];
            result[..2].copy_from_slice(&(piece.len() as u16).to_le_bytes());
            result[4] = status | end | descriptor::DONE;
            result[6..].copy_from_slice(&special.to_le_bytes());
            let _ = self.ram.write(Gpa(at.wrapping_add(descriptor::RX_RESULT)), &result);
        }
        self.state.rx.advance(count);
        true
    }
}
