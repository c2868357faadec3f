use std::sync::atomic::Ordering;

use super::*;

const LENGTH: u64 = 2048 * 100;

/// A command of 10 bytes with a length of what it answers at most.
fn asks(opcode: u8, flags: u8, format: u8) -> [u8; 10] {
    [opcode, flags, format, 0, 0, 0, 0, 0, 255, 0]
}

#[test]
fn blocks_are_read() {
    let mut bench = Bench::cdrom(LENGTH);
    assert_eq!(bench.reads(&[0x25, 0, 0, 0, 0, 0, 0, 0, 0, 0]), [0, 0, 0, 99, 0, 0, 8, 0]);
    let expected = bench.disk.bytes.lock()[3 * 2048..5 * 2048].to_vec();
    assert_eq!(bench.reads(&[0x28, 0, 0, 0, 0, 3, 0, 0, 2, 0]), expected);
    assert_eq!(bench.reads(&[0xa8, 0, 0, 0, 0, 3, 0, 0, 0, 2, 0, 0]), expected);
    assert_eq!(bench.reads(&[0xbe, 0, 0, 0, 0, 3, 0, 0, 2, 0x10, 0, 0]), expected);
    assert!(bench.reads(&[0xbe, 0, 0, 0, 0, 3, 0, 0, 2, 0, 0, 0]).is_empty());
    assert_eq!(bench.fails(&[0xbe, 0, 0, 0, 0, 3, 0, 0, 2, 0xf8, 0, 0]), (key::ILLEGAL_REQUEST, (0x24, 0)));
    assert_eq!(bench.fails(&[0x28, 0, 0, 0, 0, 99, 0, 0, 2, 0]), (key::ILLEGAL_REQUEST, (0x21, 0)));
    assert_eq!(bench.fails(&[0x2a, 0, 0, 0, 0, 0, 0, 0, 1, 0]), (key::ILLEGAL_REQUEST, (0x20, 0)));
}

#[test]
fn the_table_of_contents_has_one_track() {
    let mut bench = Bench::cdrom(LENGTH);
    let toc = bench.reads(&asks(0x43, 0, 0));
    assert_eq!(toc[..12], [0, 18, 1, 1, 0, 0x14, 1, 0, 0, 0, 0, 0]);
    assert_eq!(toc[12..], [0, 0x14, 0xaa, 0, 0, 0, 0, 100]);
    let msf = bench.reads(&asks(0x43, 2, 0));
    assert_eq!((&msf[8..12], &msf[16..]), (&[0, 0, 2, 0][..], &[0, 0, 3, 25][..]));
    assert_eq!(bench.reads(&asks(0x43, 0, 1)), [0, 10, 1, 1, 0, 0x14, 1, 0, 0, 0, 0, 0]);
    let raw = bench.reads(&asks(0x43, 0, 2));
    assert_eq!((raw.len(), raw[1], raw[7], raw[40]), (48, 46, 0xa0, 1));
    let mut last = asks(0x43, 0, 0);
    last[6] = 0xaa;
    assert_eq!(bench.reads(&last).len(), 12);
    last[6] = 2;
    assert_eq!(bench.fails(&last), (key::ILLEGAL_REQUEST, (0x24, 0)));
    assert_eq!(bench.fails(&asks(0x43, 0, 5)), (key::ILLEGAL_REQUEST, (0x24, 0)));
}

#[test]
fn features_follow_the_medium() {
    let mut bench = Bench::cdrom(LENGTH);
    let all = bench.reads(&asks(0x46, 0, 0));
    assert_eq!((usize::from(all[3]) + 4, &all[6..8]), (all.len(), &[0, 8][..]));
    let one = bench.reads(&[0x46, 2, 0, 0x1e, 0, 0, 0, 0, 255, 0]);
    assert_eq!(one[8..12], [0, 0x1e, 9, 4]);
    bench.disk.shape.lock().length = 4 << 30;
    assert_eq!(bench.reads(&asks(0x46, 1, 0))[6..8], [0, 0x10]);
    bench.unit.take_out();
    assert_eq!(bench.reads(&asks(0x46, 0, 0))[6..8], [0, 0]);
}

#[test]
fn states_are_told() {
    let mut bench = Bench::cdrom(LENGTH);
    let disc = bench.reads(&asks(0x51, 0, 0));
    assert_eq!((disc.len(), &disc[..4]), (34, &[0, 32, 0x0e, 1][..]));
    let track = bench.reads(&[0x52, 1, 0, 0, 0, 1, 0, 0, 255, 0]);
    assert_eq!((track.len(), track[2], &track[24..28]), (36, 1, &[0, 0, 0, 100][..]));
    assert_eq!(bench.reads(&[0xbd, 0, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0]), [0, 0, 0, 0, 0, 1, 0, 0]);
    assert_eq!(bench.reads(&asks(0x42, 0, 0)), [0, 0x15, 0, 0]);
    let position = bench.reads(&[0x42, 2, 0x40, 1, 0, 0, 0, 0, 255, 0]);
    assert_eq!((position.len(), position[3], position[10]), (16, 12, 2));
    let page = bench.reads(&[0x5a, 0, 0x2a, 0, 0, 0, 0, 0, 255, 0]);
    assert_eq!((page.len(), page[7], page[8]), (30, 0, 0x2a));
    bench.reads(&[0xbb, 0, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0]);
    let inquiry = bench.reads(&[0x12, 0, 0, 0, 36, 0]);
    assert_eq!(inquiry[..2], [5, 0x80]);
}

#[test]
fn media_come_and_go() {
    let mut bench = Bench::cdrom(LENGTH);
    let event = [0x4a, 1, 0, 0, 0x10, 0, 0, 0, 8, 0];
    assert_eq!(bench.reads(&event), [0, 6, 4, 0x10, 0, 2, 0, 0]);
    let medium = bench.unit.take_out().unwrap();
    assert_eq!(bench.disk.drains.load(Ordering::Relaxed), 1);
    assert_eq!(bench.fails(&[0; 6]), (key::NOT_READY, (0x3a, 1)));
    assert_eq!(bench.reads(&event), [0, 6, 4, 0x10, 3, 0, 0, 0]);
    bench.unit.insert(medium);
    // The event is told although an attention waits.
    assert_eq!(bench.reads(&event), [0, 6, 4, 0x10, 2, 2, 0, 0]);
    assert_eq!(bench.fails(&[0; 6]), (key::UNIT_ATTENTION, (0x28, 0)));
    bench.reads(&[0; 6]);
    assert_eq!(bench.reads(&[0x4a, 1, 0, 0, 2, 0, 0, 0, 8, 0]), [0, 2, 0x80, 0x10]);
    assert_eq!(bench.fails(&[0x4a, 0, 0, 0, 0x10, 0, 0, 0, 8, 0]), (key::ILLEGAL_REQUEST, (0x24, 0)));
}

#[test]
fn the_guest_opens_and_locks_the_tray() {
    let mut bench = Bench::cdrom(LENGTH);
    bench.reads(&[0x1e, 0, 0, 0, 1, 0]);
    assert!(bench.unit.is_locked());
    assert_eq!(bench.fails(&[0x1b, 0, 0, 0, 2, 0]), (key::ILLEGAL_REQUEST, (0x53, 2)));
    assert!(!bench.unit.press_eject());
    assert_eq!(bench.reads(&[0x4a, 1, 0, 0, 0x10, 0, 0, 0, 8, 0])[4], 1);
    bench.reads(&[0x1e, 0, 0, 0, 0, 0]);
    bench.reads(&[0x1b, 0, 0, 0, 2, 0]);
    assert!(bench.unit.is_tray_open());
    assert_eq!(bench.fails(&[0; 6]), (key::NOT_READY, (0x3a, 2)));
    bench.reads(&[0x1b, 0, 0, 0, 3, 0]);
    assert_eq!(bench.fails(&[0; 6]), (key::UNIT_ATTENTION, (0x28, 0)));
    bench.reads(&[0; 6]);
    assert!(bench.unit.press_eject());
}
