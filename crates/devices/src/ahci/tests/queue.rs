use super::*;

fn read_log(page: u64) -> Slot {
    Slot { data: vec![(DATA, 512)], ..Slot::blocks(0x2f, page, 1) }
}

#[test]
fn queued_commands_go_at_once() {
    let driver = Driver::with_disk();
    for tag in 0..32_u16 {
        let slot = Slot { lba: u64::from(tag) * 8, ..Slot::queued(0x60, tag, 0, 8) };
        driver.queue(tag as u8, &slot);
    }
    // The device has all of them: their slots are active, and not issued any more.
    assert_eq!((driver.disk.waiting(), driver.read(0x38), driver.read(0x34)), (32, 0, u32::MAX));
    assert_eq!((driver.read(0x10), driver.read(0x20)), (0, 0x50));
    driver.disk.pump();
    assert_eq!((driver.read(0x34), driver.acknowledge()), (0, 8));
    for tag in 0..32 {
        assert_eq!(driver.peek(DATA + tag * 0x1_0000, 4096), driver.on_disk(tag * 8, 8));
    }
    let frame = driver.peek(RECEIVED + 0x58, 8);
    assert_eq!((&frame[..4], frame[7]), (&[0xa1, 0x40, 0x50, 0][..], 0x80));
}

#[test]
fn queued_writes_may_be_durable() {
    let driver = Driver::with_disk();
    driver.poke(DATA, &[7; 512]);
    for (device, durable) in [(0x40, false), (0xc0, true)] {
        driver.queue(0, &Slot { device, writes: true, ..Slot::queued(0x61, 0, 9, 1) });
        driver.disk.pump();
        let last = *driver.disk.operations.lock().last().unwrap();
        assert_eq!(last, DiskOperation::Write { offset: 9 * 512, durable });
    }
    assert_eq!(driver.on_disk(9, 1), [7; 512]);
}

#[test]
fn an_error_is_told_by_the_log() {
    let driver = Driver::with_disk();
    driver.disk.errors.lock().push_back(DiskError::Damaged(String::new()));
    driver.queue(4, &Slot::queued(0x60, 4, 0x1234, 1));
    driver.queue(5, &Slot::queued(0x60, 5, 8, 1));
    driver.disk.pump();
    assert_eq!((driver.read(0x34), driver.read(0x20)), (3 << 4, 0x4051));
    assert_eq!(driver.acknowledge(), 1 << 30 | 8);
    driver.stop();
    assert_eq!(driver.read(0x34), 0);
    driver.start();
    driver.succeeds(&read_log(0x10));
    let log = driver.peek(DATA, 512);
    assert_eq!((log[0], &log[2..7], log[7]), (4, &[0x51, 0x40, 0x34, 0x12, 0][..], 0x40));
    assert_eq!(log.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte)), 0);
    // Once read, it is gone.
    driver.succeeds(&read_log(0x10));
    assert_eq!(driver.peek(DATA, 1), [0x80]);
    driver.succeeds(&read_log(0));
    assert_eq!(driver.peek(DATA + 0x20, 2), [1, 0]);
    driver.succeeds(&Slot { command: 0x47, ..read_log(0x10) });
    assert_eq!(driver.fails(&read_log(0x30)), 4);
    assert_eq!(driver.fails(&read_log(0x110)), 4);
}

#[test]
fn what_is_refused_fails_as_queued() {
    let driver = Driver::with_disk();
    for slot in [Slot::queued(0x60, 3, 8192, 1), Slot::queued(0x60, 2, 0, 1)] {
        driver.queue(3, &slot);
        assert_eq!(driver.read(0x10) & (1 << 30 | 8), 1 << 30 | 8);
        assert_eq!(driver.read(0x34), 1 << 3);
        driver.stop();
        driver.start();
    }
}

#[test]
fn others_wait_for_queued_commands() {
    let driver = Driver::with_disk();
    driver.queue(0, &Slot::queued(0x60, 0, 0, 1));
    driver.issue(1, &Slot::of(0xe7));
    assert_eq!((driver.disk.waiting(), driver.read(0x38)), (1, 2));
    driver.disk.pump();
    assert_eq!((driver.disk.operations.lock().len(), driver.read(0x38), driver.read(0x34)), (2, 0, 0));
}

#[test]
fn stopping_gives_commands_up() {
    let driver = Driver::with_disk();
    driver.queue(0, &Slot::queued(0x60, 0, 0, 1));
    driver.queue(1, &Slot::queued(0x60, 1, 0, 1));
    driver.stop();
    assert_eq!(driver.disk.drains.load(Ordering::Relaxed), 1);
    assert_eq!((driver.read(0x34), driver.read(0x18) & 0x8001), (0, 0));
    driver.start();
    // The answers come now, and are nobody's.
    driver.disk.pump();
    assert_eq!(driver.read(0x10), 0);
    driver.queue(0, &Slot::queued(0x60, 0, 0, 1));
    assert_eq!(driver.read(0x34), 1);
    driver.disk.pump();
    assert_eq!((driver.read(0x34), driver.acknowledge()), (0, 8));
}
