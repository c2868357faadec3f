//! Registers, priorities and acceptance.
use std::sync::Arc;

use platform::{Clock, Timer, TimerCallback};

use super::message::{Command, Message};
use super::spec::{self, esr, icr, lvt};
use super::state::{ApicState, logical_x2apic_id};
use super::{DeliveryMode, GuestTsc};

/// A local APIC. It knows nothing of others: what concerns them is returned as an [`Effect`].
pub struct LocalApic {
    pub(super) state: ApicState,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) tsc: Arc<dyn GuestTsc>,
    pub(super) host_timer: Timer,
}

/// What a register write means for the rest of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Nothing.
    None,
    /// A level-triggered interrupt with this vector ended.
    LevelEnded(u8),
    /// An interrupt goes out.
    Send(Command),
}

impl LocalApic {
    /// An APIC after power-on. `on_timer` must call [`LocalApic::timer_fired`].
    pub fn new(
        id: u32,
        bootstrap: bool,
        clock: Arc<dyn Clock>,
        tsc: Arc<dyn GuestTsc>,
        on_timer: TimerCallback,
    ) -> Self {
        let host_timer = clock.timer(on_timer);
        Self { state: ApicState::new(id, bootstrap), clock, tsc, host_timer }
    }
    /// Power-on reset.
    pub fn reset(&mut self) {
        let bootstrap = self.state.base & spec::base::BOOTSTRAP != 0;
        self.state = ApicState::new(self.state.initial_id, bootstrap);
        self.arm_timer();
    }
    /// INIT.
    pub fn init(&mut self) {
        self.state = self.state.after_init();
        self.arm_timer();
    }
    /// What is saved.
    pub fn state(&self) -> &ApicState {
        &self.state
    }
    /// Takes what was saved.
    pub fn set_state(&mut self, state: ApicState) {
        self.state = state;
        self.arm_timer();
    }

    /// Priority of the processor (SDM 3A §11.8.3.1).
    fn ppr(&self) -> u8 {
        let in_service = self.state.isr.highest().unwrap_or(0);
        if self.state.tpr >> 4 >= in_service >> 4 { self.state.tpr } else { in_service & 0xf0 }
    }
    /// The interrupt that the CPU would take now.
    pub fn pending(&self) -> Option<u8> {
        let vector = self.state.irr.highest().filter(|_| self.state.is_enabled())?;
        (vector >> 4 > self.ppr() >> 4).then_some(vector)
    }
    /// Puts [`LocalApic::pending`] in service.
    pub fn acknowledge(&mut self) -> Option<u8> {
        let vector = self.pending()?;
        self.state.irr.set(vector, false);
        self.state.isr.set(vector, true);
        Some(vector)
    }
    /// Takes a pending NMI.
    pub fn take_nmi(&mut self) -> bool {
        std::mem::take(&mut self.state.nmi)
    }
    /// Whether an NMI is pending.
    pub fn nmi_pending(&self) -> bool {
        self.state.nmi
    }
    /// An NMI.
    pub fn set_nmi(&mut self) {
        self.state.nmi = true;
    }
    /// Accepts a fixed interrupt.
    pub fn accept(&mut self, vector: u8, level_triggered: bool) {
        if !self.state.is_enabled() || !self.state.is_software_enabled() {
            return;
        }
        if vector < spec::FIRST_LEGAL_VECTOR {
            return self.error(esr::RECEIVE_ILLEGAL_VECTOR);
        }
        self.state.irr.set(vector, true);
        self.state.tmr.set(vector, level_triggered);
    }
    /// How busy the CPU is, for lowest-priority delivery; `None` if it takes none.
    pub(crate) fn arbitration(&self) -> Option<u8> {
        (self.state.is_enabled() && self.state.is_software_enabled()).then(|| self.ppr())
    }

    /// Whether the 8259A's output reaches this CPU: LINT0 is in ExtINT mode, or the APIC is off and LINT0 is INTR.
    pub fn accepts_external(&self) -> bool {
        let entry = self.state.lvt[lvt::LINT0];
        let external = DeliveryMode::from_bits((entry >> 8) as u8) == DeliveryMode::ExtInt;
        !self.state.is_enabled() || (entry & lvt::MASKED == 0 && external)
    }
    /// LINT0 rises.
    pub fn external_rises(&mut self) {
        self.local_interrupt(lvt::LINT0);
    }
    /// An event of a local vector's source.
    pub(super) fn local_interrupt(&mut self, index: usize) {
        let entry = self.state.lvt[index];
        if entry & lvt::MASKED != 0 || !self.state.is_enabled() {
            return;
        }
        match DeliveryMode::from_bits((entry >> 8) as u8) {
            DeliveryMode::Fixed => self.accept(entry as u8, false),
            DeliveryMode::Nmi => self.state.nmi = true,
            _ => {}
        }
    }
    fn error(&mut self, bit: u32) {
        let entry = self.state.lvt[lvt::ERROR];
        let news = self.state.errors & bit == 0;
        self.state.errors |= bit;
        // An illegal vector in the error entry itself must not come back here.
        if news && entry as u8 >= spec::FIRST_LEGAL_VECTOR {
            self.local_interrupt(lvt::ERROR);
        }
    }

    /// Whether a message is addressed to this APIC (SDM 3A §11.6.2). `wide` says that the destination has 32 bits.
    pub fn is_addressed(&self, message: &Message, wide: bool) -> bool {
        let Message { destination, logical, .. } = *message;
        let broadcast = if wide { u32::MAX } else { 0xff };
        if destination == broadcast {
            return true;
        }
        match (logical, self.state.is_x2apic()) {
            (false, true) => destination == self.state.initial_id,
            (false, false) => destination == u32::from(self.state.id),
            (true, true) => {
                let ldr = self.state.ldr;
                destination >> 16 == ldr >> 16 && destination & ldr & 0xffff != 0
            }
            (true, false) => {
                let (destination, own) = (destination as u8, (self.state.ldr >> 24) as u8);
                if self.state.dfr >> 28 == 0xf {
                    destination & own != 0
                } else {
                    destination >> 4 == own >> 4 && destination & own & 0xf != 0
                }
            }
        }
    }

    /// Reads a register; `None` if there is none of that number.
    pub(super) fn read_register(&self, register: u32) -> Option<u32> {
        let state = &self.state;
        Some(match register {
            spec::ID if state.is_x2apic() => state.initial_id,
            spec::ID => u32::from(state.id) << 24,
            spec::VERSION => spec::VERSION_VALUE,
            spec::TPR => state.tpr.into(),
            spec::APR | spec::REMOTE_READ => 0,
            spec::PPR => self.ppr().into(),
            spec::EOI => 0,
            spec::LDR => state.ldr,
            spec::DFR => state.dfr,
            spec::SVR => state.svr,
            spec::ISR..spec::TMR => state.isr.word(register),
            spec::TMR..spec::IRR => state.tmr.word(register),
            spec::IRR..spec::ESR => state.irr.word(register),
            spec::ESR => state.esr,
            spec::ICR_LOW => state.icr_low,
            spec::ICR_HIGH => state.icr_high,
            spec::LVT_TIMER..=spec::LVT_ERROR => state.lvt[(register - spec::LVT_TIMER) as usize],
            spec::INITIAL_COUNT => state.timer.initial,
            spec::CURRENT_COUNT => self.current_count(),
            spec::DIVIDE => state.timer.divide,
            _ => return None,
        })
    }
    /// Writes a register; `None` if there is none of that number. Read-only ones ignore it.
    pub(super) fn write_register(&mut self, register: u32, value: u32) -> Option<Effect> {
        match register {
            spec::ID => self.state.id = (value >> 24) as u8,
            spec::TPR => self.state.tpr = value as u8,
            spec::EOI => return Some(self.end_of_interrupt()),
            spec::LDR => self.state.ldr = value & 0xff00_0000,
            spec::DFR => self.state.dfr = value | 0x0fff_ffff,
            spec::SVR => self.set_svr(value),
            spec::ESR => self.state.esr = std::mem::take(&mut self.state.errors),
            spec::ICR_LOW => return Some(self.send(value, self.state.icr_high >> 24)),
            spec::ICR_HIGH => self.state.icr_high = value & 0xff00_0000,
            spec::LVT_TIMER..=spec::LVT_ERROR => self.set_lvt((register - spec::LVT_TIMER) as usize, value),
            spec::INITIAL_COUNT => self.set_initial_count(value),
            spec::DIVIDE => self.set_divide(value),
            _ => self.read_register(register).map(drop)?,
        }
        Some(Effect::None)
    }
    /// Reads 32 bits of the xAPIC page.
    pub fn read_page(&mut self, offset: u64) -> u32 {
        match self.read_register((offset >> 4) as u32) {
            Some(value) if offset & 0xc == 0 => value,
            _ => {
                self.error(esr::ILLEGAL_REGISTER);
                0
            }
        }
    }
    /// Writes 32 bits of the xAPIC page.
    pub fn write_page(&mut self, offset: u64, value: u32) -> Effect {
        let effect = if offset & 0xc == 0 { self.write_register((offset >> 4) as u32, value) } else { None };
        effect.unwrap_or_else(|| {
            self.error(esr::ILLEGAL_REGISTER);
            Effect::None
        })
    }

    pub(super) fn end_of_interrupt(&mut self) -> Effect {
        let Some(vector) = self.state.isr.highest() else { return Effect::None };
        self.state.isr.set(vector, false);
        if self.state.tmr.contains(vector) { Effect::LevelEnded(vector) } else { Effect::None }
    }
    pub(super) fn send(&mut self, low: u32, destination: u32) -> Effect {
        self.state.icr_low = low & icr::WRITABLE;
        let Some(command) = Command::from_register(low, destination) else { return Effect::None };
        let needs_vector = matches!(command.message.mode, DeliveryMode::Fixed | DeliveryMode::LowestPriority);
        if needs_vector && command.message.vector < spec::FIRST_LEGAL_VECTOR {
            self.error(esr::SEND_ILLEGAL_VECTOR);
            return Effect::None;
        }
        Effect::Send(command)
    }
    fn set_svr(&mut self, value: u32) {
        self.state.svr = value & spec::SVR_WRITABLE;
        if !self.state.is_software_enabled() {
            // SDM 3A §11.4.7.2.
            self.state.lvt.iter_mut().for_each(|entry| *entry |= lvt::MASKED);
        }
    }
    fn set_lvt(&mut self, index: usize, value: u32) {
        let mut value = value & lvt::WRITABLE[index];
        if !self.state.is_software_enabled() {
            value |= lvt::MASKED;
        }
        let old = std::mem::replace(&mut self.state.lvt[index], value);
        if index == lvt::TIMER {
            self.timer_mode_changed(old);
        }
    }
    /// The task priority class that CR8 shows.
    pub fn task_priority(&self) -> u8 {
        self.state.tpr >> 4
    }
    /// What MOV to CR8 does.
    pub fn set_task_priority(&mut self, class: u8) {
        self.state.tpr = class << 4;
    }
    pub(super) fn enter_x2apic(&mut self) {
        self.state.ldr = logical_x2apic_id(self.state.initial_id);
        self.state.icr_high = 0;
    }
}
