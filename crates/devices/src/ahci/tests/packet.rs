use super::*;

/// A packet of 12 bytes.
fn packet(cdb: &[u8], room: u32) -> Slot {
    let mut whole = cdb.to_vec();
    whole.resize(12, 0);
    Slot::packet(&whole, room)
}

/// A drive whose power-on attention was taken.
fn driver() -> Driver {
    let driver = Driver::with_cdrom();
    assert_eq!(driver.fails(&packet(&[0], 0)), 0x64);
    let sense = packet(&[3, 0, 0, 0, 18], 18);
    driver.succeeds(&sense);
    let bytes = driver.peek(DATA, 18);
    assert_eq!((bytes[2], bytes[12]), (6, 0x29));
    driver
}

#[test]
fn who_the_drive_is() {
    let driver = driver();
    driver.succeeds(&Slot { data: vec![(DATA, 512)], ..Slot::of(0xa1) });
    assert_eq!(driver.peek(DATA, 2), [0xc0, 0x85]);
    let (_, task_file) = driver.run(&Slot { data: vec![(DATA, 512)], ..Slot::of(0xec) });
    assert_eq!(task_file, 0x0451);
    assert_eq!(driver.peek(RECEIVED + 0x44, 3), [1, 0x14, 0xeb]);
    driver.stop();
    driver.start();
    driver.succeeds(&packet(&[0x12, 0, 0, 0, 36], 64));
    assert_eq!((driver.moved(), driver.peek(DATA, 2)), (36, vec![5, 0x80]));
    assert_eq!(driver.peek(DATA + 8, 16), b"GASANG  HARDDISK");
}

#[test]
fn blocks_are_read() {
    let driver = driver();
    let read = packet(&[0x28, 0, 0, 0, 0, 3, 0, 0, 2], 4096);
    assert_eq!(driver.succeeds(&read), 1);
    assert_eq!((driver.peek(DATA, 4096), driver.moved()), (driver.on_disk(12, 8), 4096));
    assert_eq!(driver.peek(RECEIVED + 0x4c, 1), [3]);
    // By PIO.
    driver.poke(DATA, &[0; 4096]);
    assert_eq!(driver.succeeds(&Slot { features: 0, ..read }), 3);
    assert_eq!(driver.peek(DATA, 4096), driver.on_disk(12, 8));
    let short = packet(&[0x28, 0, 0, 0, 0, 3, 0, 0, 2], 2048);
    assert_eq!(driver.run(&short).0 >> 24, 0x41);
}

#[test]
fn errors_are_kept_for_request_sense() {
    let driver = driver();
    driver.disk.errors.lock().push_back(DiskError::Damaged(String::new()));
    assert_eq!(driver.fails(&packet(&[0x28, 0, 0, 0, 0, 3, 0, 0, 1], 2048)), 0x34);
    driver.succeeds(&packet(&[3, 0, 0, 0, 18], 18));
    assert_eq!(driver.peek(DATA + 12, 1), [0x11]);
    assert_eq!(driver.fails(&packet(&[0xff], 0)), 0x54);
    assert_eq!(driver.fails(&Slot { packet: None, ..packet(&[0], 0) }), 4);
}

#[test]
fn parameters_go_to_the_drive() {
    let driver = driver();
    let select = packet(&[0x55, 0x10, 0, 0, 0, 0, 0, 0, 20], 20);
    driver.poke(DATA, &[0; 20]);
    driver.poke(DATA + 8, &[1, 10]);
    driver.succeeds(&Slot { writes: true, ..select.clone() });
    driver.poke(DATA + 8, &[1, 11]);
    assert_eq!(driver.fails(&Slot { writes: true, ..select }), 0x54);
}

#[test]
fn small_commands() {
    let driver = driver();
    for command in [0xe0, 0xe1, 0xe5, 0xe7, 0xef] {
        driver.succeeds(&Slot::of(command));
    }
    assert_eq!(driver.run(&Slot::of(0x08)).1, 0x0100);
    assert_eq!(driver.fails(&Slot::of(0x25)), 4);
}

#[test]
fn media_come_and_go() {
    let driver = driver();
    let read = packet(&[0x28, 0, 0, 0, 0, 3, 0, 0, 1], 2048);
    driver.issue(0, &read);
    let medium = driver.ahci.lock().cdrom(0).unwrap().take_out().unwrap();
    driver.disk.pump();
    assert_eq!(driver.read(0x38), 0);
    driver.acknowledge();
    assert_eq!(driver.fails(&read), 0x24);
    driver.ahci.lock().cdrom(0).unwrap().insert(medium);
    assert_eq!(driver.fails(&read), 0x64);
    driver.succeeds(&read);
}
