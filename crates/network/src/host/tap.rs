//! A TAP device: a network interface of the host whose cable ends in this process.
//!
//! What is read from its descriptor and written to it are messages as on any cable: [`platform::net::FrameHeader`] and a
//! frame. The interface lives as long as the descriptor.
#![expect(unsafe_code, reason = "a TAP device is made by ioctl")]
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;

use ipnet::IpNet;
use platform::net::{FrameHeader, Mac};
use rustix::io::Errno;

use super::interface_name::InterfaceName;
use super::netlink::{LinkChange, Netlink};

/// Where TAP devices come from.
pub const DEVICE: &str = "/dev/net/tun";

/// How an interface of the host is set up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TapConfig {
    /// Its name.
    pub name: InterfaceName,
    /// The host's addresses on the network, each with the length of its prefix.
    pub addresses: Vec<IpNet>,
    /// Bytes of the largest packet; the kernel takes 1500 if not said.
    pub mtu: Option<u16>,
    /// The host's Ethernet address on the network; the kernel makes one up if not said.
    pub mac: Option<Mac>,
}

/// Why there is no TAP device.
#[derive(Debug, thiserror::Error)]
pub enum TapError {
    /// The device file cannot be opened.
    #[error("{DEVICE} cannot be opened")]
    Open(#[source] std::io::Error),
    /// There is such an interface already.
    #[error("there is an interface {0} already")]
    Taken(InterfaceName),
    /// The kernel does not let this process make one.
    #[error("the interface {name} cannot be created")]
    Create {
        /// Its name.
        name: InterfaceName,
        /// Why.
        source: Errno,
    },
    /// It is there, but cannot be set up.
    #[error("the interface {name} cannot be set up: {what}")]
    SetUp {
        /// Its name.
        name: InterfaceName,
        /// What could not be done.
        what: &'static str,
        /// Why.
        source: Errno,
    },
}

/// Makes a TAP device in this process's network namespace and takes it into service.
pub fn open(config: &TapConfig) -> Result<OwnedFd, TapError> {
    let device = device().map_err(TapError::Open)?;
    let name = &config.name;
    let set_up = |what, source| TapError::SetUp { name: name.clone(), what, source };
    let netlink = Netlink::open().map_err(|error| set_up("no netlink socket", error))?;
    make(&device, name)?;
    configure(&netlink, config)?;
    Ok(device)
}

/// Opens the device file, non-blocking. Its interface will be in the network namespace that this thread is in now.
pub fn device() -> std::io::Result<OwnedFd> {
    let file = File::options()
        .read(true)
        .write(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_CLOEXEC)
        .open(DEVICE)?;
    Ok(file.into())
}

/// Makes the interface of an opened device file; fails if there is one of that name.
pub fn make(device: impl AsFd, name: &InterfaceName) -> Result<(), TapError> {
    // As in `struct virtio_net_hdr` of version 1, which has `num_buffers`.
    const HEADER_BYTES: i32 = FrameHeader::BYTES as i32;
    let create = |source| TapError::Create { name: name.clone(), source };
    let flags = libc::IFF_TAP | libc::IFF_NO_PI | libc::IFF_VNET_HDR | libc::IFF_TUN_EXCL;
    match set_interface(&device, name, flags) {
        Err(Errno::BUSY | Errno::EXIST) => return Err(TapError::Taken(name.clone())),
        other => other.map_err(create)?,
    }
    let offloads = libc::TUN_F_CSUM | libc::TUN_F_TSO4 | libc::TUN_F_TSO6 | libc::TUN_F_TSO_ECN;
    set_number(&device, libc::TUNSETVNETHDRSZ, &HEADER_BYTES).map_err(create)?;
    // The one ioctl of these that takes its argument by value.
    // SAFETY: TUNSETOFFLOAD reads no memory.
    let result = unsafe {
        libc::ioctl(device.as_fd().as_raw_fd(), libc::TUNSETOFFLOAD, libc::c_ulong::from(offloads))
    };
    checked(result).map_err(create)
}

/// Gives an interface its addresses and takes it into service.
pub fn configure(netlink: &Netlink, config: &TapConfig) -> Result<(), TapError> {
    let name = &config.name;
    let set_up = |what| move |source| TapError::SetUp { name: name.clone(), what, source };
    let index = netlink.index_of(name.as_str()).map_err(set_up("it is gone"))?;
    let change = LinkChange { mtu: config.mtu, mac: config.mac, up: true, silent: false };
    netlink.change_link(index, change).map_err(set_up("it does not come up"))?;
    for address in &config.addresses {
        match netlink.add_address(index, *address) {
            // A host may have turned IPv6 off.
            Err(Errno::ACCESS | Errno::OPNOTSUPP | Errno::AFNOSUPPORT) if address.addr().is_ipv6() => {
                tracing::warn!(%name, %address, "this host has no IPv6");
            }
            result => result.map_err(set_up("an address is refused"))?,
        }
    }
    Ok(())
}

/// TUNSETIFF.
fn set_interface(device: impl AsFd, name: &InterfaceName, flags: i32) -> Result<(), Errno> {
    // SAFETY: all zeros are a valid `ifreq`.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    // A name is shorter than the field, so it ends with a zero.
    for (place, byte) in request.ifr_name.iter_mut().zip(name.as_str().bytes()) {
        *place = byte as libc::c_char;
    }
    request.ifr_ifru.ifru_flags = flags as libc::c_short;
    // SAFETY: TUNSETIFF reads and writes one `ifreq`, and `request` is one.
    checked(unsafe { libc::ioctl(device.as_fd().as_raw_fd(), libc::TUNSETIFF, &raw mut request) })
}

fn set_number(device: impl AsFd, request: libc::Ioctl, number: &i32) -> Result<(), Errno> {
    // SAFETY: the requests that are passed here read one `int`.
    checked(unsafe { libc::ioctl(device.as_fd().as_raw_fd(), request, std::ptr::from_ref(number)) })
}

fn checked(result: i32) -> Result<(), Errno> {
    if result >= 0 {
        return Ok(());
    }
    Err(Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO))
}
