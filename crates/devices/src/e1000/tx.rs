//! Sending (SDM §3.3, §3.5): descriptors become a frame and a header that says what is left to the network.
use platform::net::{FRAME_BYTES_MAX, FrameHeader, Mac, Segmentation, Sent};
use platform::{Buffers, Span};
use x86::Gpa;

use super::checksum;
use super::descriptor::{Checksums, Context, Kind, Transmit};
use super::device::E1000;
use super::spec::{cause, ctrl, descriptor, tctl};

/// Bytes at the front of a frame that are copied when something in them is changed: what the 8 bits of an offset reach,
/// an IP header there, and the checksum in a TCP header.
const HEAD_BYTES: usize = 512;
/// Bytes of the two addresses, behind which a VLAN tag goes.
const ADDRESSES: usize = 12;
/// Bytes of a VLAN tag.
const TAG: usize = 4;

/// Descriptors of one frame.
struct Gathered {
    /// Descriptors.
    count: u32,
    /// The first one's; it counts for all.
    first: Transmit,
    /// Nothing if one of them is not in RAM, or they are too many or too long.
    buffers: Option<Buffers>,
    /// The last one's tag.
    tag: Option<u16>,
}

/// A frame to be sent.
struct Frame<'a> {
    header: FrameHeader,
    head: Vec<u8>,
    rest: Span<'a>,
}

impl E1000 {
    /// Sends what waits, as far as the cable has room.
    pub(super) fn transmit(&mut self) {
        let mut causes = 0;
        while self.state.tctl & tctl::ENABLE != 0 && self.config.is_bus_master() {
            let Some(descriptor) = self.fetch(0) else { break };
            if let Kind::Context(context, cut) = descriptor.kind {
                self.state.contexts[usize::from(!cut)] = context;
                causes |= self.give_back(1);
                continue;
            }
            let Some(gathered) = self.gather() else { break };
            if self.send(&gathered) == Sent::Busy {
                break;
            }
            causes |= self.give_back(gathered.count);
        }
        if causes != 0 && self.state.tx.waiting() == 0 {
            causes |= cause::TX_EMPTY;
        }
        if causes != 0 {
            self.raise(causes & cause::ALL);
        }
    }

    /// The descriptor that comes so many after the head, if it is the controller's.
    fn fetch(&self, ahead: u32) -> Option<Transmit> {
        if ahead >= self.state.tx.waiting() {
            return None;
        }
        let mut bytes = [0; descriptor::BYTES as usize];
        self.ram.read(Gpa(self.state.tx.address(ahead)), &mut bytes)?;
        Some(Transmit::of_bytes(bytes))
    }
    /// The descriptors up to the last one of a frame; `None` if that is not there yet.
    fn gather(&self) -> Option<Gathered> {
        let first = self.fetch(0)?;
        let mut ranges = Vec::new();
        let mut sum = 0_usize;
        for ahead in 0.. {
            let next = self.fetch(ahead)?;
            let Kind::Data { address, length, tag, .. } = next.kind else { continue };
            sum = sum.saturating_add(length as usize);
            if sum <= FRAME_BYTES_MAX && ranges.len() < Span::PIECES_MAX {
                ranges.push((Gpa(address), length));
            }
            if next.has(descriptor::END) {
                let fits = sum <= FRAME_BYTES_MAX && ranges.len() < Span::PIECES_MAX;
                let buffers = if fits { Buffers::of_ram(&self.ram, ranges) } else { None };
                let tagged = next.has(descriptor::VLAN) && self.state.ctrl & ctrl::VLAN_MODE != 0;
                return Some(Gathered { count: ahead + 1, first, buffers, tag: tagged.then_some(tag) });
            }
        }
        None
    }
    fn send(&mut self, gathered: &Gathered) -> Sent {
        let Some(buffers) = gathered.buffers.as_ref().filter(|buffers| buffers.len() >= ADDRESSES + 2) else {
            return Sent::Done;
        };
        let mut to = Mac([0; 6]);
        buffers.all().get(0, &mut to.0);
        let Some(frame) = self.frame(gathered, buffers.all()) else { return Sent::Done };
        let sent = self.port.send(&frame.header, &frame.head, frame.rest);
        if sent == Sent::Done {
            let cut = frame.header.segmentation != Segmentation::NONE;
            self.state.statistics.sent(to, buffers.len(), cut);
        }
        sent
    }
    /// What is to be sent; `None` if what the descriptors ask for makes no sense.
    fn frame<'a>(&self, gathered: &Gathered, all: Span<'a>) -> Option<Frame<'a>> {
        let mut frame = Frame { header: FrameHeader::default(), head: Vec::new(), rest: all };
        let Kind::Data { checksums, .. } = gathered.first.kind else { return None };
        match checksums {
            Checksums::Legacy { at, start } if gathered.first.has(descriptor::INSERT_CHECKSUM) => {
                frame.leave_checksum(start.into(), at.into(), 0);
            }
            Checksums::Legacy { .. } => {}
            Checksums::Options(options) => {
                let cut = gathered.first.has(descriptor::SEGMENT);
                let context = &self.state.contexts[usize::from(!cut)];
                if cut {
                    frame.cut(context)?;
                } else {
                    if options & descriptor::IP_CHECKSUM != 0 {
                        frame.put_ip_checksum(context);
                    }
                    if options & descriptor::TCP_CHECKSUM != 0 {
                        let field = context.tcp;
                        frame.leave_checksum(field.start.into(), field.at.into(), field.end.into());
                    }
                }
            }
        }
        if let Some(tag) = gathered.tag {
            frame.put_tag(self.state.vet as u16, tag);
        }
        (frame.length() <= FRAME_BYTES_MAX).then_some(frame)
    }
    /// Tells software that descriptors are done; returns causes of an interrupt, and one beyond all causes if none is
    /// wanted.
    fn give_back(&mut self, count: u32) -> u32 {
        let mut causes = 1 << 31;
        for ahead in 0..count {
            if self.fetch(ahead).is_some_and(|descriptor| descriptor.has(descriptor::REPORT)) {
                let at = self.state.tx.address(ahead).wrapping_add(descriptor::TX_STATUS);
                // It was RAM when it was fetched, and RAM does not go away.
                let _ = self.ram.write(Gpa(at), &[descriptor::DONE]);
                causes |= cause::TX_WRITTEN;
            }
        }
        self.state.tx.advance(count);
        causes
    }
}

impl Frame<'_> {
    fn length(&self) -> usize {
        self.head.len() + self.rest.len()
    }
    /// Copies the front, so that it can be changed.
    fn copy_head(&mut self, bytes: usize) {
        if self.head.is_empty() {
            let bytes = bytes.min(self.rest.len());
            self.head = self.rest.part(0..bytes).to_vec();
            self.rest = self.rest.part(bytes..self.rest.len());
        }
    }
    /// A checksum over the bytes from `start` to `last`, or to the end if that is 0.
    fn leave_checksum(&mut self, start: usize, at: usize, last: usize) {
        let to_end = last == 0 || last + 1 >= self.length();
        if to_end && at >= start && at + 2 <= self.length() {
            self.header.flags = FrameHeader::NEEDS_CHECKSUM;
            self.header.checksum_start = start as u16;
            self.header.checksum_offset = (at - start) as u16;
            return;
        }
        // What a header cannot say is done here.
        self.copy_all();
        let end = if last == 0 { self.head.len() } else { (last + 1).min(self.head.len()) };
        checksum::complete(&mut self.head, start, end, at);
    }
    fn copy_all(&mut self) {
        self.head.extend(self.rest.to_vec());
        self.rest = self.rest.part(0..0);
    }
    fn put_ip_checksum(&mut self, context: &Context) {
        self.copy_head(HEAD_BYTES);
        let field = context.ip;
        let end = (usize::from(field.end) + 1).min(self.head.len());
        checksum::complete(&mut self.head, field.start.into(), end, field.at.into());
    }
    /// Has the frame cut into segments. What the controller would do for each (SDM §3.5.7), the network does, from a frame
    /// that is right but for the checksum of TCP: lengths are those of all, and the sum of the pseudo header has the length,
    /// which software has left out.
    fn cut(&mut self, context: &Context) -> Option<()> {
        let (start, at) = (usize::from(context.tcp.start), usize::from(context.tcp.at));
        let ip = usize::from(context.ip.start);
        if !context.is_tcp || context.segment == 0 || context.header == 0 || at < start || start <= ip {
            return None;
        }
        let length = self.length();
        self.copy_head(HEAD_BYTES);
        let payload = u16::try_from(length.checked_sub(start)?).ok()?;
        if context.is_ipv4 {
            let total = u16::try_from(length.checked_sub(ip)?).ok()?;
            self.head.get_mut(ip + 2..ip + 4)?.copy_from_slice(&total.to_be_bytes());
            let (sum_at, end) = (usize::from(context.ip.at), usize::from(context.ip.end) + 1);
            self.head.get_mut(sum_at..sum_at + 2)?.fill(0);
            checksum::complete(&mut self.head, ip, end, sum_at);
        } else {
            let total = u16::try_from(length.checked_sub(ip + 40)?).ok()?;
            self.head.get_mut(ip + 4..ip + 6)?.copy_from_slice(&total.to_be_bytes());
        }
        let sum = self.head.get_mut(at..at + 2)?;
        let with_length = !checksum::finish(checksum::add(checksum::add(0, sum), &payload.to_be_bytes()));
        sum.copy_from_slice(&with_length.to_be_bytes());
        self.header = FrameHeader {
            flags: FrameHeader::NEEDS_CHECKSUM,
            segmentation: if context.is_ipv4 { Segmentation::TCP4 } else { Segmentation::TCP6 },
            header_length: context.header.into(),
            segment_size: context.segment,
            checksum_start: start as u16,
            checksum_offset: (at - start) as u16,
            buffers: 0,
        };
        Some(())
    }
    fn put_tag(&mut self, kind: u16, tag: u16) {
        self.copy_head(ADDRESSES);
        let [a, b] = kind.to_be_bytes();
        let [c, d] = tag.to_be_bytes();
        if self.head.len() >= ADDRESSES {
            self.head.splice(ADDRESSES..ADDRESSES, [a, b, c, d]);
        }
        if self.header.flags & FrameHeader::NEEDS_CHECKSUM != 0 {
            self.header.checksum_start += TAG as u16;
        }
        if self.header.segmentation != Segmentation::NONE {
            self.header.header_length += TAG as u16;
        }
    }
}
