//! What joins a virtual network to an interface of the host: a TAP device or a packet socket, used alike.
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use platform::net::Mac;
use rustix::io::{Errno, read, retry_on_intr, write};

use super::bridged::Bridged;

/// Which of the two a descriptor is; what a process that passes one over has to say along with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TrunkKind {
    /// From [`super::tap`].
    Tap,
    /// From [`super::bridged`].
    Packet,
}

/// A joint of a virtual network and the host's kernel. Messages are those of [`platform::net`]'s cables.
#[derive(Debug)]
pub enum Trunk {
    /// The cable of an interface made for this network.
    Tap(OwnedFd),
    /// Another interface's cable.
    Packet(Bridged),
}

impl Trunk {
    /// Of a descriptor that another process has opened.
    pub fn of_descriptor(kind: TrunkKind, descriptor: OwnedFd) -> Self {
        match kind {
            TrunkKind::Tap => Self::Tap(descriptor),
            TrunkKind::Packet => Self::Packet(Bridged::of_socket(descriptor)),
        }
    }
    /// What to say along with the descriptor.
    pub fn kind(&self) -> TrunkKind {
        match self {
            Self::Tap(_) => TrunkKind::Tap,
            Self::Packet(_) => TrunkKind::Packet,
        }
    }
    /// The next message, and its length; [`Errno::AGAIN`] if there is none.
    pub fn receive(&self, message: &mut [u8]) -> Result<usize, Errno> {
        match self {
            Self::Tap(device) => retry_on_intr(|| read(device, &mut *message)),
            Self::Packet(socket) => socket.receive(message),
        }
    }
    /// Sends a message; [`Errno::AGAIN`] if there is no room now, [`Errno::INVAL`] if its header makes no sense.
    pub fn send(&self, message: &[u8]) -> Result<(), Errno> {
        match self {
            Self::Tap(device) => retry_on_intr(|| write(device, message)).map(drop),
            Self::Packet(socket) => socket.send(message),
        }
    }
    /// Tells which stations the network has, whenever that changes. A TAP device needs no telling.
    pub fn set_stations(&self, stations: &[Mac]) -> Result<(), Errno> {
        match self {
            Self::Tap(_) => Ok(()),
            Self::Packet(socket) => socket.set_stations(stations),
        }
    }
}

impl AsFd for Trunk {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tap(device) => device.as_fd(),
            Self::Packet(socket) => socket.as_fd(),
        }
    }
}
