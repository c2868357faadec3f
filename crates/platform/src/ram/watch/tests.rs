use super::*;
use crate::{Attention, GuestRam};
use std::sync::atomic::AtomicU32;
use x86::Gpa;

#[derive(Default)]
struct Calls(AtomicU32);

impl Calls {
    fn count(&self) -> u32 {
        self.0.load(Ordering::SeqCst)
    }
}

impl Attention for Calls {
    fn raise(&self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[derive(Default)]
struct Served {
    frames: Vec<u64>,
    all: u32,
    forgotten: u32,
}

impl Serve for Served {
    fn protect(&mut self, frame: u64) {
        self.frames.push(frame);
    }
    fn protect_all(&mut self) {
        self.all += 1;
    }
    fn forget(&mut self, parts: u32) {
        self.forgotten |= parts;
    }
}

fn join(keeper: &Keeper) -> (Watcher, Arc<Calls>) {
    let calls = Arc::<Calls>::default();
    let attention: Arc<dyn Attention> = Arc::<Calls>::clone(&calls);
    (keeper.join(attention).unwrap(), calls)
}

/// A CPU that keeps translations of its own.
fn cpu(ram: &GuestRam) -> (Keeper, Watcher, Arc<Calls>) {
    let keeper = ram.watch().keeper();
    let (watcher, calls) = join(&keeper);
    (keeper, watcher, calls)
}

#[test]
fn a_device_write_to_a_marked_frame_is_reported_to_its_owners_alone() {
    let ram = GuestRam::new(1 << 20).unwrap();
    let (keeper, owner, called) = cpu(&ram);
    let (_, other, _) = cpu(&ram);
    let _inside = owner.enter();
    owner.mark(2, &mut Served::default());
    other.serve_news(&mut Served::default());
    ram.write(Gpa(0x1ffe), &[0; 4]).unwrap();
    ram.write(Gpa(0x3000), &[0; 4]).unwrap();
    assert!(owner.has_news() && !other.has_news());
    assert_eq!(called.count(), 1);
    owner.serve_news(&mut Served::default());
    assert!(!owner.has_news());
    assert_eq!(keeper.take_news().written, [(0x2000, PAGE_SIZE)]);
    assert_eq!(keeper.take_news(), News::default());
}

#[test]
fn clearing_memory_is_reported_to_all() {
    let ram = GuestRam::new(1 << 20).unwrap();
    let keepers = [(); 2].map(|()| cpu(&ram).0);
    ram.clear().unwrap();
    for keeper in keepers {
        assert!(keeper.take_news().all_written);
    }
}

#[test]
fn what_one_of_several_has_marked_is_news_for_all_who_share_translations() {
    let ram = GuestRam::new(1 << 20).unwrap();
    let keeper = ram.watch().keeper();
    let ((first, _), (second, called)) = (join(&keeper), join(&keeper));
    first.mark(2, &mut Served::default());
    second.serve_news(&mut Served::default());
    ram.write(Gpa(0x2000), &[0; 4]).unwrap();
    assert!(first.has_news() && second.has_news());
    assert_eq!(keeper.take_news().written, [(0x2000, PAGE_SIZE)]);
    // What one of them writes it makes true itself: the others only leave the code that they run.
    second.serve_news(&mut Served::default());
    let _inside = second.enter();
    first.tell(0x2000, 8);
    assert_eq!((called.count(), keeper.take_news(), second.has_news()), (1, News::default(), false));
}

#[test]
fn a_write_to_what_strangers_have_marked_is_their_news() {
    let ram = GuestRam::new(1 << 20).unwrap();
    let (keeper, owner, _) = cpu(&ram);
    let (own, writer, _) = cpu(&ram);
    owner.mark(2, &mut Served::default());
    writer.tell(0x2ff8, 8);
    assert_eq!(keeper.take_news().written, [(0x2ff8, 8)]);
    assert_eq!(own.take_news(), News::default());
}

#[test]
fn only_the_first_mark_protects() {
    let ram = GuestRam::new(1 << 20).unwrap();
    let (first_keeper, first, _) = cpu(&ram);
    let (second_keeper, second, _) = cpu(&ram);
    let mut own = Served::default();
    first.mark(5, &mut own);
    first.mark(5, &mut own);
    assert_eq!(own.frames, [5]);
    let mut others = Served::default();
    second.serve_news(&mut others);
    assert_eq!(others.frames, [5]);
    second.mark(5, &mut others);
    assert_eq!(others.frames, [5]);
    first_keeper.unmark(5);
    assert!(ram.watch().is_code(5) && !first.has_marked(5));
    second_keeper.unmark(5);
    assert!(!ram.watch().is_code(5));
}

#[test]
fn marks_of_all_who_share_translations_go_together() {
    let ram = GuestRam::new(1 << 20).unwrap();
    let keeper = ram.watch().keeper();
    let ((first, _), (second, _)) = (join(&keeper), join(&keeper));
    first.mark(5, &mut Served::default());
    assert!(!second.has_marked(5));
    second.mark(5, &mut Served::default());
    keeper.unmark(5);
    assert!(!first.has_marked(5) && !second.has_marked(5));
}

#[test]
fn a_cpu_that_sleeps_is_not_waited_for_and_looks_when_it_wakes() {
    let ram = GuestRam::new(1 << 20).unwrap();
    let keeper = ram.watch().keeper();
    let ((first, _), (sleeper, called)) = (join(&keeper), join(&keeper));
    for frame in 0..MAIL_MAX as u64 + 1 {
        first.mark(frame % 256, &mut Served::default());
        keeper.unmark(frame % 256);
    }
    for part in [0, 3] {
        first.alone(&mut Served::default()).forget(1 << part);
    }
    assert_eq!(called.count(), 0);
    let _inside = sleeper.enter();
    assert!(sleeper.has_news());
    let mut served = Served::default();
    sleeper.serve_news(&mut served);
    assert_eq!((served.all, served.forgotten), (1, 0b1001));
}

#[test]
fn a_running_cpu_is_waited_for() {
    let ram = GuestRam::new(1 << 20).unwrap();
    let keeper = ram.watch().keeper();
    let ((first, _), (runner, called)) = (join(&keeper), join(&keeper));
    let inside = runner.enter();
    let wait_until_called = |calls| {
        while called.count() < calls {
            std::thread::yield_now();
        }
    };
    let thread = std::thread::spawn(move || {
        first.mark(7, &mut Served::default());
        first.alone(&mut Served::default()).forget(2);
        first
    });
    let mut served = Served::default();
    wait_until_called(1);
    assert!(!thread.is_finished());
    runner.serve_news(&mut served);
    assert_eq!((&served.frames[..], served.forgotten), (&[7][..], 0));
    wait_until_called(2);
    assert!(!thread.is_finished());
    runner.serve_news(&mut served);
    assert_eq!(served.forgotten, 2);
    let first = thread.join().unwrap();
    // Nor does one that leaves keep anybody waiting.
    drop(inside);
    first.mark(8, &mut Served::default());
}

#[test]
fn strangers_need_not_forget() {
    let ram = GuestRam::new(1 << 20).unwrap();
    let (_keeper, first, _) = cpu(&ram);
    let (_other, stranger, called) = cpu(&ram);
    let _inside = stranger.enter();
    first.alone(&mut Served::default()).forget(1);
    assert!(called.count() == 0 && !stranger.has_news());
}

#[test]
fn a_place_is_free_again_when_its_keeper_is_gone() {
    let ram = GuestRam::new(1 << 20).unwrap();
    let first = ram.watch().keeper();
    let watchers: Vec<_> = (0..WATCHERS_MAX).map(|_| join(&first)).collect();
    let second = ram.watch().keeper();
    let attention = || Arc::<Calls>::default() as Arc<dyn Attention>;
    drop(watchers);
    assert!(second.join(attention()).is_none());
    drop(first);
    assert!(second.join(attention()).is_some());
}

#[test]
fn cpus_that_mark_at_the_same_time_serve_one_another() {
    let ram = GuestRam::new(1 << 20).unwrap();
    let cpus: Vec<_> = (0..4).map(|_| cpu(&ram)).collect();
    std::thread::scope(|scope| {
        for (keeper, watcher, _) in &cpus {
            scope.spawn(move || {
                let _inside = watcher.enter();
                for round in 0..200_u64 {
                    watcher.serve_news(&mut Served::default());
                    watcher.mark(round % 16, &mut Served::default());
                    watcher.tell((round % 16) << 12, 8);
                    watcher.alone(&mut Served::default()).forget(1 << (round % 4));
                    keeper.unmark(round % 16);
                }
            });
        }
    });
    assert!((0..16).all(|frame| !ram.watch().is_code(frame)));
}

#[test]
fn cpus_that_share_translations_and_take_them_from_one_another_serve_one_another() {
    let ram = GuestRam::new(1 << 20).unwrap();
    let keeper = ram.watch().keeper();
    let watchers: Vec<_> = (0..4).map(|_| join(&keeper).0).collect();
    std::thread::scope(|scope| {
        for watcher in &watchers {
            let keeper = &keeper;
            scope.spawn(move || {
                let _inside = watcher.enter();
                for round in 0..200_u64 {
                    watcher.serve_news(&mut Served::default());
                    watcher.mark(round % 16, &mut Served::default());
                    watcher.alone(&mut Served::default()).forget(1);
                    keeper.unmark(round % 16);
                }
            });
        }
    });
    assert!((0..16).all(|frame| !ram.watch().is_code(frame)));
}
