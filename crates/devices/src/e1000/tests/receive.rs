use super::*;

const DONE: u8 = 3;
const NO_CHECKSUM: u8 = 4;

#[test]
fn a_frame_comes_into_a_buffer() {
    let mut bench = Bench::started();
    let frame = frame_to(OWN, 1000);
    bench.arrive(plain(), &frame);
    assert_eq!(bench.received(0), (1004, DONE | NO_CHECKSUM, 0));
    assert_eq!(bench.peek(BUFFERS, 1000), frame);
    assert_eq!((bench.read(0x2810), bench.is_high()), (1, true));
    assert_eq!((bench.read(0xc0) & 0x80, bench.is_high()), (0x80, false));
    bench.arrive(plain(), &frame_to(OWN, 30));
    assert_eq!(bench.received(1).0, 64, "filled up");
    assert_eq!((bench.read(0x4074), bench.read(0x405c)), (2, 1));
}

#[test]
fn a_long_frame_takes_several_buffers_if_it_may() {
    let mut bench = Bench::started();
    let frame = frame_to(OWN, 5000);
    bench.arrive(plain(), &frame);
    assert_eq!((bench.read(0x2810), bench.read(0x40ac)), (0, 1), "too long");
    bench.write(0x100, 1 << 1 | 1 << 15 | 1 << 5);
    bench.arrive(plain(), &frame);
    assert_eq!(bench.received(0), (2048, 1 | NO_CHECKSUM, 0));
    assert_eq!(bench.received(1), (2048, 1 | NO_CHECKSUM, 0));
    assert_eq!(bench.received(2), (5004 - 4096, DONE | NO_CHECKSUM, 0));
    let all: Vec<u8> = (0..3).flat_map(|n| bench.peek(BUFFERS + n * 0x1000, 2048)).collect();
    assert!(all[..5000] == frame);
}

#[test]
fn without_descriptors_frames_stay_on_the_cable() {
    let mut bench = Bench::started();
    for _ in 0..20 {
        bench.port.push(plain(), &frame_to(OWN, 100));
    }
    bench.card.frames_wait();
    assert_eq!((bench.port.waiting(), bench.port.listens()), (5, false));
    bench.write(0x2818, 5);
    assert!(bench.port.listens());
    bench.card.frames_wait();
    assert_eq!(bench.port.waiting(), 0);
    bench.write(0x100, 0);
    bench.arrive(plain(), &frame_to(OWN, 100));
    assert_eq!(bench.port.waiting(), 0, "nobody wants it");
}

#[test]
fn addresses_choose_frames() {
    let mut bench = Bench::started();
    let (other, group) = (Mac([2, 0, 0, 0, 0, 1]), Mac([1, 0, 0x5e, 0, 0x12, 0x34]));
    let seen = |bench: &mut Bench| {
        [OWN, Mac::BROADCAST, other, group].map(|to| {
            bench.start_receiving_at_most();
            let before = bench.read(0x2810);
            bench.arrive(plain(), &frame_to(to, 100));
            bench.read(0x2810) != before
        })
    };
    assert_eq!(seen(&mut bench), [true, true, false, false]);
    // Bits 47:36 of the address: 0x341.
    bench.write(0x5200 + (0x341 >> 5) * 4, 1 << (0x341 & 31));
    assert_eq!(seen(&mut bench), [true, true, false, true]);
    bench.write(0x5408, u32::from_le_bytes([2, 0, 0, 0]));
    bench.write(0x540c, 1 << 31 | 0x100);
    bench.write(0x100, 1 << 1);
    assert_eq!(seen(&mut bench), [true, false, true, true]);
    bench.write(0x540c, 0x100);
    bench.write(0x100, 1 << 1 | 1 << 3);
    assert_eq!(seen(&mut bench), [true, false, true, true]);
}

impl Bench {
    /// Gives all descriptors again.
    fn start_receiving_at_most(&mut self) {
        let head = self.read(0x2810);
        self.write(0x2818, (head + COUNT - 1) % COUNT);
    }
}

#[test]
fn vlan_tags_choose_frames_and_are_taken_off() {
    let mut bench = Bench::started();
    let mut frame = frame_to(OWN, 100);
    frame[12..18].copy_from_slice(&[0x81, 0, 0x20, 5, 8, 6]);
    bench.write(0, 1 << 30);
    bench.write(0x100, 1 << 1 | 1 << 18);
    bench.arrive(plain(), &frame);
    assert_eq!(bench.read(0x2810), 0);
    bench.write(0x5600, 1 << 5);
    bench.arrive(plain(), &frame);
    assert_eq!(bench.received(0), (100, DONE | NO_CHECKSUM | 8, 0x2005));
    assert_eq!(bench.peek(BUFFERS + 12, 2), [8, 6]);
}

#[test]
fn checksums_are_completed_and_told() {
    let mut bench = Bench::started();
    let partial = FrameHeader {
        flags: FrameHeader::NEEDS_CHECKSUM,
        checksum_start: 34,
        checksum_offset: 16,
        ..plain()
    };
    let frame = frame_to(OWN, 101);
    for (rxcsum, told) in [(0, NO_CHECKSUM), (1 << 8 | 1 << 9, 0x60)] {
        bench.write(0x5000, rxcsum);
        assert_eq!(bench.port.offloads(), Offloads { checksum: rxcsum != 0, ..Offloads::default() });
        let number = u64::from(bench.read(0x2810));
        bench.arrive(partial, &frame);
        assert_eq!(bench.received(number), (105, DONE | told, 0));
        let sum = checksum::finish(checksum::add(0, &frame[34..]));
        assert_eq!(bench.peek(BUFFERS + number * 0x1000 + 50, 2), sum.to_be_bytes());
    }
    bench.arrive(FrameHeader { checksum_start: 9999, ..partial }, &frame);
    assert_eq!(bench.read(0x2810), 3, "what it says is nonsense, but harmless");
}
