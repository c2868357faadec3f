//! A network card, described.
use std::os::fd::OwnedFd;
use std::sync::Arc;

use parking_lot::Mutex;
use platform::net::Mac;

/// What a card is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NicModel {
    /// virtio-net.
    Virtio,
    /// Intel 82540EM.
    E1000,
}

/// A network card of a machine.
#[derive(Clone, Debug)]
pub struct NicConfig {
    /// What the user calls it, unique in the machine.
    pub name: String,
    /// What it is.
    pub model: NicModel,
    /// Its address: one station's.
    pub mac: Mac,
    /// Bytes of the largest packet that its network takes, 68 to 65,535; virtio tells the guest.
    pub mtu: u16,
    /// Its cable; none for a card that is not plugged in yet.
    pub cable: Option<CableEnd>,
}

/// One end of a cable ([`platform::net`]): a Unix socket that keeps the bounds of messages. Clones are the same end; the
/// machine that is built first takes it.
#[derive(Clone, Debug)]
pub struct CableEnd(Arc<Mutex<Option<OwnedFd>>>);

impl CableEnd {
    /// The end that a descriptor is.
    pub fn new(socket: OwnedFd) -> Self {
        Self(Arc::new(Mutex::new(Some(socket))))
    }
    /// The descriptor, once.
    pub(crate) fn take(&self) -> Option<OwnedFd> {
        self.0.lock().take()
    }
}

impl NicModel {
    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Virtio => "virtio",
            Self::E1000 => "e1000",
        }
    }
    /// The model of a name.
    pub fn of_name(name: &str) -> Option<Self> {
        [Self::Virtio, Self::E1000].into_iter().find(|model| model.name() == name)
    }
}
