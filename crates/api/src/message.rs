//! Requests and replies.
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{AttachDisk, Disk};

/// The version of everything here. It grows with each change that an older side would misunderstand.
pub const VERSION: u32 = 1;

/// A request or reply with its version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Versioned<T> {
    /// [`VERSION`] of whoever wrote it.
    pub version: u32,
    /// What is said.
    pub message: T,
}

impl<T> Versioned<T> {
    /// In the version of this program.
    pub fn new(message: T) -> Self {
        Self { version: VERSION, message }
    }
}

/// What a machine is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Request {
    /// What it is.
    Info,
    /// Its disks.
    Disks,
    /// A new disk.
    AttachDisk(AttachDisk),
    /// A disk goes.
    DetachDisk {
        /// Its name.
        name: String,
    },
    /// Its network cards.
    Nics,
    /// A card gets another cable: the answer is [`Reply::Ready`], and one end of the cable is to be passed then.
    ConnectNic {
        /// The card's name.
        name: String,
    },
}

/// What a machine answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reply {
    /// What it is.
    Info(MachineInfo),
    /// Its disks.
    Disks(Vec<Disk>),
    /// The disk that was attached.
    Attached(Disk),
    /// Its network cards.
    Nics(Vec<Nic>),
    /// A descriptor is to be passed now.
    Ready,
    /// It was done.
    Done,
    /// It was not done.
    Failed(Failure),
}

/// A network card of a machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Nic {
    /// What it is called.
    pub name: String,
    /// "virtio" or "e1000".
    pub model: String,
    /// Its address.
    pub mac: String,
    /// The network that it is on.
    pub network: String,
    /// Whether anything comes through.
    pub link: bool,
    /// How it came onto its network: what is needed to bring it there again.
    pub again: Value,
}

/// What a machine is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MachineInfo {
    /// Its name.
    pub name: String,
    /// Its process.
    pub pid: u32,
    /// Virtual CPUs.
    pub cpus: u8,
    /// Bytes of RAM.
    pub memory: u64,
}

/// Why something was not done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// For programs.
    pub kind: FailureKind,
    /// For people.
    pub message: String,
}

/// What kind of failure it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FailureKind {
    /// What was named is not there.
    NotFound,
    /// It cannot be done now, or not to this.
    WrongState,
    /// The request makes no sense.
    Invalid,
    /// Anything else.
    Other,
}

impl From<Failure> for Reply {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}
