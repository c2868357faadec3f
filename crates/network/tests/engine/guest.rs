//! A guest: the far end of a cable, with smoltcp on it.
use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::time::Instant;

use gasang_network::wire::{ETHERNET_BYTES, Packet};
use platform::net::{FrameHeader, MESSAGE_BYTES_MAX, Mac};
use rustix::net::{RecvFlags, SendFlags, recv, send};
use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::phy::{DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::socket::tcp::{Socket, SocketBuffer};
use smoltcp::wire::{HardwareAddress, IpCidr};

/// IP packets on their way in and out of smoltcp.
#[derive(Default)]
struct Card {
    incoming: VecDeque<Vec<u8>>,
    outgoing: VecDeque<Vec<u8>>,
}

pub struct Incoming(Vec<u8>);
pub struct Outgoing<'a>(&'a mut VecDeque<Vec<u8>>);

impl RxToken for Incoming {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, take: F) -> R {
        take(&self.0)
    }
}

impl TxToken for Outgoing<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, fill: F) -> R {
        let mut bytes = vec![0; length];
        let result = fill(&mut bytes);
        self.0.push_back(bytes);
        result
    }
}

impl smoltcp::phy::Device for Card {
    type RxToken<'a> = Incoming;
    type TxToken<'a> = Outgoing<'a>;
    fn receive(&mut self, _: smoltcp::time::Instant) -> Option<(Incoming, Outgoing<'_>)> {
        Some((Incoming(self.incoming.pop_front()?), Outgoing(&mut self.outgoing)))
    }
    fn transmit(&mut self, _: smoltcp::time::Instant) -> Option<Outgoing<'_>> {
        Some(Outgoing(&mut self.outgoing))
    }
    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ip;
        capabilities.max_transmission_unit = 1500;
        capabilities
    }
}

/// A guest.
pub struct Guest {
    cable: OwnedFd,
    pub mac: Mac,
    pub gateway: Mac,
    pub address: IpAddr,
    /// All of its addresses, that of IPv4 first.
    pub addresses: Vec<IpAddr>,
    /// Cards of the other members.
    pub neighbours: HashMap<IpAddr, Mac>,
    card: Card,
    interface: Interface,
    sockets: SocketSet<'static>,
    start: Instant,
    /// Frames that came, if they are wanted.
    pub seen: Option<Vec<Vec<u8>>>,
    /// Its TCP hears nothing: the test speaks for it.
    pub is_raw: bool,
    /// Frames for smoltcp are left in the cable: the guest does not take anything.
    pub is_stuck: bool,
}

/// Bytes of a socket's buffers in smoltcp.
pub const BUFFER: usize = 100_000;

impl Guest {
    pub fn new(cable: OwnedFd, mac: Mac, gateway: Mac, addresses: &[IpAddr]) -> Self {
        let mut card = Card::default();
        let zero = smoltcp::time::Instant::ZERO;
        let mut interface = Interface::new(Config::new(HardwareAddress::Ip), &mut card, zero);
        interface.update_ip_addrs(|list| {
            for address in addresses {
                list.push(IpCidr::new((*address).into(), if address.is_ipv4() { 24 } else { 64 })).unwrap();
            }
        });
        interface.routes_mut().add_default_ipv4_route([10, 0, 2, 1].into()).unwrap();
        Self {
            cable,
            mac,
            gateway,
            address: addresses[0],
            addresses: addresses.to_vec(),
            neighbours: HashMap::new(),
            card,
            interface,
            sockets: SocketSet::new(Vec::new()),
            start: Instant::now(),
            seen: None,
            is_raw: false,
            is_stuck: false,
        }
    }
    /// An address of its own, with a port.
    pub fn at(&self, port: u16) -> SocketAddr {
        SocketAddr::new(self.address, port)
    }
    /// A socket of smoltcp's.
    pub fn socket(&mut self) -> SocketHandle {
        let buffer = || SocketBuffer::new(vec![0; BUFFER]);
        self.sockets.add(Socket::new(buffer(), buffer()))
    }
    pub fn tcp(&mut self, handle: SocketHandle) -> &mut Socket<'static> {
        self.sockets.get_mut(handle)
    }
    /// A socket that waits for one connection.
    pub fn listen(&mut self, port: u16) -> SocketHandle {
        let handle = self.socket();
        self.tcp(handle).listen(port).unwrap();
        handle
    }
    /// A socket that connects.
    pub fn connect(&mut self, to: SocketAddr, from: u16) -> SocketHandle {
        let handle = self.socket();
        let socket = self.sockets.get_mut::<Socket<'_>>(handle);
        socket.connect(self.interface.context(), to, from).unwrap();
        handle
    }
    pub fn remove(&mut self, handle: SocketHandle) {
        self.sockets.remove(handle);
    }
    /// Puts a message on the cable; false if it has no room.
    pub fn put(&self, message: &[u8]) -> bool {
        send(&self.cable, message, SendFlags::DONTWAIT | SendFlags::NOSIGNAL).is_ok()
    }
    /// Sends a whole frame.
    pub fn send(&self, frame: &[u8]) {
        assert!(self.put(&[&FrameHeader::default().to_bytes(), frame].concat()), "the cable has no room");
    }
    /// Takes what came, and does what smoltcp wants to do.
    pub fn turn(&mut self) {
        let mut message = vec![0; MESSAGE_BYTES_MAX];
        while !self.is_stuck {
            let Ok((count, _)) = recv(&self.cable, &mut message[..], RecvFlags::DONTWAIT) else { break };
            let frame = &message[FrameHeader::BYTES..count];
            if message[0] & FrameHeader::CONTROL != 0 {
                continue;
            }
            if let Some(seen) = &mut self.seen {
                seen.push(frame.to_vec());
            }
            let packet = Packet::parse(frame).expect("what a network sends makes sense");
            if packet.ip.is_some() && packet.destination == self.mac && !self.is_raw {
                self.card.incoming.push_back(frame[ETHERNET_BYTES..].to_vec());
            }
        }
        let now = smoltcp::time::Instant::from_micros(self.start.elapsed().as_micros() as i64);
        self.interface.poll(now, &mut self.card, &mut self.sockets);
        while let Some(packet) = self.card.outgoing.pop_front() {
            let frame = self.framed(&packet);
            if !self.put(&[&FrameHeader::default().to_bytes(), &frame[..]].concat()) {
                break;
            }
        }
    }
    fn framed(&self, packet: &[u8]) -> Vec<u8> {
        let (ethertype, to) = match packet[0] >> 4 {
            4 => ([8, 0], IpAddr::from(*packet[16..].first_chunk::<4>().unwrap())),
            _ => ([0x86, 0xdd], IpAddr::from(*packet[24..].first_chunk::<16>().unwrap())),
        };
        let card = self.neighbours.get(&to).copied().unwrap_or(self.gateway);
        [&card.0[..], &self.mac.0, &ethertype, packet].concat()
    }
    /// What has come since this was asked last.
    pub fn take_seen(&mut self) -> Vec<Vec<u8>> {
        self.seen.replace(Vec::new()).unwrap_or_default()
    }
}
