//! What a local APIC remembers.
use serde::{Deserialize, Serialize};

use super::spec::{self, base, lvt};

/// The registers of a local APIC, as they are saved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApicState {
    /// `IA32_APIC_BASE`.
    pub(super) base: u64,
    /// The id that the board gives; the xAPIC's id register is writable, the x2APIC's is this.
    pub(super) initial_id: u32,
    pub(super) id: u8,
    pub(super) tpr: u8,
    pub(super) ldr: u32,
    pub(super) dfr: u32,
    pub(super) svr: u32,
    pub(super) isr: VectorSet,
    pub(super) tmr: VectorSet,
    pub(super) irr: VectorSet,
    pub(super) esr: u32,
    /// Errors since the last write to ESR.
    pub(super) errors: u32,
    pub(super) icr_low: u32,
    pub(super) icr_high: u32,
    pub(super) lvt: [u32; lvt::COUNT],
    pub(super) nmi: bool,
    pub(super) timer: TimerState,
}

/// The timer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct TimerState {
    /// The initial-count register.
    pub(super) initial: u32,
    /// The divide configuration register.
    pub(super) divide: u32,
    /// What the counter held at `started_ns`; 0 when stopped.
    pub(super) from: u32,
    /// When it held that.
    pub(super) started_ns: u64,
    /// `IA32_TSC_DEADLINE`; 0 when not armed.
    pub(super) tsc_deadline: u64,
}

impl ApicState {
    /// After power-on (SDM 3A §11.4.7.1). The bootstrap CPU's LINT0 is as firmware leaves it.
    pub(super) fn new(initial_id: u32, bootstrap: bool) -> Self {
        let mut entries = [lvt::MASKED; lvt::COUNT];
        if bootstrap {
            entries[lvt::LINT0] = lvt::LINT0_EXTINT;
        }
        Self {
            base: base::DEFAULT | base::ENABLED | if bootstrap { base::BOOTSTRAP } else { 0 },
            initial_id,
            id: initial_id as u8,
            tpr: 0,
            ldr: 0,
            dfr: u32::MAX,
            svr: 0xff,
            isr: VectorSet::default(),
            tmr: VectorSet::default(),
            irr: VectorSet::default(),
            esr: 0,
            errors: 0,
            icr_low: 0,
            icr_high: 0,
            lvt: entries,
            nmi: false,
            timer: TimerState::default(),
        }
    }
    /// After INIT: everything but the base and the id (SDM 3A §11.4.7.3).
    pub(super) fn after_init(&self) -> Self {
        let bootstrap = self.base & base::BOOTSTRAP != 0;
        let mut state = Self { base: self.base, id: self.id, ..Self::new(self.initial_id, bootstrap) };
        if state.is_x2apic() {
            state.ldr = logical_x2apic_id(self.initial_id);
        }
        state
    }
    pub(super) fn is_enabled(&self) -> bool {
        self.base & base::ENABLED != 0
    }
    pub(crate) fn is_x2apic(&self) -> bool {
        self.base & base::X2APIC != 0
    }
    pub(super) fn is_software_enabled(&self) -> bool {
        self.svr & spec::SVR_ENABLED != 0
    }
}

/// The fixed logical id of an x2APIC: cluster and place in it (SDM 3A §11.12.10.2).
pub(super) fn logical_x2apic_id(id: u32) -> u32 {
    (id >> 4) << 16 | 1 << (id & 0xf)
}

/// A bit for each of the 256 vectors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct VectorSet([u32; 8]);

impl VectorSet {
    pub(super) fn set(&mut self, vector: u8, present: bool) {
        let bit = 1 << (vector % 32);
        let word = &mut self.0[usize::from(vector / 32)];
        *word = *word & !bit | if present { bit } else { 0 };
    }
    pub(super) fn contains(&self, vector: u8) -> bool {
        self.0[usize::from(vector / 32)] & 1 << (vector % 32) != 0
    }
    pub(super) fn highest(&self) -> Option<u8> {
        let (index, word) = self.0.iter().enumerate().rev().find(|(_, word)| **word != 0)?;
        Some((index as u32 * 32 + word.ilog2()) as u8)
    }
    /// The word of one of the eight registers.
    pub(super) fn word(&self, index: u32) -> u32 {
        self.0[(index & 7) as usize]
    }
}
