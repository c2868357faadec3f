//! Drivers that break the rules.
use super::*;

const NEXT: u16 = 1;
const WRITE: u16 = 2;
const INDIRECT: u16 = 4;
/// A packed descriptor of the first turn.
const AVAILABLE: u16 = 1 << 7;
const TABLE: u64 = BUFFERS;

const SPLIT: RingKind = RingKind { packed: false, event_idx: false };
const PACKED: RingKind = RingKind { packed: true, event_idx: false };

/// Address, length, flags and next.
type Raw = (u64, u32, u16, u16);

/// A packed or split table.
fn describe(ram: &GuestRam, at: u64, packed: bool, descriptors: &[Raw]) {
    for (index, (address, length, flags, next)) in descriptors.iter().enumerate() {
        let mut raw = address.to_le_bytes().to_vec();
        raw.extend(length.to_le_bytes());
        let (third, fourth) = if packed { (next, flags) } else { (flags, next) };
        raw.extend(third.to_le_bytes());
        raw.extend(fourth.to_le_bytes());
        ram.write(Gpa(at + index as u64 * 16), &raw).unwrap();
    }
}

/// What comes of a chain that begins at the first descriptor.
fn taken(kind: RingKind, ring: &[Raw], table: &[Raw]) -> Result<Option<Chain>, QueueError> {
    let mut bench = Bench::new(4, kind);
    describe(&bench.ram, TABLE, kind.packed, table);
    if kind.packed {
        let ring: Vec<Raw> = ring.iter().map(|(a, l, flags, n)| (*a, *l, flags | AVAILABLE, *n)).collect();
        describe(&bench.ram, BASE, true, &ring);
    } else {
        describe(&bench.ram, BASE, false, ring);
        bench.ram.store_u16(Gpa(BASE + 0x1002), 1).unwrap();
    }
    bench.queue.take(&bench.ram)
}

#[test]
fn malformed_chains_are_refused() {
    let at = BUFFERS + 0x1000;
    let chains: [(&[Raw], &[Raw], QueueError); 12] = [
        (&[(at, 4, WRITE | NEXT, 1), (at, 4, 0, 0)], &[], QueueError::Order),
        (&[(0x10_0000 - 2, 4, 0, 0)], &[], QueueError::Memory),
        (&[(u64::MAX - 1, 4, 0, 0)], &[], QueueError::Memory),
        (&[(TABLE, 0, INDIRECT, 0)], &[], QueueError::Table),
        (&[(TABLE, 17, INDIRECT, 0)], &[], QueueError::Table),
        (&[(TABLE, 16 * 257, INDIRECT, 0)], &[], QueueError::Table),
        (&[(TABLE, !15, INDIRECT, 0)], &[], QueueError::Table),
        (&[(TABLE, 16, INDIRECT | NEXT, 1), (at, 4, 0, 0)], &[(at, 4, 0, 0)], QueueError::Table),
        (&[(0x10_0000, 32, INDIRECT, 0)], &[], QueueError::Memory),
        (&[(u64::MAX - 15, 32, INDIRECT, 0)], &[], QueueError::Memory),
        (&[(TABLE, 16, INDIRECT, 0)], &[(TABLE, 16, INDIRECT, 0)], QueueError::Table),
        (&[(TABLE, 32, INDIRECT, 0)], &[(at, 1, WRITE | NEXT, 1), (at, 1, 0, 0)], QueueError::Order),
    ];
    for (ring, table, error) in chains {
        for kind in [SPLIT, PACKED] {
            assert_eq!(taken(kind, ring, table), Err(error), "{kind:?} {ring:x?} {table:x?}");
        }
    }
}

#[test]
fn split_links_stay_in_their_table_and_end() {
    let at = BUFFERS + 0x1000;
    let loops: [Raw; 2] = [(at, 4, NEXT, 1), (at, 4, NEXT, 0)];
    assert_eq!(taken(SPLIT, &loops, &[]), Err(QueueError::Endless));
    assert_eq!(taken(SPLIT, &[(TABLE, 32, INDIRECT, 0)], &loops), Err(QueueError::Endless));
    assert_eq!(taken(SPLIT, &[(at, 4, NEXT, 4)], &[]), Err(QueueError::Descriptor));
    assert_eq!(taken(SPLIT, &[(TABLE, 32, INDIRECT, 0)], &[(at, 4, NEXT, 2)]), Err(QueueError::Descriptor));
    let backwards: [Raw; 3] = [(at, 1, NEXT, 2), (at + 2, 3, 0, 0), (at + 1, 2, NEXT, 1)];
    let chain = taken(SPLIT, &[(TABLE, 48, INDIRECT, 0)], &backwards).unwrap().unwrap();
    assert_eq!(chain.readable().list(), [(Gpa(at), 1), (Gpa(at + 1), 2), (Gpa(at + 2), 3)]);
}

#[test]
fn direct_descriptors_may_come_before_a_table() {
    let at = BUFFERS + 0x1000;
    for kind in [SPLIT, PACKED] {
        let ring: [Raw; 2] = [(at, 4, NEXT, 1), (TABLE, 16, INDIRECT, 0)];
        let chain = taken(kind, &ring, &[(at, 8, WRITE, 0)]).unwrap().unwrap();
        assert_eq!((chain.readable().length(), chain.writable().length()), (4, 8));
    }
}

#[test]
fn a_packed_chain_that_does_not_end_is_refused() {
    let ring: [Raw; 4] = [(BUFFERS, 4, NEXT, 0); 4];
    assert_eq!(taken(PACKED, &ring, &[]), Err(QueueError::Endless));
}

#[test]
fn chains_of_4_gib_are_refused() {
    let ram = GuestRam::new(3 << 30).unwrap();
    let place = place_at(BASE, 4);
    let mut driver = driver(&ram, place, SPLIT);
    let mut queue = enabled(&ram, place, SPLIT);
    driver.add(&[(Gpa(0), 1 << 31), (Gpa(0), 1 << 31)], &[], Form::Direct);
    assert_eq!(queue.take(&ram), Err(QueueError::Length));
}

#[test]
fn an_index_that_jumps_is_refused() {
    let mut bench = Bench::new(4, SPLIT);
    bench.ram.store_u16(Gpa(BASE + 0x1002), 5).unwrap();
    assert_eq!(bench.queue.take(&bench.ram), Err(QueueError::Index));
    let mut bench = Bench::new(4, SPLIT);
    bench.ram.store_u16(Gpa(BASE + 0x1002), 1).unwrap();
    bench.ram.store_u16(Gpa(BASE + 0x1004), 4).unwrap();
    assert_eq!(bench.queue.take(&bench.ram), Err(QueueError::Descriptor));
}

#[test]
fn chains_on_their_way_are_bounded() {
    let mut bench = Bench::new(4, SPLIT);
    describe(&bench.ram, BASE, false, &[(BUFFERS, 4, 0, 0)]);
    for taken in 1..=5 {
        bench.ram.store_u16(Gpa(BASE + 0x1002), taken).unwrap();
        let chain = bench.queue.take(&bench.ram);
        assert_eq!(chain.is_err(), taken == 5);
    }
}

#[test]
fn rings_have_to_be_somewhere() {
    let ram = GuestRam::new(1 << 20).unwrap();
    for kind in [SPLIT, PACKED] {
        let right = place_at(BASE, 4);
        let wrong = [
            Place { size: 0, ..right },
            Place { size: 512, ..right },
            Place { size: 0x8001, ..right },
            Place { descriptors: BASE + 8, ..right },
            Place { descriptors: (1 << 20) - 48, ..right },
            Place { driver: BASE + 1, ..right },
            Place { driver: 1 << 20, ..right },
            Place { device: BASE + 2, ..right },
            Place { device: !3, ..right },
        ];
        for place in wrong {
            let mut queue = Queue::new(0, 256);
            *queue.place_mut().unwrap() = place;
            assert_eq!(queue.enable(&ram, kind), Err(QueueError::Place), "{kind:?} {place:x?}");
            assert!(!queue.is_enabled());
        }
    }
}

/// Random bytes, random turns: no panic, and every call ends.
#[test]
fn any_memory_is_harmless() {
    let mut numbers = Numbers(0x5eed_5eed);
    for _ in 0..3000 {
        for kind in KINDS {
            let mut bench = Bench::new(8, kind);
            let mut kept = Vec::new();
            for _ in 0..20 {
                for _ in 0..numbers.below(12) {
                    scribble(&bench.ram, &mut numbers);
                }
                for _ in 0..8 {
                    match bench.queue.take(&bench.ram) {
                        Ok(Some(chain)) => kept.push(chain),
                        Ok(None) | Err(_) => break,
                    }
                }
                while !kept.is_empty() && numbers.below(2) == 0 {
                    let chain = kept.remove(numbers.below(kept.len() as u64) as usize);
                    bench.give(&chain, numbers.next() as u32);
                }
                bench.wants_interrupt();
                assert!(bench.queue.in_flight() <= 8);
                assert!(bench.queue.can_be(&bench.queue.save(), &bench.ram));
            }
        }
    }
}

/// Writes something where a queue may look; mostly what nearly makes sense.
fn scribble(ram: &GuestRam, numbers: &mut Numbers) {
    let area = BASE + numbers.below(3) * 0x1000;
    let value = match numbers.below(4) {
        0 => numbers.next(),
        1 => numbers.below(16),
        2 => BASE + numbers.below(0x100) * 16,
        _ => numbers.below(8) << 48 | numbers.below(0x200),
    };
    let shift = numbers.below(4) * 16;
    let at = area + numbers.below(0x48) * 2;
    ram.write(Gpa(at & !7), &value.rotate_left(shift as u32).to_le_bytes()).unwrap();
    let turn = [0x0080_u16, 0x8000, 0, 0x8080][numbers.below(4) as usize] | numbers.below(8) as u16;
    ram.store_u16(Gpa(BASE + numbers.below(8) * 16 + 14), turn).unwrap();
    if numbers.below(2) == 0 {
        let index = ram.load_u16(Gpa(BASE + 0x1002)).unwrap();
        ram.store_u16(Gpa(BASE + 0x1002), index.wrapping_add(1)).unwrap();
    }
}
