//! The other end: asking a machine.
use std::fs;
use std::io::{self, BufReader};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use api::{Reply, Request};

use super::{RunningError, check_name, directory, socket_of};

/// How long an answer is awaited.
const ANSWER: Duration = Duration::from_secs(60);

/// A connection to a machine.
#[derive(Debug)]
pub struct Client {
    stream: UnixStream,
}

impl Client {
    /// Connects to the machine of a name.
    pub fn connect(name: &str) -> Result<Self, RunningError> {
        Self::connect_in(&directory(), name)
    }
    pub(super) fn connect_in(directory: &Path, name: &str) -> Result<Self, RunningError> {
        Ok(Self { stream: open(directory, name, RunningError::NotRunning)? })
    }
    /// Asks, and waits for the answer.
    pub fn ask(&mut self, request: Request) -> Result<Reply, RunningError> {
        api::write_line(&mut &self.stream, request)?;
        Ok(api::read_line(&mut BufReader::new(&self.stream))?)
    }
}

/// Connects to the socket of a name; `absent` is the error if nobody listens there.
pub(super) fn open(
    directory: &Path,
    name: &str,
    absent: fn(String) -> RunningError,
) -> Result<UnixStream, RunningError> {
    check_name(name)?;
    let path = socket_of(directory, name);
    let stream = UnixStream::connect(&path).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => absent(name.to_owned()),
        _ => RunningError::Host { path, source },
    })?;
    let timeouts = stream.set_read_timeout(Some(ANSWER)).and(stream.set_write_timeout(Some(ANSWER)));
    timeouts.map_err(api::LineError::Io)?;
    Ok(stream)
}

/// Names of the machines that run, sorted.
pub fn names() -> Vec<String> {
    names_in(&directory())
}

/// Names under which somebody listens in a directory, sorted.
pub(super) fn names_in(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries
        .filter_map(|entry| Some(entry.file_name().to_str()?.strip_suffix(".sock")?.to_owned()))
        .filter(|name| open(directory, name, RunningError::NotRunning).is_ok())
        .collect();
    names.sort();
    names
}
