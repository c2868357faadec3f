use super::*;
use crate::GuestRam;
use std::sync::atomic::AtomicU32;
use x86::Gpa;

#[derive(Default)]
struct Calls(AtomicU32);

impl Attention for Calls {
    fn raise(&self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[derive(Default)]
struct Protected {
    frames: Vec<u64>,
    all: u32,
}

impl Protect for Protected {
    fn protect(&mut self, frame: u64) {
        self.frames.push(frame);
    }
    fn protect_all(&mut self) {
        self.all += 1;
    }
}

fn cpu(ram: &GuestRam) -> (Watcher, Arc<Calls>) {
    let calls = Arc::<Calls>::default();
    let attention: Arc<dyn Attention> = Arc::<Calls>::clone(&calls);
    (ram.watch().join(attention).unwrap(), calls)
}

#[test]
fn a_device_write_to_a_marked_frame_is_reported_to_its_owners_alone() {
    let ram = GuestRam::new(1 << 20).unwrap();
    let ((owner, called), (other, _)) = (cpu(&ram), cpu(&ram));
    let _inside = owner.enter();
    owner.mark(2, &mut Protected::default());
    other.take_news(&mut Protected::default());
    ram.write(Gpa(0x1ffe), &[0; 4]).unwrap();
    ram.write(Gpa(0x3000), &[0; 4]).unwrap();
    assert!(owner.has_news() && !other.has_news());
    assert_eq!(called.0.load(Ordering::SeqCst), 1);
    let news = owner.take_news(&mut Protected::default());
    assert_eq!(news.written, [(0x2000, PAGE_SIZE)]);
    assert!(!owner.has_news());
}

#[test]
fn clearing_memory_is_reported_to_all() {
    let ram = GuestRam::new(1 << 20).unwrap();
    let (first, second) = (cpu(&ram).0, cpu(&ram).0);
    ram.clear().unwrap();
    for watcher in [first, second] {
        assert!(watcher.take_news(&mut Protected::default()).all_written);
    }
}

#[test]
fn only_the_first_mark_protects() {
    let ram = GuestRam::new(1 << 20).unwrap();
    let (first, second) = (cpu(&ram).0, cpu(&ram).0);
    let mut own = Protected::default();
    first.mark(5, &mut own);
    first.mark(5, &mut own);
    assert_eq!(own.frames, [5]);
    let mut others = Protected::default();
    second.take_news(&mut others);
    assert_eq!(others.frames, [5]);
    second.mark(5, &mut others);
    assert_eq!(others.frames, [5]);
    first.unmark(5);
    assert!(ram.watch().is_code(5));
    second.unmark(5);
    assert!(!ram.watch().is_code(5));
}

#[test]
fn a_cpu_that_sleeps_is_not_waited_for_and_looks_when_it_wakes() {
    let ram = GuestRam::new(1 << 20).unwrap();
    let ((first, _), (sleeper, called)) = (cpu(&ram), cpu(&ram));
    for frame in 0..MAIL_MAX as u64 + 1 {
        first.mark(frame % 256, &mut Protected::default());
        first.unmark(frame % 256);
    }
    assert_eq!(called.0.load(Ordering::SeqCst), 0);
    let _inside = sleeper.enter();
    assert!(sleeper.has_news());
    let mut protected = Protected::default();
    sleeper.take_news(&mut protected);
    assert_eq!(protected.all, 1);
}

#[test]
fn a_running_cpu_is_waited_for() {
    let ram = GuestRam::new(1 << 20).unwrap();
    let ((first, _), (runner, called)) = (cpu(&ram), cpu(&ram));
    let inside = runner.enter();
    let thread = std::thread::spawn(move || {
        first.mark(7, &mut Protected::default());
        first
    });
    while called.0.load(Ordering::SeqCst) == 0 {
        std::thread::yield_now();
    }
    assert!(!thread.is_finished());
    let mut protected = Protected::default();
    runner.take_news(&mut protected);
    assert_eq!(protected.frames, [7]);
    let first = thread.join().unwrap();
    // Nor does one that leaves keep anybody waiting.
    drop(inside);
    first.mark(8, &mut Protected::default());
}

#[test]
fn cpus_that_mark_at_the_same_time_serve_one_another() {
    let ram = GuestRam::new(1 << 20).unwrap();
    let watchers: Vec<_> = (0..4).map(|_| cpu(&ram).0).collect();
    std::thread::scope(|scope| {
        for watcher in &watchers {
            scope.spawn(move || {
                let _inside = watcher.enter();
                for round in 0..200_u64 {
                    watcher.take_news(&mut Protected::default());
                    watcher.mark(round % 16, &mut Protected::default());
                    watcher.tell((round % 16) << 12, 8);
                    watcher.unmark(round % 16);
                }
            });
        }
    });
    assert!((0..16).all(|frame| !ram.watch().is_code(frame)));
}
