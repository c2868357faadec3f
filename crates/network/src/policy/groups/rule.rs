//! One rule.
use std::fmt;
use std::net::IpAddr;
use std::ops::RangeInclusive;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::wire::Protocol;

/// A rule's number in its group.
pub type RuleId = u32;

/// What is allowed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// Its number.
    pub id: RuleId,
    /// To the card, or from it.
    pub direction: Direction,
    /// Of which protocol; as text "tcp", "udp", "icmp", "icmpv6", "any" or a number.
    pub protocol: RuleProtocol,
    /// Of TCP, UDP and the like: which ports of the receiver; none for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ports: Option<PortRange>,
    /// Of ICMP: which messages; none for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub icmp: Option<IcmpMatch>,
    /// Who is at the other end; as text "any", a CIDR or "group:NAME".
    #[serde(default)]
    pub peer: Peer,
}

/// Which way a flow begins, seen from the card.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// To the card.
    Ingress,
    /// From the card.
    Egress,
}

/// A rule's protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum RuleProtocol {
    /// All of them.
    Any,
    /// One.
    One(Protocol),
}

/// Ports from the first to the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PortRange {
    /// The first.
    pub first: u16,
    /// The last, not below the first.
    pub last: u16,
}

/// ICMP messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IcmpMatch {
    /// Type.
    #[serde(rename = "type")]
    pub kind: u8,
    /// Code; none for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<u8>,
}

/// Who is at the other end.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Peer {
    /// Whoever.
    #[default]
    Anybody,
    /// Addresses.
    Net(IpNet),
    /// Members of a group, by the addresses that they have on the network.
    Group(String),
}

impl Rule {
    /// Whatever protocol.
    pub fn any(id: RuleId, direction: Direction, peer: Peer) -> Self {
        Self { id, direction, protocol: RuleProtocol::Any, ports: None, icmp: None, peer }
    }
    /// The numbers that a tuple's destination port must have: ports, or ICMP's type and code.
    pub fn numbers(&self) -> RangeInclusive<u16> {
        match (self.ports, self.icmp) {
            (Some(PortRange { first, last }), _) => first..=last,
            (None, Some(IcmpMatch { kind, code: None })) => {
                u16::from_be_bytes([kind, 0])..=u16::from_be_bytes([kind, 0xff])
            }
            (None, Some(IcmpMatch { kind, code: Some(code) })) => {
                u16::from_be_bytes([kind, code])..=u16::from_be_bytes([kind, code])
            }
            (None, None) => 0..=u16::MAX,
        }
    }
    /// Whether it says the same as another, whatever their numbers.
    pub fn says_the_same(&self, other: &Self) -> bool {
        Self { id: 0, ..self.clone() } == Self { id: 0, ..other.clone() }
    }
}

impl Peer {
    /// Whether an address is of these, as far as that does not depend on groups.
    pub fn has(&self, address: IpAddr) -> bool {
        match self {
            Self::Anybody => true,
            Self::Net(net) => net.contains(&address),
            Self::Group(_) => false,
        }
    }
}

impl fmt::Display for Direction {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Ingress => "ingress",
            Self::Egress => "egress",
        })
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}", self.direction, self.protocol)?;
        if let Some(ports) = self.ports {
            write!(formatter, " {ports}")?;
        }
        if let Some(IcmpMatch { kind, code }) = self.icmp {
            write!(formatter, " {kind}")?;
            if let Some(code) = code {
                write!(formatter, "/{code}")?;
            }
        }
        match (&self.peer, self.direction) {
            (Peer::Anybody, _) => Ok(()),
            (peer, Direction::Ingress) => write!(formatter, " from {peer}"),
            (peer, Direction::Egress) => write!(formatter, " to {peer}"),
        }
    }
}
