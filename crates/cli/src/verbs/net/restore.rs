//! `gasang net restore`.
use std::os::fd::AsFd;

use anyhow::Context;
use api::{Nic, Reply, Request};
use clap::Args;
use manager::running::{Client, Kind, Place};

use crate::exit::Code;
use crate::networks::Again;
use crate::output::say;
use crate::remote::{Refused, unexpected};

#[derive(Args, Debug)]
#[command(before_help = "Examples:\n  gasang net restore lab\n  gasang net restore web")]
pub struct Restore {
    /// The network, or the machine whose cards are to be brought back onto their networks
    name: String,
}

impl Restore {
    /// Brings cards back whose networks have ended.
    pub fn execute(self) -> anyhow::Result<Code> {
        let place = Place::of(Kind::Machine);
        let mut known = false;
        for machine in place.names() {
            let mut client = Client::connect(&place, &machine)?;
            let Reply::Nics(nics) = client.ask(Request::Nics)? else { return Err(unexpected()) };
            let wanted = nics.iter().filter(|nic| machine == self.name || nic.network == self.name);
            for nic in wanted {
                known = true;
                if nic.link {
                    continue;
                }
                restore(&mut client, nic)?;
                say(&format!("gasang: {machine}'s {} is on the network {:?} again", nic.name, nic.network));
            }
        }
        if !known {
            // The same as for anything else that is not there.
            Client::connect(&place, &self.name)?;
        }
        Ok(Code::OK)
    }
}

fn restore(client: &mut Client, nic: &Nic) -> anyhow::Result<()> {
    let again: Again =
        serde_json::from_value(nic.again.clone()).context("the machine is of another version of gasang")?;
    let cable = again.join()?;
    match client.ask(Request::ConnectNic { name: nic.name.clone() })? {
        Reply::Ready => {}
        Reply::Failed(failure) => return Err(Refused { failure }.into()),
        _ => return Err(unexpected()),
    }
    match client.pass(cable.as_fd())? {
        Reply::Done => Ok(()),
        Reply::Failed(failure) => Err(Refused { failure }.into()),
        _ => Err(unexpected()),
    }
}
