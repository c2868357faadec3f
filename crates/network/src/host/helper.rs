//! Trunks that need privileges: opened by this process if it has them, else by a small program that was given them, the
//! net helper. It opens one descriptor, passes it over and exits.

mod permission;
mod request;
mod serve;

use std::io::ErrorKind;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

pub use permission::{FILE as PERMISSIONS_FILE, Permissions, Refusal};
pub use request::{BadRequest, Request};
pub use serve::{ServeError, serve};

use super::tap::TapConfig;
use super::trunk::Trunk;
use super::{capability, descriptors};

/// What a program is called that is a net helper and nothing else.
pub const PROGRAM: &str = "gasang-net-helper";
/// Where a net helper is put.
pub const INSTALLED: &str = "/usr/local/libexec/gasang-net-helper";

/// What a net helper says along with a descriptor.
const ANSWER_OK: &[u8] = b"ok";
/// A net helper that takes longer is given up.
const ANSWER_TIME: Duration = Duration::from_secs(10);
const OVERLAP_ADVICE: &str = "give the network other addresses";

/// Why there is no trunk.
#[derive(Debug, thiserror::Error)]
pub enum HelperError {
    /// This process has the privileges, and it still does not work.
    #[error(transparent)]
    Open(#[from] ServeError),
    /// Nobody has the privileges.
    #[error(
        "joining a network to an interface of the host needs CAP_NET_ADMIN, and there is no net helper that has it"
    )]
    NoHelper,
    /// A net helper said no.
    #[error("the net helper {path} says: {text}", path = path.display())]
    Refused {
        /// Which one.
        path: PathBuf,
        /// What it said.
        text: String,
    },
    /// A net helper did not do its work.
    #[error("the net helper {path} does not work: {what}", path = path.display())]
    Broken {
        /// Which one.
        path: PathBuf,
        /// What happened.
        what: String,
    },
}

impl HelperError {
    /// What a user can do about it.
    pub fn advice(&self) -> Option<String> {
        matches!(self, Self::NoHelper).then(advice)
    }
}

/// How to allow trunks to ordinary users, or do without.
pub fn advice() -> String {
    let program = std::env::current_exe().unwrap_or_else(|_| PathBuf::from("gasang"));
    format!(
        "sudo install -D -m 755 {} {INSTALLED} && sudo setcap cap_net_admin,cap_net_raw+ep {INSTALLED} allows it; \
         without, 'gasang net exec NAME -- COMMAND' runs a command on the network",
        program.display()
    )
}

/// Opens a TAP device for a host-only network.
pub fn open_tap(config: &TapConfig) -> Result<Trunk, HelperError> {
    let request = Request::Tap(config.clone());
    let descriptor = open(&request, capability::may_administer())?;
    Ok(Trunk::Tap(descriptor))
}

/// Opens a packet socket on an interface, for bridged mode.
pub fn open_bridged(interface: &str) -> Result<Trunk, HelperError> {
    let request = Request::Bridged(interface.to_owned());
    let descriptor = open(&request, capability::may_have_raw_sockets())?;
    Ok(Trunk::Packet(super::bridged::Bridged::of_socket(descriptor)))
}

fn open(request: &Request, is_capable: bool) -> Result<OwnedFd, HelperError> {
    if is_capable {
        return Ok(serve::open(request)?);
    }
    let helper = installed().ok_or(HelperError::NoHelper)?;
    ask(&helper, &request.to_arguments())
}

/// The net helper that this process would use.
pub fn installed() -> Option<PathBuf> {
    candidates().into_iter().find(|path| is_program(path))
}

fn candidates() -> Vec<PathBuf> {
    let mut candidates = vec![PathBuf::from(INSTALLED), Path::new("/usr/libexec").join(PROGRAM)];
    let data = std::env::var_os("XDG_DATA_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    candidates.extend(data.map(|data| data.join("gasang").join(PROGRAM)));
    let own = std::env::current_exe().ok();
    candidates.extend(own.and_then(|own| Some(own.parent()?.join(PROGRAM))));
    candidates
}

fn is_program(path: &Path) -> bool {
    const EXECUTABLE: u32 = 0o111;
    path.metadata()
        .is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & EXECUTABLE != 0)
}

/// Has a net helper open a descriptor.
pub fn ask(helper: &Path, arguments: &[String]) -> Result<OwnedFd, HelperError> {
    let broken = |what: String| HelperError::Broken { path: helper.to_owned(), what };
    let fail = |error: &std::io::Error| broken(error.to_string());
    let (here, there) = UnixStream::pair().map_err(|error| fail(&error))?;
    here.set_read_timeout(Some(ANSWER_TIME)).map_err(|error| fail(&error))?;
    let mut child = Command::new(helper)
        .arg("net-helper")
        .args(arguments)
        .stdin(Stdio::from(OwnedFd::from(there)))
        .stdout(Stdio::null())
        .spawn()
        .map_err(|error| fail(&error))?;
    let mut bytes = [0; descriptors::BYTES_MAX];
    let answer = descriptors::receive(&here, &mut bytes);
    if answer.is_err() {
        // It may be one that hangs; if it has ended, nothing happens.
        let _ = child.kill();
    }
    let status = child.wait().map_err(|error| fail(&error))?;
    match answer {
        Ok((count, mut descriptors)) if &bytes[..count] == ANSWER_OK => {
            descriptors.pop().ok_or_else(|| broken("it sent no descriptor".to_owned()))
        }
        Ok((count, _)) => Err(HelperError::Refused {
            path: helper.to_owned(),
            text: String::from_utf8_lossy(&bytes[..count]).into_owned(),
        }),
        Err(descriptors::PassError::System(error)) if error.kind() == ErrorKind::WouldBlock => {
            Err(broken("it does not answer".to_owned()))
        }
        Err(error) => Err(broken(format!("{}; {status}", serve::chain(&error)))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_helper_that_does_something_else_is_reported() {
        let error = ask(Path::new("/bin/false"), &[]).unwrap_err();
        assert!(error.to_string().contains("exit status: 1"), "{error}");
        let error = ask(Path::new("/nonexistent"), &[]).unwrap_err();
        assert!(matches!(error, HelperError::Broken { .. }), "{error}");
        assert!(HelperError::NoHelper.advice().unwrap().contains("setcap"));
    }
}
