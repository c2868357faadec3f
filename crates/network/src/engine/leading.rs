//! Forward ports of the firewall: packets led elsewhere, and their answers led back.
//!
//! What wants to reach a member, or one of the network's own addresses, goes where a forward port of its source's zone says,
//! from whichever side it comes: from a port of the host that is forwarded, from the host on the network, from another
//! member. The tracked flow remembers where its sender meant it to go, so that answers come from there.
use std::net::SocketAddr;

use platform::net::{FrameHeader, Mac};

use super::{MemberKind, Network};
use crate::nat::connections::Ends;
use crate::nat::forwards::Target;
use crate::policy::track::Seen;
use crate::policy::{End, Verdict};
use crate::services::Now;
use crate::services::refusal::Refusal;
use crate::switch::PortId;
use crate::wire::{Ip, Packet, Protocol, Side, Transport, Tuple, set_end, set_quoted, tcp_flag};

impl Network {
    /// Takes a packet that is led elsewhere; false if it is not.
    pub(super) fn lead(
        &mut self,
        from: PortId,
        header: &FrameHeader,
        packet: &Packet,
        frame: &mut [u8],
        now: Now,
    ) -> bool {
        let Some((ip, to)) = self.is_led(packet, now) else { return false };
        let place = self.place_of(to).filter(|(port, _)| *port != from);
        let Some((port, card)) = place else {
            self.refuse(from, Refusal::Host, packet, frame);
            return true;
        };
        let original = ip.tuple();
        turn(header, ip, frame, card, to);
        let Ok(led) = Packet::parse(frame) else { return true };
        let ends = (self.end_of(from), End::Port(port));
        match self.filter.check_led(ends, &led, frame, Some(original), now.instant) {
            Verdict::Pass => {
                if let Some(port) = self.ports.get_mut(port) {
                    port.send(header, frame);
                }
            }
            Verdict::Drop(_) => {}
            Verdict::Reject(reject) => {
                // It is told of the packet that it has sent.
                if let Some(ip) = &led.ip {
                    turn(header, ip, frame, packet.destination, original.to());
                }
                self.reject(from, reject, packet, frame);
            }
        }
        true
    }
    /// Where a packet for a member or for the network itself is led.
    fn is_led<'a>(&mut self, packet: &'a Packet, now: Now) -> Option<(&'a Ip, SocketAddr)> {
        let ip = packet.ip.as_ref()?;
        if !matches!(ip.transport, Some(Transport::Tcp { .. } | Transport::Udp { .. })) {
            return None;
        }
        let is_for_network = packet.destination == self.gateway.mac() && self.gateway.owns(ip.destination);
        let is_for_member =
            self.ports.of_card(packet.destination).is_some_and(|port| self.end_of(port) != End::Host);
        if !is_for_network && !is_for_member {
            return None;
        }
        let to = self.filter.led_to(&Seen::of(ip), now.instant)?;
        // The network's own services stay at their ports.
        (!self.gateway.owns(to.ip())).then_some((ip, to))
    }
    /// Which guest has an address, and its card.
    fn place_of(&self, to: SocketAddr) -> Option<(PortId, Mac)> {
        let (port, _) = self.target(&Target::Address(to.ip()))?;
        let member = self.members.get(&port).filter(|member| member.kind == MemberKind::Guest)?;
        Some((port, member.mac))
    }

    /// Gives an answer in a flow that was led elsewhere the sender that its receiver knows.
    pub(super) fn lead_back(&mut self, header: &FrameHeader, packet: &Packet, frame: &mut [u8], now: Now) {
        let Some(ip) = packet.ip.as_ref().filter(|ip| ip.transport.is_some()) else { return };
        let Some(known) = self.filter.led_from(ip, frame, now.instant) else { return };
        if matches!(ip.transport, Some(Transport::Icmp { .. })) {
            return set_quoted(ip, frame, known);
        }
        let card = match self.gateway.owns(known.ip()) {
            true => Some(self.gateway.mac()),
            false => self.place_of(known).map(|(_, card)| card),
        };
        set_end(header, ip, frame, Side::Source, known);
        if let Some(card) = card {
            frame[6..12].copy_from_slice(&card.0);
        }
    }

    /// Where a client of a forwarded port of the host is led, and what it was to reach. None if nobody is there.
    pub(super) fn lead_client(
        &mut self,
        asked: &Ends,
        protocol: Protocol,
        now: Now,
    ) -> Option<(Ends, Option<Tuple>)> {
        if !self.filter.leads() {
            return Some((*asked, None));
        }
        let tuple = Tuple {
            protocol,
            source: asked.remote.ip(),
            destination: asked.guest.ip(),
            source_port: asked.remote.port(),
            destination_port: asked.guest.port(),
        };
        let flags = if protocol == Protocol::TCP { tcp_flag::SYN } else { 0 };
        let Some(to) = self.filter.led_to(&Seen { tuple, flags }, now.instant) else {
            return Some((*asked, None));
        };
        let (port, card) = self.place_of(to)?;
        Some((Ends { port, card, guest: to, ..*asked }, Some(tuple)))
    }
}

/// Has a frame go to another card, address and port.
fn turn(header: &FrameHeader, ip: &Ip, frame: &mut [u8], card: Mac, to: SocketAddr) {
    set_end(header, ip, frame, Side::Destination, to);
    frame[..6].copy_from_slice(&card.0);
}
