use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, channel};

use platform::{Buffers, Span};

use super::*;

/// A disk of zeros that can be full, and can be made to wait.
#[derive(Default)]
struct Fake {
    full: AtomicBool,
    /// Writes wait for this to be released.
    gate: Mutex<()>,
    writes: AtomicUsize,
    flushes: AtomicUsize,
}

impl DiskBackend for Fake {
    fn shape(&self) -> DiskShape {
        DiskShape { length: 1 << 20, read_only: false, physical_block: 4096, discard_unit: None }
    }
    fn read(&self, _offset: u64, into: Span<'_>) -> Result<(), DiskError> {
        into.fill(7);
        Ok(())
    }
    fn write(&self, _offset: u64, _from: Span<'_>) -> Result<(), DiskError> {
        let _gate = self.gate.lock();
        if self.full.load(Ordering::SeqCst) {
            return Err(std::io::Error::from_raw_os_error(libc::ENOSPC).into());
        }
        self.writes.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
    fn write_zeroes(&self, _offset: u64, _length: u64, _free: bool) -> Result<(), DiskError> {
        Ok(())
    }
    fn discard(&self, _offset: u64, _length: u64) -> Result<(), DiskError> {
        Ok(())
    }
    fn flush(&self) -> Result<(), DiskError> {
        self.flushes.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
}

#[derive(Default)]
struct Told {
    full: AtomicUsize,
    over: AtomicUsize,
}

impl Trouble for Told {
    fn full(&self, _disk: &str) {
        self.full.fetch_add(1, Ordering::SeqCst);
    }
    fn over(&self, _disk: &str) {
        self.over.fetch_add(1, Ordering::SeqCst);
    }
}

fn queue() -> (DiskQueue, Arc<Fake>, Arc<Told>) {
    let (fake, told) = (Arc::<Fake>::default(), Arc::<Told>::default());
    let (image, trouble) = (Arc::<Fake>::clone(&fake), Arc::<Told>::clone(&told));
    (DiskQueue::start("disk", image, false, trouble).unwrap(), fake, told)
}

fn submit(queue: &DiskQueue, operation: DiskOperation) -> Receiver<Result<(), DiskError>> {
    let (sender, receiver) = channel();
    let answer = Box::new(move |result| sender.send(result).unwrap());
    queue.submit(DiskRequest { operation, buffers: Buffers::of_bytes(vec![0; 512]), answer });
    receiver
}

const WRITE: DiskOperation = DiskOperation::Write { offset: 0, durable: false };

#[test]
fn requests_are_answered() {
    let (queue, fake, _) = queue();
    submit(&queue, DiskOperation::Read { offset: 0 }).recv().unwrap().unwrap();
    submit(&queue, DiskOperation::Write { offset: 0, durable: true }).recv().unwrap().unwrap();
    assert_eq!(fake.flushes.load(Ordering::SeqCst), 1);
    drop(queue);
    assert_eq!(fake.flushes.load(Ordering::SeqCst), 2, "flushed at the end");
}

#[test]
fn draining_waits_for_what_was_submitted() {
    let (queue, fake, _) = queue();
    let gate = fake.gate.lock();
    let answers: Vec<_> = (0..20).map(|_| submit(&queue, WRITE)).collect();
    std::thread::scope(|scope| {
        let drain = scope.spawn(|| queue.drain());
        assert_eq!(fake.writes.load(Ordering::SeqCst), 0);
        drop(gate);
        drain.join().unwrap();
        assert_eq!(fake.writes.load(Ordering::SeqCst), 20);
    });
    answers.into_iter().for_each(|answer| answer.recv().unwrap().unwrap());
}

#[test]
fn a_full_host_delays_a_write_and_loses_nothing() {
    let (queue, fake, told) = queue();
    fake.full.store(true, Ordering::SeqCst);
    let answer = submit(&queue, WRITE);
    while told.full.load(Ordering::SeqCst) == 0 {
        std::thread::yield_now();
    }
    assert!(answer.try_recv().is_err());
    fake.full.store(false, Ordering::SeqCst);
    answer.recv().unwrap().unwrap();
    assert_eq!((told.full.load(Ordering::SeqCst), told.over.load(Ordering::SeqCst)), (1, 1));
}

#[test]
fn draining_gives_up_what_finds_no_room() {
    let (queue, fake, told) = queue();
    fake.full.store(true, Ordering::SeqCst);
    let answer = submit(&queue, WRITE);
    queue.drain();
    assert!(matches!(answer.recv().unwrap(), Err(DiskError::NoSpace(_))));
    assert_eq!(told.full.load(Ordering::SeqCst), told.over.load(Ordering::SeqCst));
}

/// A device drains with its lock held while all workers wait for that lock to answer.
#[test]
fn draining_does_not_wait_for_answers() {
    let (queue, fake, _) = queue();
    let device = Arc::new(Mutex::new(()));
    let locked = device.lock();
    let (sender, answered) = channel();
    for _ in 0..20 {
        let (device, sender) = (Arc::clone(&device), sender.clone());
        let answer = Box::new(move |result| {
            let _locked = device.lock();
            sender.send(result).unwrap();
        });
        queue.submit(DiskRequest { operation: WRITE, buffers: Buffers::of_bytes(vec![0; 512]), answer });
    }
    while fake.writes.load(Ordering::SeqCst) < WORKERS_MAX {
        std::thread::yield_now();
    }
    queue.drain();
    assert_eq!(fake.writes.load(Ordering::SeqCst), 20);
    drop(locked);
    (0..20).for_each(|_| answered.recv().unwrap().unwrap());
}
