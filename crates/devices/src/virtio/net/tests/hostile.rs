//! Drivers and networks that say anything.
use super::*;

fn act(bench: &mut Bench, numbers: &mut Numbers) {
    let lengths = [1, 11, 12, 13, 60, 1500, 4096, 0x1_0000];
    let pick = |numbers: &mut Numbers| lengths[numbers.below(lengths.len() as u64) as usize];
    let form = [Form::Direct, Form::Indirect][numbers.below(2) as usize];
    match numbers.below(12) {
        0..3 => {
            let mut header = [0; HEADER];
            header.iter_mut().for_each(|byte| *byte = numbers.next() as u8 & numbers.next() as u8);
            bench.board.poke(BUFFERS, &header);
            let rest = (Gpa(BUFFERS + 0x100), pick(numbers));
            bench.board.drivers[TRANSMIT].add(&[(Gpa(BUFFERS), 12), rest], &[], form);
            bench.board.notify(TRANSMIT);
        }
        3..6 => {
            let length = if numbers.below(8) == 0 { pick(numbers) } else { 1500 };
            let buffer = (Gpa(BUFFERS + numbers.below(16) * 0x1000), length);
            bench.board.drivers[RECEIVE].add(&[], &[buffer], form);
            bench.board.notify(RECEIVE);
        }
        6..9 => {
            let mut header = FrameHeader::default();
            if numbers.below(2) == 0 {
                header = FrameHeader { flags: numbers.next() as u8, ..tso() };
            }
            bench.port.push(header, &frame_to(OWN, pick(numbers) as usize));
            bench.card.frames_wait();
        }
        9 => {
            let command: Vec<u8> = (0..2 + numbers.below(20)).map(|_| numbers.below(6) as u8).collect();
            bench.board.poke(BUFFERS, &command);
            let chain = [(Gpa(BUFFERS), command.len() as u32)];
            bench.board.drivers[CONTROL].add(&chain, &[(Gpa(BUFFERS + 0x9000), 1)], form);
            bench.board.notify(CONTROL);
        }
        10 => {
            bench.port.set_room(numbers.below(4) as usize);
            bench.card.room();
        }
        _ => {
            let queue = numbers.below(3);
            match numbers.below(3) {
                0 => {
                    bench.board.write(0x16, 2, queue);
                    bench.board.write(0x3a, 2, 1);
                }
                1 => bench
                    .board
                    .poke(0x10_0000 + queue * 0x5_0000 + numbers.below(0x2400), &[numbers.next() as u8; 3]),
                _ => bench.board.write(numbers.below(0x40), 4, numbers.next()),
            }
        }
    }
}

#[test]
fn any_driver_of_a_card_is_harmless() {
    let mut numbers = Numbers(0xcab1_e000);
    for _ in 0..100 {
        for kind in KINDS {
            let mut bench = Bench::new(kind, feature::OFFERED | 1 << 40);
            for _ in 0..80 {
                act(&mut bench, &mut numbers);
            }
            bench.board.start(kind, feature::OFFERED);
            bench.port.set_room(usize::MAX);
            bench.send(plain(), &frame_to(OWN, 60));
            assert!(!bench.port.take_sent().is_empty());
            bench.card.frames_wait();
            VirtioPci::settle(&bench.board.function);
            let saved = bench.board.function.lock().save();
            bench.board.function.lock().restore(&saved).unwrap();
        }
    }
}

#[test]
fn a_frame_without_a_header_or_a_buffer_without_room_breaks_the_driver() {
    let mut bench = Bench::new(SPLIT, 0);
    bench.board.give(TRANSMIT, &[(Gpa(BUFFERS), 11)], &[], Form::Direct);
    assert_eq!(bench.board.read(0x14, 1), 0x4f);
    let mut bench = Bench::new(SPLIT, 0);
    bench.post(BUFFERS, 11);
    bench.arrive(plain(), &frame_to(OWN, 60));
    assert_eq!(bench.board.read(0x14, 1), 0x4f);
}

#[test]
fn frames_of_no_size_or_too_many_bytes_are_not_sent() {
    let mut bench = Bench::new(SPLIT, 0);
    bench.board.poke(BUFFERS, &[0; HEADER]);
    bench.board.give(TRANSMIT, &[(Gpa(BUFFERS), 12)], &[], Form::Direct);
    bench.board.give(TRANSMIT, &[(Gpa(BUFFERS), 12 + 65_535 + 19)], &[], Form::Direct);
    assert_eq!(bench.port.take_sent(), []);
    bench.board.give(TRANSMIT, &[(Gpa(BUFFERS), 12 + 65_535 + 18)], &[], Form::Direct);
    assert_eq!(bench.port.take_sent().len(), 1);
}
