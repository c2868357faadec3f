//! What a named network is. One file each: `networks/NAME/network.json` among the user's configuration.
use std::fs;
use std::io;
use std::path::PathBuf;

use ipnet::Ipv4Net;
use network::nat::forwards::Forward;
use network::services::{Plan, PlanError};
use serde::{Deserialize, Serialize};

use super::config_directory;
use crate::cache::{self, CacheError};
use crate::running::{Kind, RunningError, check_name};

/// How a network's guests reach others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// One machine behind an address translation.
    Nat,
    /// Machines that see one another, behind an address translation.
    Natnet,
    /// Machines and the host.
    Hostonly,
    /// Machines alone.
    Internal,
    /// Machines on the network of one of the host's interfaces.
    Bridged {
        /// Which one.
        interface: String,
    },
}

impl Mode {
    /// For people.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Nat => "nat",
            Self::Natnet => "natnet",
            Self::Hostonly => "hostonly",
            Self::Internal => "internal",
            Self::Bridged { .. } => "bridged",
        }
    }
}

/// A network as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Definition {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub mode: Mode,
    /// Its IPv4 network, if it is not the usual one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<Ipv4Net>,
    /// Addresses are given away; only for internal networks a question.
    #[serde(default)]
    pub dhcp: bool,
    /// Guests reach the host.
    #[serde(default)]
    pub allow_host: bool,
    /// Ports of the host that lead to guests whenever the network runs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub forwards: Vec<Forward>,
}

/// A network that is not there, or makes no sense.
#[derive(Debug, thiserror::Error)]
pub enum DefinitionError {
    /// There is none.
    #[error("there is no network called {0:?}")]
    Missing(String),
    /// There is one.
    #[error("there is a network called {0:?} already")]
    Exists(String),
    /// It is of another kind.
    #[error("the network {name:?} is {is}, not {wanted}")]
    OtherMode {
        /// Which.
        name: String,
        /// What it is.
        is: &'static str,
        /// What somebody took it for.
        wanted: &'static str,
    },
    /// Its addresses.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// Its name.
    #[error(transparent)]
    Name(#[from] RunningError),
    /// No place for it.
    #[error("there is no place for networks: neither XDG_CONFIG_HOME nor HOME is set to an absolute path")]
    NoHome,
    /// The host failed.
    #[error("cannot read {}", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Somebody has written nonsense.
    #[error("{} makes no sense", path.display())]
    Malformed {
        /// Which file.
        path: PathBuf,
        /// Where.
        source: serde_json::Error,
    },
    /// It cannot be written.
    #[error(transparent)]
    Write(#[from] CacheError),
}

impl Definition {
    /// A network with everything as usual.
    pub fn new(name: &str, mode: Mode) -> Self {
        Self {
            name: name.to_owned(),
            mode,
            prefix: None,
            dhcp: false,
            allow_host: false,
            forwards: Vec::new(),
        }
    }
    /// Where a network's files are.
    pub fn directory(name: &str) -> Result<PathBuf, DefinitionError> {
        check_name(Kind::Network, name)?;
        Ok(config_directory().ok_or(DefinitionError::NoHome)?.join("networks").join(name))
    }
    /// Reads one.
    pub fn load(name: &str) -> Result<Self, DefinitionError> {
        let path = Self::directory(name)?.join("network.json");
        let text = fs::read(&path).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => DefinitionError::Missing(name.to_owned()),
            _ => DefinitionError::Read { path: path.clone(), source },
        })?;
        serde_json::from_slice(&text).map_err(|source| DefinitionError::Malformed { path, source })
    }
    /// One of a mode; made with everything as usual if there is none.
    pub fn load_or_create(name: &str, mode: Mode) -> Result<Self, DefinitionError> {
        match Self::load(name) {
            Ok(found) if found.mode == mode => Ok(found),
            Ok(found) => Err(DefinitionError::OtherMode {
                name: name.to_owned(),
                is: found.mode.name(),
                wanted: mode.name(),
            }),
            Err(DefinitionError::Missing(_)) => {
                let new = Self::new(name, mode);
                new.save()?;
                Ok(new)
            }
            Err(error) => Err(error),
        }
    }
    /// Writes it; one that is there must be replaced only by whoever has read it.
    pub fn save(&self) -> Result<(), DefinitionError> {
        self.plan()?;
        let path = Self::directory(&self.name)?.join("network.json");
        let text = serde_json::to_vec_pretty(self);
        let text = text.map_err(|source| DefinitionError::Malformed { path: path.clone(), source })?;
        Ok(cache::replace(&path, &text)?)
    }
    /// Removes it with all that is kept of it.
    pub fn remove(name: &str) -> Result<(), DefinitionError> {
        let directory = Self::directory(name)?;
        match fs::remove_dir_all(&directory) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(DefinitionError::Missing(name.to_owned()));
            }
            Err(error) => return Err(CacheError::io("remove", &directory)(error).into()),
        }
        // Leases of a network that is gone.
        if let Some(state) = super::state_directory() {
            let _ = fs::remove_dir_all(state.join("networks").join(name));
        }
        Ok(())
    }
    /// All names, sorted.
    pub fn names() -> Vec<String> {
        let Some(directory) = config_directory() else { return Vec::new() };
        let entries = fs::read_dir(directory.join("networks")).into_iter().flatten().flatten();
        let mut names: Vec<String> = entries
            .filter(|entry| entry.path().join("network.json").is_file())
            .filter_map(|entry| entry.file_name().into_string().ok())
            .collect();
        names.sort();
        names
    }
    /// Its addresses. A bridged network has none of its own.
    pub fn plan(&self) -> Result<Plan, DefinitionError> {
        let plan = match &self.mode {
            Mode::Nat => Plan::nat(&self.name, 0),
            Mode::Natnet => Plan::natnet(&self.name),
            Mode::Hostonly => Plan::hostonly(&self.name),
            Mode::Internal => match self.prefix.filter(|_| self.dhcp) {
                Some(prefix) => return Ok(Plan::internal_with_dhcp(prefix)?),
                None => Plan::internal(),
            },
            Mode::Bridged { .. } => Plan::internal(),
        };
        match (self.prefix, &self.mode) {
            (Some(prefix), Mode::Nat | Mode::Natnet | Mode::Hostonly) => Ok(plan.with_prefix(prefix)?),
            _ => Ok(plan),
        }
    }
}
