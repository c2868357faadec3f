//! The saved form of the controller.
//!
//! Saving waits until no command touches memory or disk any more; those whose answers were not taken by then are saved as
//! being on their way, and restoring starts them anew: a command that is done twice before its driver has heard of it
//! leaves the same behind. So guest RAM has to be restored before the controller, and devices be attached as they were.
use platform::{SavedError, SavedState};
use serde::{Deserialize, Serialize};

use super::device::Ahci;
use super::port::{Attached, Port, State};
use super::spec::{PORTS, SLOTS, ghc};
use crate::ata::SavedDrive;
use crate::pci::SavedConfig;
use crate::scsi::SavedUnit;

const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
struct Saved {
    config: SavedConfig,
    control: u32,
    interrupts: u32,
    ports: Vec<SavedPort>,
}

#[derive(Serialize, Deserialize)]
struct SavedPort {
    state: State,
    device: SavedDevice,
}

#[derive(Serialize, Deserialize)]
enum SavedDevice {
    Nobody,
    Disk(SavedDrive),
    CdRom(SavedUnit),
}

impl Ahci {
    pub(super) fn save_state(&self) -> SavedState {
        let Self { config, msi: _, line: _, ports, control, interrupts } = self;
        let saved = Saved {
            config: config.save(),
            control: *control,
            interrupts: *interrupts,
            ports: ports.iter().map(Port::save).collect(),
        };
        SavedState::new(VERSION, &saved)
    }
    pub(super) fn restore_state(&mut self, saved: &SavedState) -> Result<(), SavedError> {
        let Saved { config, control, interrupts, ports } = saved.take(VERSION)?;
        if ports.len() != PORTS {
            return Err(SavedError::Impossible("number of sata ports"));
        }
        self.config.restore(&config)?;
        self.control = ghc::AHCI | control & ghc::INTERRUPTS;
        self.interrupts = interrupts & ((1 << PORTS) - 1);
        for (port, saved) in self.ports.iter_mut().zip(ports) {
            port.restore(saved)?;
        }
        self.apply_config();
        Ok(())
    }
}

impl Port {
    fn save(&self) -> SavedPort {
        let Self { number: _, ram: _, owner: _, device, is_master: _, generation: _, state } = self;
        if state.running != 0 {
            self.drain();
        }
        let device = match device {
            None => SavedDevice::Nobody,
            Some(Attached::Disk(drive)) => SavedDevice::Disk(drive.save()),
            Some(Attached::CdRom(unit, _)) => SavedDevice::CdRom(unit.save()),
        };
        SavedPort { state: state.clone(), device }
    }
    /// Commands that were on their way wait to be started anew.
    fn restore(&mut self, saved: SavedPort) -> Result<(), SavedError> {
        let SavedPort { state, device } = saved;
        if state.slot >= SLOTS {
            return Err(SavedError::Impossible("slot of a sata port"));
        }
        self.give_up();
        match (device, &mut self.device) {
            (SavedDevice::Nobody, None) => {}
            (SavedDevice::Disk(saved), Some(Attached::Disk(drive))) => drive.restore(saved)?,
            (SavedDevice::CdRom(saved), Some(Attached::CdRom(unit, _))) => unit.restore(saved)?,
            _ => return Err(SavedError::Impossible("another device on a sata port")),
        }
        self.state = state;
        if !self.state.halted {
            // Queued commands had left their slots.
            self.state.issued |= self.state.running & self.state.queued;
        }
        (self.state.running, self.state.queued) = (0, 0);
        Ok(())
    }
}
