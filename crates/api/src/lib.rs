//! What is said to a running machine, and what it answers: one JSON object a line, over a socket of the user's own.
#![forbid(unsafe_code)]

mod disk;
mod line;
mod message;
mod net;

pub use disk::{AttachDisk, Disk};
pub use line::{LINE_BYTES_MAX, LineError, read_line, write_line};
pub use message::{Failure, FailureKind, MachineInfo, Reply, Request, VERSION, Versioned};
pub use net::{NetReply, NetRequest, TraceFlow};
