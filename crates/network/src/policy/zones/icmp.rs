//! ICMP types by firewalld's names.

/// A type with what packets have of it: type and code, in both versions of IP; a code of none is any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IcmpType {
    /// Firewalld's name.
    pub name: &'static str,
    /// Of ICMP.
    pub ipv4: Option<(u8, Option<u8>)>,
    /// Of ICMPv6.
    pub ipv6: Option<(u8, Option<u8>)>,
}

const fn both(name: &'static str, ipv4: u8, ipv6: u8) -> IcmpType {
    IcmpType { name, ipv4: Some((ipv4, None)), ipv6: Some((ipv6, None)) }
}
const fn coded(name: &'static str, ipv4: (u8, u8), ipv6: (u8, u8)) -> IcmpType {
    IcmpType { name, ipv4: Some((ipv4.0, Some(ipv4.1))), ipv6: Some((ipv6.0, Some(ipv6.1))) }
}
const fn v4(name: &'static str, kind: u8, code: u8) -> IcmpType {
    IcmpType { name, ipv4: Some((kind, Some(code))), ipv6: None }
}
const fn v4_any(name: &'static str, kind: u8) -> IcmpType {
    IcmpType { name, ipv4: Some((kind, None)), ipv6: None }
}
const fn v6(name: &'static str, kind: u8, code: u8) -> IcmpType {
    IcmpType { name, ipv4: None, ipv6: Some((kind, Some(code))) }
}
const fn v6_any(name: &'static str, kind: u8) -> IcmpType {
    IcmpType { name, ipv4: None, ipv6: Some((kind, None)) }
}

const TYPES: [IcmpType; 45] = [
    v6("address-unreachable", 1, 3),
    v6("bad-header", 4, 0),
    v6("beyond-scope", 1, 2),
    coded("communication-prohibited", (3, 13), (1, 1)),
    both("destination-unreachable", 3, 1),
    both("echo-reply", 0, 129),
    both("echo-request", 8, 128),
    v6("failed-policy", 1, 5),
    v4("fragmentation-needed", 3, 4),
    v4("host-precedence-violation", 3, 14),
    v4("host-prohibited", 3, 10),
    v4("host-redirect", 5, 1),
    v4("host-unknown", 3, 7),
    v4("host-unreachable", 3, 1),
    v4("ip-header-bad", 12, 0),
    v6_any("neighbour-advertisement", 136),
    v6_any("neighbour-solicitation", 135),
    v4("network-prohibited", 3, 9),
    v4("network-redirect", 5, 0),
    v4("network-unknown", 3, 6),
    v4("network-unreachable", 3, 0),
    v6("no-route", 1, 0),
    v6_any("packet-too-big", 2),
    both("parameter-problem", 12, 4),
    coded("port-unreachable", (3, 3), (1, 4)),
    v4("precedence-cutoff", 3, 15),
    v4("protocol-unreachable", 3, 2),
    both("redirect", 5, 137),
    v6("reject-route", 1, 6),
    v4("required-option-missing", 12, 1),
    both("router-advertisement", 9, 134),
    both("router-solicitation", 10, 133),
    v4_any("source-quench", 4),
    v4("source-route-failed", 3, 5),
    both("time-exceeded", 11, 3),
    v4_any("timestamp-reply", 14),
    v4_any("timestamp-request", 13),
    v4("tos-host-redirect", 5, 3),
    v4("tos-host-unreachable", 3, 12),
    v4("tos-network-redirect", 5, 2),
    v4("tos-network-unreachable", 3, 11),
    coded("ttl-zero-during-reassembly", (11, 1), (3, 1)),
    coded("ttl-zero-during-transit", (11, 0), (3, 0)),
    v6("unknown-header-type", 4, 1),
    v6("unknown-option", 4, 2),
];

/// All of them, in order.
pub fn icmp_types() -> &'static [IcmpType] {
    &TYPES
}

/// That of a name.
pub fn icmp_type(name: &str) -> Option<&'static IcmpType> {
    TYPES.iter().find(|known| known.name == name)
}

impl IcmpType {
    /// Whether a message is of this type.
    pub fn is(&self, is_ipv6: bool, kind: u8, code: u8) -> bool {
        let known = if is_ipv6 { self.ipv6 } else { self.ipv4 };
        known.is_some_and(|(of_kind, of_code)| {
            of_kind == kind && of_code.is_none_or(|of_code| of_code == code)
        })
    }
}
