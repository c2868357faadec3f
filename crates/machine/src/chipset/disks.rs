//! Disks: what they hang on, and how they come and go while the machine runs.
//!
//! Lock order: [`SlotControl`], then the list of disks, then the PCI root or a controller. The slots are told only while the
//! list is not locked.
use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use devices::ahci::{self, Ahci};
use devices::ata;
use devices::interrupts::Interrupts;
use devices::pci::{Address, PciRoot, Pin, PirqRouter, SlotControl};
use devices::scsi::{self, Unit};
use devices::virtio::VirtioPci;
use devices::virtio::blk::{BlkOptions, VirtioBlk};
use devices::virtio::scsi::{ScsiOptions, VirtioScsi};
use parking_lot::{Condvar, Mutex};
use platform::{DiskPort, GuestRam, IrqLine, MsiSink};

use super::pci::first_in;
use crate::board::slot;
use crate::disks::{DiskBus, DiskConfig, DiskKind, DiskQueue, Trouble};
use crate::error::MachineError;

/// What disks say of themselves.
const MODEL: &str = "GASANG HARDDISK";
const CDROM_MODEL: &str = "GASANG CD-ROM";
const VENDOR: &str = "GASANG";
const FIRMWARE: &str = "1.0";
/// Targets of the SCSI host.
const TARGETS: u16 = 256;
/// How long a guest has to let go of a disk.
const EJECT_TIMEOUT: Duration = Duration::from_secs(10);

/// A disk that cannot come or go.
#[derive(Debug, thiserror::Error)]
pub enum DiskPlaceError {
    /// Another disk has its name.
    #[error("there is a disk called {0:?} already")]
    NameTaken(String),
    /// No disk has that name.
    #[error("there is no disk called {0:?}")]
    Missing(String),
    /// Everything on the bus is taken.
    #[error("no place is left on the {} bus", .0.name())]
    Full(DiskBus),
    /// The bus has no such drives.
    #[error("a CD-ROM drive hangs on sata or scsi")]
    CdRomBus,
    /// The guest did not react.
    #[error("the guest does not let go of {0:?}: is it in use there?")]
    Held(String),
    /// The host gives no thread.
    #[error("no thread for a disk")]
    Thread(#[source] std::io::Error),
    /// There is no machine any more.
    #[error("the machine does not run any more")]
    Over,
}

/// What disks hang on, and the disks themselves.
pub struct DiskBoard {
    wiring: Wiring,
    ahci: Arc<Mutex<Ahci>>,
    slots: Arc<Mutex<SlotControl>>,
    /// Most queues that a device gets: one for each CPU.
    queues: u16,
    trouble: Arc<dyn Trouble>,
    state: Mutex<State>,
    /// A slot was given up.
    ejected: Condvar,
}

/// What a new PCI function needs.
pub struct Wiring {
    /// Guest RAM.
    pub ram: GuestRam,
    /// Where functions are put.
    pub root: Arc<Mutex<PciRoot>>,
    /// Interrupt wires.
    pub router: Arc<PirqRouter>,
    /// Interrupt messages.
    pub interrupts: Arc<Interrupts>,
}

#[derive(Default)]
struct State {
    disks: Vec<Placed>,
    scsi: Option<Arc<Mutex<VirtioPci<VirtioScsi>>>>,
    /// Wires of slots that were used before.
    lines: BTreeMap<u8, IrqLine>,
}

struct Placed {
    name: String,
    place: Place,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Sata(usize),
    Scsi(u8),
    Slot(u8),
}

impl DiskBoard {
    /// A board with an AHCI controller and no disks. `event` raises the hot-plug event.
    pub fn new(
        wiring: Wiring,
        queues: u16,
        trouble: Arc<dyn Trouble>,
        event: Arc<dyn Fn() + Send + Sync>,
    ) -> Result<Arc<Self>, MachineError> {
        let messages: Arc<dyn MsiSink> = Arc::<Interrupts>::clone(&wiring.interrupts);
        let line = wiring.router.line(slot::LPC_BRIDGE, Pin::B);
        let ahci = Ahci::new(&wiring.ram, line, messages);
        let place = Address { slot: slot::LPC_BRIDGE, function: slot::AHCI_FUNCTION };
        wiring.root.lock().attach(place, Arc::clone(&ahci))?;
        Ok(Arc::new_cyclic(|board: &Weak<Self>| {
            let board = Weak::clone(board);
            let eject = Arc::new(move |slot| {
                if let Some(board) = board.upgrade() {
                    board.eject(slot);
                }
            });
            let slots = Arc::new(Mutex::new(SlotControl::new(event, eject)));
            let (state, ejected) = (Mutex::default(), Condvar::new());
            Self { wiring, ahci, slots, queues, trouble, state, ejected }
        }))
    }
    /// The hot-plug registers.
    pub fn slots(&self) -> &Arc<Mutex<SlotControl>> {
        &self.slots
    }

    /// Gives the machine a disk. `live` tells the guest of a new PCI function; before the machine runs it looks itself.
    pub fn attach(&self, config: &DiskConfig, live: bool) -> Result<(), DiskPlaceError> {
        let mut state = self.state.lock();
        if state.disks.iter().any(|disk| disk.name == config.name) {
            return Err(DiskPlaceError::NameTaken(config.name.clone()));
        }
        if config.kind == DiskKind::CdRom && config.bus == DiskBus::Virtio {
            return Err(DiskPlaceError::CdRomBus);
        }
        let (trouble, image) = (Arc::clone(&self.trouble), Arc::clone(&config.image));
        let queue = DiskQueue::start(&config.name, image, config.throw_away, trouble);
        let port: Arc<dyn DiskPort> = Arc::new(queue.map_err(DiskPlaceError::Thread)?);
        let (place, new_slot) = match config.bus {
            DiskBus::Sata => (self.on_sata(&state, config, port)?, None),
            DiskBus::Scsi => self.on_scsi(&mut state, config, port)?,
            DiskBus::Virtio => {
                let options =
                    BlkOptions { queues: self.queues, packed: PACKED, serial: config.serial.clone() };
                let slot = self.free_slot(&state, config.bus)?;
                self.plug(&mut state, slot, |ram, line, messages| {
                    VirtioPci::new(VirtioBlk::new(port, &options), ram, line, messages)
                })?;
                (Place::Slot(slot), Some(slot))
            }
        };
        state.disks.push(Placed { name: config.name.clone(), place });
        drop(state);
        if let Some(slot) = new_slot.filter(|_| live) {
            self.slots.lock().plugged(slot);
        }
        Ok(())
    }
    /// Takes a disk away from a running machine; one in a PCI slot once the guest has let go of it.
    pub fn detach(&self, name: &str) -> Result<(), DiskPlaceError> {
        let mut state = self.state.lock();
        let missing = || DiskPlaceError::Missing(name.to_owned());
        let index = state.disks.iter().position(|disk| disk.name == name).ok_or_else(missing)?;
        match state.disks[index].place {
            Place::Sata(port) => self.ahci.lock().detach(port).map_err(|_| missing())?,
            Place::Scsi(target) => {
                let host = state.scsi.as_ref().map(Arc::clone).ok_or_else(missing)?;
                host.lock().detach(target).map(drop).map_err(|_| missing())?;
            }
            Place::Slot(slot) => {
                drop(state);
                return self.unplug(name, slot);
            }
        }
        state.disks.remove(index);
        Ok(())
    }
    /// Names of the disks that are attached.
    pub fn names(&self) -> Vec<String> {
        self.state.lock().disks.iter().map(|disk| disk.name.clone()).collect()
    }

    fn on_sata(
        &self,
        state: &State,
        config: &DiskConfig,
        port: Arc<dyn DiskPort>,
    ) -> Result<Place, DiskPlaceError> {
        let full = || DiskPlaceError::Full(DiskBus::Sata);
        let free = |number: &usize| state.disks.iter().all(|disk| disk.place != Place::Sata(*number));
        let number = (0..ahci::PORTS).find(free).ok_or_else(full)?;
        let identity = |model: &str| ata::Identity {
            model: model.to_owned(),
            firmware: FIRMWARE.to_owned(),
            serial: config.serial.clone(),
        };
        let mut ahci = self.ahci.lock();
        match config.kind {
            DiskKind::Disk => ahci.attach_disk(number, identity(MODEL), port),
            DiskKind::CdRom => ahci.attach_cdrom(number, identity(CDROM_MODEL), Some(port)),
        }
        .map_err(|_| full())?;
        Ok(Place::Sata(number))
    }

    /// The second value is the slot of a SCSI host that was not there before.
    fn on_scsi(
        &self,
        state: &mut State,
        config: &DiskConfig,
        port: Arc<dyn DiskPort>,
    ) -> Result<(Place, Option<u8>), DiskPlaceError> {
        let full = || DiskPlaceError::Full(DiskBus::Scsi);
        let identity = |product: &str| scsi::Identity {
            vendor: VENDOR.to_owned(),
            product: product.to_owned(),
            revision: FIRMWARE.to_owned(),
            serial: config.serial.clone(),
        };
        let unit = match config.kind {
            DiskKind::Disk => Unit::disk(identity("HARDDISK"), port),
            DiskKind::CdRom => Unit::cdrom(identity("CD-ROM"), Some(port)),
        };
        let free = |target: &u8| state.disks.iter().all(|disk| disk.place != Place::Scsi(*target));
        let target = (0..=u8::MAX).find(free).ok_or_else(full)?;
        if let Some(host) = &state.scsi {
            host.lock().attach(target, unit).map_err(|_| full())?;
            return Ok((Place::Scsi(target), None));
        }
        let slot = self.free_slot(state, DiskBus::Scsi)?;
        let mut host = VirtioScsi::new(ScsiOptions { queues: self.queues, targets: TARGETS, packed: PACKED });
        host.insert(target, unit).map_err(|_| full())?;
        let new = |ram, line, messages| VirtioPci::new(host, ram, line, messages);
        state.scsi = Some(self.plug(state, slot, new)?);
        Ok((Place::Scsi(target), Some(slot)))
    }

    fn free_slot(&self, state: &State, bus: DiskBus) -> Result<u8, DiskPlaceError> {
        let taken = self.wiring.root.lock().addresses();
        let free = |slot: &u8| {
            taken.iter().all(|address| address.slot != *slot)
                && state.disks.iter().all(|disk| disk.place != Place::Slot(*slot))
        };
        slot::HOT.filter(|slot| !slot::NICS.contains(slot)).find(free).ok_or(DiskPlaceError::Full(bus))
    }

    /// Puts a new function into a slot.
    fn plug<D: devices::virtio::VirtioDevice + 'static>(
        &self,
        state: &mut State,
        slot: u8,
        new: impl FnOnce(GuestRam, IrqLine, Arc<dyn MsiSink>) -> Arc<Mutex<VirtioPci<D>>>,
    ) -> Result<Arc<Mutex<VirtioPci<D>>>, DiskPlaceError> {
        let wiring = &self.wiring;
        let line = state.lines.entry(slot).or_insert_with(|| wiring.router.line(slot, Pin::A));
        let messages: Arc<dyn MsiSink> = Arc::<Interrupts>::clone(&wiring.interrupts);
        let function = new(wiring.ram.clone(), line.clone(), messages);
        let attached = wiring.root.lock().attach(first_in(slot), Arc::clone(&function));
        attached.map_err(|_| DiskPlaceError::Full(DiskBus::Virtio))?;
        Ok(function)
    }

    fn unplug(&self, name: &str, slot: u8) -> Result<(), DiskPlaceError> {
        self.slots.lock().ask_to_unplug(slot);
        let deadline = Instant::now() + EJECT_TIMEOUT;
        let mut state = self.state.lock();
        while state.disks.iter().any(|disk| disk.name == name) {
            if self.ejected.wait_until(&mut state, deadline).timed_out() {
                return Err(DiskPlaceError::Held(name.to_owned()));
            }
        }
        Ok(())
    }
    /// The guest lets go of a slot.
    fn eject(&self, slot: u8) {
        let mut state = self.state.lock();
        let Some(index) = state.disks.iter().position(|disk| disk.place == Place::Slot(slot)) else { return };
        if let Some(function) = self.wiring.root.lock().detach(first_in(slot)) {
            // Its disk is drained and its wire falls.
            function.lock().reset();
        }
        state.disks.remove(index);
        self.ejected.notify_all();
    }
}

/// Whether virtio devices offer packed queues.
const PACKED: bool = true;
