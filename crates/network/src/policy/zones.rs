//! Zones: firewalld's model, for a virtual network.
//!
//! A flow to a guest belongs to a zone: that which has its source among its sources, else the default zone. The zone's rules
//! decide, and behind them its target. [`Firewall`] is the state that is in force; [`Permanent`] is what is on disk and
//! gets in force by a reload. Names, numbers and file formats are firewalld's.

mod builtin;
mod decide;
mod edit;
mod fault;
mod icmp;
mod permanent;
mod ports;
mod protocols;
mod rich;
mod service;
mod setting;
mod store;
mod xml;
mod zone;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use decide::{Decision, Ruled, decide, forward};
pub use fault::{Fault, FaultCode};
pub use icmp::{IcmpType, icmp_type, icmp_types};
pub use ports::{Carrier, ForwardPort, PortSpec, parse_forward_port, parse_port_spec, parse_ports};
pub use rich::{Action, Element, RichRule};
pub use service::{Service, builtin_services};
pub use setting::Setting;
pub use store::{Permanent, StoreError};
pub use zone::{Target, Zone};

/// The zone of everything that no other zone claims, unless another is chosen.
pub const DEFAULT_ZONE: &str = "public";

/// A network's firewall as it is in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Firewall {
    /// It was started; else nothing is filtered.
    pub running: bool,
    /// Nothing passes.
    pub panic: bool,
    /// The zone of everything that no other zone claims.
    pub default_zone: String,
    /// All zones.
    pub zones: BTreeMap<String, Zone>,
    /// Services of the user's own; they hide those that are built in.
    pub services: BTreeMap<String, Service>,
    /// What is there for a while only.
    #[serde(default)]
    pub timed: Vec<Timed>,
}

/// A setting that goes by itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timed {
    /// Of which zone.
    pub zone: String,
    /// What goes.
    pub setting: Setting,
    /// When: seconds since 1970.
    pub until: u64,
}

impl Default for Firewall {
    /// Firewalld's own zones, not started.
    fn default() -> Self {
        Self {
            running: false,
            panic: false,
            default_zone: DEFAULT_ZONE.to_owned(),
            zones: builtin::zones(),
            services: BTreeMap::new(),
            timed: Vec::new(),
        }
    }
}

impl Firewall {
    /// The service of a name.
    pub fn service(&self, name: &str) -> Option<&Service> {
        self.services.get(name).or_else(|| builtin_services().get(name))
    }
    /// Whether it is started, and a zone leads ports elsewhere.
    pub fn leads(&self) -> bool {
        let of_rule = |rule: &RichRule| matches!(rule.element, Some(Element::ForwardPort(_)));
        let leads = |zone: &Zone| !zone.forward_ports.is_empty() || zone.rules.iter().any(of_rule);
        self.running && self.zones.values().any(leads)
    }
    /// Takes away what was there for a while; says whether that changed anything.
    pub fn expire(&mut self, unix_seconds: u64) -> bool {
        let (over, rest): (Vec<Timed>, Vec<Timed>) =
            std::mem::take(&mut self.timed).into_iter().partition(|timed| timed.until <= unix_seconds);
        self.timed = rest;
        for timed in &over {
            if let Some(zone) = self.zones.get_mut(&timed.zone) {
                zone.remove(&timed.setting);
            }
        }
        !over.is_empty()
    }
}

#[cfg(test)]
mod tests;
