//! What a network's process locks itself into before the first frame: no new privileges, few files (Landlock), no
//! capabilities beyond two, few system calls (seccomp). A bug that lets a guest take over the process leaves the guest
//! with what a NAT has: sockets of the internet and a directory of leases.

mod files;
mod machines;
mod system_calls;

use std::path::PathBuf;

use rustix::io::Errno;
use rustix::thread::{CapabilitySet, CapabilitySets, capabilities, set_capabilities, set_no_new_privs};

pub use files::FileJail;
pub use machines::give_up_networks;

/// What stays open of the file system.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JailPaths {
    /// Directories in which files may be read, written, made, renamed and removed.
    pub writable: Vec<PathBuf>,
    /// Files that may be read, with what takes their place later; what is missing is passed over.
    pub readable: Vec<PathBuf>,
}

impl JailPaths {
    /// A directory for what the network has to remember, and what the host says about names.
    pub fn with_state(directory: impl Into<PathBuf>) -> Self {
        let readable = ["/etc/resolv.conf", "/etc/hosts"];
        Self { writable: vec![directory.into()], readable: readable.map(PathBuf::from).to_vec() }
    }
}

/// How tight the jail is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    /// Whether files are closed; an old kernel cannot.
    pub files: FileJail,
}

/// Why there is no jail.
#[derive(Debug, thiserror::Error)]
pub enum JailError {
    /// Landlock binds only the thread that asks for it.
    #[error("a jail has to be entered before the first thread is started; there are {0} threads")]
    Threads(usize),
    /// The kernel refuses.
    #[error("privileges cannot be given up")]
    Privileges(#[source] Errno),
    /// A directory that should be writable is missing.
    #[error("{path} cannot be opened", path = path.display())]
    Path {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Landlock refuses.
    #[error("files cannot be closed")]
    Files(#[from] landlock::RulesetError),
    /// The table of system calls makes no program.
    #[error("system calls cannot be closed")]
    Compile(#[from] seccompiler::BackendError),
    /// A thread has a filter of its own.
    #[error("the thread {0} does not follow")]
    Follow(i64),
    /// seccomp refuses a machine's filter.
    #[error("networks cannot be given up")]
    Machine(#[source] std::io::Error),
    /// seccomp refuses.
    #[error("system calls cannot be closed")]
    SystemCalls(#[from] seccompiler::Error),
}

/// Enters the jail; there is no way out. Threads that are started afterwards are in it too.
pub fn enter(paths: &JailPaths) -> Result<Report, JailError> {
    let threads = std::fs::read_dir("/proc/self/task").map_or(1, Iterator::count);
    if threads != 1 {
        return Err(JailError::Threads(threads));
    }
    set_no_new_privs(true).map_err(JailError::Privileges)?;
    let files = files::close(paths)?;
    drop_capabilities().map_err(JailError::Privileges)?;
    system_calls::close()?;
    Ok(Report { files })
}

/// A NAT that root runs still sends pings and listens on low ports.
fn drop_capabilities() -> Result<(), Errno> {
    let kept = CapabilitySet::NET_RAW | CapabilitySet::NET_BIND_SERVICE;
    let permitted = capabilities(None)?.permitted & kept;
    let sets = CapabilitySets { effective: permitted, permitted, inheritable: CapabilitySet::empty() };
    set_capabilities(None, sets)
}
