//! The host bridge of a Q35, 00:00.0. It has a face, and nothing to program: the board is fixed.
use platform::{Device, SavedError, SavedState};

use super::config::{ConfigSpace, Identity};
use super::function::PciFunction;

/// Class: host bridge.
const CLASS: u32 = 0x06_00_00;
/// PCIEXBAR, which tells where ECAM is (Intel 3 Series §5.1.16).
const PCIEXBAR: usize = 0x60;
/// PCIEXBAR: on, 256 buses.
const PCIEXBAR_ENABLED: u64 = 1;

/// The function.
pub struct HostBridge(ConfigSpace);

impl HostBridge {
    /// A bridge that says that ECAM is at `ecam_base`.
    pub fn new(ecam_base: u64) -> Self {
        let mut config = ConfigSpace::new(Identity {
            vendor: 0x8086,
            device: 0x29c0,
            class: CLASS,
            revision: 0,
            subsystem_vendor: 0x1af4,
            subsystem: 0x1100,
        });
        config.set(PCIEXBAR, &(ecam_base | PCIEXBAR_ENABLED).to_le_bytes());
        Self(config)
    }
}

impl Device for HostBridge {
    fn name(&self) -> &'static str {
        "host-bridge"
    }
    fn reset(&mut self) {
        self.0.reset();
    }
    fn save(&self) -> SavedState {
        SavedState::new(1, &self.0.save())
    }
    fn restore(&mut self, saved: &SavedState) -> Result<(), SavedError> {
        self.0.restore(&saved.take(1)?);
        Ok(())
    }
}

impl PciFunction for HostBridge {
    fn config(&self) -> &ConfigSpace {
        &self.0
    }
    fn config_mut(&mut self) -> &mut ConfigSpace {
        &mut self.0
    }
}
