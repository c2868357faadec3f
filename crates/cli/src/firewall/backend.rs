//! Where a firewall's state is.
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use api::{NetReply, NetRequest};
use manager::running::{Client, Kind, Place, RunningError, check_name};
use network::policy::zones::Firewall;

use crate::networks::nat_name;
use crate::{policy, remote};

/// Where a firewall's state is.
pub trait Backend {
    /// What is in force; none if the network does not run.
    fn firewall(&mut self) -> anyhow::Result<Option<Firewall>>;
    /// Puts a state in force.
    fn set_firewall(&mut self, firewall: &Firewall, cut: bool) -> anyhow::Result<()>;
    /// What is on disk.
    fn directory(&self) -> &Path;
    /// Seconds since 1970.
    fn now(&self) -> u64;
}

/// A network's process, and the user's configuration.
pub struct Live {
    network: String,
    directory: PathBuf,
}

impl Live {
    /// Of the network of a name, or of the network of a machine's own first card while that runs.
    pub fn new(network: &str) -> anyhow::Result<Self> {
        check_name(Kind::Network, network)?;
        let runs = |name: &str| Client::connect(&Place::of(Kind::Network), name).is_ok();
        let own = nat_name(network, 0);
        let network = if !runs(network) && runs(&own) { own } else { network.to_owned() };
        let directory = policy::directory()?.join("networks").join(&network).join("firewall");
        Ok(Self { network, directory })
    }
}

impl Backend for Live {
    fn firewall(&mut self) -> anyhow::Result<Option<Firewall>> {
        match policy::ask(&self.network, NetRequest::Firewall) {
            Ok(NetReply::Firewall(firewall)) => Ok(Some(policy::value(firewall)?)),
            Ok(_) => Err(remote::unexpected()),
            Err(error) => match error.downcast_ref() {
                Some(RunningError::NotRunning(..)) => Ok(None),
                _ => Err(error),
            },
        }
    }
    fn set_firewall(&mut self, firewall: &Firewall, cut: bool) -> anyhow::Result<()> {
        let firewall = serde_json::to_value(firewall)?;
        match policy::ask(&self.network, NetRequest::SetFirewall { firewall, cut })? {
            NetReply::Done => Ok(()),
            _ => Err(remote::unexpected()),
        }
    }
    fn directory(&self) -> &Path {
        &self.directory
    }
    fn now(&self) -> u64 {
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
    }
}
