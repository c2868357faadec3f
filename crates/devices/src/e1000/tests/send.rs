use super::*;

const END: u64 = 1 << 24;
const CHECKSUM: u64 = 1 << 26;
const SEGMENT: u64 = 1 << 26;
const REPORT: u64 = 1 << 27;
const EXTENDED: u64 = 1 << 29;
const VLAN: u64 = 1 << 30;
const DATA: u64 = 1 << 20;

/// An IPv4 packet of TCP with so many bytes of payload, as a driver prepares it for segmentation: neither lengths nor
/// checksums.
fn tcp(payload: usize) -> Vec<u8> {
    let mut frame = OWN.0.to_vec();
    frame.extend([2, 0, 0, 0, 0, 9, 8, 0]);
    frame.extend([0x45, 0, 0, 0, 0, 1, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
    frame.extend([0x12, 0x34, 0, 80, 0, 0, 0, 1, 0, 0, 0, 2, 0x50, 0x10, 1, 0, 0, 0, 0, 0]);
    // The pseudo header without a length.
    let sum = !checksum::finish(checksum::add(checksum::add(0, &frame[26..34]), &[0, 6]));
    frame[50..52].copy_from_slice(&sum.to_be_bytes());
    frame.extend((0..payload).map(|at| at as u8));
    frame
}

/// The context for it.
fn context(bench: &mut Bench, segment: u64) {
    let low = 14 | 24 << 8 | 33 << 16 | 34 << 32 | 50 << 40;
    let cut = if segment > 0 { SEGMENT } else { 0 };
    bench.describe(low, EXTENDED | 1 << 24 | 1 << 25 | cut | 54 << 40 | segment << 48);
}

#[test]
fn a_frame_is_sent_from_its_pieces() {
    let mut bench = Bench::started();
    let frame = frame_to(OWN, 300);
    bench.poke(BUFFERS, &frame);
    bench.describe(BUFFERS, 100);
    bench.describe(BUFFERS + 100, 200);
    bench.go();
    assert_eq!(bench.port.take_sent(), [], "its end is missing");
    bench.tail -= 1;
    bench.describe(BUFFERS + 100, 200 | END | REPORT);
    bench.go();
    bench.describe(BUFFERS, 300 | END | REPORT);
    bench.go();
    assert_eq!(bench.port.take_sent(), [(plain(), frame.clone()), (plain(), frame)]);
    assert_eq!(bench.peek(TX_RING + 16 + 12, 1), [1]);
    assert_eq!((bench.read(0x3810), bench.is_high()), (3, true));
    assert_eq!((bench.read(0xc0) & 3, bench.is_high()), (3, false));
    assert_eq!((bench.read(0x4080), bench.read(0x4080), bench.read(0x4090)), (2, 0, 608));
}

#[test]
fn segments_are_left_to_the_network() {
    let mut bench = Bench::started();
    let frame = tcp(10_000);
    bench.poke(BUFFERS, &frame);
    context(&mut bench, 1460);
    bench.describe(BUFFERS, 54 | EXTENDED | DATA | SEGMENT | 3 << 40);
    bench.describe(BUFFERS + 54, 10_000 | EXTENDED | DATA | SEGMENT | END | REPORT);
    bench.go();
    let sent = bench.port.take_sent();
    let [(header, sent)] = &sent[..] else { panic!("{} frames", sent.len()) };
    let expected = FrameHeader {
        flags: FrameHeader::NEEDS_CHECKSUM,
        segmentation: Segmentation::TCP4,
        header_length: 54,
        segment_size: 1460,
        checksum_start: 34,
        checksum_offset: 16,
        buffers: 0,
    };
    assert_eq!(*header, expected);
    assert_eq!(sent[16..18], 10_040_u16.to_be_bytes(), "the packet's length");
    assert_eq!(checksum::finish(checksum::add(0, &sent[14..34])), 0, "its checksum");
    let pseudo = checksum::add(checksum::add(0, &sent[26..34]), &[0, 6, 0x27, 0x24]);
    assert_eq!(sent[50..52], (!checksum::finish(pseudo)).to_be_bytes());
    assert!(sent[54..] == frame[54..]);
}

#[test]
fn checksums_are_left_to_the_network_or_put_in() {
    let mut bench = Bench::started();
    let frame = tcp(100);
    bench.poke(BUFFERS, &frame);
    context(&mut bench, 0);
    bench.describe(BUFFERS, 154 | EXTENDED | DATA | END | 3 << 40);
    bench.go();
    let (header, sent) = bench.port.take_sent().remove(0);
    assert_eq!((header.flags, header.checksum_start, header.checksum_offset), (1, 34, 16));
    assert_eq!(header.segmentation, Segmentation::NONE);
    assert_eq!(checksum::finish(checksum::add(0, &sent[14..34])), 0);
    // Legacy: from 34 on, at 50; and one that lies before what is summed.
    bench.describe(BUFFERS, 154 | END | CHECKSUM | 50 << 16 | 34 << 40);
    bench.describe(BUFFERS, 154 | END | CHECKSUM | 24 << 16 | 34 << 40);
    bench.go();
    let sent = bench.port.take_sent();
    assert_eq!((sent[0].0.flags, sent[0].0.checksum_start, sent[0].0.checksum_offset), (1, 34, 16));
    assert_eq!(sent[1].0, plain());
    assert_eq!(sent[1].1[24..26], checksum::finish(checksum::add(0, &frame[34..])).to_be_bytes());
}

#[test]
fn vlan_tags_are_put_in() {
    let mut bench = Bench::started();
    bench.write(0, 1 << 30);
    let frame = tcp(3000);
    bench.poke(BUFFERS, &frame);
    context(&mut bench, 1000);
    bench.describe(BUFFERS, 3054 | EXTENDED | DATA | SEGMENT | END | VLAN | 3 << 40 | 0x2005 << 48);
    bench.go();
    let (header, sent) = bench.port.take_sent().remove(0);
    assert_eq!(sent[12..18], [0x81, 0, 0x20, 5, 8, 0]);
    assert_eq!((sent.len(), header.checksum_start, header.header_length), (3058, 38, 58));
}

#[test]
fn a_full_cable_leaves_descriptors_where_they_are() {
    let mut bench = Bench::started();
    bench.poke(BUFFERS, &frame_to(OWN, 100));
    bench.port.set_room(1);
    for _ in 0..3 {
        bench.describe(BUFFERS, 100 | END);
    }
    bench.go();
    assert_eq!((bench.port.take_sent().len(), bench.read(0x3810)), (1, 1));
    let saved = bench.function.lock().save();
    bench.function.lock().reset();
    bench.function.lock().restore(&saved).unwrap();
    bench.port.set_room(9);
    bench.card.room();
    assert_eq!((bench.port.take_sent().len(), bench.read(0x3810)), (2, 3));
}

#[test]
fn what_makes_no_sense_is_not_sent() {
    let mut bench = Bench::started();
    bench.poke(BUFFERS, &tcp(1000));
    bench.describe(0xffff_ffff_ffff_fff0, 100 | END);
    bench.describe(BUFFERS, 5 | END);
    bench.describe(BUFFERS, 0xf_ffff | EXTENDED | DATA | END);
    // A context of all ones: headers that overlap.
    bench.describe(u64::MAX, EXTENDED | SEGMENT | 3 << 24 | 255 << 40 | 0xffff << 48);
    bench.describe(BUFFERS, 1054 | EXTENDED | DATA | SEGMENT | END | 3 << 40);
    bench.go();
    assert_eq!((bench.port.take_sent().len(), bench.read(0x3810)), (0, 5));
}
