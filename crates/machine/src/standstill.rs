//! While the whole machine stands still, its time does, too: a guest that waited ninety seconds for its host notices nothing,
//! and none of its drivers' timeouts runs out.
//!
//! CPUs come to a stop one after another. Time stops when the last one stands, so none has seen a later time than that;
//! and it goes on before the first one does.
//!
//! Lock order: the lock here is held while the clock's, a leaf, is taken.
use std::sync::Arc;

use devices::apic::HostTsc;
use parking_lot::Mutex;
use platform::HostClock;

use crate::tsc::host_ticks;

/// Who wants the machine to stand still, and which CPUs do.
pub struct Standstill {
    clock: Arc<HostClock>,
    tsc: Arc<HostTsc>,
    cpus: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    wishes: usize,
    standing: usize,
    /// The host's time-stamp counter when time stopped.
    since: Option<u64>,
}

impl Standstill {
    /// Of a machine with so many CPUs, and with what tells it the time.
    pub fn new(cpus: usize, clock: Arc<HostClock>, tsc: Arc<HostTsc>) -> Self {
        Self { clock, tsc, cpus, state: Mutex::default() }
    }
    /// CPUs shall stand still, until [`Standstill::end`] is called as often.
    pub fn begin(&self) {
        let mut state = self.state.lock();
        state.wishes += 1;
        self.stop_time(&mut state);
    }
    /// Takes back one [`Standstill::begin`].
    pub fn end(&self) {
        let mut state = self.state.lock();
        state.wishes -= 1;
        if state.wishes == 0
            && let Some(since) = state.since.take()
        {
            self.tsc.set_back(host_ticks().wrapping_sub(since));
            self.clock.go_on();
        }
    }
    /// A CPU stands.
    pub fn enter(&self) {
        let mut state = self.state.lock();
        state.standing += 1;
        self.stop_time(&mut state);
    }
    /// Whether a CPU that stands may go on, which it then does; `must` if it has to in any case.
    pub fn leave(&self, must: bool) -> bool {
        let mut state = self.state.lock();
        let may = must || state.wishes == 0;
        if may {
            state.standing -= 1;
        }
        may
    }
    /// The machine's time-stamp counter minus the host's.
    pub fn tsc_offset(&self) -> u64 {
        self.tsc.offset()
    }

    fn stop_time(&self, state: &mut State) {
        if state.wishes > 0 && state.standing >= self.cpus && state.since.is_none() {
            state.since = Some(host_ticks());
            self.clock.stop();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use devices::apic::GuestTsc;
    use platform::Clock;

    use super::*;

    fn standstill(cpus: usize) -> Standstill {
        let tsc = HostTsc::new(1_000_000_000, 0_u64.wrapping_sub(host_ticks()));
        Standstill::new(cpus, Arc::new(HostClock::start().unwrap()), Arc::new(tsc))
    }

    fn is_time_passing(machine: &Standstill) -> bool {
        let before_ns = machine.clock.now_ns();
        std::thread::sleep(Duration::from_millis(2));
        machine.clock.now_ns() > before_ns
    }

    #[test]
    fn time_stops_with_the_last_cpu() {
        let machine = standstill(2);
        machine.begin();
        machine.enter();
        assert!(is_time_passing(&machine));
        machine.enter();
        assert!(!is_time_passing(&machine));
        assert!(!machine.leave(false));
        machine.begin();
        machine.end();
        assert!(!is_time_passing(&machine));
        machine.end();
        assert!(is_time_passing(&machine));
        assert!(machine.leave(false) && machine.leave(false));
        assert_eq!(machine.state.lock().standing, 0);
    }

    #[test]
    fn the_counter_stops_as_long_as_the_clock() {
        let machine = standstill(1);
        let (ticks, host) = (machine.tsc.now(), host_ticks());
        machine.begin();
        machine.enter();
        std::thread::sleep(Duration::from_millis(20));
        let stood = host_ticks() - host;
        machine.end();
        assert!(machine.leave(false));
        assert!(machine.tsc.now() - ticks < stood / 2);
    }

    #[test]
    fn a_cpu_that_has_not_left_yet_stands_again() {
        let machine = standstill(1);
        machine.begin();
        machine.enter();
        machine.end();
        machine.begin();
        assert!(!is_time_passing(&machine));
        assert!(!machine.leave(false));
        assert!(machine.leave(true));
    }
}
