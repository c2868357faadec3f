//! IPv6 networks of one's own (RFC 4193).
use std::net::Ipv6Addr;

use ipnet::Ipv6Net;

/// A network's /64, always the same one for a name: fd00::/8, 40 bits that come of the name in place of random ones (RFC 4193
/// §3.2.1; they are routed nowhere, so that two hosts may have the same ones), and subnet 0.
pub fn prefix(name: &str) -> Ipv6Net {
    let bits = u128::from(hash(name.as_bytes()) & 0xff_ffff_ffff);
    Ipv6Net::new_assert(Ipv6Addr::from(0xfd << 120 | bits << 80), 64)
}

/// An address of a network.
pub fn address(prefix: Ipv6Net, number: u64) -> Ipv6Addr {
    Ipv6Addr::from(u128::from(prefix.network()) | u128::from(number))
}

/// FNV-1a, and then mixed (the end of SplitMix64): names that differ in their last letter share no prefix. It is the same
/// everywhere and always, which the standard library's does not promise.
fn hash(bytes: &[u8]) -> u64 {
    let sum = bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325_u64, |sum, &byte| (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    let mixed = (sum ^ (sum >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
