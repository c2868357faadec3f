use std::sync::Arc;

use platform::{Device, DiskError, DiskOperation};
use x86::Gpa;

use super::super::ring::driver::{Form, KINDS};
use super::super::ring::{RingKind, Segment};
use super::super::tests::board::Board;
use super::{ScsiOptions, TargetError, VirtioScsi};
use crate::memory_disk::MemoryDisk;
use crate::scsi::{Identity, Unit};

mod management;
mod plug;

const SPLIT: RingKind = RingKind { packed: false, event_idx: false };
const FEATURES: u64 = 1 << 1 | 1 << 2;
const CONTROL: usize = 0;
const EVENT: usize = 1;
const REQUEST: usize = 2;
const COMMAND: u64 = 0x1000;
const RESPONSE: u64 = 0x2000;
const DATA: u64 = 0x4000;
const RESPONSE_BYTES: u32 = 12 + 96;

fn unit(disk: &Arc<MemoryDisk>) -> Unit {
    let text = str::to_owned;
    let identity =
        Identity { vendor: text("GASANG"), product: text("DISK"), revision: text("1"), serial: text("0001") };
    Unit::disk(identity, Arc::<MemoryDisk>::clone(disk))
}

/// A host with a disk at target 3.
struct Bench {
    board: Board<VirtioScsi>,
    disk: Arc<MemoryDisk>,
}

/// What came back for a command.
#[derive(Debug, PartialEq, Eq)]
struct Answer {
    written: u32,
    sense: Vec<u8>,
    residual: u32,
    status: u8,
    response: u8,
}

fn address(target: u8, lun: u8) -> [u8; 8] {
    [1, target, 0x40, lun, 0, 0, 0, 0]
}

impl Bench {
    fn new(kind: RingKind) -> Self {
        let disk = MemoryDisk::new(64 * 512);
        let mut host = VirtioScsi::new(ScsiOptions { queues: 2, targets: 8, packed: true });
        host.insert(3, unit(&disk)).unwrap();
        Self { board: Board::started(host, kind, FEATURES), disk }
    }
    /// Its first command has told that power came on.
    fn ready(kind: RingKind) -> Self {
        let mut bench = Self::new(kind);
        bench.command(3, &[0; 6], &[], &[]);
        bench
    }
    /// Sends a command; slot by slot there is room for several. The slot is its tag.
    fn send(&mut self, slot: u64, to: [u8; 8], cdb: &[u8], out: &[Segment], into: &[Segment]) -> u16 {
        let mut request = [0; 51];
        request[..8].copy_from_slice(&to);
        request[8..16].copy_from_slice(&slot.to_le_bytes());
        request[19..19 + cdb.len()].copy_from_slice(cdb);
        let (command, response) = (COMMAND + slot * 0x40, RESPONSE + slot * 0x80);
        self.board.poke(command, &request);
        self.board.poke(response, &[0xee; RESPONSE_BYTES as usize]);
        let readable = [&[(Gpa(command), 51)], out].concat();
        let writable = [&[(Gpa(response), RESPONSE_BYTES)], into].concat();
        self.board.give(REQUEST, &readable, &writable, Form::Indirect)
    }
    fn answer(&mut self, slot: u64) -> Answer {
        let (_, written) = self.board.used(REQUEST).expect("an answer");
        let raw = self.board.peek(RESPONSE + slot * 0x80, RESPONSE_BYTES as usize);
        let number = |at: usize| u32::from_le_bytes([raw[at], raw[at + 1], raw[at + 2], raw[at + 3]]);
        let sense = raw[12..12 + number(0) as usize].to_vec();
        Answer { written, sense, residual: number(4), status: raw[10], response: raw[11] }
    }
    /// A command that its disk does at once.
    fn command(&mut self, target: u8, cdb: &[u8], out: &[Segment], into: &[Segment]) -> Answer {
        self.send(0, address(target, 0), cdb, out, into);
        self.disk.pump();
        self.answer(0)
    }
    fn data(&self, length: usize) -> Vec<u8> {
        self.board.peek(DATA, length)
    }
}

fn read_10(block: u8, blocks: u8) -> [u8; 10] {
    [0x28, 0, 0, 0, 0, block, 0, 0, blocks, 0]
}

/// As Linux looks for disks: every target's unit 0 is asked who it is, then which units there are, then what it is like.
#[test]
fn targets_are_found() {
    for kind in KINDS {
        let mut bench = Bench::new(kind);
        let into = [(Gpa(DATA), 36)];
        for target in 0..8 {
            let answer = bench.command(target, &[0x12, 0, 0, 0, 36, 0], &[], &into);
            if target != 3 {
                assert_eq!((answer.response, answer.written), (3, 12), "{kind:?} {target}");
                continue;
            }
            assert_eq!((answer.response, answer.status, answer.residual), (0, 0, 0));
            assert_eq!(answer.written, RESPONSE_BYTES + 36);
            assert_eq!((bench.data(1)[0], &bench.board.peek(DATA + 8, 6)[..]), (0, &b"GASANG"[..]));
        }
        let answer = bench.command(3, &[0xa0, 0, 0, 0, 0, 0, 0, 0, 16, 0, 0, 0], &[], &[(Gpa(DATA), 24)]);
        assert_eq!((answer.response, answer.status, answer.residual), (0, 0, 8));
        assert_eq!(bench.data(16), [0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        let answer = bench.command(3, &[0; 6], &[], &[]);
        assert_eq!((answer.status, answer.sense[2], answer.sense[12]), (2, 6, 0x29), "power came on");
        assert_eq!(bench.command(3, &[0; 6], &[], &[]).status, 0);
        let capacity = [0x25, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(bench.command(3, &capacity, &[], &[(Gpa(DATA), 8)]).status, 0);
        assert_eq!(bench.data(8), [0, 0, 0, 63, 0, 0, 2, 0]);
    }
}

#[test]
fn what_is_written_is_read() {
    for kind in KINDS {
        let mut bench = Bench::ready(kind);
        bench.board.poke(DATA, &[7; 1024]);
        let write = [0x2a, 0, 0, 0, 0, 5, 0, 0, 2, 0];
        let answer = bench.command(3, &write, &[(Gpa(DATA), 700), (Gpa(DATA + 700), 324)], &[]);
        assert_eq!((answer.response, answer.status, answer.residual), (0, 0, 0));
        let into = [(Gpa(DATA + 0x1000), 500), (Gpa(DATA + 0x2000), 600)];
        bench.disk.take_operations();
        bench.send(0, address(3, 0), &read_10(5, 2), &[], &into);
        assert_eq!(bench.disk.take_operations(), [DiskOperation::Read { offset: 5 * 512 }]);
        assert_eq!(bench.board.used(REQUEST), None);
        bench.disk.pump();
        let answer = bench.answer(0);
        assert_eq!((answer.status, answer.residual, answer.written), (0, 76, RESPONSE_BYTES + 1024));
        assert_eq!(bench.board.peek(DATA + 0x2000, 525), [&[7; 524][..], &[0]].concat());
    }
}

#[test]
fn errors_have_sense_data() {
    let mut bench = Bench::ready(SPLIT);
    let into = [(Gpa(DATA), 512)];
    let answer = bench.command(3, &read_10(64, 1), &[], &into);
    assert_eq!((answer.response, answer.status, answer.sense[2] & 0xf, answer.sense[12]), (0, 2, 5, 0x21));
    bench.send(0, address(3, 0), &read_10(0, 1), &[], &into);
    bench.disk.errors.lock().push_back(DiskError::Damaged("by a test".to_owned()));
    bench.disk.pump();
    let answer = bench.answer(0);
    assert_eq!((answer.status, answer.sense[2] & 0xf, answer.residual), (2, 3, 512));
}

#[test]
fn buffers_that_are_too_short_are_an_overrun() {
    let mut bench = Bench::ready(SPLIT);
    let answer = bench.command(3, &read_10(0, 2), &[], &[(Gpa(DATA), 1023)]);
    assert_eq!(answer.response, 1);
    let write = [0x2a, 0, 0, 0, 0, 5, 0, 0, 2, 0];
    assert_eq!(bench.command(3, &write, &[(Gpa(DATA), 1023)], &[]).response, 1);
}

#[test]
fn other_units_of_a_target_are_not_there() {
    let mut bench = Bench::new(SPLIT);
    bench.send(0, address(3, 1), &[0x12, 0, 0, 0, 36, 0], &[], &[(Gpa(DATA), 36)]);
    let answer = bench.answer(0);
    assert_eq!((answer.response, answer.status, bench.data(1)[0]), (0, 0, 0x7f));
    bench.send(0, address(3, 1), &[0; 6], &[], &[]);
    let answer = bench.answer(0);
    assert_eq!((answer.status, answer.sense[2], answer.sense[12]), (2, 5, 0x25));
    bench.send(0, [0xc1, 1, 0, 0, 0, 0, 0, 0], &[0; 6], &[], &[]);
    assert_eq!(bench.answer(0).response, 3);
}

#[test]
fn malformed_requests_stop_the_device() {
    let short = [vec![(Gpa(COMMAND), 50)], vec![(Gpa(COMMAND), 51)]];
    let room = [vec![(Gpa(RESPONSE), RESPONSE_BYTES)], vec![(Gpa(RESPONSE), RESPONSE_BYTES - 1)]];
    for (queue, readable, writable) in [
        (REQUEST, &short[0], &room[0]),
        (REQUEST, &short[1], &room[1]),
        (CONTROL, &vec![(Gpa(COMMAND), 3)], &vec![(Gpa(RESPONSE), 1)]),
        (CONTROL, &vec![(Gpa(COMMAND), 23)], &vec![(Gpa(RESPONSE), 1)]),
    ] {
        let mut bench = Bench::new(SPLIT);
        bench.board.give(queue, readable, writable, Form::Direct);
        assert_eq!(bench.board.read(0x14, 1), 0x4f, "{readable:?} {writable:?}");
    }
}

#[test]
fn the_driver_chooses_sizes() {
    let mut bench = Bench::ready(SPLIT);
    let expected = [
        (0, 4, 2),
        (4, 4, 254),
        (8, 4, 0xffff),
        (12, 4, 128),
        (16, 4, 16),
        (28, 2, 0),
        (30, 2, 7),
        (32, 4, 0),
    ];
    for (offset, length, value) in expected {
        assert_eq!(bench.board.config(offset, length), value, "at {offset}");
    }
    for (offset, refused, taken) in [(20, 253, 18), (24, 65, 16)] {
        let before = bench.board.config(offset, 4);
        bench.board.write(0x2000 + offset, 4, refused);
        assert_eq!(bench.board.config(offset, 4), before);
        bench.board.write(0x2000 + offset, 4, taken);
        assert_eq!(bench.board.config(offset, 4), taken);
    }
    bench.board.poke(COMMAND, &[&address(3, 0)[..], &[0; 11], &read_10(99, 1), &[0; 6]].concat());
    let writable = [(Gpa(RESPONSE), 30)];
    let id = bench.board.give(REQUEST, &[(Gpa(COMMAND), 35)], &writable, Form::Direct);
    assert_eq!(bench.board.used(REQUEST), Some((id, 30)));
    assert_eq!(bench.board.peek(RESPONSE, 1), [18], "bytes of sense data");
    bench.board.start(SPLIT, FEATURES);
    assert_eq!((bench.board.config(20, 4), bench.board.config(24, 4)), (96, 32));
}

#[test]
fn it_is_saved_and_goes_on() {
    let mut bench = Bench::ready(SPLIT);
    bench.board.write(0x2000 + 20, 4, 96);
    let saved = bench.board.function.lock().save();
    bench.board.function.lock().reset();
    bench.board.function.lock().restore(&saved).unwrap();
    let again = bench.board.function.lock().save();
    assert_eq!(again, saved);
    assert_eq!(bench.command(3, &[0; 6], &[], &[]).status, 0, "no unit attention");
    bench.board.function.lock().device().targets.clear();
    assert!(bench.board.function.lock().restore(&saved).is_err());
}
