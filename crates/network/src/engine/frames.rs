//! A frame from a port: who gets it, whether it may pass, and what the gateway makes of it.
use std::net::IpAddr;

use platform::net::{ControlMessage, FrameHeader};

use super::{MemberKind, Network};
use crate::policy::{End, Reject, Verdict};
use crate::port;
use crate::services::refusal::{self, Refusal};
use crate::services::{Destination, Event, Handled, Now, Outbox, Outgoing};
use crate::switch::PortId;
use crate::wire::{EtherType, Packet};

impl Network {
    /// A message of a port.
    pub(super) fn message(&mut self, from: PortId, message: &mut [u8], now: Now) {
        let Some((header, frame)) = message.split_first_chunk_mut() else { return self.malformed(from) };
        let header = FrameHeader::of_bytes(header);
        if header.flags & FrameHeader::CONTROL != 0 {
            if let (Some(ControlMessage::Offloads(offloads)), Some(port)) =
                (ControlMessage::of_bytes(frame), self.ports.get_mut(from))
            {
                port.accepts = offloads;
            }
            return;
        }
        let Some((header, packet)) = port::checked(&header, frame) else { return self.malformed(from) };
        self.write_down(frame);
        self.switch(from, &header, &packet, frame, now);
    }
    fn malformed(&mut self, from: PortId) {
        if let Some(port) = self.ports.get_mut(from) {
            port.counters.malformed += 1;
        }
    }
    pub(super) fn write_down(&mut self, frame: &[u8]) {
        if let Some(capture) = &mut self.capture
            && let Err(error) = capture.write(std::time::SystemTime::now(), frame)
        {
            tracing::warn!(%error, "a capture has ended");
            self.capture = None;
        }
    }
    fn switch(&mut self, from: PortId, header: &FrameHeader, packet: &Packet, frame: &mut [u8], now: Now) {
        let to = packet.destination;
        if self.filter.leads() && self.lead(from, header, packet, frame, now) {
            return;
        }
        if to == self.gateway.mac() {
            return self.for_gateway(from, header, packet, frame, now);
        }
        if to.is_multicast() {
            self.for_gateway(from, header, packet, frame, now);
            let others: Vec<PortId> = self.members.keys().copied().filter(|id| *id != from).collect();
            for other in others {
                self.pass(from, other, header, packet, &mut frame.to_vec(), now);
            }
            return;
        }
        match self.ports.of_card(to) {
            Some(port) if port == from => {}
            Some(port) => self.pass(from, port, header, packet, frame, now),
            // Only what is behind a trunk can have cards that are not known.
            None => {
                let trunks = self
                    .members
                    .iter()
                    .filter(|(id, member)| member.kind == MemberKind::Trunk && **id != from);
                for trunk in trunks.map(|(id, _)| *id).collect::<Vec<_>>() {
                    self.pass(from, trunk, header, packet, &mut frame.to_vec(), now);
                }
            }
        }
    }
    /// From port to port.
    fn pass(
        &mut self,
        from: PortId,
        to: PortId,
        header: &FrameHeader,
        packet: &Packet,
        frame: &mut [u8],
        now: Now,
    ) {
        match self.filter.check(self.end_of(from), self.end_of(to), packet, frame, now.instant) {
            Verdict::Pass => {
                if self.filter.leads() {
                    self.lead_back(header, packet, frame, now);
                }
                if let Some(port) = self.ports.get_mut(to) {
                    port.send(header, frame);
                }
            }
            Verdict::Drop(_) => {}
            Verdict::Reject(reject) => self.reject(from, reject, packet, frame),
        }
    }

    /// What is for the gateway, for everybody, or for somebody outside.
    fn for_gateway(
        &mut self,
        from: PortId,
        header: &FrameHeader,
        packet: &Packet,
        frame: &mut [u8],
        now: Now,
    ) {
        let is_unicast = !packet.destination.is_multicast();
        if packet.ip.as_ref().is_some_and(|ip| ip.fragment.is_some()) {
            // Once all parts are there it is a packet like any other.
            if is_unicast
                && let reassembly = self.reassembly.entry(from).or_default()
                && let Some(mut whole) = reassembly.take(packet, frame, now.instant)
                && let Ok(packet) = Packet::parse(&whole)
            {
                self.for_gateway(from, &FrameHeader::default(), &packet, &mut whole, now);
            }
            return;
        }
        let to = match &packet.ip {
            Some(ip) if is_unicast && !self.gateway.owns(ip.destination) => End::Outside,
            _ => End::Gateway,
        };
        match self.filter.check(self.end_of(from), to, packet, frame, now.instant) {
            Verdict::Pass => {}
            Verdict::Drop(_) => return,
            Verdict::Reject(reject) => return self.reject(from, reject, packet, frame),
        }
        let Some(view) = Self::view(&self.members, from) else { return };
        let mut out = Outbox::default();
        let handled = self.gateway.handle(&view, packet, frame, now, &mut out);
        self.deliver(out);
        match handled {
            Handled::Consumed => {}
            Handled::ForwardDns { client, query } => self.lookup(from, client, packet, frame, query, now),
            Handled::NotMine if is_unicast && packet.ip.is_some() => {
                self.outward(from, header, packet, frame, now);
            }
            Handled::NotMine => {}
        }
    }
    /// Does what services want to have done.
    pub(super) fn deliver(&mut self, out: Outbox) {
        for Outgoing { to, frame } in out.frames {
            self.write_down(&frame);
            match to {
                Destination::Port(id) => {
                    if let Some(port) = self.ports.get_mut(id) {
                        port.send_whole(&frame);
                    }
                }
                Destination::Flood => self.ports.iter_mut().for_each(|(_, port)| port.send_whole(&frame)),
            }
        }
        for event in out.events {
            match event {
                Event::AddressAssigned { port, address } => self.has_address(port, address),
                // Guests choose those of IPv6 themselves, within the network.
                Event::AddressSeen { port, address: IpAddr::V6(address) } => {
                    let within = |v6: &crate::services::V6| {
                        v6.is_guest(address) || address.segments()[0] & 0xffc0 == 0xfe80
                    };
                    if self.gateway.plan().v6.as_ref().is_some_and(within) {
                        self.has_address(port, address.into());
                    }
                }
                Event::AddressSeen { .. } => {}
                Event::LeasesChanged => {
                    if let Some(leases) = self.gateway.leases() {
                        (self.save)(leases);
                    }
                }
            }
        }
    }

    /// Tells a sender that its packet goes nowhere.
    pub(super) fn reject(&mut self, from: PortId, reject: Reject, packet: &Packet, frame: &[u8]) {
        let refused = match reject {
            Reject::Prohibited => Refusal::Prohibited,
            Reject::PortUnreachable => Refusal::Port,
            Reject::HostUnreachable => Refusal::Host,
            Reject::TcpReset => {
                let reset = refusal::reset(packet, self.gateway.mac());
                if let (Some(reset), Some(port)) = (reset, self.ports.get_mut(from)) {
                    return port.send_whole(&reset);
                }
                Refusal::Port
            }
        };
        self.refuse(from, refused, packet, frame);
    }
    pub(super) fn refuse(&mut self, from: PortId, refused: Refusal, packet: &Packet, frame: &[u8]) {
        if packet.ethertype == EtherType::ARP {
            return;
        }
        let Some(ip) = &packet.ip else { return };
        let own = (self.gateway.mac(), self.own_address(ip.destination));
        if let (Some(frame), Some(port)) =
            (refusal::refuse(refused, packet, frame, own), self.ports.get_mut(from))
        {
            port.send_whole(&frame);
        }
    }
    /// The gateway's address of a family; if it has none, the one that the packet was sent to speaks for it.
    pub(super) fn own_address(&self, like: IpAddr) -> IpAddr {
        let plan = self.gateway.plan();
        let own = match like {
            IpAddr::V4(_) => plan.v4.as_ref().and_then(|v4| v4.gateway.or(v4.dhcp)).map(IpAddr::V4),
            IpAddr::V6(_) => plan.v6.as_ref().map(|v6| IpAddr::V6(v6.gateway)),
        };
        own.unwrap_or(like)
    }
}
