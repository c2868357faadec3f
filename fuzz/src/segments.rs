//! A hostile guest's TCP, and a host's socket that does as it likes.
//!
//! Records of 8 bytes: what happens, then what it takes. The guest's byte of a sequence number is that number's lowest one,
//! and so is that of the host's, so that both streams can be told from any others.
use std::io::{self, IoSlice};
use std::time::{Duration, Instant};

use network::nat::tcp::{
    Budget, Flow, FlowState, Head, HostStream, Limits, Output, Path, Pool, Segment, Sequence,
};
use network::wire::{Packet, Transport, tcp_flag};
use platform::net::{FrameHeader, Mac};

const BUDGET: usize = 4 << 20;
const RECORD: usize = 8;
const RECORDS: usize = 256;
/// First sequence numbers: of the guest's SYN, and of ours. They wrap soon.
const THEIRS: u32 = u32::MAX - 3000;
const OURS: u32 = u32::MAX - 5000;

struct Host {
    gives: usize,
    given: usize,
    ended: bool,
    fails: bool,
    room: usize,
    taken: usize,
    finished: bool,
}

impl HostStream for Host {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.fails {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        let count = into.len().min(self.gives);
        if count == 0 {
            return if self.ended { Ok(0) } else { Err(io::ErrorKind::WouldBlock.into()) };
        }
        for byte in &mut into[..count] {
            *byte = OURS.wrapping_add(1).wrapping_add(self.given as u32) as u8;
            self.given += 1;
        }
        self.gives -= count;
        Ok(count)
    }
    fn write(&mut self, from: &[IoSlice<'_>]) -> io::Result<usize> {
        assert!(!self.finished, "bytes behind the end");
        if self.fails {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let mut count = 0;
        for byte in from.iter().flat_map(|slice| slice.iter()).take(self.room) {
            let expected = THEIRS.wrapping_add(1).wrapping_add(self.taken as u32) as u8;
            assert_eq!(*byte, expected, "another byte at {}", self.taken);
            self.taken += 1;
            count += 1;
        }
        self.room -= count;
        if count == 0 { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(count) }
    }
    fn finish(&mut self) {
        self.finished = true;
    }
    fn reset(&mut self) {}
}

/// Frames for the guest, so many at most.
struct Guest(usize);

impl Output for Guest {
    fn send(&mut self, head: &Head, data: &[IoSlice<'_>]) -> bool {
        if self.0 == 0 {
            return false;
        }
        self.0 -= 1;
        let (_, frame) = FrameHeader::split(head.bytes()).expect("a header");
        let mut frame = frame.to_vec();
        data.iter().for_each(|piece| frame.extend_from_slice(piece));
        let ip = Packet::parse(&frame).expect("a sound frame").ip.expect("an IP packet");
        let Some(Transport::Tcp { sequence, data, .. }) = ip.transport else { panic!("no TCP") };
        for (at, byte) in frame[data].iter().enumerate() {
            assert_eq!(*byte, sequence.wrapping_add(at as u32) as u8, "another byte at {at}");
        }
        true
    }
}

/// Has a connection go through what the bytes say.
pub fn take_segments(bytes: &[u8]) {
    let path = Path {
        gateway: Mac([2, 0, 0, 0, 0, 1]),
        card: Mac([2, 0, 0, 0, 0, 2]),
        guest: ([10, 0, 2, 15], 4000).into(),
        remote: ([192, 0, 2, 1], 80).into(),
    };
    let budget = Budget::new(BUDGET);
    let limits = Limits { window: 1 << 20, mtu: 1500, budget: budget.clone(), pool: Pool::default() };
    let Some((first, rest)) = bytes.split_first_chunk::<RECORD>() else { return };
    let mut host =
        Host { gives: 0, given: 0, ended: false, fails: false, room: 0, taken: 0, finished: false };
    let mut now = Instant::now();
    let mut flow = if first[0] & 1 == 0 {
        let syn = segment(THEIRS, 0, tcp_flag::SYN, u16::MAX, &first[1..], &[]);
        let mut flow = Flow::of_syn(path, &syn, Sequence(OURS), &limits);
        flow.connected(now);
        flow
    } else {
        Flow::to_guest(path, Sequence(OURS), &limits)
    };
    for record in rest.as_chunks::<RECORD>().0.iter().take(RECORDS) {
        if flow.state() == FlowState::Over {
            break;
        }
        let &[what, a, b, c, d, e, f, g] = record;
        let number = usize::from(u16::from_le_bytes([a, b]));
        match what % 8 {
            0..=2 => {
                // Near what is expected, or anywhere.
                let sequence = THEIRS.wrapping_add(u32::from_le_bytes([a, b, c, 0]));
                let acknowledgment = OURS.wrapping_add(u32::from(u16::from_le_bytes([d, e])));
                let count = if what % 8 == 0 { 0 } else { usize::from(f) * 16 };
                let data: Vec<u8> = (0..count).map(|at| sequence.wrapping_add(at as u32) as u8).collect();
                let options = if what & 0x80 != 0 { &record[..] } else { &[] };
                let segment =
                    segment(sequence, acknowledgment, g, u16::from(c) << 8 | u16::from(d), options, &data);
                if flow.take(&segment, now, &mut host).is_err() {
                    break;
                }
            }
            3 => (host.gives, flow.readable) = (host.gives + number, true),
            4 => host.room += number,
            5 => (host.ended, flow.readable) = (a & 1 != 0, true),
            6 => {
                now += Duration::from_millis(number as u64 * 4);
                if flow.deadline().is_some_and(|deadline| deadline <= now) {
                    flow.expire(now, &mut host, &mut Guest(usize::from(c)));
                }
            }
            _ => host.fails = a == 0xff,
        }
        if flow.pump(now, &mut host, &mut Guest(usize::from(b))).is_err() {
            break;
        }
        assert!(budget.free() <= BUDGET);
    }
    drop(flow);
    assert_eq!(budget.free(), BUDGET, "memory is not given back");
}

fn segment<'a>(
    sequence: u32,
    acknowledgment: u32,
    flags: u8,
    window: u16,
    options: &'a [u8],
    data: &'a [u8],
) -> Segment<'a> {
    let (sequence, acknowledgment) = (Sequence(sequence), Sequence(acknowledgment));
    Segment { sequence, acknowledgment, flags, window, options, data }
}
