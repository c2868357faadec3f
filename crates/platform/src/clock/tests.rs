use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use parking_lot::Mutex;

use super::*;

type Log = Arc<Mutex<Vec<(u64, &'static str)>>>;

fn log() -> (Log, ManualClock) {
    (Arc::default(), ManualClock::new())
}

fn logging(log: &Log, clock: &ManualClock, name: &'static str) -> TimerCallback {
    let (log, clock) = (Arc::clone(log), clock.clone());
    Arc::new(move || log.lock().push((clock.now_ns(), name)))
}

#[test]
fn manual_timers_fire_in_order_at_their_own_time() {
    let (log, clock) = log();
    let late = clock.timer(logging(&log, &clock, "late"));
    let early = clock.timer(logging(&log, &clock, "early"));
    late.arm(200);
    early.arm(100);
    clock.advance(150);
    assert_eq!(*log.lock(), [(100, "early")]);
    assert_eq!(clock.now_ns(), 150);
    clock.advance(100);
    assert_eq!(*log.lock(), [(100, "early"), (200, "late")]);
}

#[test]
fn a_timer_fires_once_and_rearming_replaces_its_deadline() {
    let (log, clock) = log();
    let timer = clock.timer(logging(&log, &clock, "t"));
    timer.arm(100);
    timer.arm(300);
    clock.advance(1_000);
    assert_eq!(*log.lock(), [(300, "t")]);
    timer.arm(2_000);
    timer.disarm();
    clock.advance(5_000);
    assert_eq!(log.lock().len(), 1);
}

#[test]
fn a_dropped_timer_does_not_fire() {
    let (log, clock) = log();
    let timer = clock.timer(logging(&log, &clock, "t"));
    timer.arm(10);
    drop(timer);
    clock.advance(100);
    assert!(log.lock().is_empty());
    assert_eq!(clock.next_deadline_ns(), None);
}

#[test]
fn host_timers_fire_not_before_their_deadline_and_in_order() {
    let clock = Arc::new(HostClock::start().unwrap());
    let (sender, receiver) = mpsc::channel();
    let timers: Vec<_> = (0..3_u64)
        .map(|index| {
            let (sender, at) = (sender.clone(), Arc::downgrade(&clock));
            clock.timer(Arc::new(move || {
                let _ = sender.send((index, at.upgrade().map(|clock| clock.now_ns())));
            }))
        })
        .collect();
    let start_ns = clock.now_ns();
    for (index, timer) in timers.iter().enumerate() {
        timer.arm(start_ns + 3_000_000 * (3 - index as u64));
    }
    for index in [2, 1, 0] {
        let (fired, at_ns) = receiver.recv_timeout(Duration::from_secs(20)).unwrap();
        assert_eq!(fired, index);
        assert!(at_ns.unwrap() >= start_ns + 3_000_000 * (3 - index));
    }
}

#[test]
fn a_host_callback_may_arm_its_own_timer_and_drop_the_clock() {
    let clock = Arc::new(Mutex::new(Some(HostClock::start().unwrap())));
    let (sender, receiver) = mpsc::channel();
    let slot: Arc<Mutex<Option<Timer>>> = Arc::default();
    let count = Mutex::new(0);
    let callback: TimerCallback = {
        let (slot, clock) = (Arc::clone(&slot), Arc::clone(&clock));
        Arc::new(move || {
            *count.lock() += 1;
            if *count.lock() < 3 {
                slot.lock().as_ref().unwrap().arm(0);
            } else {
                drop(clock.lock().take());
                let _ = sender.send(());
            }
        })
    };
    let timer = clock.lock().as_ref().unwrap().timer(callback);
    let mut guard = slot.lock();
    guard.insert(timer).arm(0);
    drop(guard);
    receiver.recv_timeout(Duration::from_secs(20)).unwrap();
    assert!(clock.lock().is_none());
    slot.lock().take();
}

#[test]
fn a_stopped_clock_fires_nothing_until_it_goes_on() {
    let clock = HostClock::start().unwrap();
    let (sender, receiver) = mpsc::channel();
    let timer = clock.timer(Arc::new(move || {
        let _ = sender.send(());
    }));
    let start_ns = clock.now_ns();
    timer.arm(start_ns + 30_000_000);
    clock.stop();
    assert!(receiver.recv_timeout(Duration::from_millis(100)).is_err());
    assert!(clock.now_ns() < start_ns + 30_000_000);
    clock.go_on();
    receiver.recv_timeout(Duration::from_secs(20)).unwrap();
    assert!(clock.now_ns() >= start_ns + 30_000_000);
}
