use super::*;

#[test]
fn a_device_says_who_it_is() {
    let driver = Driver::new();
    assert_eq!((driver.read(0x28), driver.read(0x20), driver.read(0x24)), (0, 0x7f, u32::MAX));
    driver.ahci.lock().attach_disk(0, identity(), driver.port()).unwrap();
    // Nobody listens yet.
    assert_eq!((driver.read(0x28), driver.read(0x20), driver.read(0x24)), (0x133, 0x80, u32::MAX));
    driver.start();
    assert_eq!((driver.read(0x20), driver.read(0x24)), (0x0150, 0x0000_0101));
    let frame = driver.peek(RECEIVED + 0x40, 20);
    assert_eq!((&frame[..5], frame[12]), (&[0x34, 0, 0x50, 1, 1][..], 1));
    let other = Driver::with_cdrom();
    assert_eq!((other.read(0x20), other.read(0x24)), (0x0100, 0xeb14_0101));
}

#[test]
fn a_link_can_be_reset() {
    let driver = Driver::with_disk();
    driver.issue(0, &Slot::blocks(0x25, 0, 1));
    driver.stop();
    driver.write(0x2c, 0x301);
    assert_eq!((driver.read(0x28), driver.read(0x20), driver.read(0x2c)), (0, 0x7f, 0x301));
    driver.write(0x2c, 0x300);
    assert_eq!((driver.read(0x28), driver.read(0x20)), (0x133, 0x0150));
    assert_eq!(driver.read(0x30), 1 << 26 | 1 << 16);
    assert_eq!(driver.read(0x10) & 0x40_0040, 0x40_0040);
    driver.write(0x30, u32::MAX);
    assert_eq!(driver.read(0x10) & 0x40_0040, 0);
    driver.start();
    driver.disk.pump();
    assert_eq!(driver.read(0x10), 0, "the answer is nobody's");
    driver.succeeds(&Slot::of(0xe7));
    driver.write(0x2c, 4);
    assert_eq!(driver.read(0x28), 4);
}

#[test]
fn software_resets_the_device() {
    let driver = Driver::with_disk();
    driver.issue(0, &Slot::control(4));
    assert_eq!((driver.read(0x38), driver.read(0x20)), (0, 0x80));
    driver.issue(2, &Slot::control(0));
    assert_eq!((driver.read(0x24), driver.read(0x38), driver.read(0x20)), (0x101, 0, 0x0150));
    driver.succeeds(&Slot::of(0xe7));
    // A command waits until the reset is over.
    driver.issue(0, &Slot::control(4));
    driver.issue(1, &Slot::of(0xe7));
    assert_eq!((driver.disk.waiting(), driver.read(0x38)), (0, 2));
}

#[test]
fn the_controller_is_reset() {
    let driver = Driver::with_disk();
    driver.issue(0, &Slot::blocks(0x25, 0, 1));
    driver.set(0x04, 1);
    assert_eq!(
        (driver.get(0x04), driver.read(0x00), driver.read(0x08)),
        (1 << 31, LIST as u32, RECEIVED as u32)
    );
    assert_eq!((driver.read(0x18), driver.read(0x38), driver.read(0x14)), (6, 0, 0));
    driver.disk.pump();
    assert_eq!(driver.read(0x10) & 1, 0);
    driver.start();
    driver.succeeds(&Slot::blocks(0x25, 0, 1));
}

#[test]
fn disks_come_and_go() {
    let driver = Driver::new();
    driver.start();
    assert!(!driver.is_high());
    driver.ahci.lock().attach_disk(0, identity(), driver.port()).unwrap();
    assert!(driver.is_high());
    assert_eq!((driver.read(0x10), driver.read(0x30)), (0x40_0040, 1 << 26 | 1 << 16));
    assert_eq!((driver.read(0x28), driver.read(0x24)), (0x133, 0x101));
    driver.stop();
    driver.start();
    driver.succeeds(&Slot::of(0xe7));
    driver.issue(0, &Slot::blocks(0x25, 0, 1));
    driver.ahci.lock().detach(0).unwrap();
    assert_eq!(driver.disk.drains.load(Ordering::Relaxed), 1);
    assert_eq!((driver.read(0x28), driver.read(0x10)), (0, 0x40_0000));
    driver.disk.pump();
    assert_eq!(driver.read(0x10), 0x40_0000);
    let mut ahci = driver.ahci.lock();
    assert_eq!(ahci.detach(0), Err(AhciError::Empty(0)));
    assert_eq!(ahci.detach(6), Err(AhciError::NoPort(6)));
    ahci.attach_disk(5, identity(), driver.port()).unwrap();
    assert_eq!(ahci.attach_disk(5, identity(), driver.port()), Err(AhciError::Taken(5)));
    assert!(ahci.cdrom(5).is_none());
}

#[test]
fn busy_can_be_overridden() {
    let driver = Driver::with_disk();
    driver.issue(0, &Slot::control(4));
    driver.stop();
    driver.write(0x18, 0x18);
    assert_eq!((driver.read(0x20), driver.read(0x18) & 8), (0, 0));
}
