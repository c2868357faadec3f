//! `gasang net capture`.
use std::fs::File;
use std::path::PathBuf;

use anyhow::Context;
use api::NetRequest;
use clap::Args;
use manager::networks::start;

use super::ask;
use crate::exit::Code;
use crate::quantity;

#[derive(Args, Debug)]
#[command(before_help = "Examples:\n  gasang net capture lab lab.pcap\n  gasang net capture lab --stop")]
pub struct Capture {
    /// The network, or the machine whose own network it is
    network: String,
    /// The file; it is written until the network ends or '--stop'
    #[arg(required_unless_present = "stop")]
    file: Option<PathBuf>,
    /// Bytes of the file at most, for example 100M
    #[arg(long, value_name = "SIZE", value_parser = quantity::size)]
    bytes: Option<u64>,
    /// Write no more
    #[arg(long, conflicts_with_all = ["file", "bytes"])]
    stop: bool,
}

impl Capture {
    /// Begins or ends.
    pub fn execute(self) -> anyhow::Result<Code> {
        let mut client = ask::connect(&self.network)?;
        match self.file {
            None => drop(ask::ask(&mut client, NetRequest::EndCapture)?),
            Some(path) => {
                let file = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
                start::pass(&mut client, NetRequest::Capture { bytes_max: self.bytes }, file)?;
            }
        }
        Ok(Code::OK)
    }
}
