//! Sockets of packet(7) and options of sockets that the system's safe interface lacks.
#![expect(unsafe_code, reason = "rustix knows neither AF_PACKET addresses nor these options")]
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use platform::net::Mac;
use rustix::io::Errno;
use rustix::net::{AddressFamily, Protocol, SocketFlags, SocketType, socket_with};

/// `ETH_P_ALL`, in the order of the network.
const ALL_PROTOCOLS: u16 = (libc::ETH_P_ALL as u16).to_be();

/// An instruction of a classic BPF program: `struct sock_filter`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instruction {
    /// What to do.
    pub code: u16,
    /// Instructions to skip if true.
    pub if_true: u8,
    /// Instructions to skip if false.
    pub if_false: u8,
    /// An operand.
    pub operand: u32,
}

/// A raw packet socket that receives nothing until it is bound.
pub fn open() -> Result<OwnedFd, Errno> {
    let family = AddressFamily::from_raw(libc::AF_PACKET as u16);
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    // Without a protocol, so that no frame of another interface is queued before the socket is bound.
    socket_with(family, SocketType::RAW, flags, None::<Protocol>)
}

/// Binds a packet socket to an interface, for all protocols.
pub fn bind(socket: impl AsFd, index: u32) -> Result<(), Errno> {
    let address = libc::sockaddr_ll {
        sll_family: libc::AF_PACKET as u16,
        sll_protocol: ALL_PROTOCOLS,
        sll_ifindex: i32::try_from(index).map_err(|_| Errno::INVAL)?,
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: 0,
        sll_addr: [0; 8],
    };
    // SAFETY: the address is a whole `sockaddr_ll` that outlives the call, and its length is its size.
    let result = unsafe {
        libc::bind(
            socket.as_fd().as_raw_fd(),
            (&raw const address).cast(),
            size_of::<libc::sockaddr_ll>() as libc::socklen_t,
        )
    };
    checked(result)
}

/// Has the interface take frames for all stations for as long as the socket is open.
pub fn be_promiscuous(socket: impl AsFd, index: u32) -> Result<(), Errno> {
    let request = libc::packet_mreq {
        mr_ifindex: i32::try_from(index).map_err(|_| Errno::INVAL)?,
        mr_type: libc::PACKET_MR_PROMISC as u16,
        mr_alen: 0,
        mr_address: [0; 8],
    };
    set(socket, libc::SOL_PACKET, libc::PACKET_ADD_MEMBERSHIP, &request)
}

/// Puts `struct virtio_net_hdr` of ten bytes in front of each frame.
pub fn with_headers(socket: impl AsFd) -> Result<(), Errno> {
    set(socket, libc::SOL_PACKET, libc::PACKET_VNET_HDR, &1_i32)
}

/// Leaves out frames that this host sends (Linux 4.20 and later).
pub fn ignore_outgoing(socket: impl AsFd) -> Result<(), Errno> {
    set(socket, libc::SOL_PACKET, libc::PACKET_IGNORE_OUTGOING, &1_i32)
}

/// Sends past the interface's queue.
pub fn bypass_queue(socket: impl AsFd) -> Result<(), Errno> {
    set(socket, libc::SOL_PACKET, libc::PACKET_QDISC_BYPASS, &1_i32)
}

/// Has the kernel filter dumps by what the request says (Linux 4.20 and later).
pub fn filter_dumps(netlink: impl AsFd) -> Result<(), Errno> {
    set(netlink, libc::SOL_NETLINK, libc::NETLINK_GET_STRICT_CHK, &1_i32)
}

/// Lets only frames through that the program accepts. Replaces an earlier program at once.
pub fn attach_filter(socket: impl AsFd, program: &[Instruction]) -> Result<(), Errno> {
    let program = libc::sock_fprog {
        len: u16::try_from(program.len()).map_err(|_| Errno::INVAL)?,
        // The kernel only reads it.
        filter: program.as_ptr().cast_mut().cast(),
    };
    // The kernel copies the instructions before the call returns.
    set(socket, libc::SOL_SOCKET, libc::SO_ATTACH_FILTER, &program)
}

/// The Ethernet address of the interface that the socket is bound to.
pub fn own_address(socket: impl AsFd) -> Result<Mac, Errno> {
    // SAFETY: all zeros are a valid `sockaddr_ll`.
    let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
    let mut length = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
    // SAFETY: the kernel writes at most `length` bytes, which is the size of `address`.
    let result =
        unsafe { libc::getsockname(socket.as_fd().as_raw_fd(), (&raw mut address).cast(), &raw mut length) };
    checked(result)?;
    let [a, b, c, d, e, f, ..] = address.sll_addr;
    Ok(Mac([a, b, c, d, e, f]))
}

/// `T` is one of the plain structures above.
fn set<T>(socket: impl AsFd, level: i32, name: i32, value: &T) -> Result<(), Errno> {
    let length = libc::socklen_t::try_from(size_of::<T>()).map_err(|_| Errno::INVAL)?;
    // SAFETY: the kernel reads `length` bytes from `value`, which is as large and outlives the call; the one pointer in
    // such a value, that of `attach_filter`, points to a slice that its caller holds.
    let result = unsafe {
        libc::setsockopt(socket.as_fd().as_raw_fd(), level, name, std::ptr::from_ref(value).cast(), length)
    };
    checked(result)
}

fn checked(result: i32) -> Result<(), Errno> {
    if result == 0 {
        return Ok(());
    }
    Err(Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO))
}
