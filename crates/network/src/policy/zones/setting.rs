//! What can be added to a zone and removed from it.
use serde::{Deserialize, Serialize};

use super::{ForwardPort, PortSpec, RichRule};

/// One setting of a zone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Setting {
    /// A name of an interface.
    Interface(String),
    /// An address or network.
    Source(String),
    /// A service's name.
    Service(String),
    /// Ports.
    Port(PortSpec),
    /// A protocol's name or number.
    Protocol(String),
    /// Ports that may be spoken from.
    SourcePort(PortSpec),
    /// Ports that lead elsewhere.
    ForwardPort(ForwardPort),
    /// An ICMP type's name.
    IcmpBlock(String),
    /// A rule.
    RichRule {
        /// What it says.
        rule: Box<RichRule>,
        /// As it was typed.
        typed: String,
    },
    /// Flows within the zone.
    Forward,
    /// Masquerading.
    Masquerade,
    /// ICMP blocks are the only ones that may pass.
    IcmpBlockInversion,
}

impl Setting {
    /// As firewalld's messages about the state in force have it.
    pub fn text(&self) -> String {
        match self {
            Self::Interface(text)
            | Self::Source(text)
            | Self::Service(text)
            | Self::Protocol(text)
            | Self::IcmpBlock(text) => text.clone(),
            Self::Port(spec) | Self::SourcePort(spec) => format!("{}:{}", spec.ports, spec.carrier),
            Self::ForwardPort(forward) => forward.message_text(),
            Self::RichRule { rule, .. } => rule.to_string(),
            Self::Forward => "forward".to_owned(),
            Self::Masquerade => "masquerade".to_owned(),
            Self::IcmpBlockInversion => "icmp-block-inversion".to_owned(),
        }
    }
    /// As messages about what is on disk have it.
    pub fn permanent_text(&self) -> String {
        match self {
            Self::RichRule { typed, .. } => typed.clone(),
            other => other.text(),
        }
    }
    /// Whether it is there or not, without a value.
    pub fn is_switch(&self) -> bool {
        matches!(self, Self::Forward | Self::Masquerade | Self::IcmpBlockInversion)
    }
}
