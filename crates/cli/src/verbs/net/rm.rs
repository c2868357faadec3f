//! `gasang net rm`.
use clap::Args;
use manager::networks::Definition;
use manager::running::{Kind, Place, RunningError};

use crate::exit::Code;

#[derive(Args, Debug)]
#[command(before_help = "Examples:\n  gasang net rm lab")]
pub struct Rm {
    /// The network
    name: String,
}

impl Rm {
    /// Removes the definition, and what the network remembers.
    pub fn execute(self) -> anyhow::Result<Code> {
        if Place::of(Kind::Network).names().contains(&self.name) {
            return Err(RunningError::NameTaken(Kind::Network, self.name).into());
        }
        Definition::remove(&self.name)?;
        Ok(Code::OK)
    }
}
