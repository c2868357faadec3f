//! The LPC bridge of an ICH9, 00:1f.0: interrupt routing. The legacy chips behind it are devices of their own.
use std::sync::Arc;

use platform::{Device, SavedError, SavedState};

use super::config::{ConfigSpace, Identity};
use super::function::PciFunction;
use super::pirq::{LINES, PirqRouter};
use super::spec::lpc;

/// Class: ISA bridge.
const CLASS: u32 = 0x06_01_00;

/// The function.
pub struct Lpc {
    config: ConfigSpace,
    router: Arc<PirqRouter>,
}

impl Lpc {
    /// A bridge that routes PCI interrupts to the 8259A through `router`.
    pub fn new(router: Arc<PirqRouter>) -> Self {
        let mut config = ConfigSpace::new(Identity {
            vendor: 0x8086,
            device: 0x2918,
            class: CLASS,
            revision: 2,
            subsystem_vendor: 0x1af4,
            subsystem: 0x1100,
        });
        for line in 0..LINES {
            config.allow(register(line), &[0x8f]);
        }
        let mut bridge = Self { config, router };
        bridge.disable_routes();
        bridge
    }
    fn disable_routes(&mut self) {
        for line in 0..LINES {
            self.config.set(register(line), &[lpc::PIRQ_DISABLED]);
        }
        self.apply_routes();
    }
    fn apply_routes(&self) {
        for line in 0..LINES {
            self.router.set_route(line, self.config.byte(register(line)));
        }
    }
}

fn register(line: usize) -> usize {
    if line < 4 { lpc::PIRQ_A + line } else { lpc::PIRQ_E + line - 4 }
}

impl Device for Lpc {
    fn name(&self) -> &'static str {
        "lpc"
    }
    fn reset(&mut self) {
        self.config.reset();
        self.disable_routes();
    }
    fn save(&self) -> SavedState {
        let Self { config, router: _ } = self;
        SavedState::new(1, &config.save())
    }
    fn restore(&mut self, saved: &SavedState) -> Result<(), SavedError> {
        self.config.restore(&saved.take(1)?);
        self.apply_routes();
        Ok(())
    }
}

impl PciFunction for Lpc {
    fn config(&self) -> &ConfigSpace {
        &self.config
    }
    fn config_mut(&mut self) -> &mut ConfigSpace {
        &mut self.config
    }
    fn config_write(&mut self, at: usize, data: &[u8]) {
        self.config.write(at, data);
        self.apply_routes();
    }
}
