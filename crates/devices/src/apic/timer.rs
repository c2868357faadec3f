//! The local APIC's timer (SDM 3A §11.5.4).
use super::device::LocalApic;
use super::spec::{self, lvt};
use super::state::TimerState;
use super::tsc;

impl TimerState {
    /// Nanoseconds per count: the input clock times the divider (SDM 3A figure 11-10).
    fn count_ns(&self) -> u64 {
        let divider = match self.divide & 3 | self.divide >> 1 & 4 {
            7 => 1,
            power => 2 << power,
        };
        spec::TICK_NS * divider
    }
    fn elapsed(&self, now_ns: u64) -> u64 {
        now_ns.saturating_sub(self.started_ns) / self.count_ns()
    }
    /// When the counter gets to 0.
    fn expiry_ns(&self) -> u64 {
        self.started_ns.saturating_add(u64::from(self.from) * self.count_ns())
    }
    fn current(&self, now_ns: u64, periodic: bool) -> u32 {
        let elapsed = self.elapsed(now_ns);
        match u64::from(self.from).checked_sub(elapsed) {
            // Both fit: they are no larger than 32-bit values.
            Some(left) if left > 0 || !periodic => left as u32,
            _ if !periodic || self.initial == 0 => 0,
            _ => {
                let beyond = (elapsed - u64::from(self.from)) % u64::from(self.initial);
                (u64::from(self.initial) - beyond) as u32
            }
        }
    }
}

impl LocalApic {
    fn timer_mode(&self) -> u32 {
        self.state.lvt[lvt::TIMER] >> lvt::TIMER_MODE_SHIFT & 3
    }
    fn is_deadline_mode(&self) -> bool {
        self.timer_mode() == lvt::TSC_DEADLINE
    }
    pub(super) fn current_count(&self) -> u32 {
        if self.is_deadline_mode() {
            return 0;
        }
        self.state.timer.current(self.clock.now_ns(), self.timer_mode() == lvt::PERIODIC)
    }
    pub(super) fn set_initial_count(&mut self, count: u32) {
        if self.is_deadline_mode() {
            return;
        }
        self.state.timer.initial = count;
        self.state.timer.from = count;
        self.state.timer.started_ns = self.clock.now_ns();
        self.arm_timer();
    }
    pub(super) fn set_divide(&mut self, value: u32) {
        let current = self.current_count();
        self.state.timer.divide = value & 0xb;
        if self.state.timer.from != 0 {
            self.state.timer.from = current;
            self.state.timer.started_ns = self.clock.now_ns();
        }
        self.arm_timer();
    }
    /// After a write to the timer's local vector: changing to or from deadline mode disarms the timer.
    pub(super) fn timer_mode_changed(&mut self, old_lvt: u32) {
        let was_deadline = old_lvt >> lvt::TIMER_MODE_SHIFT & 3 == lvt::TSC_DEADLINE;
        if was_deadline != self.is_deadline_mode() {
            self.state.timer.tsc_deadline = 0;
            self.state.timer.from = 0;
            self.state.timer.initial = 0;
        }
        self.arm_timer();
    }
    pub(super) fn tsc_deadline(&self) -> u64 {
        if self.is_deadline_mode() { self.state.timer.tsc_deadline } else { 0 }
    }
    pub(super) fn set_tsc_deadline(&mut self, deadline: u64) {
        if self.is_deadline_mode() {
            self.state.timer.tsc_deadline = deadline;
            self.arm_timer();
        }
    }
    /// Sets the host timer to what the registers say.
    pub(super) fn arm_timer(&self) {
        let timer = &self.state.timer;
        let deadline_ns = match self.timer_mode() {
            lvt::TSC_DEADLINE if timer.tsc_deadline != 0 => {
                let wait_ns = tsc::ns_until(&*self.tsc, timer.tsc_deadline);
                Some(self.clock.now_ns().saturating_add(wait_ns))
            }
            lvt::ONE_SHOT | lvt::PERIODIC if timer.from != 0 => Some(timer.expiry_ns()),
            _ => None,
        };
        self.host_timer.set(deadline_ns);
    }
    /// The host timer fired. Looks at what is due now, as the call may come late or for an older deadline.
    pub fn timer_fired(&mut self) {
        let now_ns = self.clock.now_ns();
        let due = match self.timer_mode() {
            lvt::TSC_DEADLINE => {
                let deadline = self.state.timer.tsc_deadline;
                let due = deadline != 0 && deadline <= self.tsc.now();
                if due {
                    self.state.timer.tsc_deadline = 0;
                }
                due
            }
            mode => {
                let due = self.state.timer.from != 0 && self.state.timer.expiry_ns() <= now_ns;
                if due {
                    self.next_period(now_ns, mode == lvt::PERIODIC);
                }
                due
            }
        };
        self.arm_timer();
        if due {
            self.local_interrupt(lvt::TIMER);
        }
    }
    /// After an expiry: stopped, or at the start of the period that `now_ns` is in. Periods that went by unnoticed
    /// give no interrupts of their own.
    fn next_period(&mut self, now_ns: u64, periodic: bool) {
        let timer = &mut self.state.timer;
        if !periodic || timer.initial == 0 {
            timer.from = 0;
            return;
        }
        let period_ns = u64::from(timer.initial) * timer.count_ns();
        let first_ns = timer.expiry_ns();
        let stride_ns = period_ns.max(spec::SHORTEST_PERIOD_NS).next_multiple_of(period_ns);
        let missed = now_ns.saturating_sub(first_ns) / period_ns * period_ns;
        timer.from = timer.initial;
        timer.started_ns = first_ns.saturating_add(missed).saturating_add(stride_ns - period_ns);
    }
}
