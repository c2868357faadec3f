//! Saving and restoring all controllers together, as their wires tie them.
use platform::{SavedError, SavedState};
use serde::{Deserialize, Serialize};

use super::Interrupts;
use super::inputs::PicInputs;
use crate::apic::ApicState;
use crate::ioapic::IoApic;
use crate::pic::Pair;

const VERSION: u32 = 1;

/// The saved form of [`Interrupts`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InterruptsState {
    pair: Pair,
    isa: u16,
    routed: u16,
    ioapic: IoApic,
    apics: Vec<ApicState>,
}

impl Interrupts {
    /// The state of all controllers, of CPUs that do not run.
    pub fn save(&self) -> SavedState {
        let Self { pic, pic_output: _, ioapic, cpus } = self;
        let PicInputs { pair, isa, routed } = &*pic.lock();
        let state = InterruptsState {
            pair: pair.clone(),
            isa: *isa,
            routed: *routed,
            ioapic: ioapic.lock().clone(),
            apics: cpus.iter().map(|cpu| cpu.apic.lock().state().clone()).collect(),
        };
        SavedState::new(VERSION, &state)
    }
    /// Takes a state that [`Interrupts::save`] made, before the devices restore theirs.
    pub fn restore(&self, saved: &SavedState) -> Result<(), SavedError> {
        let state: InterruptsState = saved.take(VERSION)?;
        if state.apics.len() != self.cpus.len() {
            return Err(SavedError::Impossible("another number of local APICs"));
        }
        if !state.pair.is_possible() {
            return Err(SavedError::Impossible("8259A registers"));
        }
        for (cpu, apic) in self.cpus.iter().zip(state.apics) {
            cpu.apic.lock().set_state(apic);
        }
        *self.ioapic.lock() = state.ioapic;
        let mut pic = self.pic.lock();
        *pic = PicInputs { pair: state.pair, isa: state.isa, routed: state.routed };
        self.publish(&pic);
        Ok(())
    }
}
