//! Asking a network that runs.
use api::{NetReply, NetRequest, NetworkInfo};
use manager::running::{Client, Kind, Place, RunningError};

use crate::networks::nat_name;
use crate::remote::{Refused, unexpected};

/// A connection to a network, or to the network of a machine's own first card.
pub fn connect(name: &str) -> Result<Client, RunningError> {
    let place = Place::of(Kind::Network);
    match Client::connect(&place, name) {
        Err(RunningError::NotRunning(..)) => {
            let of_machine = Client::connect(&place, &nat_name(name, 0));
            of_machine.map_err(|_| RunningError::NotRunning(Kind::Network, name.to_owned()))
        }
        other => other,
    }
}

/// Asks; a failure on the network's side is an error here.
pub fn ask(client: &mut Client, request: NetRequest) -> anyhow::Result<NetReply> {
    match client.ask(request)? {
        NetReply::Failed(failure) => Err(Refused { failure }.into()),
        reply => Ok(reply),
    }
}

/// What a network says of itself.
pub fn info(name: &str) -> anyhow::Result<NetworkInfo> {
    match ask(&mut connect(name)?, NetRequest::Info)? {
        NetReply::Info(info) => Ok(info),
        _ => Err(unexpected()),
    }
}
