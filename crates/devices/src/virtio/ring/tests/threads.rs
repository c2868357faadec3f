//! Driver and device on threads of their own, which sleep until they are told.
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use super::*;

const CHAINS: u32 = 20_000;
const PATIENCE: Duration = Duration::from_secs(20);

/// Adds as much as fits and sleeps until there is something to take back.
fn drive(mut driver: Box<dyn Driver>, notify: &Sender<()>, interrupt: &Receiver<()>) {
    let (mut added, mut back) = (0, 0);
    while back < CHAINS {
        while added < CHAINS && driver.add(&[], &[(Gpa(BUFFERS), 4)], Form::Direct).is_some() {
            added += 1;
        }
        if driver.must_notify() {
            notify.send(()).unwrap();
        }
        let before = back;
        driver.want(Want::Never);
        while let Some((_, written)) = driver.used() {
            assert_eq!(written, back + 1);
            back += 1;
        }
        if back == before {
            driver.want(Want::After(1));
            // What came in between is not told.
            if let Some((_, written)) = driver.used() {
                assert_eq!(written, back + 1);
                back += 1;
            } else {
                interrupt.recv_timeout(PATIENCE).expect("an interrupt");
            }
        }
    }
}

#[test]
fn nobody_sleeps_for_ever() {
    for kind in KINDS {
        let Bench { ram, mut queue, driver } = Bench::new(16, kind);
        let ((notify, notified), (interrupt, interrupted)) = (channel(), channel());
        let driving = std::thread::spawn(move || drive(driver, &notify, &interrupted));
        let mut served = 0;
        while served < CHAINS {
            match queue.take(&ram).unwrap() {
                Some(chain) => {
                    served += 1;
                    queue.give(&ram, &chain, served).unwrap();
                    if queue.wants_interrupt(&ram).unwrap() {
                        interrupt.send(()).unwrap();
                    }
                }
                None => notified.recv_timeout(PATIENCE).expect("a notification"),
            }
        }
        driving.join().unwrap();
    }
}
