//! Ports: alone, in ranges, and leading elsewhere.
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{Fault, FaultCode, builtin_services};
use crate::policy::groups::PortRange;
use crate::wire::Protocol;

/// A protocol with ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Carrier {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
    /// DCCP.
    Dccp,
}

impl Carrier {
    /// That of a name.
    pub fn of_name(name: &str) -> Option<Self> {
        [Self::Tcp, Self::Udp, Self::Sctp, Self::Dccp].into_iter().find(|carrier| carrier.name() == name)
    }
    /// As in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Sctp => "sctp",
            Self::Dccp => "dccp",
        }
    }
    /// In packets.
    pub fn protocol(self) -> Protocol {
        match self {
            Self::Tcp => Protocol::TCP,
            Self::Udp => Protocol::UDP,
            Self::Sctp => Protocol(132),
            Self::Dccp => Protocol(33),
        }
    }
}

impl fmt::Display for Carrier {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// Ports of a protocol; as text "80/tcp" or "8000-8100/tcp".
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PortSpec {
    /// Which.
    pub ports: PortRange,
    /// Of what.
    pub carrier: Carrier,
}

impl fmt::Display for PortSpec {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.ports, self.carrier)
    }
}

impl FromStr for PortSpec {
    type Err = Fault;
    fn from_str(text: &str) -> Result<Self, Fault> {
        parse_port_spec(text)
    }
}

impl TryFrom<String> for PortSpec {
    type Error = Fault;
    fn try_from(text: String) -> Result<Self, Fault> {
        text.parse()
    }
}

impl From<PortSpec> for String {
    fn from(spec: PortSpec) -> Self {
        spec.to_string()
    }
}

/// Ports that lead elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForwardPort {
    /// Which.
    pub ports: PortRange,
    /// Of what.
    pub carrier: Carrier,
    /// To which ports; none for the same.
    pub to_ports: Option<PortRange>,
    /// To which address; none for the same.
    pub to_address: Option<IpAddr>,
}

impl ForwardPort {
    fn to(&self) -> (String, String) {
        let ports = self.to_ports.map_or_else(String::new, |ports| ports.to_string());
        (ports, self.to_address.map_or_else(String::new, |address| address.to_string()))
    }
    /// As in messages.
    pub fn message_text(&self) -> String {
        let (ports, address) = self.to();
        format!("{}:{}:{ports}:{address}", self.ports, self.carrier)
    }
}

impl fmt::Display for ForwardPort {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (ports, address) = self.to();
        write!(formatter, "port={}:proto={}:toport={ports}:toaddr={address}", self.ports, self.carrier)
    }
}

/// A port's number or name, or a range of numbers in either order.
pub fn parse_ports(text: &str) -> Option<PortRange> {
    let number = |text: &str| text.bytes().all(|digit| digit.is_ascii_digit()).then(|| text.parse().ok())?;
    if let Some(port) = number(text) {
        return Some(PortRange { first: port, last: port });
    }
    if let Some((one, other)) = text.split_once('-')
        && let (Some(one), Some(other)) = (number(one), number(other))
    {
        let (one, other): (u16, u16) = (one, other);
        return Some(PortRange { first: one.min(other), last: one.max(other) });
    }
    // Firewalld asks the host for names; here, services of one port lend theirs.
    let [named] = builtin_services().get(text)?.ports[..] else { return None };
    (named.ports.first == named.ports.last).then_some(named.ports)
}

/// What `--add-port` and its like take.
pub fn parse_port_spec(text: &str) -> Result<PortSpec, Fault> {
    let parts: Vec<&str> = text.split('/').collect();
    let [ports, carrier] = parts[..] else {
        return Err(Fault::new(
            FaultCode::InvalidPort,
            "bad port (most likely missing protocol), correct syntax is portid[-portid]/protocol",
        ));
    };
    let ports = parse_ports(ports).ok_or_else(|| Fault::new(FaultCode::InvalidPort, ports))?;
    Ok(PortSpec { ports, carrier: parse_carrier(carrier)? })
}

fn parse_carrier(text: &str) -> Result<Carrier, Fault> {
    let wrong =
        || Fault::new(FaultCode::InvalidProtocol, format!("'{text}' not in {{'tcp'|'udp'|'sctp'|'dccp'}}"));
    Carrier::of_name(text).ok_or_else(wrong)
}

/// What `--add-forward-port` and its like take: `port=…:proto=…[:toport=…][:toaddr=…]`.
pub fn parse_forward_port(text: &str) -> Result<ForwardPort, Fault> {
    let (mut port, mut carrier, mut to_port, mut to_address) = ("", "", "", "");
    let mut rest = text;
    while let Some((option, behind)) = rest.split_once('=') {
        // An address of IPv6 is the last, and has colons itself.
        let (value, next) = match behind.contains('=') {
            true => behind.split_once(':').unwrap_or((behind, "")),
            false => (behind, ""),
        };
        match option {
            "port" => port = value,
            "proto" => carrier = value,
            "toport" => to_port = value,
            "toaddr" => to_address = value,
            _ => {
                let detail = format!("invalid forward port arg '{option}'");
                return Err(Fault::new(FaultCode::InvalidForward, detail));
            }
        }
        rest = next;
    }
    for (is_missing, what) in [
        (port.is_empty(), "port"),
        (carrier.is_empty(), "protocol"),
        (to_port.is_empty() && to_address.is_empty(), "destination"),
    ] {
        if is_missing {
            return Err(Fault::new(FaultCode::InvalidForward, format!("missing {what}")));
        }
    }
    let ports_of = |text: &str| parse_ports(text).ok_or_else(|| Fault::new(FaultCode::InvalidPort, text));
    let (ports, carrier) = (ports_of(port)?, parse_carrier(carrier)?);
    let to_ports = (!to_port.is_empty()).then(|| ports_of(to_port)).transpose()?;
    let address = |text: &str| text.parse().map_err(|_| Fault::new(FaultCode::InvalidAddress, text));
    let to_address = (!to_address.is_empty()).then(|| address(to_address)).transpose()?;
    Ok(ForwardPort { ports, carrier, to_ports, to_address })
}

/// Whether one of the ranges has all of the ports.
pub fn covers(specs: &[PortSpec], spec: PortSpec) -> bool {
    specs.iter().any(|other| {
        other.carrier == spec.carrier
            && other.ports.first <= spec.ports.first
            && other.ports.last >= spec.ports.last
    })
}

/// Adds ports; ranges that overlap become one.
pub fn join(specs: &mut Vec<PortSpec>, mut spec: PortSpec) {
    specs.retain(|other| {
        let apart = other.carrier != spec.carrier
            || other.ports.last < spec.ports.first
            || other.ports.first > spec.ports.last;
        if !apart {
            spec.ports.first = spec.ports.first.min(other.ports.first);
            spec.ports.last = spec.ports.last.max(other.ports.last);
        }
        apart
    });
    specs.push(spec);
}

/// Removes ports; ranges that have more of them shrink or break.
pub fn cut(specs: &mut Vec<PortSpec>, spec: PortSpec) {
    let mut pieces = Vec::new();
    specs.retain(|other| {
        let PortRange { first, last } = other.ports;
        let apart = other.carrier != spec.carrier || last < spec.ports.first || first > spec.ports.last;
        if !apart {
            let before = spec.ports.first.checked_sub(1).filter(|end| first <= *end);
            let behind = spec.ports.last.checked_add(1).filter(|start| *start <= last);
            pieces.extend(before.map(|last| PortRange { first, last }));
            pieces.extend(behind.map(|first| PortRange { first, last }));
        }
        apart
    });
    specs.extend(pieces.into_iter().map(|ports| PortSpec { ports, carrier: spec.carrier }));
}
