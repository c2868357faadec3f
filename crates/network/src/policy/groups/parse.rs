//! Parts of a rule as text.
use std::fmt;
use std::str::FromStr;

use ipnet::IpNet;

use super::{Direction, IcmpMatch, Peer, PortRange, RuleProtocol};
use crate::wire::Protocol;

/// A part of a rule that makes no sense.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// Not a direction.
    #[error("{0:?} is no direction: ingress or egress")]
    Direction(String),
    /// Not a protocol.
    #[error("{0:?} is no protocol: tcp, udp, icmp, icmpv6, any or a number up to 255")]
    Protocol(String),
    /// Not ports.
    #[error("{0:?} is no port and no range of ports, such as 80 or 8000-8100")]
    Ports(String),
    /// Not an ICMP type.
    #[error("{0:?} is no type of ICMP, such as 8 or echo-request, or type and code, such as 3/4")]
    Icmp(String),
    /// Not a peer.
    #[error("{0:?} is no peer: any, an address, a network such as 10.0.0.0/8, or group:NAME")]
    Peer(String),
}

impl FromStr for Direction {
    type Err = ParseError;
    fn from_str(text: &str) -> Result<Self, ParseError> {
        match text {
            "ingress" => Ok(Self::Ingress),
            "egress" => Ok(Self::Egress),
            _ => Err(ParseError::Direction(text.to_owned())),
        }
    }
}

impl FromStr for RuleProtocol {
    type Err = ParseError;
    fn from_str(text: &str) -> Result<Self, ParseError> {
        Ok(match text {
            "any" => Self::Any,
            "tcp" => Self::One(Protocol::TCP),
            "udp" => Self::One(Protocol::UDP),
            "icmp" => Self::One(Protocol::ICMP),
            "icmpv6" => Self::One(Protocol::ICMPV6),
            _ => {
                let number = number(text).ok_or_else(|| ParseError::Protocol(text.to_owned()))?;
                Self::One(Protocol(number))
            }
        })
    }
}

impl fmt::Display for RuleProtocol {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Any => formatter.write_str("any"),
            Self::One(protocol @ (Protocol::TCP | Protocol::UDP | Protocol::ICMP | Protocol::ICMPV6)) => {
                write!(formatter, "{protocol}")
            }
            Self::One(Protocol(number)) => write!(formatter, "{number}"),
        }
    }
}

impl FromStr for PortRange {
    type Err = ParseError;
    fn from_str(text: &str) -> Result<Self, ParseError> {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let range = Option::zip(number(first), number(last)).filter(|(first, last)| first <= last);
        let (first, last) = range.ok_or_else(|| ParseError::Ports(text.to_owned()))?;
        Ok(Self { first, last })
    }
}

impl fmt::Display for PortRange {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.first, self.last) {
            (first, last) if first == last => write!(formatter, "{first}"),
            (first, last) => write!(formatter, "{first}-{last}"),
        }
    }
}

impl IcmpMatch {
    /// Of a type's number or name, and a code behind a slash.
    pub fn parse(text: &str, protocol: Protocol) -> Result<Self, ParseError> {
        let wrong = || ParseError::Icmp(text.to_owned());
        let (kind, code) = text.split_once('/').map_or((text, None), |(kind, code)| (kind, Some(code)));
        let kind = match (kind, protocol) {
            ("echo-request", Protocol::ICMP) => 8,
            ("echo-reply", Protocol::ICMP) => 0,
            ("echo-request", _) => 128,
            ("echo-reply", _) => 129,
            _ => number(kind).ok_or_else(wrong)?,
        };
        let code = code.map(|code| number(code).ok_or_else(wrong)).transpose()?;
        Ok(Self { kind, code })
    }
}

impl FromStr for Peer {
    type Err = ParseError;
    fn from_str(text: &str) -> Result<Self, ParseError> {
        if text == "any" {
            return Ok(Self::Anybody);
        }
        match text.strip_prefix("group:") {
            Some(name) if !name.is_empty() => return Ok(Self::Group(name.to_owned())),
            _ => {}
        }
        let net =
            text.parse::<IpNet>().or_else(|_| text.parse().map(|address: std::net::IpAddr| address.into()));
        net.map(|net| Self::Net(net.trunc())).map_err(|_| ParseError::Peer(text.to_owned()))
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Anybody => formatter.write_str("any"),
            Self::Net(net) => write!(formatter, "{net}"),
            Self::Group(name) => write!(formatter, "group:{name}"),
        }
    }
}

/// Digits only: the standard library takes a sign.
fn number<T: FromStr>(text: &str) -> Option<T> {
    text.bytes().all(|digit| digit.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

/// As text in files.
macro_rules! text {
    ($($name:ty),*) => {$(
        impl TryFrom<String> for $name {
            type Error = ParseError;
            fn try_from(text: String) -> Result<Self, ParseError> {
                text.parse()
            }
        }
        impl From<$name> for String {
            fn from(value: $name) -> Self {
                value.to_string()
            }
        }
    )*};
}

text!(RuleProtocol, PortRange, Peer);
