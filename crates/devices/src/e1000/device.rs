//! The controller: a PCI function, its interrupt, and its cable.
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use platform::net::{Mac, NetCard, NetPort, Offloads};
use platform::{Device, GuestRam, IrqLine, Region, SavedError, SavedState};

use super::eeprom;
use super::spec::{cause, io, pci};
use super::state::State;
use crate::pci::{BarKind, ConfigSpace, Identity, PciFunction};

/// What a controller is like, beside its cable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct E1000Options {
    /// The address in its EEPROM.
    pub mac: Mac,
}

/// The controller.
pub struct E1000 {
    pub(super) config: ConfigSpace,
    line: IrqLine,
    pub(super) ram: GuestRam,
    pub(super) port: Arc<dyn NetPort>,
    mac: Mac,
    pub(super) eeprom: [u16; 64],
    pub(super) is_up: bool,
    pub(super) state: State,
    /// Frames wait on the cable for descriptors.
    pub(super) starved: bool,
    /// A frame on its way; kept for its room.
    pub(super) frame: Vec<u8>,
}

impl E1000 {
    /// A controller at a cable. `line` is its slot's INTA#.
    pub fn new(
        port: Arc<dyn NetPort>,
        options: E1000Options,
        ram: GuestRam,
        line: IrqLine,
    ) -> Arc<Mutex<Self>> {
        let mut config = ConfigSpace::new(&Identity {
            vendor: pci::VENDOR,
            device: pci::DEVICE,
            revision: pci::REVISION,
            class: pci::CLASS,
            subsystem: (pci::VENDOR, pci::SUBSYSTEM),
        });
        config.set_interrupt_pin(1);
        config.add_bar(pci::MEMORY_BAR.0, BarKind::Memory32, pci::MEMORY_BAR.1);
        config.add_bar(pci::IO_BAR.0, BarKind::Io, pci::IO_BAR.1);
        let (mac, is_up) = (options.mac, port.is_up());
        Arc::new(Mutex::new(Self {
            config,
            line,
            ram,
            port,
            mac,
            eeprom: eeprom::words(mac),
            is_up,
            state: State::after_reset(mac),
            starved: false,
            frame: Vec::new(),
        }))
    }
    /// Causes an interrupt, where software wants it.
    pub(super) fn raise(&mut self, causes: u32) {
        self.state.causes |= causes & cause::ALL;
        self.drive_line();
    }
    pub(super) fn drive_line(&mut self) {
        let asks = self.state.causes & self.state.mask != 0;
        self.config.set_interrupt_status(asks);
        self.line.set(asks && self.config.is_pin_enabled());
    }
    /// What software's reset does: all but configuration space starts over.
    pub(super) fn start_over(&mut self) {
        self.state = State::after_reset(self.mac);
        self.starved = false;
        self.port.tell(Offloads::default());
        self.port.listen(true);
        self.drive_line();
    }
    /// After a state was taken from elsewhere, or configuration space changed.
    pub(super) fn go_on(&mut self) {
        self.drive_line();
        self.descriptors_came();
        self.transmit();
    }
}

/// What its cable tells a controller through.
pub fn card(function: &Arc<Mutex<E1000>>) -> Arc<dyn NetCard> {
    Arc::new(Card(Arc::downgrade(function)))
}

struct Card(Weak<Mutex<E1000>>);

impl Card {
    fn with(&self, act: impl FnOnce(&mut E1000)) {
        if let Some(function) = self.0.upgrade() {
            act(&mut function.lock());
        }
    }
}

impl NetCard for Card {
    fn frames_wait(&self) {
        self.with(E1000::receive);
    }
    fn room(&self) {
        self.with(E1000::transmit);
    }
    fn link_changed(&self, up: bool, _anew: bool) {
        self.with(|controller| {
            controller.is_up = up;
            controller.raise(cause::LINK);
        });
    }
}

impl Device for E1000 {
    fn name(&self) -> &'static str {
        "e1000"
    }
    fn reset(&mut self) {
        self.config.reset();
        self.start_over();
    }
    fn read(&mut self, region: Region, offset: u64, data: &mut [u8]) {
        match (usize::from(region.0), offset) {
            (bar, _) if bar == pci::MEMORY_BAR.0 => self.read_window(offset, data),
            (_, io::ADDRESS) => platform::device::put_register(data, self.state.io_address.into()),
            (_, io::DATA..8) => self.read_window(u64::from(self.state.io_address) + offset - io::DATA, data),
            _ => data.fill(0),
        }
    }
    fn write(&mut self, region: Region, offset: u64, data: &[u8]) {
        match (usize::from(region.0), offset) {
            (bar, _) if bar == pci::MEMORY_BAR.0 => self.write_window(offset, data),
            (_, io::ADDRESS) if data.len() == 4 => {
                self.state.io_address = platform::device::get_register(data) as u32 & 0x1_ffff;
            }
            (_, io::DATA..8) => self.write_window(u64::from(self.state.io_address) + offset - io::DATA, data),
            _ => {}
        }
    }
    fn save(&self) -> SavedState {
        self.save_state()
    }
    fn restore(&mut self, saved: &SavedState) -> Result<(), SavedError> {
        self.restore_state(saved)
    }
}

impl PciFunction for E1000 {
    fn config(&self) -> &ConfigSpace {
        &self.config
    }
    fn write_config(&mut self, register: u16, data: &[u8]) {
        self.config.write(register, data);
        self.go_on();
    }
}
