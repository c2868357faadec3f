//! Networks: what is kept of them, their processes, and how machines get onto them.
//!
//! - [`definition`]: what a named network is, in a file
//! - [`process`]: the network's process
//! - [`start`]: starting it, and coming onto it

pub mod definition;
pub mod process;
pub mod start;

use std::path::PathBuf;

pub use definition::{Definition, DefinitionError, Mode};
pub use start::{Card, StartError, join};

/// A directory of the user's: `$VARIABLE/gasang`, or below the home directory.
fn user_directory(variable: &str, below_home: &str) -> Option<PathBuf> {
    let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let base = absolute(variable).or_else(|| Some(absolute("HOME")?.join(below_home)));
    Some(base?.join("gasang"))
}

/// Where definitions are.
pub fn config_directory() -> Option<PathBuf> {
    user_directory("XDG_CONFIG_HOME", ".config")
}

/// Where what networks remember is.
pub fn state_directory() -> Option<PathBuf> {
    user_directory("XDG_STATE_HOME", ".local/state")
}
