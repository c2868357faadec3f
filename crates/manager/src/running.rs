//! Machines that run: each listens on a socket of its own, in a directory that is the user's alone.
//!
//! - [`listener`]: the machine's end
//! - [`client`]: everybody else's
//! - [`network`]: the same for networks, whose sockets are in a directory below

mod client;
mod listener;
mod network;

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

pub use client::{Client, names};
pub use listener::Listener;
pub use network::{NetClient, network_directory, network_names};

/// A machine that cannot be reached, or cannot be reachable.
#[derive(Debug, thiserror::Error)]
pub enum RunningError {
    /// There is no such machine, or it does not run.
    #[error("no machine called {0:?} is running")]
    NotRunning(String),
    /// There is no such network, or it does not run.
    #[error("no network called {0:?} is running")]
    NetworkNotRunning(String),
    /// Another machine has the name.
    #[error("a machine called {0:?} is running already")]
    NameTaken(String),
    /// A name that cannot be a file's.
    #[error(
        "{0:?} is no name for a machine: 1 to 64 letters, digits, '-', '_' and '.', the first no '.' or '-'"
    )]
    Name(String),
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
    #[error("the machine does not answer")]
    Talk(#[from] api::LineError),
}

/// Most characters of a name.
const NAME_MAX: usize = 64;

/// Checks the name of a machine.
pub fn check_name(name: &str) -> Result<(), RunningError> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let fits = (1..=NAME_MAX).contains(&name.len());
    if fits && name.chars().all(allowed) && !name.starts_with(['.', '-']) {
        Ok(())
    } else {
        Err(RunningError::Name(name.to_owned()))
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
    match fs::DirBuilder::new().mode(0o700).create(path) {
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

fn socket_of(directory: &Path, name: &str) -> PathBuf {
    directory.join(format!("{name}.sock"))
}

#[cfg(test)]
mod tests;
