//! The controller: a PCI function, its ports' interrupts, and what is attached.
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use platform::{Device, DiskPort, GuestRam, IrqLine, MsiSink, Region, SavedError, SavedState};

use super::port::{Attached, Port};
use super::spec::{self, PORTS, ghc};
use crate::ata::{self, Drive};
use crate::pci::{BarKind, ConfigSpace, Identity, Msi, PciFunction};
use crate::scsi::{self, Unit};

/// The controller.
pub struct Ahci {
    pub(super) config: ConfigSpace,
    pub(super) msi: Msi,
    pub(super) line: IrqLine,
    pub(super) ports: [Port; PORTS],
    /// Global control.
    pub(super) control: u32,
    /// Which ports interrupt.
    pub(super) interrupts: u32,
}

/// A device that cannot be attached or detached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AhciError {
    /// Ports are numbered from 0.
    #[error("there is no sata port {0}")]
    NoPort(usize),
    /// There is something on it.
    #[error("sata port {0} is taken")]
    Taken(usize),
    /// There is nothing on it.
    #[error("nothing is on sata port {0}")]
    Empty(usize),
}

impl Ahci {
    /// A controller without devices. `line` is its slot's INTA#.
    pub fn new(ram: &GuestRam, line: IrqLine, messages: Arc<dyn MsiSink>) -> Arc<Mutex<Self>> {
        let mut config = ConfigSpace::new(&Identity {
            vendor: spec::pci::VENDOR,
            device: spec::pci::DEVICE,
            revision: spec::pci::REVISION,
            class: spec::pci::CLASS,
            subsystem: (0, 0),
        });
        config.set_interrupt_pin(1);
        config.add_bar(spec::WINDOW_BAR, BarKind::Memory32, spec::WINDOW_BYTES);
        let msi = Msi::new(&mut config, messages);
        Arc::new_cyclic(|owner: &Weak<Mutex<Self>>| {
            let ports = std::array::from_fn(|number| Port::new(number, ram.clone(), Weak::clone(owner)));
            Mutex::new(Self { config, msi, line, ports, control: ghc::AHCI, interrupts: 0 })
        })
    }
    /// Connects a disk to a port, at any time.
    pub fn attach_disk(
        &mut self,
        port: usize,
        identity: ata::Identity,
        disk: Arc<dyn DiskPort>,
    ) -> Result<(), AhciError> {
        self.attach(port, || Attached::Disk(Drive::new(identity, disk)))
    }
    /// Connects a CD-ROM drive to a port, at any time.
    pub fn attach_cdrom(
        &mut self,
        port: usize,
        identity: ata::Identity,
        medium: Option<Arc<dyn DiskPort>>,
    ) -> Result<(), AhciError> {
        self.attach(port, || Attached::CdRom(Unit::cdrom(scsi_identity(&identity), medium), identity))
    }
    /// Takes whatever is on a port off it, at any time. Nothing of its disk is touched any more once this returns.
    pub fn detach(&mut self, port: usize) -> Result<(), AhciError> {
        let found = self.ports.get_mut(port).ok_or(AhciError::NoPort(port))?;
        if found.device.is_none() {
            return Err(AhciError::Empty(port));
        }
        found.attach(None);
        self.update();
        Ok(())
    }
    /// The CD-ROM drive on a port, for media to come and go.
    pub fn cdrom(&mut self, port: usize) -> Option<&mut Unit> {
        match self.ports.get_mut(port)?.device.as_mut()? {
            Attached::CdRom(unit, _) => Some(unit),
            Attached::Disk(_) => None,
        }
    }

    fn attach(&mut self, port: usize, device: impl FnOnce() -> Attached) -> Result<(), AhciError> {
        let found = self.ports.get_mut(port).ok_or(AhciError::NoPort(port))?;
        if found.device.is_some() {
            return Err(AhciError::Taken(port));
        }
        found.attach(Some(device()));
        self.update();
        Ok(())
    }
    /// Does something to a port, unless its commands were given up meanwhile.
    pub(super) fn with_port(&mut self, number: usize, generation: u64, act: impl FnOnce(&mut Port)) {
        let found = self.ports.get_mut(number).filter(|port| port.generation == generation);
        if let Some(port) = found {
            act(port);
            self.update();
        }
    }
    /// The ports that have enabled interrupts.
    pub(super) fn asking(&self) -> u32 {
        self.ports.iter().fold(0, |asking, port| asking | u32::from(port.asks()) << port.number)
    }
    /// After anything happened to a port.
    pub(super) fn update(&mut self) {
        let before = self.interrupts;
        self.interrupts |= self.asking();
        self.signal(self.interrupts != before);
    }
    /// Drives the pin, or sends a message if there are news.
    pub(super) fn signal(&mut self, news: bool) {
        let asks = self.control & ghc::INTERRUPTS != 0 && self.interrupts != 0;
        self.config.set_interrupt_status(asks);
        let by_pin = self.config.is_pin_enabled() && !self.msi.is_enabled(&self.config);
        self.line.set(asks && by_pin);
        if asks && news {
            self.msi.notify(&self.config);
        }
    }
    /// After configuration space changed: what the ports may do.
    pub(super) fn apply_config(&mut self) {
        let is_master = self.config.is_bus_master();
        for port in &mut self.ports {
            port.is_master = is_master;
            port.run();
        }
        self.update();
    }
}

/// A drive's name, divided as INQUIRY has it.
fn scsi_identity(identity: &ata::Identity) -> scsi::Identity {
    let ata::Identity { model, firmware, serial } = identity;
    let (vendor, product) = model.split_once(' ').unwrap_or((model, ""));
    scsi::Identity {
        vendor: vendor.to_owned(),
        product: product.to_owned(),
        revision: firmware.clone(),
        serial: serial.clone(),
    }
}

impl Device for Ahci {
    fn name(&self) -> &'static str {
        "ahci"
    }
    fn reset(&mut self) {
        self.config.reset();
        self.ports.iter_mut().for_each(Port::reset);
        self.control = ghc::AHCI;
        self.interrupts = 0;
        self.apply_config();
    }
    fn read(&mut self, _region: Region, offset: u64, data: &mut [u8]) {
        self.read_window(offset, data);
    }
    fn write(&mut self, _region: Region, offset: u64, data: &[u8]) {
        self.write_window(offset, data);
    }
    fn save(&self) -> SavedState {
        self.save_state()
    }
    fn restore(&mut self, saved: &SavedState) -> Result<(), SavedError> {
        self.restore_state(saved)
    }
}

impl PciFunction for Ahci {
    fn config(&self) -> &ConfigSpace {
        &self.config
    }
    fn write_config(&mut self, register: u16, data: &[u8]) {
        self.config.write(register, data);
        self.apply_config();
    }
}
