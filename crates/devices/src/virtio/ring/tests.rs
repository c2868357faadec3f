use platform::GuestRam;
use x86::Gpa;

use super::driver::{Driver, Form, KINDS, QUEUE_BYTES, Want, driver, place_at};
use super::{Chain, Place, Queue, QueueError, RingKind, Segment};

mod hostile;
mod threads;

const BASE: u64 = 0x1_0000;
const BUFFERS: u64 = BASE + QUEUE_BYTES;

/// Numbers that look random and are the same every time.
pub struct Numbers(pub u64);

impl Numbers {
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
    pub fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }
}

/// A queue with its driver.
struct Bench {
    ram: GuestRam,
    queue: Queue,
    driver: Box<dyn Driver>,
}

impl Bench {
    fn new(size: u16, kind: RingKind) -> Self {
        let ram = GuestRam::new(1 << 20).unwrap();
        let place = place_at(BASE, size);
        let driver = driver(&ram, place, kind);
        let queue = enabled(&ram, place, kind);
        Self { ram, queue, driver }
    }
    fn take(&mut self) -> Option<Chain> {
        self.queue.take(&self.ram).unwrap()
    }
    fn give(&mut self, chain: &Chain, written: u32) {
        self.queue.give(&self.ram, chain, written).unwrap();
    }
    fn wants_interrupt(&mut self) -> bool {
        self.queue.wants_interrupt(&self.ram).unwrap()
    }
    fn add_one(&mut self) -> u16 {
        self.driver.add(&[], &[(Gpa(BUFFERS), 1)], Form::Direct).unwrap()
    }
}

fn enabled(ram: &GuestRam, place: Place, kind: RingKind) -> Queue {
    let mut queue = Queue::new(0, 256);
    *queue.place_mut().unwrap() = place;
    queue.enable(ram, kind).unwrap();
    queue
}

/// Buffers that do not touch, `count` of them.
fn segments(numbers: &mut Numbers, first: u64, count: u64) -> Vec<Segment> {
    (0..count).map(|i| (Gpa(BUFFERS + (first + i) * 0x100), 1 + numbers.below(0x80) as u32)).collect()
}

#[test]
fn chains_go_round_in_any_order() {
    for kind in KINDS {
        let mut bench = Bench::new(8, kind);
        let mut numbers = Numbers(0x1234_5678);
        let (mut given, mut taken) = (Vec::new(), Vec::new());
        // More than the running numbers of a split queue have.
        for round in 0..40_000_u32 {
            for _ in 0..numbers.below(4) {
                let (reads, writes) = (numbers.below(3), numbers.below(3));
                let readable = segments(&mut numbers, 0, reads);
                let writable = segments(&mut numbers, 8, writes + u64::from(reads == 0));
                let form = [Form::Direct, Form::Indirect][numbers.below(2) as usize];
                if let Some(id) = bench.driver.add(&readable, &writable, form) {
                    given.push((id, readable, writable));
                }
            }
            while let Some(chain) = bench.take() {
                let (id, readable, writable) = given.remove(0);
                assert_eq!(
                    (chain.readable().list(), chain.writable().list()),
                    (&readable[..], &writable[..])
                );
                taken.push((id, chain));
            }
            assert!(given.is_empty());
            while !taken.is_empty() && numbers.below(3) > 0 {
                let (id, chain) = taken.remove(numbers.below(taken.len() as u64) as usize);
                bench.give(&chain, round);
                assert_eq!(bench.driver.used(), Some((id, round)));
            }
            assert_eq!(bench.driver.used(), None);
            assert_eq!(bench.queue.in_flight(), taken.len());
        }
    }
}

#[test]
fn odd_sizes_are_for_packed_rings_alone() {
    for kind in KINDS {
        let ram = GuestRam::new(1 << 20).unwrap();
        let mut queue = Queue::new(0, 256);
        *queue.place_mut().unwrap() = place_at(BASE, 5);
        assert_eq!(queue.enable(&ram, kind).is_ok(), kind.packed);
    }
    let mut bench = Bench::new(5, RingKind { packed: true, event_idx: true });
    for round in 0..100 {
        let readable = segments(&mut Numbers(7), 0, 2);
        let id = bench.driver.add(&readable, &[], Form::Direct).unwrap();
        let chain = bench.take().unwrap();
        bench.give(&chain, 0);
        assert_eq!(bench.driver.used(), Some((id, 0)), "round {round}");
    }
}

#[test]
fn a_driver_notifies_only_who_waits() {
    for kind in KINDS {
        let mut bench = Bench::new(4, kind);
        assert_eq!(bench.take(), None);
        for _ in 0..70_000 {
            let id = bench.add_one();
            assert!(bench.driver.must_notify(), "{kind:?}");
            let first = bench.take().unwrap();
            bench.add_one();
            assert!(!bench.driver.must_notify(), "the device looks by itself: {kind:?}");
            let second = bench.take().unwrap();
            assert_eq!(bench.take(), None);
            bench.give(&second, 1);
            bench.give(&first, 1);
            assert!(bench.driver.used().is_some());
            assert_eq!(bench.driver.used(), Some((id, 1)));
        }
    }
}

#[test]
fn interrupts_come_when_the_driver_wants_them() {
    for kind in KINDS {
        let mut bench = Bench::new(4, kind);
        for round in 0..70_000 {
            for (want, expected) in [
                (Want::Always, [true, !kind.event_idx || kind.packed]),
                (Want::Never, [false, false]),
                (Want::After(2), [!kind.event_idx, true]),
                (Want::After(1), [true, !kind.event_idx]),
            ] {
                bench.driver.want(want);
                for expected in expected {
                    bench.add_one();
                    let chain = bench.take().unwrap();
                    bench.give(&chain, 1);
                    assert_eq!(bench.wants_interrupt(), expected, "{kind:?} {want:?} {round}");
                    assert!(!bench.wants_interrupt(), "once");
                }
                while bench.driver.used().is_some() {}
            }
        }
    }
}

#[test]
fn one_interrupt_covers_several_chains() {
    for kind in KINDS.into_iter().filter(|kind| kind.event_idx) {
        let mut bench = Bench::new(8, kind);
        for _ in 0..20_000 {
            for (asked, expected) in [(1, true), (3, true), (5, true), (6, false)] {
                bench.driver.want(Want::After(asked));
                for _ in 0..5 {
                    bench.add_one();
                    let chain = bench.take().unwrap();
                    bench.give(&chain, 1);
                }
                assert_eq!(bench.wants_interrupt(), expected, "{kind:?} {asked}");
                while bench.driver.used().is_some() {}
            }
        }
    }
}

#[test]
fn a_chain_from_before_a_reset_is_nothing() {
    for kind in KINDS {
        let mut bench = Bench::new(4, kind);
        bench.add_one();
        let old = bench.take().unwrap();
        bench.queue.reset();
        assert_eq!(bench.queue.in_flight(), 0);
        bench.give(&old, 1);
        let place = place_at(BASE, 4);
        bench.driver = driver(&bench.ram, place, kind);
        *bench.queue.place_mut().unwrap() = place;
        bench.queue.enable(&bench.ram, kind).unwrap();
        bench.add_one();
        let new = bench.take().unwrap();
        bench.give(&old, 1);
        assert_eq!(bench.driver.used(), None);
        bench.give(&new, 1);
        bench.give(&new, 1);
        assert!(bench.driver.used().is_some());
        assert_eq!(bench.driver.used(), None, "not twice");
    }
}

#[test]
fn a_saved_queue_goes_on() {
    for kind in KINDS {
        let mut bench = Bench::new(4, kind);
        for _ in 0..7 {
            bench.add_one();
            let chain = bench.take().unwrap();
            bench.give(&chain, 1);
            bench.driver.used().unwrap();
        }
        let saved = bench.queue.save();
        assert_eq!(saved.lost(), 0);
        bench.queue = Queue::new(0, 256);
        assert!(bench.queue.can_be(&saved, &bench.ram));
        assert!(!Queue::new(0, 2).can_be(&saved, &bench.ram));
        bench.queue.restore(saved.clone());
        assert_eq!(bench.queue.save(), saved);
        bench.add_one();
        let chain = bench.take().unwrap();
        bench.give(&chain, 9);
        assert_eq!(bench.driver.used().unwrap().1, 9);
    }
}

#[test]
fn parts_of_segments() {
    let ram = GuestRam::new(0x1000).unwrap();
    let mut segments = super::Segments::default();
    for (address, length) in [(0x100, 4), (0x200, 0), (0x300, 3), (0x180, 1)] {
        segments.push(&ram, Gpa(address), length).unwrap();
    }
    assert_eq!((segments.length(), segments.list().len()), (8, 3));
    let part = |range| segments.part(range).map(|(address, length)| (address.0, length)).collect::<Vec<_>>();
    assert_eq!(part(2..8), [(0x102, 2), (0x300, 3), (0x180, 1)]);
    assert_eq!(part(5..6), [(0x301, 1)]);
    assert_eq!(part(7..u32::MAX), [(0x180, 1)]);
    assert_eq!(part(8..9), []);
    assert_eq!(segments.put(&ram, 3, &[1, 2, 3, 4, 5, 6]), 5);
    let mut bytes = [9; 4];
    assert_eq!(segments.get(&ram, 4, &mut bytes), 4);
    assert_eq!(bytes, [2, 3, 4, 5]);
    assert_eq!(segments.first::<9>(&ram), None);
    assert_eq!(segments.push(&ram, Gpa(0xfff), 2), Err(QueueError::Memory));
    assert_eq!(segments.push(&ram, Gpa(u64::MAX), 2), Err(QueueError::Memory));
}
