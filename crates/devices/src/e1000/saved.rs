//! Saving and restoring the controller. No frame is ever half sent or received while nobody has its lock.
use platform::{SavedError, SavedState};
use serde::{Deserialize, Serialize};

use super::device::E1000;
use super::state::State;
use crate::pci::SavedConfig;

const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
struct Saved {
    config: SavedConfig,
    state: State,
}

impl E1000 {
    pub(super) fn save_state(&self) -> SavedState {
        SavedState::new(VERSION, &Saved { config: self.config.save(), state: self.state.clone() })
    }
    pub(super) fn restore_state(&mut self, saved: &SavedState) -> Result<(), SavedError> {
        let Saved { config, state } = saved.take(VERSION)?;
        if !state.is_possible() {
            return Err(SavedError::Impossible("registers of an ethernet controller"));
        }
        self.config.restore(&config)?;
        self.state = state;
        self.starved = false;
        self.port.tell(self.state.offloads());
        self.port.listen(true);
        self.drive_line();
        Ok(())
    }
}
