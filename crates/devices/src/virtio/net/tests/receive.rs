use super::*;

const MERGEABLE: u64 = feature::MRG_RXBUF;
const CONTROLLED: u64 = feature::CTRL_VQ
    | feature::CTRL_RX
    | feature::CTRL_RX_EXTRA
    | feature::CTRL_VLAN
    | feature::CTRL_MAC_ADDR
    | MERGEABLE;

#[test]
fn a_frame_comes_into_a_buffer() {
    for kind in KINDS {
        for features in [0, MERGEABLE] {
            let mut bench = Bench::new(kind, features);
            let id = bench.post(BUFFERS, 2048);
            let frame = frame_to(OWN, 1000);
            bench.arrive(plain(), &frame);
            assert_eq!(bench.board.used(RECEIVE), Some((id, 1012)));
            assert!(bench.board.interrupted());
            assert_eq!(bench.header_at(BUFFERS), FrameHeader { buffers: 1, ..plain() });
            assert_eq!(bench.board.peek(BUFFERS + 12, 1000), frame);
        }
    }
}

#[test]
fn a_large_frame_takes_as_many_buffers_as_it_needs() {
    for kind in KINDS {
        let mut bench = Bench::new(kind, MERGEABLE | feature::GUEST_CSUM | feature::GUEST_TSO4);
        for number in 0..32 {
            bench.post(BUFFERS + number * 0x1000, 1500);
        }
        let frame = frame_to(OWN, 20_000);
        bench.arrive(tso(), &frame);
        let used: Vec<_> = std::iter::from_fn(|| bench.board.used(RECEIVE)).collect();
        assert_eq!(used.len(), 14);
        assert!(used[..13].iter().all(|(_, written)| *written == 1500));
        assert_eq!(used[13].1, 20_012 - 13 * 1500);
        assert_eq!(bench.header_at(BUFFERS), FrameHeader { buffers: 14, ..tso() });
        let all: Vec<u8> = (0..14).flat_map(|n| bench.board.peek(BUFFERS + n * 0x1000, 1500)).collect();
        assert!(all[12..20_012] == frame);
    }
}

#[test]
fn without_merging_a_frame_has_one_chain() {
    let mut bench = Bench::new(SPLIT, 0);
    let pieces = [(Gpa(BUFFERS), 12), (Gpa(BUFFERS + 0x1000), 1500)];
    let id = bench.board.give(RECEIVE, &[], &pieces, Form::Indirect);
    bench.arrive(plain(), &frame_to(OWN, 1501));
    assert_eq!(bench.board.used(RECEIVE), None, "it has no room and is dropped");
    let frame = frame_to(OWN, 1500);
    bench.arrive(plain(), &frame);
    assert_eq!(bench.board.used(RECEIVE), Some((id, 1512)));
    assert_eq!(bench.board.peek(BUFFERS + 0x1000, 1500), frame);
}

#[test]
fn without_buffers_frames_stay_on_the_cable() {
    for kind in KINDS {
        let mut bench = Bench::new(kind, MERGEABLE);
        for _ in 0..3 {
            bench.port.push(plain(), &frame_to(OWN, 100));
        }
        bench.card.frames_wait();
        assert_eq!((bench.port.waiting(), bench.port.listens()), (3, false));
        bench.post(BUFFERS, 2048);
        assert!(bench.port.listens());
        bench.card.frames_wait();
        assert_eq!((bench.port.waiting(), bench.port.listens()), (2, false));
        assert!(bench.board.used(RECEIVE).is_some());
        bench.post(BUFFERS, 2048);
        bench.post(BUFFERS + 0x1000, 2048);
        bench.post(BUFFERS + 0x2000, 2048);
        bench.card.frames_wait();
        assert_eq!((bench.port.waiting(), bench.port.listens()), (0, true));
    }
}

#[test]
fn a_frame_that_needs_more_buffers_waits_for_them() {
    let mut bench = Bench::new(SPLIT, MERGEABLE);
    bench.post(BUFFERS, 1500);
    let frame = frame_to(OWN, 4000);
    bench.arrive(plain(), &frame);
    assert_eq!((bench.board.used(RECEIVE), bench.port.listens()), (None, false));
    bench.post(BUFFERS + 0x1000, 1500);
    bench.card.frames_wait();
    assert_eq!((bench.board.used(RECEIVE), bench.port.listens()), (None, false));
    bench.post(BUFFERS + 0x2000, 1500);
    bench.card.frames_wait();
    assert_eq!(std::iter::from_fn(|| bench.board.used(RECEIVE)).count(), 3);
    assert_eq!(bench.board.peek(BUFFERS + 12, 1488), frame[..1488]);
    assert_eq!(bench.board.peek(BUFFERS + 0x2000, 1012), frame[2988..]);
}

#[test]
fn what_the_driver_does_not_take_is_dropped() {
    let mut bench = Bench::new(SPLIT, MERGEABLE | feature::GUEST_CSUM);
    bench.post(BUFFERS, 2048);
    bench.arrive(tso(), &frame_to(OWN, 1000));
    bench.arrive(plain(), &[1; 13]);
    assert_eq!(bench.board.used(RECEIVE), None);
    let partial = FrameHeader { segmentation: Segmentation::NONE, segment_size: 0, ..tso() };
    bench.arrive(partial, &frame_to(OWN, 1000));
    assert_eq!(bench.board.used(RECEIVE).map(|(_, written)| written), Some(1012));
    bench.board.write(0x14, 1, 0);
    bench.arrive(plain(), &frame_to(OWN, 1000));
    assert_eq!((bench.port.waiting(), bench.port.listens()), (0, true), "nobody is there");
}

#[test]
fn the_driver_chooses_its_frames() {
    let mut bench = Bench::new(SPLIT, CONTROLLED);
    let other = Mac([2, 0, 0, 0, 0, 1]);
    let group = Mac([0x33, 0x33, 0, 0, 0, 1]);
    let mut gets = |bench: &mut Bench, to: Mac| {
        bench.post(BUFFERS, 2048);
        bench.arrive(plain(), &frame_to(to, 60));
        std::iter::from_fn(|| bench.board.used(RECEIVE)).count() > 0
    };
    assert!(gets(&mut bench, other), "all before it says so");
    assert_eq!(bench.command(&[0, 0, 0]), 0);
    let seen = |bench: &mut Bench, gets: &mut dyn FnMut(&mut Bench, Mac) -> bool| {
        [OWN, other, group, Mac::BROADCAST].map(|to| gets(bench, to))
    };
    assert_eq!(seen(&mut bench, &mut gets), [true, false, false, true]);
    let mut tables = vec![1, 0, 1, 0, 0, 0];
    tables.extend(other.0);
    tables.extend([1, 0, 0, 0]);
    tables.extend(group.0);
    assert_eq!(bench.command(&tables), 0);
    assert_eq!(seen(&mut bench, &mut gets), [true; 4]);
    assert_eq!(bench.command(&[0, 5, 1]), 0);
    assert_eq!(bench.command(&[0, 3, 1]), 0);
    assert_eq!(seen(&mut bench, &mut gets), [true, true, false, false]);
    assert_eq!(bench.command(&[1, 1, 2, 0, 0, 0, 0, 7]), 0);
    assert_eq!(bench.board.config(4, 2), 0x0700);
    assert_eq!(seen(&mut bench, &mut gets), [false, true, false, false]);
    for wrong in [&[][..], &[0], &[0, 9, 1], &[1, 0, 9, 0, 0, 0], &[1, 1, 1], &[2, 0, 0, 0x10], &[9, 9]] {
        assert_ne!(bench.command(wrong), 0, "{wrong:?}");
    }
}

#[test]
fn tagged_frames_come_from_chosen_vlans() {
    let mut bench = Bench::new(SPLIT, CONTROLLED);
    bench.command(&[0, 0, 0]);
    let mut frame = frame_to(OWN, 100);
    frame[12..16].copy_from_slice(&[0x81, 0, 0x20, 5]);
    bench.post(BUFFERS, 2048);
    bench.arrive(plain(), &frame);
    assert_eq!(bench.board.used(RECEIVE), None);
    assert_eq!(bench.command(&[2, 0, 5, 0]), 0);
    bench.arrive(plain(), &frame);
    assert!(bench.board.used(RECEIVE).is_some());
}

#[test]
fn a_saved_card_goes_on_where_it_was() {
    for kind in KINDS {
        let features = CONTROLLED | feature::GUEST_ANNOUNCE;
        let mut bench = Bench::new(kind, features);
        bench.command(&[0, 0, 0]);
        for number in 0..8 {
            bench.post(BUFFERS + number * 0x1000, 2048);
        }
        bench.arrive(plain(), &frame_to(OWN, 100));
        assert!(bench.board.used(RECEIVE).is_some());
        bench.port.set_room(0);
        bench.send(plain(), &frame_to(OWN, 60));
        VirtioPci::settle(&bench.board.function);
        let saved = bench.board.function.lock().save();
        bench.board.function.lock().reset();
        bench.board.function.lock().restore(&saved).unwrap();
        bench.port.set_room(9);
        bench.card.room();
        bench.card.frames_wait();
        assert_eq!(bench.port.take_sent().len(), 1, "{kind:?}");
        bench.arrive(plain(), &frame_to(Mac([2; 6]), 100));
        assert_eq!(bench.board.used(RECEIVE), None, "it still chooses");
        for _ in 0..7 {
            bench.arrive(plain(), &frame_to(OWN, 100));
        }
        assert_eq!(std::iter::from_fn(|| bench.board.used(RECEIVE)).count(), 7);
        assert_eq!(bench.board.config(6, 2), 3);
    }
}

#[test]
fn resetting_one_queue_leaves_the_other() {
    let mut bench = Bench::new(SPLIT, MERGEABLE | 1 << 40);
    for number in 0..4 {
        bench.post(BUFFERS + number * 0x1000, 2048);
    }
    bench.arrive(plain(), &frame_to(OWN, 100));
    bench.board.write(0x16, 2, TRANSMIT as u64);
    bench.board.write(0x3a, 2, 1);
    bench.arrive(plain(), &frame_to(OWN, 100));
    assert_eq!(std::iter::from_fn(|| bench.board.used(RECEIVE)).count(), 2);
    bench.board.write(0x16, 2, RECEIVE as u64);
    bench.board.write(0x3a, 2, 1);
    bench.arrive(plain(), &frame_to(OWN, 100));
    assert_eq!(bench.board.used(RECEIVE), None);
}
