//! Saving and restoring the card. Frames on their way are lost, as frames get lost.
use platform::net::Mac;
use platform::{SavedError, SavedState};
use serde::{Deserialize, Serialize};

use super::device::{Rules, VirtioNet};
use super::filter::Filter;
use super::spec::feature;

const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
struct Saved {
    mac: Mac,
    filter: Filter,
    offloads: u64,
}

impl VirtioNet {
    pub(super) fn save_state(&self) -> SavedState {
        // Which features were accepted is saved by the transport; the link is the cable's.
        let Rules { accepted: _, offloads, mac, filter } = &*self.rules;
        SavedState::new(VERSION, &Saved { mac: *mac, filter: filter.clone(), offloads: *offloads })
    }
    /// The transport has activated the card already, if its driver was ready.
    pub(super) fn restore_state(&mut self, saved: &SavedState) -> Result<(), SavedError> {
        let Saved { mac, filter, offloads } = saved.take(VERSION)?;
        let accepted = self.rules.accepted & feature::GUEST_OFFLOADS;
        if !filter.is_possible() || offloads & !accepted != 0 {
            return Err(SavedError::Impossible("filter or offloads of a network card"));
        }
        self.aside.clear();
        self.intake.clear();
        self.held = None;
        let rules = self.rules_mut();
        (rules.mac, rules.filter) = (mac, filter);
        self.set_offloads(offloads);
        // The network may not know where this card is now.
        self.announce = self.rules.accepted & feature::GUEST_ANNOUNCE != 0;
        Ok(())
    }
}
