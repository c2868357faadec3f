//! The way of a frame through the filter.
use std::time::Instant;

use super::{Filter, Port};
use crate::policy::groups::{Direction, Ordinal};
use crate::policy::track::{Found, Seen, is_error, is_opening, quoted};
use crate::policy::zones::{self, Decision};
use crate::policy::{End, Reason, Verdict, spoof};
use crate::wire::{EtherType, Ip, Packet, Protocol, Transport, Tuple};

/// Ports of DHCP and DHCPv6 servers.
const DHCP_SERVERS: [u16; 2] = [67, 547];

/// Rules that let a flow in: the sender's and the receiver's, as far as these are filtered.
type By = [Option<Ordinal>; 2];

impl Filter {
    #[inline]
    pub(super) fn judge(
        &mut self,
        (from, to): (End, End),
        packet: &Packet,
        frame: &[u8],
        original: Option<Tuple>,
        now: Instant,
    ) -> Verdict {
        if let End::Port(id) = from {
            let Some(port) = self.ports.get(&id) else { return Verdict::Drop(Reason::NoPort) };
            if let Err(reason) = spoof::check(&port.card, packet, frame) {
                return Verdict::Drop(reason);
            }
        }
        let Some(ip) = &packet.ip else { return self.judge_other(from, to, packet) };
        if self.firewall.running && self.firewall.panic {
            return Verdict::Drop(Reason::Panic);
        }
        if ip.fragment.is_some() {
            return self.judge_fragment(from, to, packet, ip, frame, now);
        }
        let seen = Seen::of(ip);
        if let Some(found) = self.flows.find(&seen.tuple, now)
            && let Some(verdict) = self.judge_known(found, from, to, &seen, now)
        {
            return verdict;
        }
        if let (Some(id), Some(address)) = (from.port(), spoof::wanted_address(ip, frame)) {
            self.learn(id, address);
        }
        if is_housekeeping(from, to, ip) || self.is_of_known_flow(ip, frame, now) {
            return Verdict::Pass;
        }
        self.judge_new((from, to), packet, &seen, original, now)
    }

    /// Frames that carry neither IP version. ARP is no matter of rules. What is behind a tag nobody looks at, so it goes
    /// only where nothing is to be looked at.
    fn judge_other(&self, from: End, to: End, packet: &Packet) -> Verdict {
        let is_strict = |port: &Port| port.card.strict;
        if packet.ethertype == EtherType::ARP {
            Verdict::Pass
        } else if self.port(from).is_some_and(is_strict) {
            Verdict::Drop(Reason::SourceAddress)
        } else if self.is_filtered(from, to) {
            Verdict::Drop(Reason::NotTracked)
        } else {
            Verdict::Pass
        }
    }

    fn judge_fragment(
        &mut self,
        from: End,
        to: End,
        packet: &Packet,
        ip: &Ip,
        frame: &[u8],
        now: Instant,
    ) -> Verdict {
        let Some(fragment) = ip.fragment else { return Verdict::Pass };
        let unknown = match self.is_filtered(from, to) {
            true => Verdict::Drop(Reason::NotTracked),
            false => Verdict::Pass,
        };
        if fragment.offset > 0 {
            let fragments = self.fragments.get(&from);
            let passes = fragments.is_some_and(|fragments| fragments.passes(ip, fragment, from, to, now));
            return if passes { Verdict::Pass } else { unknown };
        }
        let Some(seen) = Seen::of_first_fragment(ip, frame) else { return unknown };
        let known = self.flows.find(&seen.tuple, now);
        let verdict = known.and_then(|found| self.judge_known(found, from, to, &seen, now));
        let verdict = verdict.unwrap_or_else(|| self.judge_new((from, to), packet, &seen, None, now));
        if verdict == Verdict::Pass {
            self.fragments.entry(from).or_default().pass(ip, fragment, from, to, now);
        }
        verdict
    }

    /// A packet of a flow that is known; none if it begins another.
    #[inline]
    fn judge_known(
        &mut self,
        found: Found,
        from: End,
        to: End,
        seen: &Seen,
        now: Instant,
    ) -> Option<Verdict> {
        let flow = self.flows.flow(found)?;
        let ends = if found.from_initiator { (flow.from, flow.to) } else { (flow.to, flow.from) };
        let opens = is_opening(seen.tuple.protocol, seen.flags);
        // Somebody else with these addresses: nobody else's flow speaks for it.
        if (joined(ends.0), joined(ends.1)) != (joined(from), joined(to)) || (opens && flow.state.is_ending())
        {
            return None;
        }
        let is_revived = opens && found.from_initiator && flow.generation != self.generation;
        if flow.generation < self.valid_from || is_revived {
            let (first, ends) = (Seen { tuple: flow.tuple, flags: 0 }, (flow.from, flow.to));
            if let Err(verdict) = self.ask_rules(ends, &first, flow.original) {
                if !is_revived {
                    self.flows.forget(found);
                }
                return Some(verdict);
            }
            self.flows.renew(found, self.generation);
        }
        self.flows.touch(found, seen, now);
        Some(Verdict::Pass)
    }

    fn judge_new(
        &mut self,
        (from, to): (End, End),
        packet: &Packet,
        seen: &Seen,
        original: Option<Tuple>,
        now: Instant,
    ) -> Verdict {
        let Seen { tuple, flags } = *seen;
        if tuple.protocol == Protocol::TCP && !is_opening(tuple.protocol, flags) && self.is_filtered(from, to)
        {
            return Verdict::Drop(Reason::NotTracked);
        }
        match self.ask_rules((from, to), seen, original) {
            Err(verdict) => verdict,
            Ok(by) => {
                by.into_iter().flatten().for_each(|ordinal| self.ruling.hit(ordinal));
                let is_icmp_error = is_error(tuple.protocol, (tuple.destination_port >> 8) as u8);
                let elsewhere = self.flows.find(&tuple, now).and_then(|found| self.flows.flow(found));
                let is_taken = elsewhere.is_some_and(|flow| !flow.state.is_ending());
                if !packet.destination.is_multicast() && !is_icmp_error && !is_taken {
                    self.flows.insert_led(seen, original, (from, to), self.generation, now);
                }
                Verdict::Pass
            }
        }
    }

    /// Egress groups of the sender, the zone, ingress groups of the receiver.
    fn ask_rules(&self, (from, to): (End, End), seen: &Seen, original: Option<Tuple>) -> Result<By, Verdict> {
        let (sender, receiver) = (self.port(from), self.port(to));
        let ask = |port: Option<&Port>, peer: Option<&Port>, direction, reason| {
            let Some(compiled) = port.and_then(|port| port.compiled.as_ref()) else { return Ok(None) };
            let by = compiled.allows(direction, &seen.tuple, groups_of(peer), &self.ruling);
            by.map(Some).ok_or(Verdict::Drop(reason))
        };
        let out = ask(sender, receiver, Direction::Egress, Reason::EgressGroups)?;
        if receiver.is_some() && from != End::Gateway && self.firewall.running {
            // A forward port lets nothing in where it leads away from.
            if original.is_none() && self.leads && zones::forward(&self.firewall, &seen.tuple).is_some() {
                return Err(Verdict::Drop(Reason::Zone));
            }
            match zones::decide(&self.firewall, &original.unwrap_or(seen.tuple)).decision {
                Decision::Accept => {}
                Decision::Reject(how) => return Err(Verdict::Reject(how)),
                Decision::Drop => return Err(Verdict::Drop(Reason::Zone)),
            }
        }
        Ok([out, ask(receiver, sender, Direction::Ingress, Reason::IngressGroups)?])
    }

    pub(super) fn port(&self, end: End) -> Option<&Port> {
        self.ports.get(&end.port()?)
    }
    /// Whether anything but anti-spoofing looks at what these say.
    fn is_filtered(&self, from: End, to: End) -> bool {
        let has_groups = |end| self.port(end).is_some_and(|port| port.compiled.is_some());
        self.firewall.running || has_groups(from) || has_groups(to)
    }
    /// An ICMP error about a packet of a flow that was let in, to whoever has sent that packet.
    fn is_of_known_flow(&mut self, ip: &Ip, frame: &[u8], now: Instant) -> bool {
        if !matches!(ip.transport, Some(Transport::Icmp { .. })) {
            return false;
        }
        let Some(tuple) = quoted(ip, frame) else { return false };
        tuple.source == ip.destination && self.flows.find(&tuple, now).is_some()
    }
}

/// Groups that rules about the other end may name.
fn groups_of(port: Option<&Port>) -> &[String] {
    port.map_or(&[], |port| &port.groups)
}

/// Clients of the host's ports that a guest could not answer to have the gateway's address: of flows with that, the NAT and the
/// services are one end.
fn joined(end: End) -> End {
    if end == End::Outside { End::Gateway } else { end }
}

/// What a network needs to work at all: neighbour discovery, and DHCP with the gateway.
fn is_housekeeping(from: End, to: End, ip: &Ip) -> bool {
    let is_dhcp = match &ip.transport {
        Some(Transport::Udp { source, destination, .. }) => {
            (to == End::Gateway && DHCP_SERVERS.contains(destination))
                || (from == End::Gateway && DHCP_SERVERS.contains(source))
        }
        _ => false,
    };
    is_dhcp || spoof::is_neighbor_message(ip)
}
