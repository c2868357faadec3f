//! What a frame's sender has left to others: checksums and segmentation, checked and done.
use std::ops::Range;

use platform::net::{FrameHeader, Offloads, Segmentation};

use super::{Checksum, Ip, Packet, Protocol, Transport, tcp_flag};

/// A header that does not fit its frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a frame whose header asks for what it cannot have")]
pub struct BadOffload;

/// Smaller segments than anybody asks for are refused: a frame would become thousands.
const SEGMENT_MIN: u16 = 64;

/// Checks a frame's header against the frame: what comes out asks for nothing that is not there. Checksums of other things
/// than a whole TCP segment or UDP datagram are completed in place.
pub fn check(header: &FrameHeader, packet: &Packet, frame: &mut [u8]) -> Result<FrameHeader, BadOffload> {
    let mut checked = FrameHeader { flags: header.flags & FrameHeader::DATA_VALID, ..FrameHeader::default() };
    if header.flags & FrameHeader::NEEDS_CHECKSUM == 0 {
        let whole = header.segmentation.kind() == Segmentation::NONE;
        return if whole { Ok(checked) } else { Err(BadOffload) };
    }
    let start = usize::from(header.checksum_start);
    let at = start + usize::from(header.checksum_offset);
    if at + 2 > frame.len() {
        return Err(BadOffload);
    }
    let Some((place, _)) = packet.ip.as_ref().and_then(checksum_place).filter(|(_, field)| *field == at)
    else {
        complete(frame, start, at);
        return if header.segmentation.kind() == Segmentation::NONE { Ok(checked) } else { Err(BadOffload) };
    };
    if place.start != start {
        return Err(BadOffload);
    }
    checked = FrameHeader {
        flags: FrameHeader::NEEDS_CHECKSUM,
        checksum_start: header.checksum_start,
        checksum_offset: header.checksum_offset,
        ..checked
    };
    let kind = header.segmentation.kind();
    if kind == Segmentation::NONE {
        return Ok(checked);
    }
    let Some(Ip { transport: Some(Transport::Tcp { data, .. }), source, .. }) = &packet.ip else {
        return Err(BadOffload);
    };
    let fits = if source.is_ipv4() { Segmentation::TCP4 } else { Segmentation::TCP6 };
    if kind != fits || header.segment_size < SEGMENT_MIN {
        return Err(BadOffload);
    }
    if data.len() > usize::from(header.segment_size) {
        checked.segmentation = header.segmentation;
        checked.segment_size = header.segment_size;
        checked.header_length = data.start as u16;
    }
    Ok(checked)
}

/// Where a transport's bytes are in a frame, and where its checksum is.
fn checksum_place(ip: &Ip) -> Option<(Range<usize>, usize)> {
    let field = match ip.transport {
        Some(Transport::Tcp { .. }) => 16,
        Some(Transport::Udp { .. }) => 6,
        _ => return None,
    };
    Some((ip.payload.clone(), ip.payload.start + field))
}

/// Completes a checksum from `start` to the frame's end.
fn complete(frame: &mut [u8], start: usize, at: usize) {
    let sum = Checksum::default().add(&frame[start..]).finish();
    // A UDP checksum of zero says that there is none (RFC 768).
    let sum = if sum == 0 { 0xffff } else { sum };
    frame[at..at + 2].copy_from_slice(&sum.to_be_bytes());
}

/// Whether a transport's checksum is right. Without one, UDP over IPv4 is right as well.
pub fn is_sound(ip: &Ip, frame: &[u8]) -> bool {
    let bytes = &frame[ip.payload.clone()];
    let covered = match ip.protocol {
        Protocol::UDP => match bytes {
            [_, _, _, _, high, low, 0, 0, ..] => return ip.source.is_ipv4() && (*high, *low) != (0, 0),
            [_, _, _, _, high, low, ..] => usize::from(u16::from_be_bytes([*high, *low])).min(bytes.len()),
            _ => return false,
        },
        _ => bytes.len(),
    };
    let sum = match ip.protocol {
        Protocol::TCP | Protocol::UDP | Protocol::ICMPV6 => {
            Checksum::default().add_pseudo_header(ip.source, ip.destination, ip.protocol, covered as u32)
        }
        Protocol::ICMP => Checksum::default(),
        _ => return true,
    };
    sum.add(&bytes[..covered]).finish() == 0
}

/// Whether a receiver takes a frame with this checked header as it is.
pub fn suits(header: &FrameHeader, accepts: Offloads) -> bool {
    let checksum = header.flags & FrameHeader::NEEDS_CHECKSUM == 0 || accepts.checksum;
    let segmentation = match header.segmentation.kind() {
        Segmentation::TCP4 => accepts.tcp4,
        Segmentation::TCP6 => accepts.tcp6,
        _ => true,
    };
    checksum && segmentation
}

/// Does for a receiver what it does not do itself. `header` was checked; `emit` gets each frame that results.
pub fn finish(
    header: &FrameHeader,
    frame: &mut [u8],
    accepts: Offloads,
    emit: &mut dyn FnMut(&FrameHeader, &[u8]),
) {
    if header.segmentation.kind() != Segmentation::NONE {
        return cut(header, frame, accepts.checksum, emit);
    }
    if header.flags & FrameHeader::NEEDS_CHECKSUM != 0 && !accepts.checksum {
        let start = usize::from(header.checksum_start);
        complete(frame, start, start + usize::from(header.checksum_offset));
        return emit(&FrameHeader::default(), frame);
    }
    emit(header, frame);
}

/// Cuts a TCP segment.
fn cut(header: &FrameHeader, frame: &[u8], partial: bool, emit: &mut dyn FnMut(&FrameHeader, &[u8])) {
    let Ok(Packet { ip: Some(ip), .. }) = Packet::parse(frame) else { return };
    let Some(Transport::Tcp { sequence, flags, ref data, .. }) = ip.transport else { return };
    let (ip_at, tcp_at) = (ip.range.start, ip.payload.start);
    let size = usize::from(header.segment_size);
    let count = data.len().div_ceil(size);
    let identification = u16::from_be_bytes([frame[ip_at + 4], frame[ip_at + 5]]);
    let mut segment = Vec::with_capacity(data.start + size);
    for (number, part) in frame[data.clone()].chunks(size).enumerate() {
        segment.clear();
        segment.extend_from_slice(&frame[..data.start]);
        segment.extend_from_slice(part);
        let put = |segment: &mut [u8], at: usize, bytes: &[u8]| {
            segment[at..at + bytes.len()].copy_from_slice(bytes)
        };
        let length = segment.len();
        if ip.source.is_ipv4() {
            put(&mut segment, ip_at + 2, &((length - ip_at) as u16).to_be_bytes());
            put(&mut segment, ip_at + 4, &identification.wrapping_add(number as u16).to_be_bytes());
            put(&mut segment, ip_at + 10, &[0, 0]);
            let sum = Checksum::default().add(&segment[ip_at..tcp_at]).finish();
            put(&mut segment, ip_at + 10, &sum.to_be_bytes());
        } else {
            put(&mut segment, ip_at + 4, &((length - ip_at - 40) as u16).to_be_bytes());
        }
        put(&mut segment, tcp_at + 4, &sequence.wrapping_add((number * size) as u32).to_be_bytes());
        let mut here = flags;
        if number + 1 != count {
            here &= !(tcp_flag::FIN | tcp_flag::PSH);
        }
        if number != 0 {
            here &= !tcp_flag::CWR;
        }
        segment[tcp_at + 13] = here;
        let l4_length = (length - tcp_at) as u32;
        let pseudo =
            Checksum::default().add_pseudo_header(ip.source, ip.destination, Protocol::TCP, l4_length);
        put(&mut segment, tcp_at + 16, &pseudo.partial().to_be_bytes());
        let mut of_segment = FrameHeader { segmentation: Segmentation::NONE, segment_size: 0, ..*header };
        if !partial {
            complete(&mut segment, tcp_at, tcp_at + 16);
            of_segment = FrameHeader::default();
        }
        emit(&of_segment, &segment);
    }
}

#[cfg(test)]
mod tests;
