//! Where policies are kept, and how running networks hear of them.
use std::path::PathBuf;

use anyhow::Context;
use api::{NetReply, NetRequest};
use manager::running::{Client, Kind, Place};
use network::policy::groups::{Groups, Stored};
use serde::de::DeserializeOwned;

use crate::output::say;
use crate::remote::Refused;

/// Where policies are kept.
pub fn directory() -> anyhow::Result<PathBuf> {
    manager::networks::config_directory().context("neither XDG_CONFIG_HOME nor HOME is set")
}

/// The file of the security groups.
fn groups_file() -> anyhow::Result<PathBuf> {
    Ok(directory()?.join("security-groups.json"))
}

/// The security groups as they are.
pub fn groups() -> anyhow::Result<Groups> {
    Ok(Groups::load(&groups_file()?)?)
}

/// Changes the security groups, and tells the networks that run.
pub fn change_groups<T>(
    cut: bool,
    change: impl FnOnce(&mut Groups) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let mut stored = Stored::open(&groups_file()?)?;
    let result = change(&mut stored.groups)?;
    stored.save()?;
    let groups = serde_json::to_value(&stored.groups)?;
    for name in Place::of(Kind::Network).names() {
        let request = NetRequest::SetGroups { groups: groups.clone(), cut };
        if let Err(error) = ask(&name, request) {
            say(&format!("gasang: the network {name:?} goes on with its old groups: {error:#}"));
        }
    }
    Ok(result)
}

/// Asks the network of a name; a failure on its side is an error here.
pub fn ask(network: &str, request: NetRequest) -> anyhow::Result<NetReply> {
    match Client::connect(&Place::of(Kind::Network), network)?.ask(request)? {
        NetReply::Failed(failure) => Err(Refused { failure }.into()),
        reply => Ok(reply),
    }
}

/// A value that a network has sent.
pub fn value<T: DeserializeOwned>(value: serde_json::Value) -> anyhow::Result<T> {
    serde_json::from_value(value).context("the network speaks of something that is not known here")
}
