//! Datagrams for DHCP and DNS.
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::{DnsClient, Gateway, Handled};
use crate::services::{Event, Now, Outbox, PortView, dhcp, dhcpv6, dns, ndp};
use crate::wire::{Ip, IpHeader, Packet, Transport, UDP_BYTES, udp_frame};

/// Where guests ask for DHCPv6 (RFC 8415 §7.1), and from which port.
const DHCPV6_SERVERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 1, 2);
const DHCPV6_CLIENT_PORT: u16 = 546;

impl Gateway {
    pub(super) fn udp(
        &mut self,
        from: &PortView,
        packet: &Packet,
        ip: &Ip,
        frame: &[u8],
        now: Now,
        out: &mut Outbox,
    ) -> Handled {
        let Some(Transport::Udp { destination, data, .. }) = &ip.transport else { return Handled::NotMine };
        let Some(datagram) = frame.get(data.clone()) else { return Handled::NotMine };
        match (ip.destination, *destination) {
            (IpAddr::V4(to), dhcp::SERVER_PORT) => self.dhcp(from, packet, to, datagram, now, out),
            (IpAddr::V6(DHCPV6_SERVERS), dhcpv6::SERVER_PORT) => self.dhcpv6(from, packet, ip, datagram, out),
            (to, dns::PORT) if self.is_dns(to) => {
                let tuple = ip.tuple();
                let client = DnsClient {
                    port: from.id,
                    mac: packet.source,
                    address: tuple.from(),
                    server: tuple.to(),
                    limit: self.datagram_max(ip).min(dns::datagram_limit(datagram)),
                };
                self.dns(client, datagram, data.clone(), out)
            }
            _ => Handled::NotMine,
        }
    }

    /// Whether names are looked up at an address.
    pub fn is_dns(&self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(address) => self.plan.v4.as_ref().is_some_and(|v4| v4.dns == Some(address)),
            IpAddr::V6(address) => self.plan.v6.as_ref().is_some_and(|v6| v6.dns && v6.gateway == address),
        }
    }

    /// Bytes of a datagram that is not cut.
    fn datagram_max(&self, ip: &Ip) -> usize {
        let headers = if ip.source.is_ipv4() { IpHeader::V4_BYTES } else { IpHeader::V6_BYTES } + UDP_BYTES;
        usize::from(self.plan.mtu).saturating_sub(headers)
    }

    fn dns(
        &mut self,
        client: DnsClient,
        datagram: &[u8],
        query: std::ops::Range<usize>,
        out: &mut Outbox,
    ) -> Handled {
        let address = client.address.ip();
        if address.is_unspecified() || address.is_multicast() || client.address.port() == 0 {
            return Handled::Consumed;
        }
        match self.answer_dns(datagram, dns::Over::Udp) {
            dns::Answer::Local(reply) => {
                self.dns_reply(&client, &reply, out);
                Handled::Consumed
            }
            dns::Answer::Forward => Handled::ForwardDns { client, query },
            dns::Answer::Drop => Handled::Consumed,
        }
    }

    fn dhcp(
        &mut self,
        from: &PortView,
        packet: &Packet,
        to: Ipv4Addr,
        datagram: &[u8],
        now: Now,
        out: &mut Outbox,
    ) -> Handled {
        let (Some(server), Some(v4)) = (&mut self.dhcp, &self.plan.v4) else { return Handled::NotMine };
        let Some(address) = v4.dhcp else { return Handled::NotMine };
        if to != address && to != Ipv4Addr::BROADCAST && to != v4.prefix.broadcast() {
            return Handled::NotMine;
        }
        let terms = dhcp::Terms { plan: &self.plan, v4, server: address, own: self.mac };
        let outcome = server.handle(&terms, datagram, (packet.source, from.name), now);
        let is_changed = server.leases.changed();
        if let Some(reply) = outcome.reply {
            out.send(from.id, reply);
        }
        if let Some((mac, address)) = outcome.assigned {
            let address = IpAddr::V4(address);
            match outcome.name {
                Some(name) => self.names.learn(&name, address),
                None => self.names.forget_address(address),
            }
            self.neighbours.learn(address, super::Neighbour { mac, port: from.id });
            out.events.push(Event::AddressAssigned { port: from.id, address });
        }
        if is_changed {
            out.events.push(Event::LeasesChanged);
        }
        Handled::Consumed
    }

    fn dhcpv6(
        &self,
        from: &PortView,
        packet: &Packet,
        ip: &Ip,
        datagram: &[u8],
        out: &mut Outbox,
    ) -> Handled {
        let (Some(v6), IpAddr::V6(asker)) = (&self.plan.v6, ip.source) else { return Handled::NotMine };
        let Ok(domain) = hickory_proto::rr::Name::from_ascii(&self.plan.domain) else {
            return Handled::Consumed;
        };
        let dns = v6.dns.then_some(v6.gateway);
        // Guests ask from the addresses of their links (RFC 8415 §16.12).
        let reply = dhcpv6::reply(datagram, self.mac, dns, &domain).filter(|_| asker.is_unicast_link_local());
        if let Some(reply) = reply {
            let own = SocketAddr::from((ndp::link_local(self.mac), dhcpv6::SERVER_PORT));
            let to = (packet.source, SocketAddr::from((asker, DHCPV6_CLIENT_PORT)));
            out.send(from.id, udp_frame((self.mac, own), to, &reply));
        }
        Handled::Consumed
    }
}
