//! What is said to running machines and networks, and what they answer: one JSON object a line, over a socket of the user's own.
#![forbid(unsafe_code)]

mod disk;
mod line;
mod message;
mod network;

pub use disk::{AttachDisk, Disk};
pub use line::{LINE_BYTES_MAX, LineError, read_line, write_line};
pub use message::{Failure, FailureKind, MachineInfo, Nic, Reply, Request, VERSION, Versioned};
pub use network::{
    AttachCard, AttachTrunk, NetReply, NetRequest, NetworkInfo, NetworkPort, PortForward, TraceFlow,
};
