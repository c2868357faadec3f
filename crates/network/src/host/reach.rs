//! Addresses that no guest reaches through a NAT, wherever they lead: the host's own are in [`super::addresses`].
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Where clouds tell machines about themselves; it may hold credentials of the host.
const METADATA: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x0254)),
];

/// Why an address is dark.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// A machine's talk with itself.
    Loopback,
    /// Ends at the next router.
    LinkLocal,
    /// A cloud's metadata service.
    Metadata,
    /// A group of stations.
    Multicast,
    /// All stations.
    Broadcast,
    /// No address at all, or reserved.
    Unspecified,
    /// An IPv4 address in the clothes of an IPv6 address, which no network carries.
    Disguised,
}

impl std::fmt::Display for Reason {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Loopback => "a loopback address",
            Self::LinkLocal => "a link-local address",
            Self::Metadata => "a metadata service",
            Self::Multicast => "a multicast address",
            Self::Broadcast => "the broadcast address",
            Self::Unspecified => "no address of any host",
            Self::Disguised => "an IPv4 address written as IPv6",
        })
    }
}

/// Whether an address is one that a NAT does not connect to, and why.
pub fn is_dark(address: IpAddr) -> Option<Reason> {
    if METADATA.contains(&address) {
        return Some(Reason::Metadata);
    }
    match address {
        IpAddr::V4(address) => is_dark4(address),
        IpAddr::V6(address) => is_dark6(address),
    }
}

fn is_dark4(address: Ipv4Addr) -> Option<Reason> {
    let [first, ..] = address.octets();
    match first {
        // "This network": Linux takes 0.0.0.0 for the host itself (RFC 1122, 3.2.1.3).
        0 => Some(Reason::Unspecified),
        127 => Some(Reason::Loopback),
        169 if address.is_link_local() => Some(Reason::LinkLocal),
        224..=239 => Some(Reason::Multicast),
        255 if address.is_broadcast() => Some(Reason::Broadcast),
        240..=255 => Some(Reason::Unspecified),
        _ => None,
    }
}

fn is_dark6(address: Ipv6Addr) -> Option<Reason> {
    let segments = address.segments();
    if address.is_unspecified() {
        return Some(Reason::Unspecified);
    }
    if address.is_loopback() {
        return Some(Reason::Loopback);
    }
    match segments {
        // ::a.b.c.d, ::ffff:a.b.c.d, and ::ffff:0:a.b.c.d (RFC 4291, 2.5.5; RFC 2765).
        [0, 0, 0, 0, 0, 0 | 0xffff, _, _] | [0, 0, 0, 0, 0xffff, 0, _, _] => Some(Reason::Disguised),
        // 6to4, 2002:a.b.c.d::, is routed to the IPv4 address by the host if it does so at all (RFC 3056).
        [0x2002, high, low, ..] => is_dark4(embedded(high, low)),
        // NAT64 by its well-known prefix (RFC 6052).
        [0x0064, 0xff9b, 0, 0, 0, 0, high, low] => is_dark(embedded(high, low).into()),
        // fe80::/10, and fec0::/10, which was site-local.
        [0xfe80..=0xfeff, ..] => Some(Reason::LinkLocal),
        [0xff00..=0xffff, ..] => Some(Reason::Multicast),
        _ => None,
    }
}

fn embedded(high: u16, low: u16) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(high) << 16 | u32::from(low))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dark_addresses_have_reasons() {
        for (address, reason) in [
            ("0.0.0.0", Some(Reason::Unspecified)),
            ("0.1.2.3", Some(Reason::Unspecified)),
            ("10.0.0.1", None),
            ("127.0.0.53", Some(Reason::Loopback)),
            ("169.254.1.1", Some(Reason::LinkLocal)),
            ("169.253.1.1", None),
            ("169.254.169.254", Some(Reason::Metadata)),
            ("224.0.0.251", Some(Reason::Multicast)),
            ("240.0.0.1", Some(Reason::Unspecified)),
            ("255.255.255.255", Some(Reason::Broadcast)),
            ("::", Some(Reason::Unspecified)),
            ("::1", Some(Reason::Loopback)),
            ("::7f00:1", Some(Reason::Disguised)),
            ("::ffff:127.0.0.1", Some(Reason::Disguised)),
            ("::ffff:8.8.8.8", Some(Reason::Disguised)),
            ("64:ff9b::a9fe:a9fe", Some(Reason::Metadata)),
            ("64:ff9b::808:808", None),
            ("2002:7f00:1::1", Some(Reason::Loopback)),
            ("fd00:ec2::254", Some(Reason::Metadata)),
            ("fe80::1", Some(Reason::LinkLocal)),
            ("fec0::1", Some(Reason::LinkLocal)),
            ("ff02::fb", Some(Reason::Multicast)),
            ("2001:db8::1", None),
        ] {
            assert_eq!(is_dark(address.parse().unwrap()), reason, "{address}");
        }
    }
}
