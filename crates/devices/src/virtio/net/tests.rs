use std::sync::Arc;

use platform::Device;
use platform::net::{FrameHeader, Mac, NetCard, NetPort, Offloads, Segmentation};
use x86::Gpa;

use super::spec::feature;
use super::{NetOptions, VirtioNet, card};
use crate::manual_port::ManualPort;
use crate::virtio::VirtioPci;
use crate::virtio::ring::driver::{Form, KINDS};
use crate::virtio::ring::tests::Numbers;
use crate::virtio::ring::{RingKind, Segment};
use crate::virtio::tests::board::Board;

mod hostile;
mod receive;
mod threads;

const RECEIVE: usize = 0;
const TRANSMIT: usize = 1;
const CONTROL: usize = 2;
const BUFFERS: u64 = 0x1_0000;
const SPLIT: RingKind = RingKind { packed: false, event_idx: false };
const OWN: Mac = Mac([0x52, 0x54, 0, 1, 2, 3]);
const HEADER: usize = FrameHeader::BYTES;

/// A card with its driver and the other end of its cable.
struct Bench {
    board: Board<VirtioNet>,
    port: Arc<ManualPort>,
    card: Arc<dyn NetCard>,
}

impl Bench {
    fn new(kind: RingKind, features: u64) -> Self {
        let port = ManualPort::new();
        let cable: Arc<dyn NetPort> = Arc::<ManualPort>::clone(&port);
        let device = VirtioNet::new(cable, NetOptions { mac: OWN, mtu: 1500, packed: true });
        let board = Board::started(device, kind, features);
        let card = card(&board.function);
        Self { board, port, card }
    }
    fn send(&mut self, header: FrameHeader, frame: &[u8]) {
        self.board.poke(BUFFERS, &header.to_bytes());
        self.board.poke(BUFFERS + 0x100, frame);
        let chain = [(Gpa(BUFFERS), HEADER as u32), (Gpa(BUFFERS + 0x100), frame.len() as u32)];
        self.board.give(TRANSMIT, &chain, &[], Form::Direct);
    }
    /// Gives a buffer for frames.
    fn post(&mut self, address: u64, length: u32) -> u16 {
        self.board.give(RECEIVE, &[], &[(Gpa(address), length)], Form::Direct)
    }
    fn arrive(&mut self, header: FrameHeader, frame: &[u8]) {
        self.port.push(header, frame);
        self.card.frames_wait();
    }
    fn header_at(&self, address: u64) -> FrameHeader {
        FrameHeader::of_bytes(&self.board.peek(address, HEADER).try_into().unwrap())
    }
    /// A command; its answer.
    fn command(&mut self, command: &[u8]) -> u8 {
        self.board.poke(BUFFERS + 0x8000, command);
        self.board.poke(BUFFERS + 0x9000, &[0xee]);
        let chain: [Segment; 1] = [(Gpa(BUFFERS + 0x8000), command.len() as u32)];
        self.board.give(CONTROL, &chain, &[(Gpa(BUFFERS + 0x9000), 1)], Form::Direct);
        self.board.used(CONTROL).expect("an answer");
        self.board.peek(BUFFERS + 0x9000, 1)[0]
    }
}

/// A frame from somewhere.
fn frame_to(to: Mac, length: usize) -> Vec<u8> {
    let mut frame = to.0.to_vec();
    frame.extend([2, 0, 0, 0, 0, 9, 8, 0]);
    frame.extend((frame.len()..length).map(|at| at as u8));
    frame
}

fn plain() -> FrameHeader {
    FrameHeader::default()
}

fn tso() -> FrameHeader {
    FrameHeader {
        flags: FrameHeader::NEEDS_CHECKSUM,
        segmentation: Segmentation::TCP4,
        header_length: 54,
        segment_size: 1460,
        checksum_start: 34,
        checksum_offset: 16,
        buffers: 0,
    }
}

#[test]
fn frames_are_sent_with_their_headers() {
    for kind in KINDS {
        let mut bench = Bench::new(kind, feature::CSUM | feature::HOST_TSO4);
        let frame = frame_to(OWN, 700);
        bench.send(plain(), &frame);
        bench.send(FrameHeader { buffers: 7, ..tso() }, &frame);
        assert_eq!(bench.port.take_sent(), [(plain(), frame.clone()), (tso(), frame)]);
        assert!(bench.board.used(TRANSMIT).is_some() && bench.board.used(TRANSMIT).is_some());
    }
}

#[test]
fn what_was_not_negotiated_is_not_sent() {
    let odd = [
        FrameHeader { segment_size: 0, ..tso() },
        FrameHeader { flags: 0, ..tso() },
        FrameHeader { segmentation: Segmentation::TCP6, ..tso() },
        FrameHeader { segmentation: Segmentation(Segmentation::TCP4.0 | Segmentation::ECN), ..tso() },
        FrameHeader { segmentation: Segmentation(Segmentation::ECN), ..plain() },
        FrameHeader { segmentation: Segmentation(3), ..tso() },
    ];
    let mut bench = Bench::new(SPLIT, feature::CSUM | feature::HOST_TSO4);
    for header in odd {
        bench.send(header, &frame_to(OWN, 100));
        assert!(bench.board.used(TRANSMIT).is_some(), "{header:?} comes back");
    }
    assert_eq!(bench.port.take_sent(), []);
    bench.send(FrameHeader { flags: FrameHeader::CONTROL | 2, ..plain() }, &frame_to(OWN, 100));
    assert_eq!(bench.port.take_sent()[0].0.flags, 0, "a driver sends no control messages");
    let mut bench = Bench::new(SPLIT, 0);
    bench.send(FrameHeader { flags: 1, ..plain() }, &frame_to(OWN, 100));
    assert_eq!(bench.port.take_sent(), []);
}

#[test]
fn a_full_cable_holds_frames_in_order() {
    for kind in KINDS {
        let mut bench = Bench::new(kind, 0);
        bench.port.set_room(1);
        for length in [100, 101, 102] {
            bench.board.poke(BUFFERS, &plain().to_bytes());
            let chain = [(Gpa(BUFFERS), HEADER as u32 + length)];
            bench.board.give(TRANSMIT, &chain, &[], Form::Indirect);
        }
        assert_eq!(bench.port.take_sent().len(), 1);
        bench.port.set_room(5);
        bench.card.room();
        let lengths: Vec<_> = bench.port.take_sent().iter().map(|(_, frame)| frame.len()).collect();
        assert_eq!(lengths, [101, 102]);
        assert_eq!(std::iter::from_fn(|| bench.board.used(TRANSMIT)).count(), 3);
    }
}

#[test]
fn the_network_learns_what_the_driver_takes() {
    let all = feature::GUEST_CSUM | feature::GUEST_TSO4 | feature::GUEST_TSO6;
    let control = feature::CTRL_VQ | feature::CTRL_GUEST_OFFLOADS;
    let mut bench = Bench::new(SPLIT, all | control);
    assert_eq!(bench.port.offloads(), Offloads { checksum: true, tcp4: true, tcp6: true });
    let mut command = vec![5, 0];
    command.extend((feature::GUEST_CSUM | feature::GUEST_TSO6).to_le_bytes());
    assert_eq!(bench.command(&command), 0);
    assert_eq!(bench.port.offloads(), Offloads { checksum: true, tcp4: false, tcp6: true });
    command[2..].copy_from_slice(&(all | feature::GUEST_ECN).to_le_bytes());
    assert_eq!(bench.command(&command), 1, "that was not accepted");
    bench.board.write(0x14, 1, 0);
    assert_eq!(bench.port.offloads(), Offloads::default());
}

#[test]
fn the_configuration_tells_address_mtu_and_link() {
    let features = feature::MAC | feature::STATUS | feature::MTU | feature::CTRL_VQ | feature::GUEST_ANNOUNCE;
    let mut bench = Bench::new(SPLIT, features);
    assert_eq!(bench.board.config(0, 4), 0x0100_5452);
    assert_eq!((bench.board.config(6, 2), bench.board.config(10, 2)), (1, 1500));
    bench.card.link_changed(false, false);
    assert!(bench.board.interrupted());
    assert_eq!(bench.board.config(6, 2), 0);
    bench.card.link_changed(true, true);
    assert_eq!(bench.board.config(6, 2), 3, "up, and asked to announce itself");
    assert_eq!(bench.command(&[3, 0]), 0);
    assert_eq!(bench.board.config(6, 2), 1);
}
