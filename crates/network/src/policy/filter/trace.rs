//! Which rule decides about a flow.
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};

use super::{Filter, Port};
use crate::policy::groups::{Direction, RuleId};
use crate::policy::zones::{self, Decision};
use crate::wire::{Protocol, Tuple};

/// Where a traced flow's other end is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    /// The card's own side.
    Own,
    /// The other side.
    Peer,
}

/// What would become of a flow, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Traced {
    /// It would pass.
    pub allowed: bool,
    /// The rule of the machine's own groups that allows it.
    pub rule: Option<(String, RuleId)>,
    /// Step by step, for people.
    pub steps: Vec<String>,
}

impl Filter {
    /// Asks the rules about a flow to or from a machine; none if it has no port here. Counters stay as they are.
    pub fn trace(&self, vm: &str, tuple: &Tuple, direction: Direction) -> Option<Traced> {
        let (own, other) = match direction {
            Direction::Ingress => (tuple.destination, tuple.source),
            Direction::Egress => (tuple.source, tuple.destination),
        };
        let mut of_vm: Vec<&Port> = self.ports.values().filter(|port| port.vm == vm).collect();
        of_vm.sort_by_key(|port| (!port.card.addresses.contains(&own), &port.nic));
        let card = *of_vm.first()?;
        let peer = self.ports.values().find(|port| port.card.addresses.contains(&other));
        let mut traced = Traced { allowed: true, rule: None, steps: Vec::new() };
        if let (Direction::Ingress, Some(peer)) = (direction, peer) {
            self.trace_groups(&mut traced, Origin::Peer, peer, Some(card), tuple, Direction::Egress);
        }
        if direction == Direction::Egress {
            self.trace_groups(&mut traced, Origin::Own, card, peer, tuple, direction);
        }
        if traced.allowed && (direction == Direction::Ingress || peer.is_some()) {
            self.trace_zone(&mut traced, tuple);
        }
        if direction == Direction::Ingress {
            self.trace_groups(&mut traced, Origin::Own, card, peer, tuple, direction);
        } else if let Some(peer) = peer {
            self.trace_groups(&mut traced, Origin::Peer, peer, Some(card), tuple, Direction::Ingress);
        }
        Some(traced)
    }

    /// The same, of a flow of which only the other end is known. `number` is the receiver's port, or ICMP's type and code.
    pub fn trace_peer(
        &self,
        vm: &str,
        direction: Direction,
        protocol: Protocol,
        number: u16,
        peer: IpAddr,
    ) -> Option<Traced> {
        let of_vm = self.ports.values().filter(|port| port.vm == vm);
        let fits = |address: &&IpAddr| address.is_ipv4() == peer.is_ipv4();
        let own = of_vm.flat_map(|port| &port.card.addresses).find(fits).copied();
        let own = own.unwrap_or(if peer.is_ipv4() {
            Ipv4Addr::UNSPECIFIED.into()
        } else {
            Ipv6Addr::UNSPECIFIED.into()
        });
        let (source, destination) = match direction {
            Direction::Ingress => (peer, own),
            Direction::Egress => (own, peer),
        };
        let tuple = Tuple { protocol, source, destination, source_port: 0, destination_port: number };
        self.trace(vm, &tuple, direction)
    }

    fn trace_zone(&self, traced: &mut Traced, tuple: &Tuple) {
        if !self.firewall.running {
            return;
        }
        let ruled = zones::decide(&self.firewall, tuple);
        traced.allowed = ruled.decision == Decision::Accept;
        let verb = match ruled.decision {
            Decision::Accept => "lets it pass",
            Decision::Reject(_) => "rejects it",
            Decision::Drop => "drops it",
        };
        traced.steps.push(format!("firewall: {} {verb}", ruled.why));
    }

    fn trace_groups(
        &self,
        traced: &mut Traced,
        origin: Origin,
        port: &Port,
        peer: Option<&Port>,
        tuple: &Tuple,
        direction: Direction,
    ) {
        if !traced.allowed {
            return;
        }
        let who = format!("{}:{} {direction}", port.vm, port.nic);
        let Some(compiled) = &port.compiled else {
            traced.steps.push(format!("{who}: no security groups, so nothing is filtered"));
            return;
        };
        let peer_groups = peer.map_or(&[][..], |peer| &peer.groups);
        let by = compiled.allows(direction, tuple, peer_groups, &self.ruling);
        match by.and_then(|ordinal| self.ruling.get(ordinal)) {
            Some((group, rule, _)) => {
                traced.steps.push(format!("{who}: rule {} of {group} ({rule}) allows it", rule.id));
                if origin == Origin::Own {
                    traced.rule = Some((group.to_owned(), rule.id));
                }
            }
            None => {
                traced.allowed = false;
                traced.steps.push(format!("{who}: no rule allows it (groups: {})", port.groups.join(", ")));
            }
        }
    }
}
