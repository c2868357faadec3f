use std::sync::atomic::AtomicBool;

use super::*;

/// Does a disk's work on a thread of its own, until it is dropped.
struct Worker {
    over: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Worker {
    fn of(disk: &Arc<MemoryDisk>) -> Self {
        let (disk, over) = (Arc::clone(disk), Arc::<AtomicBool>::default());
        let ended = Arc::clone(&over);
        let thread = std::thread::spawn(move || {
            while !ended.load(Ordering::Relaxed) {
                disk.pump();
                std::thread::yield_now();
            }
        });
        Self { over, thread: Some(thread) }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        self.thread.take().map(std::thread::JoinHandle::join);
    }
}

#[test]
fn once_stopped_nothing_moves() {
    let driver = Driver::with_disk();
    let _worker = Worker::of(&driver.disk);
    let expected = driver.on_disk(0, 8);
    for round in 0..300 {
        for tag in 0..8 {
            driver.queue(tag, &Slot::queued(0x60, tag.into(), 0, 8));
        }
        if round % 2 == 0 {
            while driver.read(0x34) != 0 {
                std::thread::yield_now();
            }
        } else {
            driver.stop();
        }
        for tag in 0..8 {
            let at = DATA + tag * 0x1_0000;
            if round % 2 == 0 {
                assert_eq!(driver.peek(at, 4096), expected, "round {round}");
            }
            driver.poke(at, &[0xee; 4096]);
        }
        std::thread::yield_now();
        assert!((0..8).all(|tag| driver.peek(DATA + tag * 0x1_0000, 4096) == [0xee; 4096]), "round {round}");
        driver.start();
    }
}
