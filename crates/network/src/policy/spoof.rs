//! A port sends as itself only.
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use platform::net::Mac;

use super::Reason;
use crate::wire::{ETHERNET_BYTES, EtherType, Ip, Packet, Protocol, Transport};

/// What is known of a card.
#[derive(Clone, Debug)]
pub struct Card {
    /// Its Ethernet address.
    pub mac: Mac,
    /// Its IP addresses, as far as they are known.
    pub addresses: Vec<IpAddr>,
    /// IPv6 addresses that the card has given to itself, as far as it may.
    pub learned: Vec<Ipv6Addr>,
    /// Whether IP and ARP senders are checked; off where addresses are the guests' own business.
    pub strict: bool,
}

/// Ports of DHCP and DHCPv6.
const DHCP_SERVER: u16 = 67;
const DHCP_CLIENT: u16 = 68;
const DHCPV6_CLIENT: u16 = 546;
const DHCPV6_SERVER: u16 = 547;
/// Headers of IPv6 that others follow.
const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const DESTINATION_OPTIONS: u8 = 60;
/// Types of ICMP and ICMPv6.
const ICMP_REDIRECT: u8 = 5;
const ROUTER_SOLICITATION: u8 = 133;
const ROUTER_ADVERTISEMENT: u8 = 134;
const NEIGHBOR_SOLICITATION: u8 = 135;
const NEIGHBOR_ADVERTISEMENT: u8 = 136;
const REDIRECT: u8 = 137;
const MLD_REPORT: u8 = 143;

/// Looks at a frame of a port; an error says why it may not pass.
#[inline]
pub fn check(card: &Card, packet: &Packet, frame: &[u8]) -> Result<(), Reason> {
    if packet.source != card.mac {
        return Err(Reason::SourceMac);
    }
    match &packet.ip {
        Some(ip) if card.strict => check_ip(card, ip, frame),
        Some(_) => Ok(()),
        None if packet.ethertype == EtherType::ARP && card.strict => check_arp(card, frame),
        None => Ok(()),
    }
}

fn check_ip(card: &Card, ip: &Ip, frame: &[u8]) -> Result<(), Reason> {
    match (&ip.transport, ip.protocol) {
        (Some(Transport::Udp { source: DHCP_SERVER | DHCPV6_SERVER, .. }), _) => {
            return Err(Reason::DhcpServer);
        }
        (Some(Transport::Icmp { kind, .. }), protocol) => check_icmp(protocol, *kind)?,
        (None, Protocol::UDP | Protocol::ICMP | Protocol::ICMPV6) => check_fragment(ip, frame)?,
        // Headers that nobody has looked behind could hide any of these.
        (None, Protocol(HOP_BY_HOP | ROUTING | DESTINATION_OPTIONS)) if ip.source.is_ipv6() => {
            return Err(Reason::RouterAdvertisement);
        }
        _ => {}
    }
    let is_own = match ip.source {
        IpAddr::V6(source) if card.learned.contains(&source) => true,
        source => card.addresses.contains(&source),
    };
    if is_own || is_beginners(card, ip) { Ok(()) } else { Err(Reason::SourceAddress) }
}

fn check_icmp(protocol: Protocol, kind: u8) -> Result<(), Reason> {
    match (protocol, kind) {
        (Protocol::ICMP, ICMP_REDIRECT) | (Protocol::ICMPV6, REDIRECT) => Err(Reason::Redirect),
        (Protocol::ICMPV6, ROUTER_ADVERTISEMENT) => Err(Reason::RouterAdvertisement),
        _ => Ok(()),
    }
}

/// The first fragment says as much as a whole packet does.
fn check_fragment(ip: &Ip, frame: &[u8]) -> Result<(), Reason> {
    if ip.fragment.is_none_or(|fragment| fragment.offset > 0) {
        return Ok(());
    }
    match (frame.get(ip.payload.clone()), ip.protocol) {
        (Some([high, low, ..]), Protocol::UDP) => match u16::from_be_bytes([*high, *low]) {
            DHCP_SERVER | DHCPV6_SERVER => Err(Reason::DhcpServer),
            _ => Ok(()),
        },
        (Some([kind, ..]), Protocol::ICMP | Protocol::ICMPV6) => check_icmp(ip.protocol, *kind),
        _ => Err(Reason::DhcpServer),
    }
}

/// What a card may send before it has an address, and to get one.
fn is_beginners(card: &Card, ip: &Ip) -> bool {
    let udp = match &ip.transport {
        Some(Transport::Udp { source, destination, .. }) => Some((*source, *destination)),
        _ => None,
    };
    match ip.source {
        IpAddr::V4(source) => {
            source == Ipv4Addr::UNSPECIFIED
                && ip.destination == IpAddr::V4(Ipv4Addr::BROADCAST)
                && udp == Some((DHCP_CLIENT, DHCP_SERVER))
        }
        // Duplicate address detection (RFC 4862 §5.4.2) and multicast listeners (RFC 3590 §4) speak from "::".
        IpAddr::V6(source) if source.is_unspecified() => is_neighbor_message(ip),
        IpAddr::V6(source) if source.is_unicast_link_local() => {
            // One that was made from the card's address is its own, any other is good for finding addresses only.
            source == link_local(card.mac)
                || is_neighbor_message(ip)
                || udp.is_some_and(|(source, destination)| {
                    source == DHCPV6_CLIENT && destination == DHCPV6_SERVER
                })
        }
        IpAddr::V6(_) => false,
    }
}

/// Neighbour discovery and multicast listeners, of which routers' messages were dropped before.
pub fn is_neighbor_message(ip: &Ip) -> bool {
    let kind = match &ip.transport {
        Some(Transport::Icmp { kind, .. }) => *kind,
        _ => return false,
    };
    ip.protocol == Protocol::ICMPV6
        && (matches!(kind, ROUTER_SOLICITATION..=NEIGHBOR_ADVERTISEMENT | MLD_REPORT)
            || matches!(kind, 130..=132))
}

/// The address that a card asks about before it takes it (RFC 4862 §5.4.2).
pub fn wanted_address(ip: &Ip, frame: &[u8]) -> Option<Ipv6Addr> {
    let Some(Transport::Icmp { kind: NEIGHBOR_SOLICITATION, data, .. }) = &ip.transport else { return None };
    let is_from_nobody = ip.source == IpAddr::V6(Ipv6Addr::UNSPECIFIED) && ip.protocol == Protocol::ICMPV6;
    let target = is_from_nobody.then(|| frame.get(data.clone())?.first_chunk::<16>().copied()).flatten()?;
    Some(Ipv6Addr::from(target))
}

/// The address that RFC 4291 Appendix A makes of a card's.
fn link_local(Mac([a, b, c, d, e, f]): Mac) -> Ipv6Addr {
    Ipv6Addr::from([0xfe, 0x80, 0, 0, 0, 0, 0, 0, a ^ 2, b, c, 0xff, 0xfe, d, e, f])
}

/// RFC 826: who says that it has which address.
fn check_arp(card: &Card, frame: &[u8]) -> Result<(), Reason> {
    let wrong = Err(Reason::ArpSender);
    let Some(arp) = frame.get(ETHERNET_BYTES..).and_then(|arp| arp.first_chunk::<28>()) else { return wrong };
    // Ethernet and IPv4, with addresses of 6 and 4 bytes.
    if arp[..6] != [0, 1, 8, 0, 6, 4] || arp[8..14] != card.mac.0 {
        return wrong;
    }
    let sender = Ipv4Addr::new(arp[14], arp[15], arp[16], arp[17]);
    // A probe asks whether an address is free (RFC 5227 §2.1.1), and claims nothing.
    let is_probe = sender.is_unspecified() && arp[6..8] == [0, 1];
    if is_probe || card.addresses.contains(&IpAddr::V4(sender)) { Ok(()) } else { wrong }
}

#[cfg(test)]
mod tests;
