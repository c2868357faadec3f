//! Networks that run: their sockets are in a directory below that of the machines.
use std::io::BufReader;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use api::{NetReply, NetRequest};

use super::client::{names_in, open};
use super::{RunningError, directory};

/// A connection to a network.
#[derive(Debug)]
pub struct NetClient {
    stream: UnixStream,
}

impl NetClient {
    /// Connects to the network of a name.
    pub fn connect(name: &str) -> Result<Self, RunningError> {
        Ok(Self { stream: open(&network_directory(), name, RunningError::NetworkNotRunning)? })
    }
    /// Asks, and waits for the answer.
    pub fn ask(&mut self, request: NetRequest) -> Result<NetReply, RunningError> {
        api::write_line(&mut &self.stream, request)?;
        Ok(api::read_line(&mut BufReader::new(&self.stream))?)
    }
}

/// The directory of the sockets of networks.
pub fn network_directory() -> PathBuf {
    directory().join("net")
}

/// Names of the networks that run, sorted.
pub fn network_names() -> Vec<String> {
    names_in(&network_directory())
}
