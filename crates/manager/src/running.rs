//! Machines and networks that run: each listens on a socket of its own, in a directory that is the user's alone.
//!
//! - [`listener`]: its end
//! - [`client`]: everybody else's

mod client;
mod listener;

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

pub use client::Client;
pub use listener::{Bound, Listener, Talk};

/// What runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A machine.
    Machine,
    /// A network.
    Network,
}

impl std::fmt::Display for Kind {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Machine => "machine",
            Self::Network => "network",
        })
    }
}

/// Something that cannot be reached, or cannot be reachable.
#[derive(Debug, thiserror::Error)]
pub enum RunningError {
    /// There is no such thing, or it does not run.
    #[error("no {0} called {1:?} is running")]
    NotRunning(Kind, String),
    /// Another one has the name.
    #[error("a {0} called {1:?} is running already")]
    NameTaken(Kind, String),
    /// A name that cannot be a file's.
    #[error("{1:?} is no name for a {0}: 1 to 64 letters, digits, '-', '_' and '.', the first no '.' or '-'")]
    Name(Kind, String),
    /// Sockets cannot be had.
    #[error("cannot use {}", path.display())]
    Host {
        /// Which file or directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The directory belongs to somebody else, or others may change it.
    #[error("{} is not this user's alone", .0.display())]
    Foreign(PathBuf),
    /// Asking failed.
    #[error("it does not answer")]
    Talk(#[from] api::LineError),
    /// A descriptor was not passed.
    #[error("a descriptor was not passed on")]
    Pass(#[from] network::host::descriptors::PassError),
}

/// Most characters of a name.
const NAME_MAX: usize = 64;

/// Where machines or networks are found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    kind: Kind,
    directory: PathBuf,
}

impl Place {
    /// The user's own.
    pub fn of(kind: Kind) -> Self {
        match kind {
            Kind::Machine => Self { kind, directory: directory() },
            Kind::Network => Self { kind, directory: directory().join("net") },
        }
    }
    /// Names of all that run, sorted.
    pub fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.directory).into_iter().flatten().flatten();
        let mut names: Vec<String> = entries
            .filter_map(|entry| Some(entry.file_name().to_str()?.strip_suffix(".sock")?.to_owned()))
            .filter(|name| Client::connect(self, name).is_ok())
            .collect();
        names.sort();
        names
    }
    /// Where its own files are, such as what it has to say.
    pub fn directory(&self) -> &Path {
        &self.directory
    }
    fn socket(&self, name: &str) -> PathBuf {
        self.directory.join(format!("{name}.sock"))
    }
}

/// Checks a name.
pub fn check_name(kind: Kind, name: &str) -> Result<(), RunningError> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let fits = (1..=NAME_MAX).contains(&name.len());
    if fits && name.chars().all(allowed) && !name.starts_with(['.', '-']) {
        Ok(())
    } else {
        Err(RunningError::Name(kind, name.to_owned()))
    }
}

/// The directory of the sockets: `$XDG_RUNTIME_DIR/gasang`, or below `/tmp` where there is none.
pub fn directory() -> PathBuf {
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|path| path.is_absolute());
    let user = rustix::process::getuid().as_raw();
    runtime.map_or_else(|| std::env::temp_dir().join(format!("gasang-{user}")), |path| path.join("gasang"))
}

/// Makes the directory if need be, and checks that nobody else can put sockets there.
fn safe_directory(path: &Path) -> Result<(), RunningError> {
    let host = |source| RunningError::Host { path: path.to_owned(), source };
    match fs::DirBuilder::new().mode(0o700).recursive(true).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(host(error)),
        _ => {}
    }
    // Not through a link that somebody else has put there.
    let found = fs::symlink_metadata(path).map_err(host)?;
    let mine = found.uid() == rustix::process::getuid().as_raw();
    if found.is_dir() && mine && found.mode() & 0o022 == 0 {
        Ok(())
    } else {
        Err(RunningError::Foreign(path.to_owned()))
    }
}

#[cfg(test)]
mod tests;
