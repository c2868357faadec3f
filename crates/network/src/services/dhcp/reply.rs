//! Answers, put together.
use std::net::{Ipv4Addr, SocketAddr};

use dhcproto::Encodable;
use dhcproto::v4::{DhcpOption, Flags, Message, MessageType, Opcode, OptionCode};
use ipnet::Ipv4Net;
use platform::net::Mac;

use super::request::{CLIENT_PORT, Request};
use super::server::Terms;
use crate::wire::udp_frame;

/// How long an address is given away, in seconds.
pub const LEASE_S: u32 = 86_400;
/// Bytes of a message at least, for those who remember BOOTP (RFC 1542 §2.1).
const BYTES_MIN: usize = 300;

/// What a guest is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer<'a> {
    /// It may have an address, and a name.
    Offer(Ipv4Addr, Option<&'a str>),
    /// It has an address, and a name.
    Ack(Ipv4Addr, Option<&'a str>),
    /// What it wanted to know; an address it has already.
    Told,
    /// It must start again.
    Nak,
}

/// A whole frame with the answer to a request.
pub fn frame(terms: &Terms, request: &Request, answer: Answer) -> Option<Vec<u8>> {
    let mut bytes = message(terms, request, answer).to_vec().ok()?;
    if bytes.len() < BYTES_MIN {
        bytes.resize(BYTES_MIN, 0);
    }
    let (mac, address) = destination(request, answer);
    let from = (terms.own, SocketAddr::from((terms.server, super::SERVER_PORT)));
    Some(udp_frame(from, (mac, SocketAddr::from((address, CLIENT_PORT))), &bytes))
}

/// RFC 2131 §4.1.
fn destination(request: &Request, answer: Answer) -> (Mac, Ipv4Addr) {
    match (answer, request.current) {
        (Answer::Nak, _) => (Mac::BROADCAST, Ipv4Addr::BROADCAST),
        (_, Some(current)) => (request.mac, current),
        (Answer::Offer(address, _) | Answer::Ack(address, _), None) if !request.is_broadcast() => {
            (request.mac, address)
        }
        _ => (Mac::BROADCAST, Ipv4Addr::BROADCAST),
    }
}

/// RFC 2131, table 3.
fn message(terms: &Terms, request: &Request, answer: Answer) -> Message {
    let none = Ipv4Addr::UNSPECIFIED;
    let (kind, given, name) = match answer {
        Answer::Offer(address, name) => (MessageType::Offer, Some(address), name),
        Answer::Ack(address, name) => (MessageType::Ack, Some(address), name),
        Answer::Told => (MessageType::Ack, None, None),
        Answer::Nak => (MessageType::Nak, None, None),
    };
    let is_ack = kind == MessageType::Ack;
    let current = request.current.filter(|_| is_ack).unwrap_or(none);
    let mut message =
        Message::new_with_id(request.transaction, current, given.unwrap_or(none), none, none, &request.mac.0);
    message.set_opcode(Opcode::BootReply);
    let flags = Flags::new(request.flags & 0x8000);
    message.set_flags(if answer == Answer::Nak { flags.set_broadcast() } else { flags });
    let options = message.opts_mut();
    options.insert(DhcpOption::MessageType(kind));
    options.insert(DhcpOption::ServerIdentifier(terms.server));
    if let Some(client) = &request.client {
        options.insert(DhcpOption::ClientIdentifier(client.clone()));
    }
    if given.is_some() {
        options.insert(DhcpOption::AddressLeaseTime(LEASE_S));
    }
    if answer != Answer::Nak {
        for option in parameters(terms, request, name) {
            options.insert(option);
        }
    }
    message
}

/// What the guest asked for, as far as the network has it; the mask it gets in any case.
fn parameters(terms: &Terms, request: &Request, name: Option<&str>) -> Vec<DhcpOption> {
    let (plan, v4) = (terms.plan, terms.v4);
    let router = v4.gateway.filter(|_| v4.default_route);
    let domain = v4.dns.map(|_| &plan.domain);
    let search = domain.and_then(|domain| hickory_proto::rr::Name::from_ascii(domain).ok());
    // Who asks for it does not look at the router any more, so the default route is in it (RFC 3442).
    let routes = router.map(|router| vec![(Ipv4Net::default(), router)]);
    let all = [
        router.map(|router| DhcpOption::Router(vec![router])),
        v4.dns.map(|dns| DhcpOption::DomainNameServer(vec![dns])),
        name.map(|name| DhcpOption::Hostname(name.to_owned())),
        domain.map(|domain| DhcpOption::DomainName(domain.clone())),
        Some(DhcpOption::InterfaceMtu(plan.mtu)),
        Some(DhcpOption::BroadcastAddr(v4.prefix.broadcast())),
        Some(DhcpOption::Renewal(LEASE_S / 2)),
        Some(DhcpOption::Rebinding(LEASE_S / 8 * 7)),
        search.map(|search| DhcpOption::DomainSearch(vec![search])),
        routes.map(DhcpOption::ClasslessStaticRoute),
    ];
    let asked = all.into_iter().flatten().filter(|option| request.asks_for(OptionCode::from(option)));
    asked.chain([DhcpOption::SubnetMask(v4.prefix.netmask())]).collect()
}
