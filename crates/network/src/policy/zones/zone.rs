//! One zone.
use serde::{Deserialize, Serialize};

use super::ports::{self, ForwardPort, PortSpec};
use super::{RichRule, Setting};

/// What becomes of what no rule speaks of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Target {
    /// Rejected, but ICMP passes.
    #[default]
    #[serde(rename = "default")]
    Default,
    /// Everything passes.
    #[serde(rename = "ACCEPT")]
    Accept,
    /// Everything is rejected, under the name that the zone "block" has for it.
    #[serde(rename = "%%REJECT%%")]
    BlockReject,
    /// Everything is rejected.
    #[serde(rename = "REJECT")]
    Reject,
    /// Everything vanishes.
    #[serde(rename = "DROP")]
    Drop,
}

impl Target {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Default, Self::Accept, Self::BlockReject, Self::Reject, Self::Drop];

    /// As in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Accept => "ACCEPT",
            Self::BlockReject => "%%REJECT%%",
            Self::Reject => "REJECT",
            Self::Drop => "DROP",
        }
    }
    /// That of a name.
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|target| target.name() == name)
    }
}

/// A zone's settings.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Zone {
    /// What people call it.
    pub short: String,
    /// What it is for.
    pub description: String,
    /// What becomes of what no rule speaks of.
    pub target: Target,
    /// Names of interfaces; kept and printed, and of no effect on a network of guests.
    pub interfaces: Vec<String>,
    /// Addresses and networks whose flows belong here.
    pub sources: Vec<String>,
    /// Names of services that may be reached.
    pub services: Vec<String>,
    /// Ports that may be reached, in order, without overlaps.
    pub ports: Vec<PortSpec>,
    /// Protocols that may be spoken.
    pub protocols: Vec<String>,
    /// Flows may go from one source of the zone to another.
    pub forward: bool,
    /// Sources of what leaves are hidden.
    pub masquerade: bool,
    /// Ports that lead elsewhere.
    pub forward_ports: Vec<ForwardPort>,
    /// Ports that may be spoken from.
    pub source_ports: Vec<PortSpec>,
    /// ICMP types that may not pass.
    pub icmp_blocks: Vec<String>,
    /// Those are the only ones that may pass.
    pub icmp_block_inversion: bool,
    /// Rules of the rich language.
    pub rules: Vec<RichRule>,
}

impl Zone {
    /// Whether a setting is there.
    pub fn has(&self, setting: &Setting) -> bool {
        match setting {
            Setting::Interface(name) => self.interfaces.contains(name),
            Setting::Source(source) => self.sources.contains(source),
            Setting::Service(name) => self.services.contains(name),
            Setting::Port(spec) => ports::covers(&self.ports, *spec),
            Setting::Protocol(name) => self.protocols.contains(name),
            Setting::SourcePort(spec) => ports::covers(&self.source_ports, *spec),
            Setting::ForwardPort(forward) => self.forward_ports.contains(forward),
            Setting::IcmpBlock(name) => self.icmp_blocks.contains(name),
            Setting::RichRule { rule, .. } => self.rules.contains(rule),
            Setting::Forward => self.forward,
            Setting::Masquerade => self.masquerade,
            Setting::IcmpBlockInversion => self.icmp_block_inversion,
        }
    }
    /// Adds a setting.
    pub fn add(&mut self, setting: &Setting) {
        if self.has(setting) {
            return;
        }
        match setting.clone() {
            Setting::Interface(name) => self.interfaces.push(name),
            Setting::Source(source) => self.sources.push(source),
            Setting::Service(name) => self.services.push(name),
            Setting::Port(spec) => ports::join(&mut self.ports, spec),
            Setting::Protocol(name) => self.protocols.push(name),
            Setting::SourcePort(spec) => ports::join(&mut self.source_ports, spec),
            Setting::ForwardPort(forward) => self.forward_ports.push(forward),
            Setting::IcmpBlock(name) => self.icmp_blocks.push(name),
            Setting::RichRule { rule, .. } => self.rules.push(*rule),
            Setting::Forward => self.forward = true,
            Setting::Masquerade => self.masquerade = true,
            Setting::IcmpBlockInversion => self.icmp_block_inversion = true,
        }
    }
    /// Removes a setting; of ranges of ports, what they have of it.
    pub fn remove(&mut self, setting: &Setting) {
        match setting {
            Setting::Interface(name) => self.interfaces.retain(|other| other != name),
            Setting::Source(source) => self.sources.retain(|other| other != source),
            Setting::Service(name) => self.services.retain(|other| other != name),
            Setting::Port(spec) => ports::cut(&mut self.ports, *spec),
            Setting::Protocol(name) => self.protocols.retain(|other| other != name),
            Setting::SourcePort(spec) => ports::cut(&mut self.source_ports, *spec),
            Setting::ForwardPort(forward) => self.forward_ports.retain(|other| other != forward),
            Setting::IcmpBlock(name) => self.icmp_blocks.retain(|other| other != name),
            Setting::RichRule { rule, .. } => self.rules.retain(|other| *other != **rule),
            Setting::Forward => self.forward = false,
            Setting::Masquerade => self.masquerade = false,
            Setting::IcmpBlockInversion => self.icmp_block_inversion = false,
        }
    }
}
