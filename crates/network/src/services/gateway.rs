//! The front: one gateway for each network.
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::time::{Duration, Instant};

use platform::net::Mac;

use super::arp::Arp;
use super::dhcp::{self, Leases, Reservation, ReservationError, Reservations};
use super::dns::{self, Names};
use super::ndp;
use super::{Event, Neighbour, Neighbours, Now, Outbox, Plan, PortId, PortView, label::label};
use crate::wire::{EtherType, Packet, Transport, udp_frame};

mod datagrams;
mod discovery;

/// What became of a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Handled {
    /// It was for the network itself.
    Consumed,
    /// It is for others too, or for others alone.
    NotMine,
    /// A name to be looked up by the host's resolvers; the answer goes to [`Gateway::dns_reply`].
    ForwardDns {
        /// Who asks.
        client: DnsClient,
        /// Where in the frame the query is, a whole DNS message.
        query: Range<usize>,
    },
}

/// Who asked for a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DnsClient {
    /// Where it is.
    pub port: PortId,
    /// Its card.
    pub mac: Mac,
    /// What it asked from.
    pub address: SocketAddr,
    /// What it asked.
    pub server: SocketAddr,
    /// Bytes of an answer at most.
    pub limit: usize,
}

/// How often a network tells of itself unasked (RFC 4861 §6.2.1 has 200 to 600 seconds).
const ADVERTISEMENT: Duration = Duration::from_secs(200);

/// The services of a network: DHCP, DNS, ARP, neighbour discovery, router advertisements, pings of its addresses.
#[derive(Debug)]
pub struct Gateway {
    plan: Plan,
    mac: Mac,
    dhcp: Option<dhcp::Server>,
    neighbours: Neighbours,
    names: Names,
    next_advertisement: Option<Instant>,
}

impl Gateway {
    /// Of a network; `mac` is that of its own addresses. Leases are those of earlier, and names come of them; what does not
    /// fit into the plan is forgotten.
    pub fn new(
        plan: Plan,
        mac: Mac,
        leases: Leases,
        reservations: &[Reservation],
        now: Now,
    ) -> Result<Self, ReservationError> {
        let next_advertisement = plan.v6.is_some().then_some(now.instant);
        let server = plan.v4.as_ref().filter(|v4| v4.dhcp.is_some());
        let dhcp = server.map(|v4| dhcp::Server::new(leases, v4));
        let (neighbours, names) = Default::default();
        let mut gateway = Self { plan, mac, dhcp, neighbours, names, next_advertisement };
        gateway.set_reservations(reservations)?;
        gateway.set_names(BTreeMap::new());
        let leases = gateway.dhcp.iter().flat_map(|server| server.leases.iter());
        for (_, lease) in leases.filter(|(_, lease)| !lease.is_expired(now.unix_s)) {
            if let Some(name) = lease.name.as_deref().and_then(|name| label(name.as_bytes())) {
                gateway.names.learn(&name, lease.address.into());
            }
        }
        Ok(gateway)
    }
    /// The network's addresses.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }
    /// The card of the network's own addresses.
    pub fn mac(&self) -> Mac {
        self.mac
    }
    /// Whether an address is the network's own, so that packets to it are for the gateway.
    pub fn owns(&self, address: IpAddr) -> bool {
        self.plan.owns(address) || (self.plan.v6.is_some() && address == ndp::link_local(self.mac))
    }
    /// What is to be written to the file of leases; none if there is no DHCP.
    pub fn leases(&self) -> Option<&Leases> {
        self.dhcp.as_ref().map(|server| &server.leases)
    }
    /// Sets addresses aside. They count when a guest asks the next time; its lease is not prolonged if it is of somebody
    /// else now.
    pub fn set_reservations(&mut self, reservations: &[Reservation]) -> Result<(), ReservationError> {
        if let (Some(server), Some(v4)) = (&mut self.dhcp, &self.plan.v4) {
            server.reservations = Reservations::new(reservations, v4)?;
        }
        Ok(())
    }
    /// Sets names that no guest can have, without their domain. `host` and `gateway` are known unless they are among them.
    pub fn set_names(&mut self, mut names: BTreeMap<String, Vec<IpAddr>>) {
        let (v4, v6) = (self.plan.v4.as_ref(), self.plan.v6.as_ref());
        let gateway4 = v4.and_then(|v4| v4.gateway);
        let gateway6 = v6.map(|v6| v6.gateway);
        let host4 = v4.and_then(|v4| v4.host).or(gateway4);
        let host6 = v6.and_then(|v6| v6.host).or(gateway6);
        for (name, v4, v6) in [("gateway", gateway4, gateway6), ("host", host4, host6)] {
            let list: Vec<_> = v4.map(IpAddr::V4).into_iter().chain(v6.map(IpAddr::V6)).collect();
            if !list.is_empty() {
                names.entry(name.to_owned()).or_insert(list);
            }
        }
        self.names.set_fixed(names);
    }
    /// Says whether the network's IPv6 leads outside, and tells the guests.
    pub fn set_default_route6(&mut self, leads_outside: bool, out: &mut Outbox) {
        if let Some(v6) = &mut self.plan.v6
            && v6.default_route != leads_outside
        {
            v6.default_route = leads_outside;
            self.advertise(None, out);
        }
    }
    /// Looks at a frame from a port. What is asked of the network itself is answered.
    pub fn handle(
        &mut self,
        from: &PortView,
        packet: &Packet,
        frame: &[u8],
        now: Now,
        out: &mut Outbox,
    ) -> Handled {
        if packet.ethertype == EtherType::ARP {
            return self.arp(from, packet, frame, out);
        }
        let Some(ip) = &packet.ip else { return Handled::NotMine };
        if packet.destination != self.mac && !packet.destination.is_multicast() {
            return Handled::NotMine;
        }
        match ip.transport {
            Some(Transport::Icmp { .. }) => self.icmp(from, packet, ip, frame, out),
            Some(Transport::Udp { .. }) => self.udp(from, packet, ip, frame, now, out),
            _ => Handled::NotMine,
        }
    }
    /// Answers a DNS message that came in another way than by [`Gateway::handle`]: in a stream, which [`Gateway::handle`]
    /// leaves to others.
    pub fn answer_dns(&self, query: &[u8], over: dns::Over) -> dns::Answer {
        dns::answer(query, &dns::Zone { plan: &self.plan, names: &self.names }, over)
    }
    /// Hands on what a resolver answered.
    pub fn dns_reply(&self, client: &DnsClient, reply: &[u8], out: &mut Outbox) {
        let reply = dns::shorten(reply, client.limit);
        if !reply.is_empty() {
            let frame = udp_frame((self.mac, client.server), (client.mac, client.address), &reply);
            out.send(client.port, frame);
        }
    }
    /// Who has an address.
    pub fn neighbour(&self, address: IpAddr) -> Option<Neighbour> {
        self.neighbours.get(address)
    }
    /// Addresses that a port was seen with.
    pub fn addresses(&self, port: PortId) -> impl Iterator<Item = IpAddr> + '_ {
        self.neighbours.addresses(port)
    }
    /// Asks who has an address; the answer goes to [`Gateway::handle`]. How often is the caller's to limit.
    pub fn resolve(&self, address: IpAddr, out: &mut Outbox) {
        match address {
            IpAddr::V4(address) => {
                let own = self.plan.v4.as_ref().and_then(|v4| v4.gateway.or(v4.dhcp));
                if let Some(own) = own {
                    out.flood(Arp::request((self.mac, own), address));
                }
            }
            IpAddr::V6(address) if self.plan.v6.is_some() => {
                let own = (self.mac, ndp::link_local(self.mac));
                out.flood(ndp::neighbour_solicitation(own, address));
            }
            IpAddr::V6(_) => {}
        }
    }
    /// Forgets a port that is gone: its addresses and its names. Leases stay.
    pub fn forget_port(&mut self, port: PortId) {
        for address in self.neighbours.addresses(port) {
            self.names.forget_address(address);
        }
        self.neighbours.forget_port(port);
    }
    /// When [`Gateway::tick`] has something to do.
    pub fn next_timer(&self) -> Option<Instant> {
        self.next_advertisement
    }
    /// Does what is due.
    pub fn tick(&mut self, now: Now, out: &mut Outbox) {
        if self.next_advertisement.is_some_and(|due| due <= now.instant) {
            self.next_advertisement = Some(now.instant + ADVERTISEMENT);
            self.advertise(None, out);
        }
    }

    fn learn(&mut self, from: &PortView, mac: Mac, address: IpAddr, out: &mut Outbox) {
        if self.neighbours.learn(address, Neighbour { mac, port: from.id }) {
            out.events.push(Event::AddressSeen { port: from.id, address });
        }
    }
}

#[cfg(test)]
mod tests;
