//! Pings of the network's own addresses, answered.
use platform::net::Mac;

use crate::wire::{IcmpHeader, Ip, Protocol, Transport, icmp_frame};

/// Types of an echo and of its answer.
const ECHO4: (u8, u8) = (8, 0);
const ECHO6: (u8, u8) = (128, 129);

/// The answer to a ping (RFC 792, RFC 4443 §4.2); `None` if it is none. `asker` is who sent the frame.
pub fn reply(ip: &Ip, frame: &[u8], own: Mac, asker: Mac) -> Option<Vec<u8>> {
    let Some(Transport::Icmp { kind, code: 0, identifier, sequence, ref data }) = ip.transport else {
        return None;
    };
    let (request, reply) = if ip.protocol == Protocol::ICMP { ECHO4 } else { ECHO6 };
    if kind != request || ip.source.is_unspecified() || ip.source.is_multicast() {
        return None;
    }
    let header = IcmpHeader::echo(reply, identifier, sequence);
    Some(icmp_frame((own, ip.destination), (asker, ip.source), header, frame.get(data.clone())?))
}
