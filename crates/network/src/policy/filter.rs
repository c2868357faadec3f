//! All of it together.

mod judge;
mod lead;
mod trace;

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv6Addr};
use std::time::Instant;

use ipnet::Ipv6Net;
use platform::net::Mac;
use serde::{Deserialize, Serialize};

use super::groups::{Compiled, Groups, RuleId, Ruling};
use super::spoof::Card;
use super::track::{FLOWS_MAX, Fragments, Keyed, Table};
use super::zones::Firewall;
use super::{Drops, End, PortId, Verdict};
use crate::wire::{Packet, Tuple};

pub use trace::Traced;

/// Addresses that a card may give itself; the oldest goes first.
const LEARNED_MAX: usize = 16;
/// Flows whose silence is looked at in each tick.
const TICK_STEPS: usize = 1024;

/// Who has a port.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The machine.
    pub vm: String,
    /// Its card.
    pub nic: String,
    /// The card's address.
    pub mac: Mac,
    /// IP addresses, as far as they are known.
    pub addresses: Vec<IpAddr>,
    /// IPv6 networks of which the card may give itself addresses, by asking first whether they are free; link-local ones
    /// it always may.
    pub prefixes: Vec<Ipv6Net>,
    /// Whether IP and ARP senders are checked.
    pub strict: bool,
}

/// A port with what its groups allow.
#[derive(Debug)]
struct Port {
    vm: String,
    nic: String,
    card: Card,
    prefixes: Vec<Ipv6Net>,
    groups: Vec<String>,
    /// None without groups: not filtered.
    compiled: Option<Compiled>,
    drops: Drops,
}

/// What may pass on a network.
#[derive(Debug)]
pub struct Filter {
    ports: HashMap<PortId, Port, Keyed>,
    flows: Table,
    /// Of each sender, so that none makes room at another's cost.
    fragments: HashMap<End, Fragments>,
    groups: Groups,
    ruling: Ruling,
    firewall: Firewall,
    /// The firewall has forward ports.
    leads: bool,
    /// Number of the policy; it grows with each change.
    generation: u64,
    /// Flows that were let in by an older policy than this are judged again.
    valid_from: u64,
    drops: Drops,
}

/// Counters.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stats {
    /// Flows that are known.
    pub flows: usize,
    /// Flows that had to go because there were too many.
    pub flows_evicted: u64,
    /// Frames dropped, by reason.
    pub drops: BTreeMap<String, u64>,
    /// Of each card.
    pub ports: Vec<PortStats>,
    /// Of each rule.
    pub rules: Vec<RuleStats>,
}

/// A card's counters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortStats {
    /// The machine.
    pub vm: String,
    /// Its card.
    pub nic: String,
    /// Its groups.
    pub groups: Vec<String>,
    /// Flows that count to it.
    pub flows: usize,
    /// Frames dropped that came from it, by reason.
    pub drops: BTreeMap<String, u64>,
}

/// A rule's counter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleStats {
    /// Its group.
    pub group: String,
    /// Its number.
    pub rule: RuleId,
    /// What it says.
    pub text: String,
    /// Flows that it has let in.
    pub hits: u64,
}

impl Filter {
    /// A filter without ports.
    pub fn new(groups: Groups, firewall: Firewall, now: Instant) -> Self {
        Self {
            ports: HashMap::default(),
            flows: Table::new(FLOWS_MAX, now),
            fragments: HashMap::new(),
            ruling: Ruling::new(&groups, &Ruling::default()),
            groups,
            leads: firewall.leads(),
            firewall,
            generation: 1,
            valid_from: 0,
            drops: Drops::default(),
        }
    }
    /// Adds a port, or gives it to somebody else.
    pub fn add_port(&mut self, id: PortId, identity: Identity) {
        self.remove_port(id);
        let Identity { vm, nic, mac, addresses, prefixes, strict } = identity;
        let card = Card { mac, addresses, learned: Vec::new(), strict };
        let (groups, compiled, drops) = (Vec::new(), None, Drops::default());
        let mut port = Port { vm, nic, card, prefixes, groups, compiled, drops };
        port.compile(&self.groups, &self.ruling);
        self.ports.insert(id, port);
    }
    /// Removes a port, and forgets its flows.
    pub fn remove_port(&mut self, id: PortId) {
        if self.ports.remove(&id).is_some() {
            self.flows.forget_port(id);
            self.fragments.remove(&End::Port(id));
        }
    }
    /// Says which IP addresses a port has, as DHCP has given them.
    pub fn set_addresses(&mut self, id: PortId, addresses: Vec<IpAddr>) {
        if let Some(port) = self.ports.get_mut(&id) {
            port.card.addresses = addresses;
        }
    }
    /// Notes that a card takes an address for itself, if it may and nobody else has it (first come, first served: RFC 6620).
    fn learn(&mut self, id: PortId, address: Ipv6Addr) {
        let has = |card: &Card| card.learned.contains(&address) || card.addresses.contains(&address.into());
        if self.ports.values().any(|port| has(&port.card)) {
            return;
        }
        let Some(port) = self.ports.get_mut(&id) else { return };
        if address.is_unicast_link_local() || port.prefixes.iter().any(|prefix| prefix.contains(&address)) {
            if port.card.learned.len() >= LEARNED_MAX {
                port.card.learned.remove(0);
            }
            port.card.learned.push(address);
        }
    }
    /// Takes other groups. Flows that are known go on; rules that stay keep their counters.
    pub fn set_groups(&mut self, groups: Groups) {
        self.ruling = Ruling::new(&groups, &self.ruling);
        self.groups = groups;
        for port in self.ports.values_mut() {
            port.compile(&self.groups, &self.ruling);
        }
        self.generation += 1;
    }
    /// Takes another state of the firewall. Flows that are known go on.
    pub fn set_firewall(&mut self, firewall: Firewall) {
        self.leads = firewall.leads();
        self.firewall = firewall;
        self.generation += 1;
    }
    /// The firewall's state.
    pub fn firewall(&self) -> &Firewall {
        &self.firewall
    }
    /// Judges all known flows again, each with its next packet.
    pub fn cut(&mut self) {
        self.generation += 1;
        self.valid_from = self.generation;
    }
    /// To be called about once a second: forgets what is over. `unix_seconds` is the time of day, for what the firewall has
    /// for a while only.
    pub fn tick(&mut self, now: Instant, unix_seconds: u64) {
        self.flows.expire(TICK_STEPS, now);
        self.fragments.retain(|_, fragments| {
            fragments.expire(now);
            !fragments.is_empty()
        });
        if self.firewall.expire(unix_seconds) {
            self.leads = self.firewall.leads();
            self.generation += 1;
        }
    }
    /// Judges a frame. For frames to many, each receiver is asked for on its own.
    #[inline]
    pub fn check(&mut self, from: End, to: End, packet: &Packet, frame: &[u8], now: Instant) -> Verdict {
        self.check_led((from, to), packet, frame, None, now)
    }
    /// The same; `original` is what the sender of a packet knows that was led elsewhere. The zone is asked about that, the
    /// receiver's groups about what the receiver gets.
    #[inline]
    pub fn check_led(
        &mut self,
        (from, to): (End, End),
        packet: &Packet,
        frame: &[u8],
        original: Option<Tuple>,
        now: Instant,
    ) -> Verdict {
        let verdict = self.judge((from, to), packet, frame, original, now);
        if let Verdict::Drop(reason) = verdict {
            self.drops.count(reason);
            if let Some(port) = from.port().and_then(|port| self.ports.get_mut(&port)) {
                port.drops.count(reason);
            }
        }
        verdict
    }
    /// Flows that are known; some of them may have been silent for too long.
    pub fn flows(&self) -> usize {
        self.flows.len()
    }
    /// Packets of which further fragments would pass.
    pub fn fragmented(&self) -> usize {
        self.fragments.values().map(Fragments::len).sum()
    }
    /// Counters as they are now.
    pub fn stats(&self) -> Stats {
        let port = |(id, port): (&PortId, &Port)| PortStats {
            vm: port.vm.clone(),
            nic: port.nic.clone(),
            groups: port.groups.clone(),
            flows: self.flows.of_port(*id),
            drops: port.drops.named(),
        };
        let rule = |(group, rule, hits): (&str, &super::groups::Rule, u64)| RuleStats {
            group: group.to_owned(),
            rule: rule.id,
            text: rule.to_string(),
            hits,
        };
        let mut ports: Vec<PortStats> = self.ports.iter().map(port).collect();
        ports.sort_by(|one, other| (&one.vm, &one.nic).cmp(&(&other.vm, &other.nic)));
        Stats {
            flows: self.flows.len(),
            flows_evicted: self.flows.evicted,
            drops: self.drops.named(),
            ports,
            rules: self.ruling.hits().map(rule).collect(),
        }
    }
}

impl Port {
    fn compile(&mut self, groups: &Groups, ruling: &Ruling) {
        self.groups = groups.of(&self.vm, &self.nic).to_vec();
        self.compiled = (!self.groups.is_empty()).then(|| Compiled::new(&self.groups, ruling));
    }
}

#[cfg(test)]
pub mod frames;
#[cfg(test)]
mod tests;
