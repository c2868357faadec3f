//! The process that makes a room: forked off, it enters new namespaces, opens what can only be opened there, passes it
//! back, and ends once the room is ready.
#![expect(
    unsafe_code,
    reason = "a process of one thread is needed to make a user namespace, so one is forked off"
)]
use std::ffi::CString;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};
use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};
use rustix::thread::{UnshareFlags, unshare_unsafe};

use super::{RoomError, open_namespace};
use crate::host::{descriptors, packet_socket};

/// Longer than this, none of the steps takes.
const STEP_TIME: Duration = Duration::from_secs(10);
/// What the founder says when it has opened everything, and when it is done.
const READY: u8 = 0;
const DONE: u8 = 1;

/// A process that makes a room. It is ended and waited for at the latest when this is dropped.
pub struct Founder {
    process: Pid,
    socket: UnixStream,
}

/// What the founder has opened in the new namespaces.
pub struct Found {
    /// A socket to the kernel's interfaces.
    pub netlink: OwnedFd,
    /// A packet socket, bound to nothing.
    pub packet_socket: OwnedFd,
    /// The device file of TAP devices, if the user may open it.
    pub device: Option<OwnedFd>,
}

impl Founder {
    /// Forks it off.
    pub fn start() -> Result<Self, RoomError> {
        let fail = |what| move |source| RoomError::Founder { what, source };
        let (here, there) = UnixStream::pair().map_err(fail("no pair of sockets"))?;
        here.set_read_timeout(Some(STEP_TIME)).map_err(fail("no time limit"))?;
        let group = rustix::process::getegid().as_raw();
        let groups = CString::new(format!("{group} {group}\n")).unwrap_or_default();
        // SAFETY: the child of a process with several threads may only make system calls until it ends. `found` allocates
        // nothing, takes no lock, does not unwind, and ends the process by `_exit`.
        match unsafe { libc::fork() } {
            -1 => Err(fail("no process")(io::Error::last_os_error())),
            0 => {
                found(there.as_fd(), &groups);
                // SAFETY: ends the process at once.
                unsafe { libc::_exit(0) }
            }
            process => {
                let process = Pid::from_raw(process).ok_or_else(|| fail("no process")(Errno::SRCH.into()))?;
                Ok(Self { process, socket: here })
            }
        }
    }
    /// What it has opened.
    pub fn found(&mut self) -> Result<Found, RoomError> {
        let fail = |source| RoomError::Founder { what: "the process in it does not answer", source };
        let mut bytes = [0; 5];
        let (count, descriptors) =
            descriptors::receive(&self.socket, &mut bytes).map_err(|error| fail(io::Error::other(error)))?;
        let [READY, number @ ..] = bytes else { return Err(fail(Errno::PROTO.into())) };
        let number = i32::from_ne_bytes(number);
        if number != 0 {
            return Err(RoomError::Forbidden(Errno::from_raw_os_error(number)));
        }
        let mut descriptors = descriptors.into_iter();
        match (descriptors.next(), descriptors.next(), descriptors.next()) {
            (Some(netlink), Some(packet_socket), device) if count == bytes.len() => {
                Ok(Found { netlink, packet_socket, device })
            }
            _ => Err(fail(Errno::PROTO.into())),
        }
    }
    /// One of its namespaces.
    pub fn open(&self, name: &str) -> Result<OwnedFd, RoomError> {
        open_namespace(self.process, name)
            .map_err(|source| RoomError::Founder { what: "the namespace cannot be opened", source })
    }
    /// Has users and groups in the room be who they are outside: all of them if this process is root's, else the one of
    /// this process. Others appear as nobody.
    pub fn map_users(&self) -> Result<(), RoomError> {
        let write = |name: &str, text: &str| std::fs::write(self.file(name), text);
        let fail = |what| move |source| RoomError::Founder { what, source };
        let (user, group) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        if user == 0 && write("uid_map", EVERYBODY).is_ok() {
            return write("gid_map", EVERYBODY).map_err(fail("groups cannot be mapped"));
        }
        write("uid_map", &format!("{user} {user} 1")).map_err(fail("users cannot be mapped"))?;
        // The kernel's condition for mapping a group without privileges.
        write("setgroups", "deny").map_err(fail("setgroups cannot be denied"))?;
        write("gid_map", &format!("{group} {group} 1")).map_err(fail("groups cannot be mapped"))
    }
    /// Lets it finish, once users are mapped.
    pub fn finish(&mut self) -> Result<(), RoomError> {
        let mut done = [0];
        let result = self.socket.write_all(&[DONE]).and_then(|()| self.socket.read_exact(&mut done));
        result.map_err(|source| RoomError::Founder { what: "the process in it does not finish", source })
    }

    fn file(&self, name: &str) -> String {
        format!("/proc/{}/{name}", self.process.as_raw_nonzero())
    }
}

/// The identity for all numbers but the last, which stands for none.
const EVERYBODY: &str = "0 0 4294967295";

impl Drop for Founder {
    fn drop(&mut self) {
        // It may have ended by itself; it is not gone before it is waited for.
        let _ = kill_process(self.process, Signal::KILL);
        while matches!(waitpid(Some(self.process), WaitOptions::empty()), Err(Errno::INTR)) {}
    }
}

/// The founder's work. Only system calls: see [`Founder::start`].
fn found(parent: BorrowedFd<'_>, groups: &CString) {
    // The room is not worth anything without its parent. `Signal` has no allocation behind it.
    let _ = rustix::process::set_parent_process_death_signal(Some(Signal::KILL));
    let opened = enter_and_open();
    let number = opened.as_ref().err().map_or(0, |error| error.raw_os_error());
    let [a, b, c, d] = number.to_ne_bytes();
    let bytes = [READY, a, b, c, d];
    let sent = match &opened {
        Ok((netlink, socket, Some(device))) => {
            descriptors::send(parent, &bytes, &[netlink.as_fd(), socket.as_fd(), device.as_fd()])
        }
        Ok((netlink, socket, None)) => descriptors::send(parent, &bytes, &[netlink.as_fd(), socket.as_fd()]),
        Err(_) => descriptors::send(parent, &bytes, &[]),
    };
    let mut byte = [0];
    if sent.is_err() || opened.is_err() || rustix::io::read(parent, &mut byte) != Ok(1) {
        return;
    }
    // In a room of one's own, nobody else is troubled by pings and low ports.
    write_to(c"/proc/sys/net/ipv4/ping_group_range", groups.as_bytes());
    write_to(c"/proc/sys/net/ipv4/ip_unprivileged_port_start", b"0\n");
    let _ = rustix::io::write(parent, &[DONE]);
}

type Opened = (OwnedFd, OwnedFd, Option<OwnedFd>);

fn enter_and_open() -> Result<Opened, Errno> {
    // SAFETY: descriptors are not unshared.
    unsafe { unshare_unsafe(UnshareFlags::NEWUSER | UnshareFlags::NEWNET) }?;
    let netlink = socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, None)?;
    let socket = packet_socket::open()?;
    let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let device = rustix::fs::open(c"/dev/net/tun", flags, Mode::empty()).ok();
    Ok((netlink, socket, device))
}

/// Some kernels have no such file, and the room is good without.
fn write_to(path: &std::ffi::CStr, bytes: &[u8]) {
    if let Ok(file) = rustix::fs::open(path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty()) {
        let _ = rustix::io::write(&file, bytes);
    }
}
