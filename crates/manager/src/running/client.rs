//! The other end: asking.
use std::io::{self, BufReader};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use network::host::descriptors;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Place, RunningError, check_name};

/// How long an answer is awaited.
const ANSWER: Duration = Duration::from_secs(60);

/// A connection.
#[derive(Debug)]
pub struct Client {
    stream: UnixStream,
}

impl Client {
    /// Connects to what runs under a name.
    pub fn connect(place: &Place, name: &str) -> Result<Self, RunningError> {
        check_name(place.kind, name)?;
        let path = place.socket(name);
        let stream = UnixStream::connect(&path).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
                RunningError::NotRunning(place.kind, name.to_owned())
            }
            _ => RunningError::Host { path, source },
        })?;
        let timeouts = stream.set_read_timeout(Some(ANSWER)).and(stream.set_write_timeout(Some(ANSWER)));
        timeouts.map_err(api::LineError::Io)?;
        Ok(Self { stream })
    }
    /// Asks, and waits for the answer.
    pub fn ask<Q: Serialize, A: DeserializeOwned>(&mut self, request: Q) -> Result<A, RunningError> {
        api::write_line(&mut &self.stream, request)?;
        Ok(api::read_line(&mut BufReader::new(&self.stream))?)
    }
    /// Passes a descriptor after an answer that asks for it, and waits for the answer to that.
    pub fn pass<A: DeserializeOwned>(&mut self, descriptor: BorrowedFd<'_>) -> Result<A, RunningError> {
        descriptors::send(self.stream.as_fd(), b"d", &[descriptor])?;
        Ok(api::read_line(&mut BufReader::new(&self.stream))?)
    }
}
