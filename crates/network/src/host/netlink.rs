//! Interfaces and addresses of the host's kernel, by rtnetlink(7).

mod message;

use std::ffi::CString;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use ipnet::IpNet;
use platform::net::Mac;
use rustix::io::{Errno, retry_on_intr};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socket_with};

use super::packet_socket;
use message::{Request, attributes, messages};

/// The kernel's answers are no longer than this (netlink(7): 32 KiB at most for dumps).
const ANSWER_BYTES: usize = 32 << 10;
/// More datagrams than any host's addresses need.
const ANSWERS_MAX: usize = 4096;

const ACK: u16 = libc::NLM_F_REQUEST as u16 | libc::NLM_F_ACK as u16;
const CREATE: u16 = ACK | libc::NLM_F_CREATE as u16 | libc::NLM_F_EXCL as u16;
const DUMP: u16 = libc::NLM_F_REQUEST as u16 | libc::NLM_F_DUMP as u16;
const ERROR: u16 = libc::NLMSG_ERROR as u16;
const DONE: u16 = libc::NLMSG_DONE as u16;

/// `VETH_INFO_PEER` (`linux/veth.h`).
const VETH_INFO_PEER: u16 = 1;
/// `struct ifaddrmsg`, `struct rtmsg`, `struct ifinfomsg`.
const ADDRESS_MESSAGE_BYTES: usize = 8;
const ROUTE_MESSAGE_BYTES: usize = 12;
const LINK_MESSAGE_BYTES: usize = 16;

/// A socket to the kernel of one network namespace: that of its creator.
#[derive(Debug)]
pub struct Netlink {
    socket: OwnedFd,
}

/// What to change of an interface.
#[derive(Clone, Copy, Debug, Default)]
pub struct LinkChange {
    /// Bytes of the largest packet.
    pub mtu: Option<u16>,
    /// Its own Ethernet address.
    pub mac: Option<Mac>,
    /// Take it into service.
    pub up: bool,
    /// Leave it without addresses of its own making, and without ARP.
    pub silent: bool,
}

/// An address of an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InterfaceAddress {
    /// The interface.
    pub index: u32,
    /// The address and the length of its prefix.
    pub net: IpNet,
}

/// What the kernel takes for itself rather than sending it out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LocalRoute(pub IpNet);

impl Netlink {
    /// To the kernel of this thread's network namespace.
    pub fn open() -> Result<Self, Errno> {
        let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, None)?;
        // Older kernels send more than is asked for.
        let _ = packet_socket::filter_dumps(&socket);
        Ok(Self { socket })
    }
    /// Over a socket that was opened elsewhere.
    pub fn of_socket(socket: OwnedFd) -> Self {
        Self { socket }
    }

    /// Changes an interface.
    pub fn change_link(&self, index: u32, change: LinkChange) -> Result<(), Errno> {
        let mut flags = 0;
        if change.up {
            flags |= libc::IFF_UP as u32;
        }
        if change.silent {
            flags |= libc::IFF_NOARP as u32;
        }
        let mut request = Request::new(libc::RTM_NEWLINK, ACK, &link_message(index, flags, flags));
        if let Some(mtu) = change.mtu {
            request = request.attribute(libc::IFLA_MTU, &u32::from(mtu).to_ne_bytes());
        }
        if let Some(mac) = change.mac {
            request = request.attribute(libc::IFLA_ADDRESS, &mac.0);
        }
        self.acknowledged(request)
    }
    /// Has an interface make no IPv6 addresses of its own.
    pub fn without_ipv6_addresses(&self, index: u32) -> Result<(), Errno> {
        const IFLA_INET6_ADDR_GEN_MODE: u16 = 8;
        const IN6_ADDR_GEN_MODE_NONE: u8 = 1;
        let family = libc::AF_INET6 as u16;
        let request = Request::new(libc::RTM_NEWLINK, ACK, &link_message(index, 0, 0)).nested(
            libc::IFLA_AF_SPEC,
            |request| {
                request.nested(family, |request| {
                    request.attribute(IFLA_INET6_ADDR_GEN_MODE, &[IN6_ADDR_GEN_MODE_NONE])
                })
            },
        );
        self.acknowledged(request)
    }
    /// Makes two interfaces that are the ends of one cable.
    pub fn create_pair(&self, name: &str, peer: &str) -> Result<(), Errno> {
        let request = Request::new(libc::RTM_NEWLINK, CREATE, &link_message(0, 0, 0))
            .attribute(libc::IFLA_IFNAME, &c_name(name)?)
            .nested(libc::IFLA_LINKINFO, |request| {
                request.attribute(libc::IFLA_INFO_KIND, b"veth").nested(libc::IFLA_INFO_DATA, |request| {
                    request.nested(VETH_INFO_PEER, |request| {
                        let request = request.structure(&link_message(0, 0, 0));
                        match c_name(peer) {
                            Ok(peer) => request.attribute(libc::IFLA_IFNAME, &peer),
                            // A peer without a name gets one from the kernel.
                            Err(_) => request,
                        }
                    })
                })
            });
        self.acknowledged(request)
    }
    /// Gives an interface an address; the kernel adds the route to its network.
    pub fn add_address(&self, index: u32, net: IpNet) -> Result<(), Errno> {
        let (family, address) = match net.addr() {
            IpAddr::V4(address) => (libc::AF_INET, address.octets().to_vec()),
            IpAddr::V6(address) => (libc::AF_INET6, address.octets().to_vec()),
        };
        // Nobody else is on the network yet who could have taken the address.
        let flags = if family == libc::AF_INET6 { libc::IFA_F_NODAD as u8 } else { 0 };
        let mut structure = [0; ADDRESS_MESSAGE_BYTES];
        structure[..3].copy_from_slice(&[family as u8, net.prefix_len(), flags]);
        structure[4..].copy_from_slice(&index.to_ne_bytes());
        let mut request = Request::new(libc::RTM_NEWADDR, CREATE, &structure)
            .attribute(libc::IFA_LOCAL, &address)
            .attribute(libc::IFA_ADDRESS, &address);
        if let IpNet::V4(net) = net
            && net.prefix_len() < 31
        {
            request = request.attribute(libc::IFA_BROADCAST, &net.broadcast().octets());
        }
        self.acknowledged(request)
    }
    /// The interface with this name.
    pub fn index_of(&self, name: &str) -> Result<u32, Errno> {
        rustix::net::netdevice::name_to_index(&self.socket, name)
    }
    /// The name of an interface.
    pub fn name_of(&self, index: u32) -> Result<String, Errno> {
        rustix::net::netdevice::index_to_name(&self.socket, index)
    }

    /// All addresses of all interfaces.
    pub fn addresses(&self) -> Result<Vec<InterfaceAddress>, Errno> {
        let request = Request::new(libc::RTM_GETADDR, DUMP, &[0; ADDRESS_MESSAGE_BYTES]);
        self.dump(request, libc::RTM_NEWADDR, address_of)
    }
    /// All that the kernel takes for itself: addresses of its own, broadcasts, and prefixes that an administrator made
    /// local.
    pub fn local_routes(&self) -> Result<Vec<LocalRoute>, Errno> {
        let mut structure = [0; ROUTE_MESSAGE_BYTES];
        structure[4] = libc::RT_TABLE_LOCAL;
        let request = Request::new(libc::RTM_GETROUTE, DUMP, &structure);
        self.dump(request, libc::RTM_NEWROUTE, local_route_of)
    }

    fn acknowledged(&self, request: Request) -> Result<(), Errno> {
        const SEQUENCE: u32 = 1;
        self.send(request, SEQUENCE)?;
        let mut answer = vec![0; ANSWER_BYTES];
        for _ in 0..ANSWERS_MAX {
            let bytes = self.receive(&mut answer)?;
            for message in messages(bytes).filter(|message| message.sequence == SEQUENCE) {
                if message.kind == ERROR {
                    return result_of(message.body);
                }
            }
        }
        Err(Errno::PROTO)
    }
    fn dump<T>(
        &self,
        request: Request,
        kind: u16,
        read: impl Fn(&[u8]) -> Option<T>,
    ) -> Result<Vec<T>, Errno> {
        const SEQUENCE: u32 = 2;
        self.send(request, SEQUENCE)?;
        let (mut answer, mut found) = (vec![0; ANSWER_BYTES], Vec::new());
        for _ in 0..ANSWERS_MAX {
            let bytes = self.receive(&mut answer)?;
            for message in messages(bytes).filter(|message| message.sequence == SEQUENCE) {
                match message.kind {
                    DONE => return Ok(found),
                    ERROR => result_of(message.body)?,
                    other if other == kind => found.extend(read(message.body)),
                    _ => {}
                }
            }
        }
        Err(Errno::PROTO)
    }
    fn send(&self, request: Request, sequence: u32) -> Result<(), Errno> {
        let bytes = request.finish(sequence);
        retry_on_intr(|| send(&self.socket, &bytes, SendFlags::empty())).map(drop)
    }
    fn receive<'a>(&self, answer: &'a mut [u8]) -> Result<&'a [u8], Errno> {
        let (count, _) = retry_on_intr(|| recv(&self.socket, &mut *answer, RecvFlags::empty()))?;
        Ok(&answer[..count])
    }
}

impl AsFd for Netlink {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// `struct ifinfomsg`.
fn link_message(index: u32, flags: u32, change: u32) -> [u8; LINK_MESSAGE_BYTES] {
    let mut bytes = [0; LINK_MESSAGE_BYTES];
    bytes[4..8].copy_from_slice(&index.to_ne_bytes());
    bytes[8..12].copy_from_slice(&flags.to_ne_bytes());
    bytes[12..].copy_from_slice(&change.to_ne_bytes());
    bytes
}

fn c_name(name: &str) -> Result<Vec<u8>, Errno> {
    CString::new(name).map(CString::into_bytes_with_nul).map_err(|_| Errno::INVAL)
}

/// `struct nlmsgerr`: zero, or the error's number negated.
fn result_of(body: &[u8]) -> Result<(), Errno> {
    let Some(number) = body.first_chunk() else { return Err(Errno::PROTO) };
    match i32::from_ne_bytes(*number).checked_neg() {
        Some(0) => Ok(()),
        Some(number) => Err(Errno::from_raw_os_error(number)),
        None => Err(Errno::PROTO),
    }
}

fn ip_of(family: u8, bytes: &[u8]) -> Option<IpAddr> {
    match i32::from(family) {
        libc::AF_INET => <[u8; 4]>::try_from(bytes).ok().map(|bytes| Ipv4Addr::from(bytes).into()),
        libc::AF_INET6 => <[u8; 16]>::try_from(bytes).ok().map(|bytes| Ipv6Addr::from(bytes).into()),
        _ => None,
    }
}

/// Of `struct ifaddrmsg` and its attributes.
fn address_of(body: &[u8]) -> Option<InterfaceAddress> {
    let (structure, rest) = body.split_first_chunk::<ADDRESS_MESSAGE_BYTES>()?;
    let [family, length, ..] = *structure;
    let index = u32::from_ne_bytes([structure[4], structure[5], structure[6], structure[7]]);
    let find = |kind| attributes(rest).find(|(found, _)| *found == kind).map(|(_, value)| value);
    // On a point-to-point interface, IFA_ADDRESS is the other end's.
    let address = ip_of(family, find(libc::IFA_LOCAL).or_else(|| find(libc::IFA_ADDRESS))?)?;
    Some(InterfaceAddress { index, net: IpNet::new(address, length).ok()? })
}

/// Of `struct rtmsg` and its attributes, if the kernel delivers to itself.
fn local_route_of(body: &[u8]) -> Option<LocalRoute> {
    let (structure, rest) = body.split_first_chunk::<ROUTE_MESSAGE_BYTES>()?;
    let (family, length, kind) = (structure[0], structure[1], structure[7]);
    if ![libc::RTN_LOCAL, libc::RTN_BROADCAST, libc::RTN_ANYCAST].contains(&kind) {
        return None;
    }
    let (_, destination) = attributes(rest).find(|(kind, _)| *kind == libc::RTA_DST)?;
    Some(LocalRoute(IpNet::new(ip_of(family, destination)?, length).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_is_among_the_addresses_and_the_local_routes() {
        let netlink = Netlink::open().unwrap();
        let loopback: IpNet = "127.0.0.0/8".parse().unwrap();
        if !netlink.addresses().unwrap().iter().any(|found| loopback.contains(&found.net)) {
            return eprintln!("skipped: the loopback of this namespace is down");
        }
        assert!(netlink.local_routes().unwrap().contains(&LocalRoute(loopback)));
    }

    #[test]
    fn odd_answers_are_no_addresses() {
        assert_eq!(address_of(&[2, 33, 0, 0, 1, 0, 0, 0, 8, 0, 2, 0, 10, 0, 0, 1]), None);
        assert_eq!(address_of(&[2, 24, 0, 0, 1, 0, 0, 0, 7, 0, 2, 0, 10, 0, 0, 1]), None);
        assert_eq!(address_of(&[2, 24]), None);
        assert_eq!(local_route_of(&[2; 11]), None);
        assert_eq!(result_of(&[0, 0, 0, 0x80]), Err(Errno::PROTO));
    }
}
