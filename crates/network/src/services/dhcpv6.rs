//! DHCPv6 without addresses (RFC 8415 §6.1): who asks is told where names are looked up.
use std::net::Ipv6Addr;

use dhcproto::Encodable;
use dhcproto::v6::{DhcpOption, Message, MessageType};
use hickory_proto::rr::Name;
use platform::net::Mac;

/// The port that guests send to.
pub const SERVER_PORT: u16 = 547;

const INFORMATION_REQUEST: u8 = 11;
/// Options (RFC 8415 §21, RFC 3646).
const CLIENT_ID: u16 = 1;
const SERVER_ID: u16 = 2;
const OPTION_REQUEST: u16 = 6;
const DNS_SERVERS: u16 = 23;
const DOMAIN_LIST: u16 = 24;
/// Bytes of an identifier at most (RFC 8415 §11.1).
const IDENTIFIER_MAX: usize = 130;

/// What a guest asks.
#[derive(Debug, Default)]
struct Request<'a> {
    transaction: [u8; 3],
    client: Option<&'a [u8]>,
    server: Option<&'a [u8]>,
    asked: Vec<u16>,
}

impl<'a> Request<'a> {
    /// The options are taken apart here: dhcproto decodes them deeper than anybody asks for, each level by a call, and a
    /// datagram has room for some thousand levels.
    fn parse(message: &'a [u8]) -> Option<Self> {
        let (header, mut options) = message.split_first_chunk::<4>()?;
        if header[0] != INFORMATION_REQUEST {
            return None;
        }
        let mut request = Self { transaction: [header[1], header[2], header[3]], ..Self::default() };
        while let Some(([a, b, c, d], rest)) = options.split_first_chunk() {
            let (code, length) = (u16::from_be_bytes([*a, *b]), usize::from(u16::from_be_bytes([*c, *d])));
            let (value, rest) = rest.split_at_checked(length)?;
            match code {
                CLIENT_ID if length <= IDENTIFIER_MAX => request.client = Some(value),
                SERVER_ID => request.server = Some(value),
                OPTION_REQUEST => {
                    let (codes, _) = value.as_chunks();
                    request.asked.extend(codes.iter().map(|code| u16::from_be_bytes(*code)));
                }
                _ => {}
            }
            options = rest;
        }
        Some(request)
    }
}

/// The answer to a datagram; `None` if it is no question for this server. `dns` is where names are looked up.
pub fn reply(message: &[u8], own: Mac, dns: Option<Ipv6Addr>, domain: &Name) -> Option<Vec<u8>> {
    let request = Request::parse(message)?;
    let identifier = identifier(own);
    if request.server.is_some_and(|server| server != identifier) {
        return None;
    }
    let mut reply = Message::new_with_id(MessageType::Reply, request.transaction);
    let options = reply.opts_mut();
    options.insert(DhcpOption::ServerId(identifier.to_vec()));
    if let Some(client) = request.client {
        options.insert(DhcpOption::ClientId(client.to_vec()));
    }
    if let Some(dns) = dns {
        if request.asked.contains(&DNS_SERVERS) {
            options.insert(DhcpOption::DomainNameServers(vec![dns]));
        }
        if request.asked.contains(&DOMAIN_LIST) {
            options.insert(DhcpOption::DomainSearchList(vec![domain.clone()]));
        }
    }
    reply.to_vec().ok()
}

/// RFC 8415 §11.4.
fn identifier(own: Mac) -> [u8; 10] {
    let [a, b, c, d, e, f] = own.0;
    [0, 3, 0, 1, a, b, c, d, e, f]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const OWN: Mac = Mac([2, 0, 0, 0, 0, 2]);

    fn ask(message: &[u8]) -> Option<Vec<u8>> {
        let domain = Name::from_ascii("internal.").unwrap();
        reply(message, OWN, Some("fd00::1".parse().unwrap()), &domain)
    }

    #[test]
    fn names_are_looked_up_at_the_gateway() {
        let request = [
            11, 1, 2, 3, // an information request
            0, 1, 0, 3, 9, 9, 9, // from this client
            0, 6, 0, 4, 0, 23, 0, 24,
        ];
        let reply = ask(&request).unwrap();
        assert_eq!(reply[..4], [7, 1, 2, 3]);
        let has = |bytes: &[u8]| reply.windows(bytes.len()).any(|window| window == bytes);
        assert!(has(&[0, 1, 0, 3, 9, 9, 9]));
        assert!(has(&[0, 2, 0, 10, 0, 3, 0, 1, 2, 0, 0, 0, 0, 2]));
        assert!(has(&[0, 23, 0, 16, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]));
        assert!(has(b"\0\x18\0\x0a\x08internal\0"));
        let unasked = ask(&request[..11]).unwrap();
        assert_eq!(unasked.len(), 4 + 14 + 7);
    }
    #[test]
    fn other_messages_and_other_servers_are_left_alone() {
        assert_eq!(ask(&[1, 1, 2, 3]), None);
        assert_eq!(ask(&[11, 1, 2, 3, 0, 2, 0, 1, 7]), None);
        assert_eq!(ask(&[11, 1, 2, 3, 0, 1, 0, 9, 1]), None);
    }

    proptest! {
        #[test]
        fn any_bytes(mut bytes in proptest::collection::vec(any::<u8>(), 4..300)) {
            bytes[0] = INFORMATION_REQUEST;
            let _ = ask(&bytes);
        }
    }
}
