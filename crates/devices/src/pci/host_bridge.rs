//! The memory controller hub, 00:00.0.
use platform::{Device, SavedError, SavedState};

use super::spec::{VENDOR_INTEL, mch};
use super::{ConfigSpace, Identity, PciFunction};

const VERSION: u32 = 1;

/// The host bridge of a Q35. Its windows into memory are where the board plan says; software cannot move them.
pub struct HostBridge {
    config: ConfigSpace,
}

impl HostBridge {
    /// A bridge that tells that PCI Express configuration space of 256 buses is at `ecam_base`.
    pub fn new(ecam_base: u64) -> Self {
        let mut config = ConfigSpace::new(&Identity {
            vendor: VENDOR_INTEL,
            device: mch::DEVICE,
            revision: mch::REVISION,
            class: mch::CLASS,
            subsystem: (0, 0),
        });
        config.define(mch::PCIEXBAR, &(ecam_base | mch::PCIEXBAR_ENABLE).to_le_bytes());
        Self { config }
    }
}

impl Device for HostBridge {
    fn name(&self) -> &'static str {
        "host-bridge"
    }
    fn reset(&mut self) {
        self.config.reset();
    }
    fn save(&self) -> SavedState {
        let Self { config } = self;
        SavedState::new(VERSION, &config.save())
    }
    fn restore(&mut self, saved: &SavedState) -> Result<(), SavedError> {
        self.config.restore(&saved.take(VERSION)?)
    }
}

impl PciFunction for HostBridge {
    fn config(&self) -> &ConfigSpace {
        &self.config
    }
    fn write_config(&mut self, register: u16, data: &[u8]) {
        self.config.write(register, data);
    }
}
