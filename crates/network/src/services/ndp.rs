//! Neighbour discovery and router advertisements (RFC 4861), with what names need (RFC 8106).
use std::net::{IpAddr, Ipv6Addr};

use platform::net::Mac;

use super::V6;
use crate::wire::{IcmpHeader, icmp_frame, ipv6_group_mac};

pub const ROUTER_SOLICITATION: u8 = 133;
const ROUTER_ADVERTISEMENT: u8 = 134;
pub const NEIGHBOUR_SOLICITATION: u8 = 135;
pub const NEIGHBOUR_ADVERTISEMENT: u8 = 136;

pub const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);

/// Options.
const SOURCE_LINK_ADDRESS: u8 = 1;
const TARGET_LINK_ADDRESS: u8 = 2;
const PREFIX: u8 = 3;
const MTU: u8 = 5;
const RDNSS: u8 = 25;
const DNSSL: u8 = 31;

/// How long guests believe a router, in seconds (RFC 4861 §6.2.1: three times the longest pause between advertisements).
const ROUTER_LIFETIME_S: u16 = 1800;
/// How long guests keep addresses, and how long they prefer them, in seconds.
const VALID_LIFETIME_S: u32 = 86_400;
const PREFERRED_LIFETIME_S: u32 = 14_400;

/// A neighbour that is asked for, or tells of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct About {
    /// The address in question.
    pub target: Ipv6Addr,
    /// Whose card it is, or who asks.
    pub link: Option<Mac>,
}

impl About {
    /// Of what follows the first eight bytes of a solicitation or an advertisement; `None` if it is malformed.
    pub fn parse(kind: u8, body: &[u8]) -> Option<Self> {
        let (target, options) = body.split_first_chunk::<16>()?;
        let wanted = if kind == NEIGHBOUR_SOLICITATION { SOURCE_LINK_ADDRESS } else { TARGET_LINK_ADDRESS };
        Some(Self { target: Ipv6Addr::from(*target), link: link_address(options, wanted)? })
    }
}

/// The link address among options. The outer `None` is for options that are malformed (RFC 4861 §4.6).
fn link_address(mut options: &[u8], wanted: u8) -> Option<Option<Mac>> {
    let mut link = None;
    while let [kind, words, ..] = *options {
        let length = usize::from(words) * 8;
        if length == 0 {
            return None;
        }
        let (option, rest) = options.split_at_checked(length)?;
        if kind == wanted {
            link = option.get(2..)?.first_chunk().copied().map(Mac);
        }
        options = rest;
    }
    Some(link)
}

/// The address that a card has on its link (RFC 4291, appendix A).
pub fn link_local(mac: Mac) -> Ipv6Addr {
    let [a, b, c, d, e, f] = mac.0;
    let [a, c] = [a ^ 2, c].map(u16::from);
    Ipv6Addr::new(
        0xfe80,
        0,
        0,
        0,
        a << 8 | u16::from(b),
        c << 8 | 0xff,
        0xfe00 | u16::from(d),
        u16::from(e) << 8 | u16::from(f),
    )
}

/// An advertisement of one of the network's own addresses, for who asked. Who has no address yet only wants to know whether
/// this one is taken, and all hear that it is (RFC 4861 §7.2.4).
pub fn neighbour_advertisement(
    own: Mac,
    address: Ipv6Addr,
    (asker, source): (Mac, Ipv6Addr),
    is_router: bool,
) -> Vec<u8> {
    let is_solicited = !source.is_unspecified();
    let to = if is_solicited { source } else { ALL_NODES };
    // Router, solicited, override.
    let flags = u8::from(is_router) << 7 | u8::from(is_solicited) << 6 | 1 << 5;
    let header = IcmpHeader { kind: NEIGHBOUR_ADVERTISEMENT, code: 0, rest: [flags, 0, 0, 0] };
    let mut body = address.octets().to_vec();
    push_link(&mut body, TARGET_LINK_ADDRESS, own);
    icmp_frame((own, address.into()), (asker, IpAddr::V6(to)), header, &body)
}

/// A question for the card behind an address.
pub fn neighbour_solicitation(own: (Mac, Ipv6Addr), address: Ipv6Addr) -> Vec<u8> {
    let [.., a, b, c] = address.octets();
    let [a, b, c] = [a, b, c].map(u16::from);
    let group = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00 | a, b << 8 | c);
    let header = IcmpHeader { kind: NEIGHBOUR_SOLICITATION, code: 0, rest: [0; 4] };
    let mut body = address.octets().to_vec();
    push_link(&mut body, SOURCE_LINK_ADDRESS, own.0);
    icmp_frame((own.0, own.1.into()), (ipv6_group_mac(group), group.into()), header, &body)
}

/// What a network tells of itself, to `to`'s card, or to all (RFC 4861 §4.2).
pub fn router_advertisement(own: Mac, to: Option<Mac>, v6: &V6, mtu: u16, domain: &str) -> Vec<u8> {
    // Other things than addresses come by DHCPv6.
    let flags = u8::from(v6.dns) << 6;
    let lifetime = if v6.default_route { ROUTER_LIFETIME_S } else { 0 };
    let [high, low] = lifetime.to_be_bytes();
    let header = IcmpHeader { kind: ROUTER_ADVERTISEMENT, code: 0, rest: [64, flags, high, low] };
    // Reachable time and retransmission time are the guest's to choose.
    let mut body = vec![0; 8];
    push_link(&mut body, SOURCE_LINK_ADDRESS, own);
    body.extend_from_slice(&[MTU, 1, 0, 0]);
    body.extend_from_slice(&u32::from(mtu).to_be_bytes());
    push_prefix(&mut body, v6);
    if v6.dns {
        body.extend_from_slice(&[RDNSS, 3, 0, 0]);
        body.extend_from_slice(&u32::from(ROUTER_LIFETIME_S).to_be_bytes());
        body.extend_from_slice(&v6.gateway.octets());
        push_domain(&mut body, domain);
    }
    let mac = to.unwrap_or_else(|| ipv6_group_mac(ALL_NODES));
    icmp_frame((own, link_local(own).into()), (mac, ALL_NODES.into()), header, &body)
}

fn push_link(body: &mut Vec<u8>, kind: u8, mac: Mac) {
    body.extend_from_slice(&[kind, 1]);
    body.extend_from_slice(&mac.0);
}

/// RFC 4861 §4.6.2. Guests are on the link, and make addresses themselves.
fn push_prefix(body: &mut Vec<u8>, v6: &V6) {
    body.extend_from_slice(&[PREFIX, 4, v6.prefix.prefix_len(), 0b1100_0000]);
    body.extend_from_slice(&VALID_LIFETIME_S.to_be_bytes());
    body.extend_from_slice(&PREFERRED_LIFETIME_S.to_be_bytes());
    body.extend_from_slice(&[0; 4]);
    body.extend_from_slice(&v6.prefix.network().octets());
}

/// RFC 8106 §5.2. A domain that is none is left out.
fn push_domain(body: &mut Vec<u8>, domain: &str) {
    let mut labels = Vec::new();
    for label in domain.trim_end_matches('.').split('.') {
        match u8::try_from(label.len()) {
            Ok(length @ 1..=63) => labels.push(length),
            _ => return,
        }
        labels.extend_from_slice(label.as_bytes());
    }
    labels.push(0);
    if labels.len() > 255 {
        return;
    }
    labels.resize(labels.len().next_multiple_of(8), 0);
    // At most 32 words, and one for the header.
    body.extend_from_slice(&[DNSSL, (1 + labels.len() / 8) as u8, 0, 0]);
    body.extend_from_slice(&u32::from(ROUTER_LIFETIME_S).to_be_bytes());
    body.extend_from_slice(&labels);
}

#[cfg(test)]
mod tests;
