//! The net helper's side: one request, one descriptor, and out.
use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process::ExitCode;

use rustix::thread::{CapabilitySet, CapabilitySets, set_capabilities, set_no_new_privs};

use super::permission::{self, Permissions, Refusal};
use super::request::{BadRequest, Request};
use super::{ANSWER_OK, OVERLAP_ADVICE};
use crate::host::netlink::Netlink;
use crate::host::{bridged, capability, descriptors, tap};

/// Why a net helper opens nothing.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The arguments make no sense.
    #[error(transparent)]
    Request(#[from] BadRequest),
    /// Not for this user.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// An address would be in the way of the host's own networks.
    #[error("{wanted} overlaps with {there}, which this host has already; {OVERLAP_ADVICE}")]
    Overlap {
        /// What was asked for.
        wanted: ipnet::IpNet,
        /// What is there.
        there: ipnet::IpNet,
    },
    /// The kernel does not say which networks the host has.
    #[error("the host's addresses cannot be asked for")]
    Addresses(#[source] rustix::io::Errno),
    /// More privileges than needed cannot be given up.
    #[error("privileges cannot be given up")]
    Privileges(#[source] rustix::io::Errno),
    /// The file of this program has not been given what it needs.
    #[error("this net helper has no {0}; as root: setcap cap_net_admin,cap_net_raw+ep on its file")]
    Incapable(&'static str),
    /// No TAP device.
    #[error(transparent)]
    Tap(#[from] tap::TapError),
    /// No bridging.
    #[error(transparent)]
    Bridged(#[from] bridged::BridgedError),
}

/// The net helper, whole: does what its arguments (without the program's name) ask for, and sends the descriptor over
/// the Unix socket that is its standard input.
pub fn serve(arguments: &[String]) -> ExitCode {
    let socket = rustix::stdio::stdin();
    match answer(arguments) {
        Ok(descriptor) => match descriptors::send(socket, ANSWER_OK, &[descriptor.as_fd()]) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                say(&format!("standard input has to be a Unix socket: {}", chain(&error)));
                ExitCode::FAILURE
            }
        },
        Err(error) => {
            refuse(socket, &chain(&error));
            ExitCode::FAILURE
        }
    }
}

/// To whoever started it if that is a program, else to whoever is looking.
fn refuse(socket: BorrowedFd<'_>, text: &str) {
    let end = text.floor_char_boundary(descriptors::BYTES_MAX);
    if descriptors::send(socket, &text.as_bytes()[..end], &[]).is_err() {
        say(text);
    }
}

fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "net-helper: {text}");
}

/// An error with what is behind it.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        text += &format!(": {source}");
        next = source.source();
    }
    text
}

fn answer(arguments: &[String]) -> Result<OwnedFd, ServeError> {
    confine()?;
    let request = Request::of_arguments(arguments)?;
    // Not the effective one, which a set-user-id file changes.
    if !rustix::process::getuid().is_root() {
        Permissions::read()?.check(&request)?;
    }
    match &request {
        Request::Tap(_) if !capability::may_administer() => {
            return Err(ServeError::Incapable("CAP_NET_ADMIN"));
        }
        Request::Bridged(_) if !capability::may_have_raw_sockets() => {
            return Err(ServeError::Incapable("CAP_NET_RAW"));
        }
        _ => {}
    }
    open(&request)
}

/// Opens what is asked for, with this process's privileges, if nothing of the host's is in the way.
pub fn open(request: &Request) -> Result<OwnedFd, ServeError> {
    permission::check_for_all(request)?;
    match request {
        Request::Bridged(interface) => Ok(bridged::open(interface)?),
        Request::Tap(config) => {
            let there =
                Netlink::open().and_then(|netlink| netlink.addresses()).map_err(ServeError::Addresses)?;
            let there: Vec<_> = there.into_iter().map(|address| address.net).collect();
            if let Some((wanted, there)) = permission::overlapping(&config.addresses, &there) {
                return Err(ServeError::Overlap { wanted, there });
            }
            Ok(tap::open(config)?)
        }
    }
}

/// Gives up everything but the two privileges, and the way to ever get more.
fn confine() -> Result<(), ServeError> {
    set_no_new_privs(true).map_err(ServeError::Privileges)?;
    let sets = rustix::thread::capabilities(None).map_err(ServeError::Privileges)?;
    let kept = sets.permitted & (CapabilitySet::NET_ADMIN | CapabilitySet::NET_RAW);
    let sets = CapabilitySets { effective: kept, permitted: kept, inheritable: CapabilitySet::empty() };
    set_capabilities(None, sets).map_err(ServeError::Privileges)
}
