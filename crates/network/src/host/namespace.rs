//! A room of a user's own on a virtual network: a user namespace and a network namespace in which the user may set up
//! what they like, so that a command of this host reaches guests without any privilege (user_namespaces(7)).
//!
//! The room's interface is the host's station on the network. It is a TAP device, or, where `/dev/net/tun` is closed to
//! the user, a pair of veth interfaces with a packet socket on the other end; both are trunks like any other.

mod founder;

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus};

use rustix::io::Errno;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::bridged::{self, Bridged};
use super::netlink::{LinkChange, Netlink};
use super::packet_socket;
use super::tap::{self, TapConfig};
use super::trunk::Trunk;
use founder::{Found, Founder};

/// The loopback's interface in every network namespace.
const LOOPBACK: u32 = 1;

/// Why there is no room.
#[derive(Debug, thiserror::Error)]
pub enum RoomError {
    /// The host forbids user namespaces to this user.
    #[error("this host lets you have no user namespaces")]
    Forbidden(#[source] Errno),
    /// No process could be started for it, or it did not do its work.
    #[error("no namespace: {what}")]
    Founder {
        /// What was being done.
        what: &'static str,
        /// Why it failed.
        source: io::Error,
    },
    /// The interface could not be set up.
    #[error(transparent)]
    Tap(#[from] tap::TapError),
    /// Nor could a pair of interfaces.
    #[error("no interface in the namespace: {what}")]
    Pair {
        /// What was being done.
        what: &'static str,
        /// Why it failed.
        source: Errno,
    },
}

/// A user namespace and a network namespace, kept as long as this value or a process in them lives.
#[derive(Debug)]
pub struct Room {
    user: OwnedFd,
    network: OwnedFd,
}

impl Room {
    /// Makes a room with its loopback and one interface, and the trunk that joins that to a network.
    pub fn new(config: &TapConfig) -> Result<(Self, Trunk), RoomError> {
        let mut founder = Founder::start()?;
        let Found { netlink, packet_socket, device } = founder.found()?;
        let room = Self { user: founder.open("user")?, network: founder.open("net")? };
        founder.map_users()?;
        founder.finish()?;
        let netlink = Netlink::of_socket(netlink);
        netlink
            .change_link(LOOPBACK, LinkChange { up: true, ..LinkChange::default() })
            .map_err(|source| RoomError::Pair { what: "the loopback does not come up", source })?;
        let trunk = match device {
            Some(device) => {
                tap::make(&device, &config.name)?;
                Trunk::Tap(device)
            }
            None => Trunk::Packet(pair(&netlink, config, packet_socket)?),
        };
        tap::configure(&netlink, config)?;
        Ok((room, trunk))
    }
    /// Runs a command in the room, as the user who runs this program, and waits for its end.
    pub fn run(&self, command: &mut Command) -> io::Result<ExitStatus> {
        self.spawn(command)?.wait()
    }
    /// Starts a command in the room.
    #[expect(unsafe_code, reason = "a child changes its namespaces before it becomes the command")]
    pub fn spawn(&self, command: &mut Command) -> io::Result<Child> {
        use std::os::fd::AsFd;
        let (user, network) = (self.user.try_clone()?, self.network.try_clone()?);
        let enter = move || {
            move_into_link_name_space(user.as_fd(), Some(LinkNameSpaceType::User))?;
            move_into_link_name_space(network.as_fd(), Some(LinkNameSpaceType::Network))?;
            Ok(())
        };
        // SAFETY: between fork and exec it only makes two system calls.
        unsafe { command.pre_exec(enter) };
        command.spawn()
    }
}

/// Makes the interface as one end of a pair, and the packet socket a station at the other.
fn pair(netlink: &Netlink, config: &TapConfig, socket: OwnedFd) -> Result<Bridged, RoomError> {
    const FAR_END: &str = "network";
    let fail = |what| move |source| RoomError::Pair { what, source };
    netlink.create_pair(config.name.as_str(), FAR_END).map_err(fail("no pair of interfaces"))?;
    let far = netlink.index_of(FAR_END).map_err(fail("the pair has no far end"))?;
    // On a host without IPv6 there is nothing to silence.
    let _ = netlink.without_ipv6_addresses(far);
    let change = LinkChange { mtu: config.mtu, mac: None, up: true, silent: true };
    netlink.change_link(far, change).map_err(fail("the far end does not come up"))?;
    bridged::attach(&socket, far).map_err(|(what, source)| RoomError::Pair { what, source })?;
    // The far end's cable is plugged in when the near end comes up, and its queue opens up to a second later.
    packet_socket::bypass_queue(&socket).map_err(fail("the far end has a queue"))?;
    let socket = Bridged::of_socket(socket);
    // The far end sees what the near end sends and nothing else: all of it is for the network.
    socket.pass_everything().map_err(fail("no filter"))?;
    Ok(socket)
}

/// Whether this process can have a room, and why not.
pub fn available() -> Result<(), RoomError> {
    let mut founder = Founder::start()?;
    founder.found()?;
    founder.map_users()?;
    founder.finish()
}

fn open_namespace(process: rustix::process::Pid, name: &str) -> io::Result<OwnedFd> {
    Ok(File::open(format!("/proc/{}/ns/{name}", process.as_raw_nonzero()))?.into())
}
