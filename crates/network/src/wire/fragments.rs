//! Packets in several parts: put together (RFC 791 §3.2, RFC 8200 §4.5), and taken apart.
use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::{Checksum, ETHERNET_BYTES, EtherType, Fragment, Ip, Packet, Protocol};

/// Packets of one sender that wait for their parts at most, all parts of one at most, and bytes of all together.
const WAITING_MAX: usize = 64;
const PARTS_MAX: usize = 64;
const BYTES_MAX: usize = 256 << 10;
/// How long they wait.
const PATIENCE: Duration = Duration::from_secs(15);

/// Parts of one sender's packets that have not all come.
#[derive(Debug, Default)]
pub struct Reassembly {
    waiting: HashMap<Key, Parts>,
    bytes: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Key {
    source: IpAddr,
    destination: IpAddr,
    protocol: Protocol,
    identification: u32,
}

#[derive(Debug)]
struct Parts {
    since: Instant,
    /// By offset; they do not overlap.
    parts: Vec<(u16, Vec<u8>)>,
    /// Bytes in all, once the last part came.
    length: Option<usize>,
    /// Of the first part: everything in front of its payload.
    head: Option<Vec<u8>>,
}

impl Reassembly {
    /// Takes a part; the whole frame, once all have come. Parts that overlap undo what came before (RFC 5722 §3).
    pub fn take(&mut self, packet: &Packet, frame: &[u8], now: Instant) -> Option<Vec<u8>> {
        let ip = packet.ip.as_ref()?;
        let fragment = ip.fragment?;
        let Ip { source, destination, protocol, .. } = *ip;
        let key = Key { source, destination, protocol, identification: fragment.identification };
        let payload = &frame[ip.payload.clone()];
        let end = usize::from(fragment.offset) + payload.len();
        let is_odd = fragment.more && !payload.len().is_multiple_of(8);
        if payload.is_empty() || is_odd || end > usize::from(u16::MAX) {
            return None;
        }
        self.make_room(payload.len(), now);
        let entry = self.waiting.entry(key).or_insert_with(|| Parts {
            since: now,
            parts: Vec::new(),
            length: None,
            head: None,
        });
        if !entry.add(ip, frame, fragment, payload) {
            self.forget(key);
            return None;
        }
        self.bytes += payload.len();
        if !self.waiting.get(&key).is_some_and(Parts::is_whole) {
            return None;
        }
        let whole = self.forget(key)?.join(ip.source.is_ipv4(), protocol);
        Some(whole)
    }
    /// Bytes that are kept.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
    /// Whether nothing is kept.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
    /// Forgets what has waited for too long.
    pub fn expire(&mut self, now: Instant) {
        let late: Vec<Key> = self
            .waiting
            .iter()
            .filter(|(_, parts)| now.saturating_duration_since(parts.since) > PATIENCE)
            .map(|(key, _)| *key)
            .collect();
        for key in late {
            self.forget(key);
        }
    }
    fn make_room(&mut self, bytes: usize, now: Instant) {
        self.expire(now);
        while self.waiting.len() >= WAITING_MAX || self.bytes + bytes > BYTES_MAX {
            let oldest = self.waiting.iter().min_by_key(|(_, parts)| parts.since).map(|(key, _)| *key);
            let Some(oldest) = oldest else { return };
            self.forget(oldest);
        }
    }
    fn forget(&mut self, key: Key) -> Option<Parts> {
        let parts = self.waiting.remove(&key)?;
        self.bytes -= parts.parts.iter().map(|(_, bytes)| bytes.len()).sum::<usize>();
        Some(parts)
    }
}

impl Parts {
    fn add(&mut self, ip: &Ip, frame: &[u8], fragment: Fragment, payload: &[u8]) -> bool {
        let (start, end) = (usize::from(fragment.offset), usize::from(fragment.offset) + payload.len());
        let place = self.parts.partition_point(|(offset, _)| usize::from(*offset) < start);
        let overlaps_before = place > 0
            && self.parts.get(place - 1).is_some_and(|(at, bytes)| usize::from(*at) + bytes.len() > start);
        let overlaps_behind = self.parts.get(place).is_some_and(|(at, _)| usize::from(*at) < end);
        let beyond = self.length.is_some_and(|length| end > length || (!fragment.more && end != length));
        if overlaps_before || overlaps_behind || beyond || self.parts.len() >= PARTS_MAX {
            return false;
        }
        if !fragment.more {
            self.length = Some(end);
        }
        if start == 0 {
            let header = if ip.source.is_ipv4() { ip.payload.start } else { ETHERNET_BYTES + 40 };
            self.head = Some(frame[..header].to_vec());
        }
        self.parts.insert(place, (fragment.offset, payload.to_vec()));
        true
    }
    fn is_whole(&self) -> bool {
        let got: usize = self.parts.iter().map(|(_, bytes)| bytes.len()).sum();
        self.head.is_some() && self.length == Some(got)
    }
    fn join(self, is_v4: bool, protocol: Protocol) -> Vec<u8> {
        let mut frame = self.head.unwrap_or_default();
        let header = frame.len();
        self.parts.iter().for_each(|(_, bytes)| frame.extend_from_slice(bytes));
        if is_v4 {
            let length = (frame.len() - ETHERNET_BYTES) as u16;
            frame[ETHERNET_BYTES + 2..ETHERNET_BYTES + 4].copy_from_slice(&length.to_be_bytes());
            frame[ETHERNET_BYTES + 6..ETHERNET_BYTES + 8].fill(0);
            seal(&mut frame[ETHERNET_BYTES..header]);
        } else {
            let length = (frame.len() - header) as u16;
            frame[ETHERNET_BYTES + 4..ETHERNET_BYTES + 6].copy_from_slice(&length.to_be_bytes());
            frame[ETHERNET_BYTES + 6] = protocol.0;
        }
        frame
    }
}

/// Writes an IPv4 header's checksum.
fn seal(header: &mut [u8]) {
    header[10..12].fill(0);
    let sum = Checksum::default().add(header).finish();
    header[10..12].copy_from_slice(&sum.to_be_bytes());
}

/// Takes a whole frame with complete checksums apart, if its packet is longer than the MTU.
pub fn split(frame: &[u8], mtu: u16, identification: u32, emit: &mut dyn FnMut(&[u8])) {
    let mtu = usize::from(mtu.max(1280));
    let ethertype = frame.get(12..14).map(|bytes| EtherType(u16::from_be_bytes([bytes[0], bytes[1]])));
    if frame.len() <= ETHERNET_BYTES + mtu {
        return emit(frame);
    }
    let header_length = match ethertype {
        Some(EtherType::IPV4) => 20,
        Some(EtherType::IPV6) => 40,
        _ => return,
    };
    let is_v4 = header_length == 20;
    let extension = if is_v4 { 0 } else { 8 };
    let (head, payload) = frame.split_at(ETHERNET_BYTES + header_length);
    let size = (mtu - header_length - extension) & !7;
    let count = payload.len().div_ceil(size);
    for (number, part) in payload.chunks(size).enumerate() {
        let (offset, more) = ((number * size) as u16, number + 1 < count);
        let mut piece = head.to_vec();
        let ip = &mut piece[ETHERNET_BYTES..];
        if is_v4 {
            ip[2..4].copy_from_slice(&((20 + part.len()) as u16).to_be_bytes());
            ip[4..6].copy_from_slice(&(identification as u16).to_be_bytes());
            ip[6..8].copy_from_slice(&((offset / 8) | (u16::from(more) << 13)).to_be_bytes());
            seal(ip);
        } else {
            let next = std::mem::replace(&mut ip[6], 44);
            ip[4..6].copy_from_slice(&((8 + part.len()) as u16).to_be_bytes());
            piece.extend([next, 0]);
            piece.extend((offset | u16::from(more)).to_be_bytes());
            piece.extend(identification.to_be_bytes());
        }
        piece.extend_from_slice(part);
        emit(&piece);
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use platform::net::Mac;

    use super::*;
    use crate::wire::{Transport, offload, udp_frame};

    fn whole(from: &str, to: &str, length: usize) -> Vec<u8> {
        let (from, to): (SocketAddr, SocketAddr) = (from.parse().unwrap(), to.parse().unwrap());
        let data: Vec<u8> = (0..length).map(|at| (at % 253) as u8).collect();
        udp_frame((Mac([2, 0, 0, 0, 0, 1]), from), (Mac([2, 0, 0, 0, 0, 2]), to), &data)
    }

    #[test]
    fn parts_come_together_in_any_order() {
        for (from, to) in [("192.0.2.1:9", "10.0.2.15:8"), ("[2001:db8::1]:9", "[fd00::2]:8")] {
            let frame = whole(from, to, 9000);
            let mut parts = Vec::new();
            split(&frame, 1500, 77, &mut |part| {
                assert!(part.len() <= ETHERNET_BYTES + 1500);
                parts.push(part.to_vec());
            });
            assert_eq!(parts.len(), 7);
            parts.reverse();
            parts.swap(1, 4);
            let (mut reassembly, now) = (Reassembly::default(), Instant::now());
            let last = parts.pop().unwrap();
            for part in &parts {
                assert!(reassembly.take(&Packet::parse(part).unwrap(), part, now).is_none());
            }
            let joined = reassembly.take(&Packet::parse(&last).unwrap(), &last, now).unwrap();
            let ip = Packet::parse(&joined).unwrap().ip.unwrap();
            assert!(offload::is_sound(&ip, &joined) && ip.fragment.is_none());
            let Some(Transport::Udp { data, .. }) = ip.transport else { panic!("{ip:?}") };
            assert_eq!(joined[data].len(), 9000);
            assert_eq!(reassembly.bytes(), 0);
        }
    }

    #[test]
    fn what_never_comes_is_not_waited_for() {
        let (mut reassembly, now) = (Reassembly::default(), Instant::now());
        split(&whole("192.0.2.1:9", "10.0.2.15:8", 3000), 1500, 1, &mut |part| {
            let packet = Packet::parse(part).unwrap();
            if packet.ip.as_ref().unwrap().fragment.unwrap().more {
                assert!(reassembly.take(&packet, part, now).is_none());
            }
        });
        reassembly.expire(now + PATIENCE);
        assert!(!reassembly.is_empty());
        reassembly.expire(now + PATIENCE + Duration::from_millis(1));
        assert!(reassembly.is_empty() && reassembly.bytes() == 0);
    }

    #[test]
    fn floods_are_bounded() {
        let frame = whole("192.0.2.1:9", "10.0.2.15:8", 60_000);
        let (mut reassembly, now) = (Reassembly::default(), Instant::now());
        for identification in 0..5000 {
            let mut first = true;
            split(&frame, 1500, identification, &mut |part| {
                if std::mem::take(&mut first) {
                    return;
                }
                reassembly.take(&Packet::parse(part).unwrap(), part, now);
            });
        }
        assert!(reassembly.bytes() <= BYTES_MAX && reassembly.waiting.len() <= WAITING_MAX);
        reassembly.make_room(0, now + Duration::from_secs(60));
        assert_eq!((reassembly.bytes(), reassembly.waiting.len()), (0, 0));
    }

    #[test]
    fn parts_that_overlap_undo_the_packet() {
        let frame = whole("192.0.2.1:9", "10.0.2.15:8", 3000);
        let mut parts = Vec::new();
        split(&frame, 1500, 7, &mut |part| parts.push(part.to_vec()));
        let (mut reassembly, now) = (Reassembly::default(), Instant::now());
        let mut take = |part: &[u8]| reassembly.take(&Packet::parse(part).unwrap(), part, now);
        assert!(take(&parts[0]).is_none() && take(&parts[0]).is_none());
        assert!(take(&parts[1]).is_none() && take(&parts[2]).is_none());
    }
}
