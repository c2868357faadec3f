//! The ICH9's LPC bridge, 00:1f.0: the ISA side of the board, and the routes of PCI interrupts to the 8259As.
use std::sync::Arc;

use platform::{Device, SavedError, SavedState};

use super::spec::{VENDOR_INTEL, lpc};
use super::{ConfigSpace, Identity, PciFunction, PirqRouter};

const VERSION: u32 = 1;

/// The LPC bridge.
pub struct LpcBridge {
    config: ConfigSpace,
    router: Arc<PirqRouter>,
}

impl LpcBridge {
    /// A bridge that tells that the power-management block is at port `pm_base`, and routes `router`'s wires.
    pub fn new(pm_base: u16, router: Arc<PirqRouter>) -> Self {
        let mut config = ConfigSpace::new(&Identity {
            vendor: VENDOR_INTEL,
            device: lpc::DEVICE,
            revision: lpc::REVISION,
            class: lpc::CLASS,
            subsystem: (0, 0),
        });
        config.set_multifunction();
        config.define(lpc::PMBASE, &(u32::from(pm_base) | lpc::PMBASE_IO).to_le_bytes());
        config.define(lpc::ACPI_CNTL, &[lpc::ACPI_ENABLE]);
        for routes in [lpc::PIRQA_ROUT, lpc::PIRQE_ROUT] {
            config.define(routes, &[lpc::ROUTE_DISABLED; 4]);
            config.let_write(routes, &[lpc::ROUTE_DISABLED | lpc::ROUTE_IRQ; 4]);
        }
        Self { config, router }
    }

    fn apply_routes(&self) {
        let mut routes = [0; 4];
        self.config.read(lpc::PIRQA_ROUT as u16, &mut routes);
        self.router.set_routes(routes);
    }
}

impl Device for LpcBridge {
    fn name(&self) -> &'static str {
        "lpc"
    }
    fn reset(&mut self) {
        self.config.reset();
        self.apply_routes();
    }
    fn save(&self) -> SavedState {
        let Self { config, router: _ } = self;
        SavedState::new(VERSION, &config.save())
    }
    fn restore(&mut self, saved: &SavedState) -> Result<(), SavedError> {
        self.config.restore(&saved.take(VERSION)?)?;
        self.apply_routes();
        Ok(())
    }
}

impl PciFunction for LpcBridge {
    fn config(&self) -> &ConfigSpace {
        &self.config
    }
    fn write_config(&mut self, register: u16, data: &[u8]) {
        self.config.write(register, data);
        self.apply_routes();
    }
}
