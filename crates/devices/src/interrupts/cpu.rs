//! The interrupts of one CPU, as its engine asks for them.
use std::collections::VecDeque;
use std::sync::{Arc, OnceLock, Weak};

use parking_lot::Mutex;
use platform::{Attention, TimerCallback, device};

use super::Interrupts;
use crate::apic::{DeliveryMode, Effect, LocalApic, Message};

/// What another CPU wants of this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CpuEvent {
    /// INIT: the CPU goes to wait for a start-up message.
    Init,
    /// Start at this page, in real mode.
    Startup(u8),
}

/// One CPU's end of the interrupt controllers.
pub struct CpuInterrupts {
    machine: Weak<Interrupts>,
    pub(super) apic: Mutex<LocalApic>,
    /// A CPU that waits does not need more than the last of each.
    events: Mutex<VecDeque<CpuEvent>>,
    wakers: OnceLock<Wakers>,
}

struct Wakers {
    attention: Arc<dyn Attention>,
    wake: TimerCallback,
}

/// More events than an unanswered INIT and the start-ups after it.
const EVENTS_KEPT: usize = 4;

impl CpuInterrupts {
    pub(super) fn new(machine: Weak<Interrupts>, apic: LocalApic) -> Self {
        Self { machine, apic: Mutex::new(apic), events: Mutex::default(), wakers: OnceLock::new() }
    }
    /// Says how to get this CPU's attention: `attention` for one that runs, `wake` for one whose thread is parked.
    /// Both are called, with interrupt controllers' locks held; they must not call back. Only the first call counts.
    pub fn connect(&self, attention: Arc<dyn Attention>, wake: TimerCallback) {
        if self.wakers.set(Wakers { attention, wake }).is_err() {
            tracing::error!("a CPU was connected to its interrupts twice");
        }
    }

    /// Whether an external interrupt could be taken now if RFLAGS.IF were set.
    pub fn interrupt_pending(&self) -> bool {
        let apic = self.apic.lock();
        apic.pending().is_some() || (self.external_asserted() && apic.accepts_external())
    }
    /// Takes the most urgent interrupt: its vector, now in service.
    pub fn acknowledge(&self) -> Option<u8> {
        let external = self.external_asserted() && self.apic.lock().accepts_external();
        let from_pic = external.then(|| self.machine.upgrade()?.acknowledge_pic()).flatten();
        from_pic.or_else(|| self.apic.lock().acknowledge())
    }
    /// Takes a pending NMI, if there is one.
    pub fn take_nmi(&self) -> bool {
        self.apic.lock().take_nmi()
    }
    /// Whether an NMI is pending.
    pub fn nmi_pending(&self) -> bool {
        self.apic.lock().nmi_pending()
    }
    /// Takes the oldest event of other CPUs.
    pub fn take_event(&self) -> Option<CpuEvent> {
        self.events.lock().pop_front()
    }
    /// Whether [`CpuInterrupts::take_event`] has something.
    pub fn event_pending(&self) -> bool {
        !self.events.lock().is_empty()
    }
    /// What CR8 reads, 0 to 15.
    pub fn task_priority(&self) -> u8 {
        self.apic.lock().task_priority()
    }
    /// What MOV CR8 writes.
    pub fn set_task_priority(&self, class: u8) {
        let mut apic = self.apic.lock();
        apic.set_task_priority(class);
        self.notify_if_pending(&apic);
    }
    /// Reads one of the APIC's MSRs (base, TSC deadline, x2APIC); `None` raises `#GP(0)`.
    pub fn msr_read(&self, number: u32) -> Option<u64> {
        self.apic.lock().read_msr(number)
    }
    /// Writes one of the APIC's MSRs; `None` raises `#GP(0)`.
    pub fn msr_write(&self, number: u32, value: u64) -> Option<()> {
        let mut apic = self.apic.lock();
        let effect = apic.write_msr(number, value)?;
        self.notify_if_pending(&apic);
        drop(apic);
        self.carry_out(effect);
        Some(())
    }
    /// Reads this CPU's APIC page, if `address` lies in it.
    pub fn mmio_read(&self, address: u64, data: &mut [u8]) -> bool {
        let mut apic = self.apic.lock();
        let Some(offset) = apic.page_offset(address) else { return false };
        // Accesses other than aligned 32-bit ones are undefined (SDM 3A §11.4.1); narrow reads are common all the same.
        let value = apic.read_page(offset & !3) >> ((offset & 3) * 8);
        device::put_register(data, value.into());
        true
    }
    /// Writes this CPU's APIC page, if `address` lies in it.
    pub fn mmio_write(&self, address: u64, data: &[u8]) -> bool {
        let mut apic = self.apic.lock();
        let Some(offset) = apic.page_offset(address) else { return false };
        if offset & 3 != 0 {
            return true;
        }
        let effect = apic.write_page(offset, device::get_register(data) as u32);
        self.notify_if_pending(&apic);
        drop(apic);
        self.carry_out(effect);
        true
    }

    fn external_asserted(&self) -> bool {
        self.machine.upgrade().is_some_and(|machine| machine.pic_output())
    }
    fn carry_out(&self, effect: Effect) {
        if effect == Effect::None {
            return;
        }
        let Some(machine) = self.machine.upgrade() else { return };
        match effect {
            Effect::None => {}
            Effect::LevelEnded(vector) => machine.end_of_level(vector),
            Effect::Send(command) => machine.send_command(self, command),
        }
    }
    pub(super) fn timer_fired(&self) {
        let mut apic = self.apic.lock();
        apic.timer_fired();
        self.notify_if_pending(&apic);
    }
    /// Takes a message that is addressed to this CPU.
    pub(super) fn receive(&self, message: &Message) {
        let mut apic = self.apic.lock();
        match message.mode {
            DeliveryMode::Fixed | DeliveryMode::LowestPriority => {
                apic.accept(message.vector, message.level_triggered);
                self.notify_if_pending(&apic);
            }
            DeliveryMode::Nmi => {
                apic.set_nmi();
                self.notify();
            }
            DeliveryMode::Init => {
                apic.init();
                self.push_event(CpuEvent::Init);
            }
            DeliveryMode::Startup => self.push_event(CpuEvent::Startup(message.vector)),
            DeliveryMode::Smi | DeliveryMode::ExtInt | DeliveryMode::Reserved => {}
        }
    }
    fn push_event(&self, event: CpuEvent) {
        let mut events = self.events.lock();
        if event == CpuEvent::Init {
            events.clear();
        }
        if events.len() < EVENTS_KEPT {
            events.push_back(event);
        }
        drop(events);
        self.notify();
    }
    /// The 8259A's output rose.
    pub(super) fn external_rises(&self) {
        let mut apic = self.apic.lock();
        apic.external_rises();
        if apic.accepts_external() || apic.pending().is_some() || apic.nmi_pending() {
            self.notify();
        }
    }
    pub(super) fn reset(&self) {
        self.apic.lock().reset();
        self.events.lock().clear();
    }
    fn notify_if_pending(&self, apic: &LocalApic) {
        let external = self.external_asserted() && apic.accepts_external();
        if external || apic.pending().is_some() || apic.nmi_pending() {
            self.notify();
        }
    }
    fn notify(&self) {
        if let Some(wakers) = self.wakers.get() {
            wakers.attention.raise();
            (wakers.wake)();
        }
    }
}
