//! From outside to guests: answers, and clients of forwards.
use std::net::{IpAddr, SocketAddr};

use platform::net::FrameHeader;

use super::Network;
use crate::nat::connections::{Ends, Unreachable};
use crate::nat::datagrams::{Delivery, Failure};
use crate::nat::forwards::{Client, Target};
use crate::nat::socket::TcpSocket;
use crate::nat::tcp::{Fields, HostStream, Path, Sequence};
use crate::policy::{End, Verdict};
use crate::poller::Ready;
use crate::services::refusal::{self, Refusal};
use crate::services::{Mode, Now, Outbox};
use crate::switch::PortId;
use crate::wire::{Packet, Protocol, Tuple, fragments, tcp_flag, udp_frame};

/// Ports that are tried for clients that a guest cannot tell apart otherwise.
const PORTS_TRIED: u16 = 256;

impl Network {
    /// The host could not connect.
    pub(super) fn unreachable(&mut self, failure: &Unreachable) {
        if let Ok(packet) = Packet::parse(&failure.frame) {
            self.refuse(failure.port, Refusal::Host, &packet, &failure.frame);
        }
    }
    pub(super) fn datagrams_ready(&mut self, news: &Ready, now: Now) {
        let mut buffer = std::mem::take(&mut self.buffer);
        let (mut deliveries, mut failures) = (Vec::new(), Vec::new());
        let deliver = &mut |delivery| deliveries.push(delivery);
        self.datagrams.ready(news, now.instant, &mut buffer, deliver, &mut |failure| failures.push(failure));
        self.buffer = buffer;
        failures.iter().for_each(|failure| self.failed(failure, now));
        deliveries.iter().for_each(|delivery| self.inward(delivery, None, now));
    }
    pub(super) fn echo_ready(&mut self, news: &Ready, now: Now) {
        let mut buffer = std::mem::take(&mut self.buffer);
        let (mut deliveries, mut failures) = (Vec::new(), Vec::new());
        let deliver = &mut |delivery| deliveries.push(delivery);
        self.echoes.ready(news, &mut buffer, deliver, &mut |failure| failures.push(failure));
        self.buffer = buffer;
        failures.iter().for_each(|failure| self.failed(failure, now));
        deliveries.iter().for_each(|delivery| self.inward(delivery, None, now));
    }
    /// A guest's packet went nowhere outside: it is told who says so, or the gateway if it could not know that one.
    fn failed(&mut self, failure: &Failure, now: Now) {
        let Failure { port, frame, refusal, offender } = failure;
        let Ok(packet) = Packet::parse(frame) else { return };
        let Some(ip) = &packet.ip else { return };
        let speaker = match *offender {
            None => ip.destination,
            Some(offender) if self.is_presentable(offender, ip.source) => offender,
            Some(_) => self.own_address(ip.destination),
        };
        if let Some(frame) = refusal::refuse(*refusal, &packet, frame, (self.gateway.mac(), speaker)) {
            self.inward(&Delivery { port: *port, frame }, None, now);
        }
    }
    pub(super) fn lookup_ready(&mut self, news: &Ready) {
        let mut buffer = std::mem::take(&mut self.buffer);
        if let Some((client, length)) = self.lookups.ready(news, &mut buffer) {
            let mut out = Outbox::default();
            self.gateway.dns_reply(&client, &buffer[..length], &mut out);
            self.deliver(out);
        }
        self.buffer = buffer;
    }
    /// A whole packet from outside for a guest, if it may pass; `original` is what its sender knows, if it was led elsewhere.
    fn inward(&mut self, delivery: &Delivery, original: Option<Tuple>, now: Now) {
        let Delivery { port: id, frame } = delivery;
        let Ok(packet) = Packet::parse(frame) else { return };
        let ends = (End::Outside, End::Port(*id));
        let verdict = self.filter.check_led(ends, &packet, frame, original, now.instant);
        if verdict != Verdict::Pass {
            return;
        }
        self.write_down(frame);
        self.identification = self.identification.wrapping_add(1);
        if let Some(port) = self.ports.get_mut(*id) {
            let mtu = self.gateway.plan().mtu;
            fragments::split(frame, mtu, self.identification, &mut |part| port.send_whole(part));
        }
    }
    /// The filter learns of beginnings and ends that the NAT made.
    pub(super) fn watch_connections(&mut self, now: Now) {
        for (port, path, flags) in self.connections.take_turns() {
            self.check_inward((port, &path), flags, None, now);
        }
    }
    fn check_inward(
        &mut self,
        (port, path): (PortId, &Path),
        flags: u8,
        original: Option<Tuple>,
        now: Now,
    ) -> Verdict {
        let head = path.head(&Fields {
            sequence: Sequence(0),
            acknowledgment: Sequence(0),
            flags,
            window: 0,
            options: &[],
            data_length: 0,
            segment_size: u16::MAX,
        });
        let frame = &head.bytes()[FrameHeader::BYTES..];
        match Packet::parse(frame) {
            Ok(packet) => {
                let ends = (End::Outside, End::Port(port));
                self.filter.check_led(ends, &packet, frame, original, now.instant)
            }
            Err(_) => Verdict::Pass,
        }
    }
    /// Breaks off what the filter does not let pass any more.
    pub fn cut(&mut self) {
        self.filter.cut();
        let now = Now::read();
        let all = self.connections.list();
        for (id, path) in all {
            let ends = |port, guest, remote| port == id && guest == path.guest && remote == path.remote;
            if self.check_inward((id, &path), tcp_flag::ACK, None, now) != Verdict::Pass {
                self.connections.cut(&mut self.ports, &ends);
            }
        }
    }

    pub(super) fn forward_ready(&mut self, news: &Ready, now: Now) {
        let mut clients = Vec::new();
        self.forwards.accept(news, &mut |client, socket| clients.push((client, socket)));
        for (client, socket) in clients {
            if let Ok(socket) = TcpSocket::accepted(socket) {
                self.accept(&client, socket, now);
            }
        }
        let mut buffer = std::mem::take(&mut self.buffer);
        let mut datagrams = Vec::new();
        self.forwards.receive(news, &mut buffer, &mut |client, data| datagrams.push((client, data.to_vec())));
        self.buffer = buffer;
        for (client, data) in datagrams {
            self.forward_datagram(news, &client, &data, now);
        }
    }
    fn accept(&mut self, client: &Client, mut socket: TcpSocket, now: Now) {
        let Some((ends, original)) = self.free_ends_for(client, now) else { return socket.reset() };
        let path = Path { gateway: ends.gateway, card: ends.card, guest: ends.guest, remote: ends.remote };
        if self.check_inward((ends.port, &path), tcp_flag::SYN, original, now) != Verdict::Pass {
            return socket.reset();
        }
        if let Err(error) = self.connections.accept(&ends, socket, &self.poller) {
            tracing::warn!(%error, "a forwarded connection is lost");
        }
    }
    /// Ends that no other connection has.
    fn free_ends_for(&mut self, client: &Client, now: Now) -> Option<(Ends, Option<Tuple>)> {
        let mut asked = self.ends_for(client)?;
        for _ in 0..PORTS_TRIED {
            let (ends, original) = self.lead_client(&asked, Protocol::TCP, now)?;
            if !self.connections.has(&ends) {
                return Some((ends, original));
            }
            asked.remote.set_port(next_port(asked.remote.port()));
        }
        None
    }
    fn forward_datagram(&mut self, news: &Ready, client: &Client, data: &[u8], now: Now) {
        let Some(mut asked) = self.ends_for(client) else { return };
        for _ in 0..PORTS_TRIED {
            let Some((ends, original)) = self.lead_client(&asked, Protocol::UDP, now) else { return };
            let key = (ends.port, ends.guest, ends.remote);
            if self.forwards.remember(news, key, client.address, now.instant) {
                let from = (ends.gateway, ends.remote);
                let frame = udp_frame(from, (ends.card, ends.guest), data);
                self.inward(&Delivery { port: ends.port, frame }, original, now);
                return;
            }
            asked.remote.set_port(next_port(asked.remote.port()));
        }
    }
    /// Who a forward leads to, and what that guest takes the client for.
    fn ends_for(&mut self, client: &Client) -> Option<Ends> {
        let (port, address) = self.target(&client.forward.target)?;
        let card = self.members.get(&port)?.mac;
        let guest = SocketAddr::new(address, client.forward.guest_port);
        let remote = match self.is_presentable(client.address.ip(), address) {
            true => client.address,
            false => SocketAddr::new(self.own_address(address), client.address.port()),
        };
        Some(Ends { port, card, gateway: self.gateway.mac(), guest, remote })
    }
    /// Whether a guest can answer to a client's own address.
    fn is_presentable(&self, client: IpAddr, guest: IpAddr) -> bool {
        let plan = self.gateway.plan();
        let is_inside = match client {
            IpAddr::V4(client) => plan.v4.as_ref().is_some_and(|v4| v4.prefix.contains(&client)),
            IpAddr::V6(client) => plan.v6.as_ref().is_some_and(|v6| v6.prefix.contains(&client)),
        };
        let same_family = client.is_ipv4() == guest.is_ipv4();
        same_family && !is_inside && !client.is_loopback() && !client.is_unspecified()
    }
    /// Where a target is, by its IPv4 address if it has one.
    pub(super) fn target(&self, target: &Target) -> Option<(PortId, IpAddr)> {
        match target {
            Target::Address(address) => {
                if let Some(neighbour) = self.gateway.neighbour(*address) {
                    return Some((neighbour.port, *address));
                }
                let found = self.members.iter().find(|(_, member)| member.addresses.contains(address));
                found.map(|(id, _)| (*id, *address))
            }
            Target::Vm(name) => {
                let (id, member) = self.members.iter().find(|(_, member)| member.vm == *name)?;
                let all = member.addresses.iter().copied().chain(self.gateway.addresses(*id));
                let mut all: Vec<IpAddr> = all.collect();
                if let (Mode::Nat, Some(v4)) = (self.gateway.plan().mode, &self.gateway.plan().v4) {
                    // The only one that is given away.
                    all.push(IpAddr::V4(v4.pool.0));
                }
                let is_global = |address: &&IpAddr| match address {
                    IpAddr::V4(_) => true,
                    IpAddr::V6(address) => address.segments()[0] & 0xffc0 != 0xfe80,
                };
                all.sort_by_key(IpAddr::is_ipv6);
                all.iter().find(is_global).map(|address| (*id, *address))
            }
        }
    }
}

fn next_port(port: u16) -> u16 {
    port.checked_add(1).unwrap_or(1024)
}
