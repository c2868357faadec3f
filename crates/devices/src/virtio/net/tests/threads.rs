//! The cable's thread and the driver's at the same time, with resets.
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::*;

const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn frames_come_while_the_driver_sends_and_starts_over() {
    let mut bench = Bench::new(SPLIT, feature::MRG_RXBUF);
    let (card, port) = (Arc::clone(&bench.card), Arc::clone(&bench.port));
    let end = Arc::new(AtomicBool::new(false));
    let ended = Arc::clone(&end);
    let cable = thread::spawn(move || {
        let mut pushed = 0_u32;
        while !ended.load(Ordering::Relaxed) {
            if port.waiting() < 50 {
                port.push(plain(), &frame_to(OWN, 3000));
                pushed += 1;
            }
            if port.listens() {
                card.frames_wait();
            }
            card.room();
        }
        pushed
    });
    let (mut received, mut sent) = (0, 0);
    let deadline = Instant::now() + PATIENCE;
    for round in 1..=8 {
        let mut number = 0;
        while (received < round * 40 || sent < round * 40) && Instant::now() < deadline {
            number = (number + 1) % 32;
            let buffer = (Gpa(BUFFERS + number * 0x1000), 2048);
            bench.board.drivers[RECEIVE].add(&[], &[buffer], Form::Direct);
            bench.board.drivers[TRANSMIT].add(&[(Gpa(BUFFERS - 0x1000), 100)], &[], Form::Direct);
            for queue in [RECEIVE, TRANSMIT] {
                if bench.board.drivers[queue].must_notify() {
                    bench.board.notify(queue);
                }
            }
            received += std::iter::from_fn(|| bench.board.used(RECEIVE)).count();
            sent += std::iter::from_fn(|| bench.board.used(TRANSMIT)).count();
            thread::yield_now();
        }
        assert_eq!(bench.board.read(0x14, 1), 0xf, "round {round}");
        bench.port.take_sent();
        bench.board.start(SPLIT, feature::MRG_RXBUF);
    }
    end.store(true, Ordering::Relaxed);
    assert!(cable.join().unwrap() > 0 && received >= 320 && sent >= 320, "{received} {sent}");
}
