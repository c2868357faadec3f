//! Saving and restoring the host. Which units there are is the machine's to know.
use platform::{SavedError, SavedState};
use serde::{Deserialize, Serialize};

use super::command::{CDB_MAX, SENSE_MAX, Sizes};
use super::device::VirtioScsi;
use super::events::Events;
use crate::scsi::{SavedUnit, Unit};

const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
struct Saved {
    cdb_size: u32,
    sense_size: u32,
    events: Events,
    units: Vec<(u8, SavedUnit)>,
}

impl VirtioScsi {
    pub(super) fn save_state(&self) -> SavedState {
        let Self { targets, events, tasks: _, accepted: _, sizes, queue_sizes: _, max_target: _, packed: _ } =
            self;
        let Sizes { cdb: cdb_size, sense: sense_size } = *sizes;
        let units = targets.iter().map(|(target, unit)| (*target, unit.save())).collect();
        SavedState::new(VERSION, &Saved { cdb_size, sense_size, events: events.clone(), units })
    }
    pub(super) fn restore_state(&mut self, saved: &SavedState) -> Result<(), SavedError> {
        let Saved { cdb_size, sense_size, events, units } = saved.take(VERSION)?;
        if cdb_size > CDB_MAX || sense_size > SENSE_MAX || !events.is_possible() {
            return Err(SavedError::Impossible("sizes of scsi commands or number of events"));
        }
        if !units.iter().map(|(target, _)| *target).eq(self.targets()) {
            return Err(SavedError::Impossible("other scsi targets"));
        }
        for (unit, (_, saved)) in self.targets.values_mut().zip(units) {
            Unit::restore(unit, saved)?;
        }
        self.sizes = Sizes { cdb: cdb_size, sense: sense_size };
        self.events = events;
        self.tasks.clear();
        Ok(())
    }
}
