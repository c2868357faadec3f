//! Rules of firewalld's rich language: what they say, as values.

mod check;
mod print;
mod read;
mod xml;

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::{Carrier, Fault, ForwardPort, PortSpec};

pub(super) use xml::{of_xml, to_xml};

/// A rule; as text `rule family="ipv4" source address="192.0.2.0/24" service name="http" accept`.
///
/// Logging, auditing and limits are read, kept and printed; they have no effect.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RichRule {
    /// Below zero before everything else, above zero behind it.
    pub priority: i16,
    /// Of one version of IP only.
    pub family: Option<Family>,
    /// Who begins.
    pub source: Option<Match>,
    /// With whom.
    pub destination: Option<Match>,
    /// About what.
    pub element: Option<Element>,
    /// As it is printed.
    pub log: Option<String>,
    /// As it is printed.
    pub audit: Option<String>,
    /// What becomes of it.
    pub action: Option<Action>,
    /// Of the action, as it is printed.
    pub limit: Option<String>,
}

/// A version of IP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    Ipv4,
    /// IPv6.
    Ipv6,
}

/// Addresses, or all but these.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Match {
    /// Which.
    pub what: Station,
    /// All but these.
    pub is_inverted: bool,
}

/// What a source or destination can be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Station {
    /// An address or network, as it was written.
    Address(String),
    /// An Ethernet address; matches nothing here.
    Mac(String),
    /// A set of addresses; matches nothing here.
    Set(String),
}

/// What a rule is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Element {
    /// A service's name.
    Service(String),
    /// Ports.
    Port(PortSpec),
    /// A protocol's name or number.
    Protocol(String),
    /// An ICMP type that may not pass.
    IcmpBlock(String),
    /// An ICMP type.
    IcmpType(String),
    /// Masquerading.
    Masquerade,
    /// Ports that lead elsewhere.
    ForwardPort(ForwardPort),
    /// Ports that are spoken from.
    SourcePort(PortSpec),
}

/// What becomes of a flow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// It passes.
    Accept,
    /// It is rejected, in firewalld's name of the way.
    Reject(Option<String>),
    /// It vanishes.
    Drop,
    /// It is marked; has no effect.
    Mark(String),
}

impl Family {
    /// As in rules.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ipv4 => "ipv4",
            Self::Ipv6 => "ipv6",
        }
    }
    /// That of an address.
    pub fn of(address: IpAddr) -> Self {
        if address.is_ipv6() { Self::Ipv6 } else { Self::Ipv4 }
    }
}

impl Match {
    /// Whether an address is of these.
    pub fn has(&self, address: IpAddr) -> bool {
        let Station::Address(text) = &self.what else { return false };
        super::edit::net_of(text).is_some_and(|net: IpNet| net.contains(&address)) != self.is_inverted
    }
}

impl FromStr for RichRule {
    type Err = Fault;
    fn from_str(text: &str) -> Result<Self, Fault> {
        let rule = read::read(text)?;
        check::check(&rule.0, rule.1)
    }
}

impl TryFrom<String> for RichRule {
    type Error = Fault;
    fn try_from(text: String) -> Result<Self, Fault> {
        text.parse()
    }
}

impl From<RichRule> for String {
    fn from(rule: RichRule) -> Self {
        rule.to_string()
    }
}

impl fmt::Display for RichRule {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        print::print(self, formatter)
    }
}

/// Attributes of an element of a rule, in the order in which they were written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Parts {
    pub priority: i64,
    pub family: Option<Family>,
    pub parts: Vec<Part>,
}

/// An element of a rule as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub name: String,
    pub attributes: Vec<(String, String)>,
    pub is_inverted: bool,
    pub limit: Option<String>,
}

impl Part {
    fn get(&self, name: &str) -> Option<&str> {
        // As with firewalld, the last one counts.
        self.attributes.iter().rev().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// A port of a rule: its text, and that of its protocol.
fn port_spec(part: &Part) -> Result<PortSpec, Fault> {
    use super::FaultCode::{InvalidPort, InvalidProtocol};
    let (port, protocol) = (part.get("port").unwrap_or(""), part.get("protocol").unwrap_or(""));
    let ports = super::parse_ports(port).ok_or_else(|| Fault::new(InvalidPort, port))?;
    let carrier = Carrier::of_name(protocol).ok_or_else(|| Fault::new(InvalidProtocol, protocol))?;
    Ok(PortSpec { ports, carrier })
}

#[cfg(test)]
mod tests;
