//! Network cards: their slots, and the cables that come and go.
use std::collections::BTreeSet;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use devices::e1000::{self, E1000, E1000Options};
use devices::interrupts::Interrupts;
use devices::pci::{PciFunction, Pin};
use devices::virtio::VirtioPci;
use devices::virtio::net::{self, NetOptions, VirtioNet};
use parking_lot::Mutex;
use platform::MsiSink;
use platform::net::{Mac, NetCard};

use super::disks::Wiring;
use super::pci::first_in;
use crate::board::slot;
use crate::error::MachineError;
use crate::nics::{Cable, LinkWatch, NicConfig, NicModel};

/// Bytes that a largest packet can have: what IPv4 needs at least (RFC 791).
const MTU_MIN: u16 = 68;
/// Whether virtio devices offer packed queues.
const PACKED: bool = true;

/// A network card that cannot be, or cannot be plugged in.
#[derive(Debug, thiserror::Error)]
pub enum NicError {
    /// Another card has its name.
    #[error("there are two network cards called {0:?}")]
    NameTaken(String),
    /// No card has that name.
    #[error("there is no network card called {0:?}")]
    Missing(String),
    /// No more slots.
    #[error("a machine has {} network cards at most", slot::NICS.len())]
    TooMany,
    /// The address is that of a group, or of nobody.
    #[error("{0} cannot be the address of a network card")]
    Address(Mac),
    /// Packets would be too short.
    #[error("packets of {0} bytes at most are too short for a network; {MTU_MIN} is the least")]
    Mtu(u16),
    /// Another machine has it.
    #[error("the cable of the network card {0:?} is in another machine")]
    CableTaken(String),
    /// The host refuses it.
    #[error("the cable of the network card {name:?} cannot be used")]
    Cable {
        /// The card's name.
        name: String,
        /// The host's reason.
        source: io::Error,
    },
    /// There is no machine any more.
    #[error("the machine does not run any more")]
    Over,
}

/// A network card as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NicState {
    /// What the user calls it.
    pub name: String,
    /// What it is.
    pub model: NicModel,
    /// The address that it was made with.
    pub mac: Mac,
    /// Whether there is a network at the other end of its cable.
    pub connected: bool,
    /// Whether the guest sees the link up.
    pub up: bool,
}

/// The network cards of a machine.
pub struct NicBoard {
    nics: Vec<Nic>,
}

struct Nic {
    name: String,
    model: NicModel,
    mac: Mac,
    cable: Cable,
}

impl NicBoard {
    /// Cards in their slots, which are the same whenever the configuration is.
    pub fn new(
        wiring: &Wiring,
        configs: &[NicConfig],
        watch: &Arc<dyn LinkWatch>,
    ) -> Result<Self, MachineError> {
        check(configs)?;
        let mut nics = Vec::new();
        for (config, slot) in configs.iter().zip(slot::NICS) {
            let failed = |source| NicError::Cable { name: config.name.clone(), source };
            let taken = || NicError::CableTaken(config.name.clone());
            let socket = config.cable.as_ref().map(|end| end.take().ok_or_else(taken)).transpose()?;
            let cable = Cable::new(&config.name, socket).map_err(failed)?;
            let card = card(wiring, config, &cable, slot)?;
            cable.start(card, Arc::clone(watch)).map_err(failed)?;
            nics.push(Nic { name: config.name.clone(), model: config.model, mac: config.mac, cable });
        }
        Ok(Self { nics })
    }
    /// All cards.
    pub fn states(&self) -> Vec<NicState> {
        let state = |Nic { name, model, mac, cable }: &Nic| NicState {
            name: name.clone(),
            model: *model,
            mac: *mac,
            connected: cable.is_connected(),
            up: cable.port().is_up(),
        };
        self.nics.iter().map(state).collect()
    }
    /// Puts another cable into a card.
    pub fn connect(&self, name: &str, socket: OwnedFd) -> Result<(), NicError> {
        let failed = |source| NicError::Cable { name: name.to_owned(), source };
        self.find(name)?.cable.connect(socket).map_err(failed)
    }
    /// Plugs a card's cable in or pulls it out.
    pub fn plug(&self, name: &str, plugged: bool) -> Result<(), NicError> {
        self.find(name)?.cable.plug(plugged);
        Ok(())
    }
    /// Whether a card's link is up.
    pub fn is_up(&self, name: &str) -> Result<bool, NicError> {
        Ok(self.find(name)?.cable.port().is_up())
    }
    /// No card receives anything, soon, until this was taken back as often.
    pub fn pause(&self) {
        self.nics.iter().for_each(|nic| nic.cable.pause());
    }
    /// Takes back one [`NicBoard::pause`].
    pub fn resume(&self) {
        self.nics.iter().for_each(|nic| nic.cable.resume());
    }
    /// The machine has ended.
    pub fn stop(&self) {
        self.nics.iter().for_each(|nic| nic.cable.stop());
    }

    fn find(&self, name: &str) -> Result<&Nic, NicError> {
        let missing = || NicError::Missing(name.to_owned());
        self.nics.iter().find(|nic| nic.name == name).ok_or_else(missing)
    }
}

fn check(configs: &[NicConfig]) -> Result<(), NicError> {
    let mut names = BTreeSet::new();
    if configs.len() > slot::NICS.len() {
        return Err(NicError::TooMany);
    }
    for NicConfig { name, model: _, mac, mtu, cable: _ } in configs {
        if !names.insert(name) {
            return Err(NicError::NameTaken(name.clone()));
        }
        if !mac.is_unicast() {
            return Err(NicError::Address(*mac));
        }
        if *mtu < MTU_MIN {
            return Err(NicError::Mtu(*mtu));
        }
    }
    Ok(())
}

/// Makes a card and puts it into a slot.
fn card(
    wiring: &Wiring,
    config: &NicConfig,
    cable: &Cable,
    slot: u8,
) -> Result<Arc<dyn NetCard>, MachineError> {
    let line = wiring.router.line(slot, Pin::A);
    let (port, ram) = (cable.port(), wiring.ram.clone());
    match config.model {
        NicModel::Virtio => {
            let options = NetOptions { mac: config.mac, mtu: config.mtu, packed: PACKED };
            let messages: Arc<dyn MsiSink> = Arc::<Interrupts>::clone(&wiring.interrupts);
            let function = VirtioPci::new(VirtioNet::new(port, options), ram, line, messages);
            attach(wiring, slot, &function)?;
            Ok(net::card(&function))
        }
        NicModel::E1000 => {
            let function = E1000::new(port, E1000Options { mac: config.mac }, ram, line);
            attach(wiring, slot, &function)?;
            Ok(e1000::card(&function))
        }
    }
}

fn attach<F: PciFunction + 'static>(
    wiring: &Wiring,
    slot: u8,
    function: &Arc<Mutex<F>>,
) -> Result<(), MachineError> {
    Ok(wiring.root.lock().attach(first_in(slot), Arc::clone(function))?)
}
