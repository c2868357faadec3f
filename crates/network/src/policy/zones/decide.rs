//! What a zone does with a flow.
use std::net::{IpAddr, SocketAddr};

use super::rich::{Action, Element, Family, RichRule};
use super::{Firewall, PortSpec, Service, Target, Zone, edit, icmp_type, ports, protocols};
use crate::policy::Reject;
use crate::policy::groups::PortRange;
use crate::wire::{Protocol, Tuple};

/// Services that include one another, at most.
const INCLUDES_MAX: usize = 8;

/// What becomes of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It passes.
    Accept,
    /// It is rejected.
    Reject(Reject),
    /// It vanishes.
    Drop,
}

/// What becomes of a flow, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ruled {
    /// What.
    pub decision: Decision,
    /// For people: "zone public: service http".
    pub why: String,
}

/// Decides about a flow to a guest.
pub fn decide(firewall: &Firewall, tuple: &Tuple) -> Ruled {
    let Some((name, zone)) = zone_of(firewall, tuple.source) else {
        return Ruled { decision: Decision::Accept, why: "no zone".to_owned() };
    };
    let view = View { firewall, zone, tuple };
    let (decision, why) = view.decide();
    Ruled { decision, why: format!("zone {name}: {why}") }
}

/// Where a flow to these addresses leads if the zone of its source has a forward for it.
pub fn forward(firewall: &Firewall, tuple: &Tuple) -> Option<SocketAddr> {
    let (_, zone) = zone_of(firewall, tuple.source)?;
    let rich = zone.rules.iter().filter_map(|rule| match &rule.element {
        Some(Element::ForwardPort(forward)) if applies(rule, tuple) => Some(forward),
        _ => None,
    });
    let found = rich.chain(&zone.forward_ports).find(|forward| {
        has_port(
            PortSpec { ports: forward.ports, carrier: forward.carrier },
            tuple.protocol,
            tuple.destination_port,
        )
    })?;
    let port = match found.to_ports {
        None => tuple.destination_port,
        Some(PortRange { first, last }) => {
            first.saturating_add(tuple.destination_port - found.ports.first).min(last)
        }
    };
    Some(SocketAddr::new(found.to_address.unwrap_or(tuple.destination), port))
}

/// The zone that has a source, by the zones' names; else the default zone.
fn zone_of(firewall: &Firewall, source: IpAddr) -> Option<(&str, &Zone)> {
    let has = |zone: &Zone| {
        zone.sources.iter().filter_map(|text| edit::net_of(text)).any(|net| net.contains(&source))
    };
    let by_source = firewall.zones.iter().find(|(_, zone)| has(zone));
    by_source
        .or_else(|| firewall.zones.get_key_value(&firewall.default_zone))
        .map(|(name, zone)| (name.as_str(), zone))
}

fn applies(rule: &RichRule, tuple: &Tuple) -> bool {
    rule.family.is_none_or(|family| family == Family::of(tuple.source))
        && rule.source.as_ref().is_none_or(|source| source.has(tuple.source))
        && rule.destination.as_ref().is_none_or(|destination| destination.has(tuple.destination))
}

fn has_port(spec: PortSpec, protocol: Protocol, port: u16) -> bool {
    let asked = PortSpec { ports: PortRange { first: port, last: port }, ..spec };
    protocol == spec.carrier.protocol() && ports::covers(&[spec], asked)
}

struct View<'a> {
    firewall: &'a Firewall,
    zone: &'a Zone,
    tuple: &'a Tuple,
}

impl View<'_> {
    /// Firewalld's order: rules of a priority below zero; what denies; what allows; rules of a priority above zero; the
    /// target.
    fn decide(&self) -> (Decision, String) {
        let about = self.zone.rules.iter().filter(|rule| applies(rule, self.tuple));
        let mut rules: Vec<_> = about.filter_map(|rule| Some((rule, self.of_rule(rule)?))).collect();
        rules.sort_by_key(|(rule, _)| rule.priority);
        let first = |wants: fn(i16, bool) -> bool| {
            let found =
                rules.iter().find(|(rule, decision)| wants(rule.priority, *decision == Decision::Accept));
            found.map(|(rule, decision)| (*decision, format!("rich rule {rule}")))
        };
        first(|priority, _| priority < 0)
            .or_else(|| first(|priority, accepts| priority == 0 && !accepts))
            .or_else(|| self.blocked_icmp())
            .or_else(|| first(|priority, accepts| priority == 0 && accepts))
            .or_else(|| Some((Decision::Accept, self.allowed()?)))
            .or_else(|| first(|priority, _| priority > 0))
            .unwrap_or_else(|| (self.target(), format!("target {}", self.zone.target.name())))
    }

    fn target(&self) -> Decision {
        let is_icmp = matches!(self.tuple.protocol, Protocol::ICMP | Protocol::ICMPV6);
        match self.zone.target {
            Target::Accept => Decision::Accept,
            Target::Default if is_icmp => Decision::Accept,
            Target::Default | Target::BlockReject | Target::Reject => Decision::Reject(Reject::Prohibited),
            Target::Drop => Decision::Drop,
        }
    }

    /// What a rule does with the flow; nothing if it is about something else.
    fn of_rule(&self, rule: &RichRule) -> Option<Decision> {
        let is_about = match &rule.element {
            None => true,
            Some(Element::Service(name)) => self.is_of_service(self.firewall.service(name)?, INCLUDES_MAX),
            Some(Element::Port(spec)) => self.is_to(*spec),
            Some(Element::SourcePort(spec)) => self.is_from(*spec),
            Some(Element::Protocol(name)) => self.is_protocol(name),
            Some(Element::IcmpBlock(name) | Element::IcmpType(name)) => self.is_icmp(name),
            Some(Element::Masquerade) => false,
            Some(Element::ForwardPort(forward)) => {
                self.is_to(PortSpec { ports: forward.ports, carrier: forward.carrier })
            }
        };
        if !is_about {
            return None;
        }
        match (&rule.element, &rule.action) {
            (Some(Element::IcmpBlock(_)), _) => Some(Decision::Reject(Reject::Prohibited)),
            (Some(Element::ForwardPort(_)), _) | (_, Some(Action::Accept)) => Some(Decision::Accept),
            (_, Some(Action::Drop)) => Some(Decision::Drop),
            (_, Some(Action::Reject(kind))) => Some(Decision::Reject(reject_of(kind.as_deref()))),
            (_, Some(Action::Mark(_)) | None) => None,
        }
    }

    fn blocked_icmp(&self) -> Option<(Decision, String)> {
        if !matches!(self.tuple.protocol, Protocol::ICMP | Protocol::ICMPV6) {
            return None;
        }
        let listed = self.zone.icmp_blocks.iter().find(|name| self.is_icmp(name));
        let prohibited = Decision::Reject(Reject::Prohibited);
        match (listed, self.zone.icmp_block_inversion) {
            (Some(name), false) => Some((prohibited, format!("ICMP block {name}"))),
            (None, true) => Some((prohibited, "ICMP block inversion".to_owned())),
            (Some(name), true) => Some((Decision::Accept, format!("ICMP type {name}, inverted"))),
            (None, false) => None,
        }
    }

    /// What lets the flow in, of what is not a rich rule.
    fn allowed(&self) -> Option<String> {
        let zone = self.zone;
        let service = zone.services.iter().find(|name| {
            self.firewall.service(name).is_some_and(|service| self.is_of_service(service, INCLUDES_MAX))
        });
        if let Some(name) = service {
            return Some(format!("service {name}"));
        }
        if let Some(spec) = zone.ports.iter().find(|spec| self.is_to(**spec)) {
            return Some(format!("port {spec}"));
        }
        if let Some(name) = zone.protocols.iter().find(|name| self.is_protocol(name)) {
            return Some(format!("protocol {name}"));
        }
        if let Some(spec) = zone.source_ports.iter().find(|spec| self.is_from(**spec)) {
            return Some(format!("source port {spec}"));
        }
        let to = |forward: &&super::ForwardPort| {
            self.is_to(PortSpec { ports: forward.ports, carrier: forward.carrier })
        };
        zone.forward_ports.iter().find(to).map(|forward| format!("forward port {forward}"))
    }

    fn is_of_service(&self, service: &Service, depth: usize) -> bool {
        let is_own = service.ports.iter().any(|spec| self.is_to(*spec))
            || service.source_ports.iter().any(|spec| self.is_from(*spec))
            || service.protocols.iter().any(|name| self.is_protocol(name));
        let version = if self.tuple.destination.is_ipv6() { "ipv6" } else { "ipv4" };
        let is_there = service.destination.is_empty()
            || service
                .destination
                .get(version)
                .and_then(|text| edit::net_of(text))
                .is_some_and(|net| net.contains(&self.tuple.destination));
        let includes = |name: &String| {
            let included = self.firewall.service(name);
            included.is_some_and(|service| depth > 0 && self.is_of_service(service, depth - 1))
        };
        (is_own && is_there) || service.includes.iter().any(includes)
    }
    fn is_to(&self, spec: PortSpec) -> bool {
        has_port(spec, self.tuple.protocol, self.tuple.destination_port)
    }
    fn is_from(&self, spec: PortSpec) -> bool {
        has_port(spec, self.tuple.protocol, self.tuple.source_port)
    }
    fn is_protocol(&self, name: &str) -> bool {
        protocols::number_of(name) == Some(self.tuple.protocol.0)
    }
    fn is_icmp(&self, name: &str) -> bool {
        let [kind, code] = self.tuple.destination_port.to_be_bytes();
        let is_ipv6 = match self.tuple.protocol {
            Protocol::ICMP => false,
            Protocol::ICMPV6 => true,
            _ => return false,
        };
        icmp_type(name).is_some_and(|known| known.is(is_ipv6, kind, code))
    }
}

fn reject_of(kind: Option<&str>) -> Reject {
    match kind {
        None | Some("icmp-port-unreachable" | "port-unreach" | "icmp6-port-unreachable") => {
            Reject::PortUnreachable
        }
        Some("tcp-reset" | "tcp-rst") => Reject::TcpReset,
        Some(
            "icmp-host-unreachable"
            | "host-unreach"
            | "icmp-net-unreachable"
            | "net-unreach"
            | "icmp6-addr-unreachable"
            | "addr-unreach"
            | "icmp6-no-route"
            | "no-route",
        ) => Reject::HostUnreachable,
        Some(_) => Reject::Prohibited,
    }
}
