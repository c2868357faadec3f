//! `gasang disk detach`.
use api::{Reply, Request};
use clap::Args;

use crate::exit::Code;
use crate::remote;

#[derive(Args, Debug)]
#[command(before_help = "Examples:\n  gasang disk attached web\n  gasang disk detach web data\n\n\
                         Unmount it in the guest first: what the guest has not written yet is lost.")]
pub struct Detach {
    /// The machine's name
    machine: String,
    /// The disk's name, as 'gasang disk attached' shows it
    disk: String,
}

impl Detach {
    /// Asks the machine to let the disk go.
    pub fn execute(self) -> anyhow::Result<Code> {
        match remote::ask(&self.machine, Request::DetachDisk { name: self.disk })? {
            Reply::Done => Ok(Code::OK),
            _ => Err(remote::unexpected()),
        }
    }
}
