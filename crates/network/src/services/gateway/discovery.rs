//! Who has which address, asked and told.
use std::net::{IpAddr, Ipv6Addr};

use platform::net::Mac;

use super::{Gateway, Handled};
use crate::services::arp::{self, Arp};
use crate::services::{Outbox, PortView, echo, label::label, ndp};
use crate::wire::{Ip, Packet, Protocol, Transport};

const ROUTER_ADVERTISEMENT: u8 = 134;
/// What everything of neighbour discovery has, so that it cannot be from farther away (RFC 4861 §7.1).
const HOP_LIMIT: u8 = 255;

impl Gateway {
    pub(super) fn arp(
        &mut self,
        from: &PortView,
        packet: &Packet,
        frame: &[u8],
        out: &mut Outbox,
    ) -> Handled {
        let Some(v4) = &self.plan.v4 else { return Handled::NotMine };
        let Some(arp) = Arp::parse(frame) else { return Handled::NotMine };
        let (mac, address) = arp.sender;
        if mac != packet.source || !mac.is_unicast() || v4.owns(address) {
            // It lies, and others need not hear it.
            return Handled::Consumed;
        }
        let (is_neighbour, is_for_us) =
            (v4.is_guest(address) || v4.host == Some(address), v4.owns(arp.target.1));
        if is_neighbour {
            self.learn(from, mac, address.into(), out);
        }
        match arp.operation {
            arp::REQUEST if is_for_us => {
                out.send(from.id, arp.reply(self.mac));
                Handled::Consumed
            }
            arp::REPLY if is_for_us && packet.destination == self.mac => Handled::Consumed,
            _ => Handled::NotMine,
        }
    }

    pub(super) fn icmp(
        &mut self,
        from: &PortView,
        packet: &Packet,
        ip: &Ip,
        frame: &[u8],
        out: &mut Outbox,
    ) -> Handled {
        if let (Protocol::ICMPV6, Some(Transport::Icmp { kind: 133..=136, .. })) =
            (ip.protocol, &ip.transport)
        {
            return self.neighbour_discovery(from, packet, ip, frame, out);
        }
        if !self.owns(ip.destination) {
            return Handled::NotMine;
        }
        match echo::reply(ip, frame, self.mac, packet.source) {
            Some(reply) => {
                out.send(from.id, reply);
                Handled::Consumed
            }
            None => Handled::NotMine,
        }
    }

    fn neighbour_discovery(
        &mut self,
        from: &PortView,
        packet: &Packet,
        ip: &Ip,
        frame: &[u8],
        out: &mut Outbox,
    ) -> Handled {
        let (IpAddr::V6(source), Some(Transport::Icmp { kind, code, data, .. }), true) =
            (ip.source, &ip.transport, self.plan.v6.is_some())
        else {
            return Handled::NotMine;
        };
        if ip.hop_limit != HOP_LIMIT || *code != 0 {
            return Handled::Consumed;
        }
        match *kind {
            ndp::ROUTER_SOLICITATION => {
                self.advertise(Some((from, packet.source)), out);
                return Handled::Consumed;
            }
            // The network's router is this one.
            ROUTER_ADVERTISEMENT => return Handled::Consumed,
            _ => {}
        }
        let about = frame.get(data.clone()).and_then(|body| ndp::About::parse(*kind, body));
        let Some(about) = about.filter(|about| about.link.is_none_or(|link| link == packet.source)) else {
            return Handled::Consumed;
        };
        let is_ours = self.owns(about.target.into());
        if *kind == ndp::NEIGHBOUR_ADVERTISEMENT {
            self.learn6(from, packet.source, about.target, out);
            return if is_ours { Handled::Consumed } else { Handled::NotMine };
        }
        // Who asks whether an address is taken is going to have it.
        let shown = if source.is_unspecified() { about.target } else { source };
        self.learn6(from, packet.source, shown, out);
        if !is_ours {
            return Handled::NotMine;
        }
        let is_router = self.plan.v6.as_ref().is_some_and(|v6| v6.default_route);
        let asker = (packet.source, source);
        out.send(from.id, ndp::neighbour_advertisement(self.mac, about.target, asker, is_router));
        Handled::Consumed
    }

    /// Learns of an address that guests can have; of those of the network come names.
    fn learn6(&mut self, from: &PortView, mac: Mac, address: Ipv6Addr, out: &mut Outbox) {
        let Some(v6) = &self.plan.v6 else { return };
        let is_of_network = v6.is_guest(address);
        let is_possible = is_of_network || v6.host == Some(address) || address.is_unicast_link_local();
        if !is_possible || !mac.is_unicast() || self.owns(address.into()) {
            return;
        }
        self.learn(from, mac, address.into(), out);
        if let Some(name) = from.name.filter(|_| is_of_network).and_then(|name| label(name.as_bytes())) {
            self.names.learn(&name, address.into());
        }
    }

    /// Tells of the network, to who asked or to all.
    pub(super) fn advertise(&self, to: Option<(&PortView, Mac)>, out: &mut Outbox) {
        let Some(v6) = &self.plan.v6 else { return };
        let mac = to.map(|(_, mac)| mac);
        let frame = ndp::router_advertisement(self.mac, mac, v6, self.plan.mtu, &self.plan.domain);
        match to {
            Some((port, _)) => out.send(port.id, frame),
            None => out.flood(frame),
        }
    }
}
