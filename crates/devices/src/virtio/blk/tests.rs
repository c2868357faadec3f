use std::sync::Arc;

use platform::{Device, DiskError, DiskOperation};
use x86::Gpa;

use super::super::VirtioPci;
use super::super::ring::driver::{Form, KINDS};
use super::super::ring::{RingKind, Segment};
use super::super::tests::board::Board;
use super::{BlkOptions, VirtioBlk};
use crate::memory_disk::MemoryDisk;

const SPLIT: RingKind = RingKind { packed: false, event_idx: false };
const FLUSH: u64 = 1 << 9;
const CONFIG_WCE: u64 = 1 << 11;
const FEATURES: u64 = FLUSH | CONFIG_WCE;
const HEADER: u64 = 0x1000;
const STATUS: u64 = 0x2000;
const DATA: u64 = 0x4000;
const NONE_YET: u8 = 0xee;

struct Bench {
    board: Board<VirtioBlk>,
    disk: Arc<MemoryDisk>,
    form: Form,
}

fn device(disk: &Arc<MemoryDisk>, queues: u16) -> VirtioBlk {
    let options = BlkOptions { queues, packed: true, serial: "GASANG-0001".to_owned() };
    VirtioBlk::new(Arc::<MemoryDisk>::clone(disk), &options)
}

impl Bench {
    fn new(kind: RingKind, features: u64) -> Self {
        Self::with(MemoryDisk::new(64 * 512), kind, features)
    }
    fn with(disk: Arc<MemoryDisk>, kind: RingKind, features: u64) -> Self {
        let board = Board::started(device(&disk, 2), kind, features);
        Self { board, disk, form: Form::Indirect }
    }
    /// Gives a request; slot by slot there is room for several.
    fn give_at(&mut self, slot: u64, kind: u32, sector: u64, out: &[Segment], into: &[Segment]) -> u16 {
        let (header, status) = (HEADER + slot * 16, STATUS + slot);
        self.board.poke(header, &[&kind.to_le_bytes()[..], &[0; 4], &sector.to_le_bytes()].concat());
        self.board.poke(status, &[NONE_YET]);
        let readable = [&[(Gpa(header), 16)], out].concat();
        let writable = [into, &[(Gpa(status), 1)]].concat();
        self.board.give(0, &readable, &writable, self.form)
    }
    fn give(&mut self, kind: u32, sector: u64, out: &[Segment], into: &[Segment]) -> u16 {
        self.give_at(0, kind, sector, out, into)
    }
    fn status(&self) -> u8 {
        self.board.peek(STATUS, 1)[0]
    }
    /// The status of a request that leads to nothing on the disk.
    fn refused(&mut self, kind: u32, sector: u64, out: &[Segment], into: &[Segment]) -> u8 {
        self.give(kind, sector, out, into);
        assert_eq!(self.disk.take_operations(), []);
        assert!(self.board.used(0).is_some());
        self.status()
    }
    fn ranges(&mut self, ranges: &[(u64, u32, u32)]) -> Vec<Segment> {
        let mut raw = Vec::new();
        for (sector, sectors, flags) in ranges {
            raw.extend(sector.to_le_bytes());
            raw.extend(sectors.to_le_bytes());
            raw.extend(flags.to_le_bytes());
        }
        self.board.poke(DATA, &raw);
        vec![(Gpa(DATA), raw.len() as u32)]
    }
}

#[test]
fn what_is_written_is_read() {
    for kind in KINDS {
        for form in [Form::Direct, Form::Indirect] {
            let mut bench = Bench::new(kind, FEATURES);
            bench.form = form;
            bench.board.poke(DATA, &[7; 512]);
            bench.board.poke(DATA + 0x1000, &[9; 512]);
            let id = bench.give(1, 3, &[(Gpa(DATA), 512), (Gpa(DATA + 0x1000), 512)], &[]);
            assert_eq!((bench.status(), bench.board.used(0)), (NONE_YET, None), "not yet");
            assert!(!bench.board.interrupted());
            assert_eq!(
                bench.disk.take_operations(),
                [DiskOperation::Write { offset: 0x600, durable: false }]
            );
            bench.disk.pump();
            assert_eq!((bench.status(), bench.board.used(0)), (0, Some((id, 1))));
            assert!(bench.board.interrupted());
            let id = bench.give(0, 4, &[], &[(Gpa(DATA + 0x2100), 100), (Gpa(DATA + 0x3000), 412)]);
            bench.disk.pump();
            assert_eq!((bench.status(), bench.board.used(0)), (0, Some((id, 513))));
            assert_eq!(bench.board.peek(DATA + 0x2100, 101), [&[9; 100][..], &[0]].concat());
            assert_eq!(bench.board.peek(DATA + 0x3000, 412), [9; 412]);
        }
    }
}

#[test]
fn header_and_status_lie_anywhere() {
    let mut bench = Bench::new(SPLIT, FEATURES);
    bench.disk.bytes.lock()[..512].fill(5);
    bench.board.poke(HEADER, &[0; 16]);
    let readable = [(Gpa(HEADER), 3), (Gpa(HEADER + 3), 13)];
    let id = bench.board.give(0, &readable, &[(Gpa(DATA), 13), (Gpa(DATA + 13), 500)], Form::Direct);
    bench.disk.pump();
    assert_eq!(bench.board.used(0), Some((id, 513)));
    assert_eq!(bench.board.peek(DATA, 514), [&[5; 512][..], &[0, 0]].concat());
}

#[test]
fn requests_are_done_in_any_order() {
    for kind in KINDS {
        let mut bench = Bench::new(kind, FEATURES);
        let ids: Vec<u16> =
            (0..4).map(|slot| bench.give_at(slot, 0, slot, &[], &[(Gpa(DATA + slot * 512), 512)])).collect();
        for (index, expected) in [(2, 2), (0, 0), (1, 3), (0, 1)] {
            bench.disk.do_one(index);
            assert_eq!(bench.board.used(0), Some((ids[expected], 513)), "{kind:?}");
            assert_eq!(bench.board.peek(STATUS + expected as u64, 1), [0]);
        }
    }
}

#[test]
fn answers_that_come_together_go_to_the_driver_together() {
    let mut bench = Bench::new(SPLIT, FEATURES);
    for slot in 0..8 {
        bench.give_at(slot, 4, 0, &[], &[]);
    }
    let function = Arc::clone(&bench.board.function);
    let busy = function.lock();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| bench.disk.do_one(0));
        }
        while bench.disk.waiting() > 0 {
            std::thread::yield_now();
        }
        drop(busy);
    });
    assert_eq!((0..8).filter(|_| bench.board.used(0).is_some()).count(), 8);
    assert!(bench.board.interrupted());
}

#[test]
fn what_cannot_be_is_refused() {
    let mut bench = Bench::new(SPLIT, FEATURES);
    let sector = [(Gpa(DATA), 512)];
    assert_eq!(bench.refused(0, 64, &[], &sector), 1, "beyond the end");
    assert_eq!(bench.refused(0, u64::MAX, &[], &sector), 1);
    assert_eq!(bench.refused(0, u64::MAX / 512, &[], &sector), 1);
    assert_eq!(bench.refused(1, 63, &[(Gpa(DATA), 1024)], &[]), 1);
    assert_eq!(bench.refused(0, 0, &[], &[(Gpa(DATA), 511)]), 1, "no whole sectors");
    assert_eq!(bench.refused(1, 0, &[(Gpa(DATA), 513)], &[]), 1);
    assert_eq!(bench.refused(0, 0, &[], &[]), 0, "nothing to do");
    for kind in [2, 3, 5, 10, 14, 16, u32::MAX] {
        assert_eq!(bench.refused(kind, 0, &[], &sector), 2, "type {kind}");
    }
    bench.give(0, 0, &[], &sector);
    bench.disk.errors.lock().push_back(DiskError::Damaged("by a test".to_owned()));
    bench.disk.pump();
    assert_eq!(bench.status(), 1);
}

#[test]
fn chains_without_header_or_status_stop_the_device() {
    for (readable, writable) in
        [(vec![(Gpa(HEADER), 16)], vec![]), (vec![(Gpa(HEADER), 15)], vec![(Gpa(STATUS), 1)])]
    {
        let mut bench = Bench::new(SPLIT, FEATURES);
        bench.board.give(0, &readable, &writable, Form::Direct);
        assert_eq!(bench.board.read(0x14, 1), 0x4f);
        assert_eq!(bench.board.used(0), None);
    }
}

#[test]
fn a_read_only_disk_is_not_written() {
    let disk = MemoryDisk::new(512);
    disk.shape.lock().read_only = true;
    let mut bench = Bench::with(disk, SPLIT, FEATURES | 1 << 5);
    assert_eq!(bench.board.read(4, 4) & (1 << 13 | 1 << 14 | 1 << 5), 1 << 5);
    assert_eq!(bench.refused(1, 0, &[(Gpa(DATA), 512)], &[]), 1);
    let ranges = bench.ranges(&[(0, 1, 0)]);
    assert_eq!(bench.refused(11, 0, &ranges, &[]), 1);
    assert_eq!(bench.refused(13, 0, &ranges, &[]), 1);
}

#[test]
fn the_serial_number_is_padded_and_cut() {
    let mut bench = Bench::new(SPLIT, FEATURES);
    assert_eq!(bench.refused(8, 0, &[], &[(Gpa(DATA), 20)]), 0);
    assert_eq!(bench.board.peek(DATA, 20), b"GASANG-0001\0\0\0\0\0\0\0\0\0");
    bench.board.poke(DATA, &[0xff; 20]);
    assert_eq!(bench.refused(8, 0, &[], &[(Gpa(DATA), 3)]), 0);
    assert_eq!(bench.board.peek(DATA, 4), b"GAS\xff");
}

#[test]
fn writes_last_when_the_cache_is_off() {
    let write = |features: u64, cached: Option<u64>| {
        let mut bench = Bench::new(SPLIT, features);
        if let Some(cached) = cached {
            bench.board.write(0x2000 + 32, 1, cached);
        }
        assert_eq!(bench.board.config(32, 1), cached.unwrap_or(1));
        bench.give(1, 0, &[(Gpa(DATA), 512)], &[]);
        bench.disk.take_operations() == [DiskOperation::Write { offset: 0, durable: true }]
    };
    assert!(!write(FEATURES, None));
    assert!(write(FEATURES, Some(0)));
    assert!(!write(FLUSH, Some(0)), "not negotiated");
    assert!(write(0, None), "nobody would flush");
}

#[test]
fn the_cache_is_on_before_the_driver_is_ready() {
    let disk = MemoryDisk::new(8 * 512);
    assert_eq!(Board::new(device(&disk, 1)).config(32, 1), 1, "drivers look before they are");
}

#[test]
fn ranges_are_discarded_and_made_zero() {
    let mut bench = Bench::new(SPLIT, FEATURES);
    let ranges = bench.ranges(&[(8, 8, 0), (63, 1, 0)]);
    bench.give(11, 0, &ranges, &[]);
    let discard =
        |sector: u64, sectors: u64| DiskOperation::Discard { offset: sector * 512, length: sectors * 512 };
    assert_eq!(bench.disk.take_operations(), [discard(8, 8), discard(63, 1)]);
    bench.disk.do_one(1);
    assert_eq!(bench.status(), NONE_YET, "one is left");
    bench.disk.pump();
    assert_eq!(bench.status(), 0);
    bench.board.write(0x2000 + 32, 1, 0);
    let ranges = bench.ranges(&[(1, 2, 1), (5, 1, 0)]);
    bench.give(13, 0, &ranges, &[]);
    let zero = |sector: u64, sectors: u64, free| {
        let (offset, length) = (sector * 512, sectors * 512);
        DiskOperation::WriteZeroes { offset, length, free }
    };
    assert_eq!(bench.disk.take_operations(), [zero(1, 2, true), zero(5, 1, false)]);
    bench.disk.do_one(0);
    bench.disk.do_one(0);
    assert_eq!(bench.disk.take_operations(), [DiskOperation::Flush], "the cache is off");
    bench.disk.pump();
    assert_eq!(bench.status(), 0);
}

#[test]
fn impossible_ranges_are_refused() {
    let mut bench = Bench::new(SPLIT, FEATURES);
    for (kind, ranges, status) in [
        (11, &[(0, 1, 1)][..], 2),
        (11, &[(0, 1, 2)], 2),
        (13, &[(0, 1, 2)], 2),
        (13, &[(0, 1, 0), (64, 1, 0)], 1),
        (13, &[(0, u32::MAX, 0)], 1),
        (11, &[(u64::MAX, 1, 0)], 1),
        (11, &[(0, 1, 0); 17], 1),
        (11, &[], 1),
    ] {
        let ranges = bench.ranges(ranges);
        let ranges: Vec<Segment> = ranges.into_iter().filter(|(_, length)| *length > 0).collect();
        assert_eq!(bench.refused(kind, 0, &ranges, &[]), status, "{kind} {ranges:?}");
    }
    assert_eq!(bench.refused(11, 0, &[(Gpa(DATA), 17)], &[]), 1);
}

#[test]
fn nothing_of_an_old_request_comes_after_a_reset() {
    for queue_only in [false, true] {
        let mut bench = Bench::new(SPLIT, FEATURES | 1 << 40);
        bench.disk.bytes.lock().fill(5);
        bench.give(0, 0, &[], &[(Gpa(DATA), 512)]);
        if queue_only {
            bench.board.write(0x16, 2, 0);
            bench.board.write(0x3a, 2, 1);
            assert_eq!((bench.board.read(0x3a, 2), bench.board.read(0x1c, 2)), (0, 0));
            bench.board.drivers[0] = bench.board.enable(0, SPLIT);
        } else {
            bench.board.start(SPLIT, FEATURES);
        }
        bench.board.poke(DATA, &[0; 512]);
        bench.disk.pump();
        assert_eq!((bench.status(), bench.board.used(0)), (NONE_YET, None));
        assert_eq!(bench.board.peek(DATA, 512), [0; 512]);
        let id = bench.give(4, 0, &[], &[]);
        bench.disk.pump();
        assert_eq!((bench.status(), bench.board.used(0)), (0, Some((id, 1))));
    }
}

#[test]
fn the_driver_learns_of_another_length() {
    let mut bench = Bench::new(SPLIT, FEATURES);
    assert_eq!(bench.board.config(0, 8), 64);
    let generation = bench.board.read(0x15, 1);
    bench.disk.shape.lock().length = 128 * 512;
    assert_eq!(bench.board.config(0, 8), 64);
    bench.board.function.lock().resized();
    assert_eq!(bench.board.config(0, 8), 128);
    assert_ne!(bench.board.read(0x15, 1), generation);
    assert_eq!(bench.board.read(0x1000, 1), 2, "a configuration interrupt");
}

#[test]
fn the_configuration_tells_the_limits() {
    let mut bench = Bench::new(SPLIT, FEATURES);
    let expected = [
        (12, 4, 254),
        (20, 4, 512),
        (24, 1, 3),
        (26, 2, 8),
        (34, 2, 2),
        (36, 4, 1 << 21),
        (40, 4, 16),
        (44, 4, 8),
        (48, 4, 1 << 21),
        (52, 4, 16),
        (56, 1, 1),
        (60, 4, 0),
    ];
    for (offset, length, value) in expected {
        assert_eq!(bench.board.config(offset, length), value, "at {offset}");
    }
}

#[test]
fn it_is_saved_once_nothing_is_on_its_way() {
    let mut bench = Bench::new(SPLIT, FEATURES);
    bench.board.write(0x2000 + 32, 1, 0);
    bench.give(4, 0, &[], &[]);
    let early = bench.board.function.lock().save();
    assert!(bench.board.function.lock().restore(&early).is_err());
    std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(std::time::Duration::from_millis(10));
            bench.disk.pump();
        });
        VirtioPci::settle(&bench.board.function);
    });
    let saved = bench.board.function.lock().save();
    bench.board.function.lock().reset();
    bench.board.function.lock().restore(&saved).unwrap();
    assert_eq!(bench.board.config(32, 1), 0);
    assert!(bench.board.used(0).is_some());
    let id = bench.give(4, 0, &[], &[]);
    bench.disk.pump();
    assert_eq!(bench.board.used(0), Some((id, 1)));
}
