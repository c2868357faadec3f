use platform::{DiskError, DiskOperation};

use super::*;

const LENGTH: u64 = 1 << 20;

/// A command of 16 bytes with an address and a number of blocks.
fn long(opcode: u8, flags: u8, block: u64, blocks: u32) -> [u8; 16] {
    let mut cdb = [0; 16];
    (cdb[0], cdb[1]) = (opcode, flags);
    cdb[2..10].copy_from_slice(&block.to_be_bytes());
    cdb[10..14].copy_from_slice(&blocks.to_be_bytes());
    cdb
}

#[test]
fn every_form_reads_and_writes() {
    let mut bench = Bench::disk(LENGTH);
    let block = |number: u64| -> Vec<u8> { (0..512).map(|at| (number + at) as u8).collect() };
    let reads = [
        &[0x08, 0, 0, 7, 1, 0][..],
        &[0x28, 0, 0, 0, 0, 7, 0, 0, 1, 0],
        &[0xa8, 0, 0, 0, 0, 7, 0, 0, 0, 1, 0, 0],
        &long(0x88, 0, 7, 1),
    ];
    for cdb in reads {
        assert_eq!(bench.reads(cdb), block(7), "{cdb:x?}");
    }
    assert_eq!(bench.reads(&[0x08, 0, 0, 0, 0, 0]).len(), 256 * 512);
    let writes = [
        &[0x0a, 0, 0, 9, 1, 0][..],
        &[0x2a, 0, 0, 0, 0, 9, 0, 0, 1, 0],
        &[0xaa, 0, 0, 0, 0, 9, 0, 0, 0, 1, 0, 0],
        &long(0x8a, 0, 9, 1),
        &[0x2e, 0, 0, 0, 0, 9, 0, 0, 1, 0],
        &long(0x8e, 0, 9, 1),
    ];
    for (index, cdb) in writes.iter().enumerate() {
        bench.writes(cdb, &[index as u8 + 1; 512]);
        assert_eq!(bench.reads(reads[3]), block(7));
        assert_eq!(bench.reads(&long(0x88, 0, 9, 1)), [index as u8 + 1; 512]);
    }
    assert!(bench.reads(&long(0x88, 0, 3, 0)).is_empty());
}

#[test]
fn durable_writes_are_those_with_fua_or_without_a_cache() {
    let mut bench = Bench::disk(LENGTH);
    let durable = |bench: &Bench| match bench.disk.operations.lock().last() {
        Some(DiskOperation::Write { durable, .. }) => *durable,
        other => panic!("{other:?}"),
    };
    bench.writes(&long(0x8a, 0, 0, 1), &[0; 512]);
    assert!(!durable(&bench));
    bench.writes(&long(0x8a, 8, 0, 1), &[0; 512]);
    assert!(durable(&bench));
    let mut caching = vec![0; 24];
    (caching[4], caching[5]) = (8, 18);
    bench.writes(&[0x15, 0x10, 0, 0, 24, 0], &caching);
    bench.writes(&[0x0a, 0, 0, 0, 1, 0], &[0; 512]);
    assert!(durable(&bench));
    bench.writes(&long(0x93, 8, 0, 8), &[0; 512]);
    assert_eq!(bench.disk.operations.lock().last(), Some(&DiskOperation::Flush));
    bench.reads(&[0x35, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    bench.reads(&long(0x91, 0, 0, 0));
    assert_eq!(bench.disk.operations.lock().last(), Some(&DiskOperation::Flush));
}

#[test]
fn the_end_is_checked() {
    let mut bench = Bench::disk(LENGTH);
    let refused = (key::ILLEGAL_REQUEST, (0x21, 0));
    for opcode in [0x88, 0x8a, 0x8f, 0x91, 0x93] {
        let outcome = bench.send(&long(opcode, 0, 2047, 2), &[0; 1024]);
        assert_eq!(outcome.sense.unwrap().information, Some(2047), "{opcode:x}");
        assert_eq!(bench.fails_with(&long(opcode, 0, u64::MAX, 1), &[0; 512]), refused, "{opcode:x}");
    }
    bench.reads(&long(0x88, 0, 2047, 1));
    bench.reads(&long(0x8f, 0, 2047, 1));
    assert_eq!(bench.fails(&long(0x8f, 2, 0, 1)), (key::ILLEGAL_REQUEST, (0x24, 0)));
    assert_eq!(bench.fails(&[0x2b, 0, 0, 0, 0x10, 0, 0, 0, 0, 0]), refused);
    bench.disk.shape.lock().length = 1 << 40;
    assert_eq!(bench.fails(&long(0x88, 0, 0, 0x1_0001)), (key::ILLEGAL_REQUEST, (0x24, 0)));
}

#[test]
fn a_read_only_disk_is_protected() {
    let mut bench = Bench::disk(LENGTH);
    bench.disk.shape.lock().read_only = true;
    for cdb in [long(0x8a, 0, 0, 1), long(0x93, 0, 0, 1), long(0x8e, 0, 0, 1)] {
        assert_eq!(bench.fails_with(&cdb, &[0; 512]), (key::DATA_PROTECT, (0x27, 0)));
    }
    assert_eq!(bench.reads(&[0x1a, 0, 8, 0, 4, 0])[2], 0x90);
}

#[test]
fn errors_of_the_disk_become_sense_data() {
    let mut bench = Bench::disk(LENGTH);
    let expected = [
        (DiskError::ReadOnly, (key::DATA_PROTECT, (0x27, 0))),
        (DiskError::Damaged(String::new()), (key::MEDIUM_ERROR, (0x0c, 0))),
        (DiskError::OutOfRange { offset: 0, length: 0 }, (key::ILLEGAL_REQUEST, (0x21, 0))),
    ];
    for (error, sense) in expected {
        bench.disk.errors.lock().push_back(error);
        assert_eq!(bench.fails_with(&long(0x8a, 0, 5, 1), &[0; 512]), sense);
    }
    bench.disk.errors.lock().push_back(DiskError::Damaged(String::new()));
    let sense = bench.send(&long(0x88, 0, 5, 1), &[]).sense.unwrap();
    assert_eq!((sense.key, sense.code, sense.information), (key::MEDIUM_ERROR, (0x11, 0), Some(5)));
}

#[test]
fn sizes_are_told() {
    let mut bench = Bench::disk(LENGTH);
    assert_eq!(bench.reads(&[0x25, 0, 0, 0, 0, 0, 0, 0, 0, 0]), [0, 0, 7, 0xff, 0, 0, 2, 0]);
    let mut capacity = [0; 16];
    (capacity[0], capacity[1], capacity[13]) = (0x9e, 0x10, 32);
    let answer = bench.reads(&capacity);
    assert_eq!((&answer[..8], &answer[8..15]), (&2047_u64.to_be_bytes()[..], &[0, 0, 2, 0, 0, 3, 0xc0][..]));
    bench.disk.shape.lock().discard_unit = None;
    assert_eq!(bench.reads(&capacity)[14], 0);
    bench.disk.shape.lock().length = 1 << 50;
    assert_eq!(bench.reads(&[0x25, 0, 0, 0, 0, 0, 0, 0, 0, 0])[..4], [0xff; 4]);
    capacity[1] = 0x11;
    assert_eq!(bench.fails(&capacity), (key::ILLEGAL_REQUEST, (0x24, 0)));
}

#[test]
fn vital_product_data() {
    let mut bench = Bench::disk(LENGTH);
    let mut page = |page: u8| bench.reads(&[0x12, 1, page, 1, 0, 0]);
    assert_eq!(page(0), [0, 0, 0, 6, 0, 0x80, 0x83, 0xb0, 0xb1, 0xb2]);
    assert_eq!(&page(0x80)[4..], b"S123");
    let names = page(0x83);
    assert_eq!((&names[4..8], &names[8..36]), (&[2, 1, 0, 28][..], &b"GASANG  HARDDISK        S123"[..]));
    assert_eq!((&names[36..40], names[40] >> 4), (&[1, 3, 0, 8][..], 3));
    let limits = page(0xb0);
    assert_eq!((limits.len(), &limits[6..8], &limits[28..32]), (64, &[0, 8][..], &[0, 0, 0, 8][..]));
    assert_eq!(page(0xb1)[4..6], [0, 1]);
    assert_eq!(page(0xb2)[4..], [0, 0xe4, 2, 0]);
}

#[test]
fn mode_pages() {
    let mut bench = Bench::disk(LENGTH);
    let all = bench.reads(&[0x5a, 0x10, 0x3f, 0, 0, 0, 0, 1, 0, 0]);
    assert_eq!((usize::from(all[1]) + 2, all[4], all[7]), (all.len(), 1, 16));
    let small = bench.reads(&[0x1a, 0, 8, 0, 255, 0]);
    assert_eq!((small[3], &small[4..12], small[14]), (8, &[0, 0, 8, 0, 0, 0, 2, 0][..], 4));
    // Changeable, default, saved.
    assert_eq!(bench.reads(&[0x1a, 8, 0x48, 0, 255, 0])[6], 4);
    assert_eq!(bench.reads(&[0x1a, 8, 0x8a, 0, 255, 0])[6], 0);
    assert_eq!(bench.fails(&[0x1a, 8, 0xc8, 0, 255, 0]), (key::ILLEGAL_REQUEST, (0x39, 0)));
    assert_eq!(bench.fails(&[0x1a, 8, 0x2a, 0, 255, 0]), (key::ILLEGAL_REQUEST, (0x24, 0)));
}

#[test]
fn mode_select_changes_what_can_be_changed() {
    let mut bench = Bench::disk(LENGTH);
    let current = bench.reads(&[0x5a, 8, 0x0a, 0, 0, 0, 0, 1, 0, 0]);
    let mut list = current.clone();
    list[..8].fill(0);
    list[10] |= 4;
    bench.writes(&[0x55, 0x10, 0, 0, 0, 0, 0, 0, list.len() as u8, 0], &list);
    // Sense data comes as descriptors now.
    assert!(bench.send(&[0xff; 16], &[]).sense.unwrap().as_descriptors);
    list[11] = 0;
    let length = list.len() as u8;
    let refused = bench.fails_with(&[0x55, 0x10, 0, 0, 0, 0, 0, 0, length, 0], &list);
    assert_eq!(refused, (key::ILLEGAL_REQUEST, (0x26, 0)));
    let cut = bench.fails_with(&[0x55, 0x10, 0, 0, 0, 0, 0, 0, length - 1, 0], &list[..19]);
    assert_eq!(cut, (key::ILLEGAL_REQUEST, (0x1a, 0)));
    assert_eq!(bench.fails(&[0x15, 0x11, 0, 0, 4, 0]), (key::ILLEGAL_REQUEST, (0x24, 0)));
}

#[test]
fn unmap_makes_zeros() {
    let mut bench = Bench::disk(LENGTH);
    let mut list = vec![0, 38, 0, 32, 0, 0, 0, 0];
    for (block, blocks) in [(4_u64, 2_u32), (100, 1)] {
        list.extend(block.to_be_bytes());
        list.extend(blocks.to_be_bytes());
        list.extend([0; 4]);
    }
    let cdb = [0x42, 0, 0, 0, 0, 0, 0, 0, 40, 0];
    bench.writes(&cdb, &list);
    let read = bench.reads(&long(0x88, 0, 3, 4));
    assert!(read[512..1536].iter().all(|byte| *byte == 0) && read[1] != 0 && read[1536] != 0);
    assert_eq!(bench.reads(&long(0x88, 0, 100, 1)), [0; 512]);
    list[14] = 0xff;
    assert_eq!(bench.fails_with(&cdb, &list), (key::ILLEGAL_REQUEST, (0x21, 0)));
    assert_eq!(bench.fails_with(&cdb, &list[..30]), (key::ILLEGAL_REQUEST, (0x1a, 0)));
    bench.disk.shape.lock().discard_unit = None;
    assert_eq!(bench.fails_with(&cdb, &list), (key::ILLEGAL_REQUEST, (0x20, 0)));
}

#[test]
fn write_same_repeats_a_block() {
    let mut bench = Bench::disk(LENGTH);
    let pattern: Vec<u8> = (0..512).map(|at| (at * 3) as u8).collect();
    bench.writes(&[0x41, 0, 0, 0, 0, 2, 0, 0, 3, 0], &pattern);
    assert_eq!(bench.reads(&long(0x88, 0, 2, 3)), pattern.repeat(3));
    bench.writes(&long(0x93, 8 | 1, 2, 2), &[]);
    let last = *bench.disk.operations.lock().last().unwrap();
    assert_eq!(last, DiskOperation::WriteZeroes { offset: 1024, length: 1024, free: true });
    bench.writes(&long(0x93, 0, 2000, 0), &[0; 512]);
    let last = *bench.disk.operations.lock().last().unwrap();
    assert_eq!(last, DiskOperation::WriteZeroes { offset: 2000 * 512, length: 48 * 512, free: false });
    assert_eq!(bench.fails_with(&long(0x93, 0, 0, 1), &[1; 100]), (key::ILLEGAL_REQUEST, (0x1a, 0)));
    bench.disk.shape.lock().length = 1 << 40;
    assert_eq!(bench.fails_with(&long(0x93, 0, 0, 0x8001), &[1; 512]), (key::ILLEGAL_REQUEST, (0x24, 0)));
}

#[test]
fn what_does_nothing_succeeds() {
    let mut bench = Bench::disk(LENGTH);
    for opcode in [0x16, 0x17, 0x1b, 0x1e] {
        assert!(bench.reads(&[opcode, 0, 0, 0, 1, 0]).is_empty(), "{opcode:x}");
    }
    assert_eq!(bench.fails(&[0x1b, 0, 0, 0, 2, 0]), (key::ILLEGAL_REQUEST, (0x24, 0)));
}

#[test]
fn buffers_of_another_length_start_nothing() {
    let mut bench = Bench::disk(LENGTH);
    let nothing = Buffers::none();
    let step = bench.unit.execute(&Command { cdb: &long(0x88, 0, 0, 2), data_out: nothing.all() });
    let Step::Transfer(transfer) = step else { panic!("no transfer") };
    let refused = transfer.start(Buffers::of_bytes(vec![0; 512]), Box::new(|_| panic!("called")));
    assert_eq!(refused.unwrap_err().sense.unwrap().code, (0x4b, 0));
    assert_eq!(bench.disk.waiting(), 0);
}
