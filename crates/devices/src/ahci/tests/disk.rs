use super::*;

fn words(bytes: &[u8]) -> Vec<u16> {
    bytes.as_chunks::<2>().0.iter().map(|word| u16::from_le_bytes(*word)).collect()
}

#[test]
fn identify_tells_who_the_disk_is() {
    let driver = Driver::with_disk();
    let interrupts = driver.succeeds(&Slot { data: vec![(DATA, 512)], ..Slot::of(0xec) });
    assert_eq!(interrupts, 2, "by PIO");
    assert_eq!(driver.peek(RECEIVED + 0x20, 20)[..4], [0x5f, 0x60, 0x58, 0]);
    assert_eq!(driver.peek(RECEIVED + 0x20, 20)[15..18], [0x50, 0, 2]);
    assert_eq!(driver.moved(), 512);
    let data = driver.peek(DATA, 512);
    assert_eq!(data.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte)), 0);
    let words = words(&data);
    let text = |range: std::ops::Range<usize>| -> String {
        words[range].iter().flat_map(|word| word.to_be_bytes()).map(char::from).collect()
    };
    assert_eq!(text(27..47).trim(), "GASANG HARDDISK");
    assert_eq!((text(10..20).trim(), text(23..27).trim()), ("S123", "1.0"));
    assert_eq!((words[100], words[101], words[60]), (8192, 0, 8192));
    assert_eq!((words[75], words[76] & 0x100, words[217], words[169]), (31, 0x100, 1, 1));
    assert_eq!((words[106], words[69], words[85] & 0x20), (0x6003, 0x4020, 0x20));
    assert_eq!(driver.fails(&Slot { data: vec![(DATA, 512)], ..Slot::of(0xa1) }), 4);
}

#[test]
fn every_command_reads() {
    let driver = Driver::with_disk();
    driver.succeeds(&Slot { count: 16, ..Slot::of(0xc6) });
    let expected = driver.on_disk(77, 3);
    for (command, interrupts) in
        [(0x20, 2), (0x21, 2), (0x24, 2), (0xc4, 2), (0x29, 2), (0xc8, 1), (0xc9, 1), (0x25, 1)]
    {
        driver.poke(DATA, &[0; 1536]);
        assert_eq!(driver.succeeds(&Slot::blocks(command, 77, 3)), interrupts, "{command:#x}");
        assert_eq!(driver.peek(DATA, 1536), expected, "{command:#x}");
        assert_eq!(driver.moved(), 1536);
    }
}

#[test]
fn every_command_writes() {
    let driver = Driver::with_disk();
    driver.succeeds(&Slot { count: 8, ..Slot::of(0xc6) });
    let commands = [0x30, 0x31, 0x34, 0xc5, 0x39, 0xce, 0xca, 0xcb, 0x35, 0x3d];
    for (index, command) in commands.into_iter().enumerate() {
        let bytes = [index as u8 + 1; 1024];
        driver.poke(DATA, &bytes);
        let slot = Slot { writes: true, ..Slot::blocks(command, 9, 2) };
        assert_eq!(driver.succeeds(&slot), 1, "{command:#x}");
        assert_eq!(driver.on_disk(9, 2), bytes, "{command:#x}");
        let last = *driver.disk.operations.lock().last().unwrap();
        let durable = matches!(command, 0xce | 0x3d);
        assert_eq!(last, DiskOperation::Write { offset: 9 * 512, durable }, "{command:#x}");
    }
}

#[test]
fn addresses_have_three_forms() {
    let driver = Driver::with_disk();
    driver.disk.shape.lock().length = 1 << 50;
    let offset = |slot: &Slot| {
        driver.issue(0, slot);
        let last = *driver.disk.operations.lock().last().unwrap();
        driver.stop();
        driver.start();
        match last {
            DiskOperation::Read { offset } => offset / 512,
            other => panic!("{other:?}"),
        }
    };
    let short = Slot { device: 0x4a, ..Slot::blocks(0xc8, 0x12_3456, 1) };
    assert_eq!(offset(&short), 0xa12_3456);
    assert_eq!(offset(&Slot::blocks(0x25, 0x12_3456_789a, 1)), 0x12_3456_789a);
    // Cylinder 2, head 3, sector 4.
    let old = Slot { device: 3, ..Slot::blocks(0xc8, 0x00_0204, 1) };
    assert_eq!(offset(&old), (2 * 16 + 3) * 63 + 3);
    let whole = Slot { data: vec![(DATA, 256 * 512)], ..Slot::blocks(0xc8, 0, 0) };
    assert_eq!(offset(&whole), 0);
    let whole = Slot { data: vec![(DATA, 4 << 20); 8], ..Slot::blocks(0x25, 1, 0) };
    assert_eq!(offset(&whole), 1);
}

#[test]
fn data_is_spread_over_memory() {
    let driver = Driver::with_disk();
    let data = vec![(DATA, 2), (DATA + 0x1000, 510), (DATA + 0x2000, 4096)];
    driver.succeeds(&Slot { data, ..Slot::blocks(0x25, 1, 2) });
    let expected = driver.on_disk(1, 2);
    assert_eq!(driver.peek(DATA, 2), expected[..2]);
    assert_eq!(driver.peek(DATA + 0x1000, 510), expected[2..512]);
    assert_eq!(driver.peek(DATA + 0x2000, 512), expected[512..]);
    assert_eq!(driver.peek(DATA + 0x2200, 4), [0; 4]);
}

#[test]
fn memory_that_is_missing_stops_the_list() {
    let driver = Driver::with_disk();
    let short = Slot { data: vec![(DATA, 512)], ..Slot::blocks(0x25, 0, 2) };
    assert_eq!(driver.run(&short).0 & 0x4100_0000, 0x4100_0000, "overflow and task file");
    driver.stop();
    driver.start();
    driver.issue(0, &Slot::blocks(0x25, 0, 1).at(0x1_0000_0000));
    assert_eq!(driver.acknowledge(), 1 << 29);
    // Whatever comes then waits until the list was stopped.
    driver.issue(1, &Slot::of(0xe7));
    assert_eq!((driver.disk.waiting(), driver.read(0x38)), (0, 3));
    driver.stop();
    assert_eq!(driver.read(0x38), 0);
    driver.start();
    driver.succeeds(&Slot::of(0xe7));
}

#[test]
fn commands_that_are_refused() {
    let driver = Driver::with_disk();
    for command in [0x00, 0x08, 0xb0, 0xa0, 0xa1, 0xc4, 0xc5, 0xf5, 0xff] {
        assert_eq!(driver.fails(&Slot::blocks(command, 0, 1)), 4, "{command:#x}");
    }
    for command in [0x25, 0x35, 0xc8, 0x42] {
        assert_eq!(driver.fails(&Slot::blocks(command, 8191, 2)), 0x10, "{command:#x}");
    }
    assert_eq!(driver.fails(&Slot { count: 3, ..Slot::of(0xc6) }), 4);
    assert_eq!(driver.fails(&Slot { features: 0x05, ..Slot::of(0xef) }), 4);
    driver.disk.shape.lock().read_only = true;
    assert_eq!(driver.fails(&Slot::blocks(0x35, 0, 1)), 0x44);
}

#[test]
fn errors_of_the_disk_are_told() {
    let driver = Driver::with_disk();
    let damaged = || DiskError::Damaged(String::new());
    driver.disk.errors.lock().push_back(damaged());
    assert_eq!(driver.fails(&Slot::blocks(0x25, 7, 1)), 0x40);
    driver.disk.errors.lock().push_back(damaged());
    let (_, task_file) = driver.run(&Slot::blocks(0x35, 7, 1));
    assert_eq!(task_file, 0x0471);
    let frame = driver.peek(RECEIVED + 0x40, 20);
    assert_eq!((&frame[..5], frame[7]), (&[0x34, 0x40, 0x71, 4, 7][..], 0x40));
    // The slot that failed stays.
    assert_eq!(driver.read(0x38), 1);
    driver.stop();
    driver.start();
    driver.disk.errors.lock().push_back(DiskError::ReadOnly);
    assert_eq!(driver.fails(&Slot::blocks(0x35, 7, 1)), 0x44);
}

#[test]
fn small_commands() {
    let driver = Driver::with_disk();
    for command in [0x10, 0x70, 0x91, 0xe0, 0xe1, 0xe2, 0xe3, 0xe6, 0xe7, 0xea] {
        assert_eq!(driver.succeeds(&Slot::of(command)), 1, "{command:#x}");
    }
    for command in [0x40, 0x41, 0x42] {
        driver.succeeds(&Slot { lba: 1, count: 8, ..Slot::of(command) });
    }
    driver.succeeds(&Slot::of(0xe5));
    assert_eq!(driver.peek(RECEIVED + 0x4c, 1), [0xff]);
    driver.succeeds(&Slot::of(0x27));
    assert_eq!(driver.peek(RECEIVED + 0x44, 3), [0xff, 0x1f, 0]);
    driver.succeeds(&Slot::of(0xf8));
    assert_eq!(driver.peek(RECEIVED + 0x44, 3), [0xff, 0x1f, 0]);
    driver.succeeds(&Slot::of(0x90));
    assert_eq!(driver.peek(RECEIVED + 0x43, 2), [1, 1]);
    driver.succeeds(&Slot { features: 3, count: 0x46, ..Slot::of(0xef) });
    driver.succeeds(&Slot { features: 0x82, ..Slot::of(0xef) });
    driver.succeeds(&Slot::blocks(0x35, 0, 1));
    let last = *driver.disk.operations.lock().last().unwrap();
    assert_eq!(last, DiskOperation::Write { offset: 0, durable: true });
    driver.succeeds(&Slot { features: 2, ..Slot::of(0xef) });
}

#[test]
fn trimming_makes_zeros() {
    let driver = Driver::with_disk();
    let mut list = vec![0; 512];
    for (index, entry) in [4_u64 | 2 << 48, 6 | 1 << 48, 100 | 1 << 48].iter().enumerate() {
        list[index * 8..][..8].copy_from_slice(&entry.to_le_bytes());
    }
    driver.poke(DATA, &list);
    let trim = Slot { features: 1, writes: true, ..Slot::blocks(0x06, 0, 1) };
    driver.succeeds(&trim);
    assert_eq!(driver.disk.operations.lock().len(), 2, "neighbours are one");
    assert_eq!((driver.on_disk(4, 3), driver.on_disk(100, 1)), (vec![0; 1536], vec![0; 512]));
    assert!(driver.on_disk(7, 1)[1] != 0);
    driver.poke(DATA + 5, &[0xff]);
    assert_eq!(driver.fails(&trim), 0x14);
    assert_eq!(driver.fails(&Slot { features: 0, ..trim.clone() }), 4);
    assert_eq!(driver.fails(&Slot { count: 9, ..trim.clone() }), 4);
    driver.poke(DATA, &[0; 512]);
    driver.succeeds(&trim);
    driver.disk.shape.lock().discard_unit = None;
    assert_eq!(driver.fails(&trim), 4);
}

#[test]
fn commands_that_are_not_queued_come_one_after_the_other() {
    let driver = Driver::with_disk();
    for slot in 0..3 {
        let read = Slot::blocks(0x25, u64::from(slot), 1).at(DATA + u64::from(slot) * 512);
        driver.prepare(slot, &read);
    }
    driver.write(0x38, 7);
    assert_eq!((driver.disk.waiting(), driver.read(0x38)), (1, 7));
    driver.disk.pump();
    assert_eq!((driver.disk.operations.lock().len(), driver.read(0x38)), (3, 0));
    assert_eq!(driver.peek(DATA, 1536), driver.on_disk(0, 3));
}

#[test]
fn a_descriptor_may_want_an_interrupt() {
    let driver = Driver::with_disk();
    driver.prepare(0, &Slot::blocks(0x25, 0, 1));
    driver.poke(TABLES + 0x8c, &(511_u32 | 1 << 31).to_le_bytes());
    driver.write(0x38, 1);
    driver.disk.pump();
    assert_eq!(driver.acknowledge(), 1 | 1 << 5);
}
