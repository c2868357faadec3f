//! What a guest asks.
use std::net::Ipv4Addr;

use dhcproto::v4::{HType, Opcode, OptionCode, borrowed};
use platform::net::Mac;

/// The port that guests send to.
pub const SERVER_PORT: u16 = 67;
/// The port that guests listen at.
pub const CLIENT_PORT: u16 = 68;

/// Message types that servers act on (RFC 2132 §9.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Discover,
    Request,
    Decline,
    Release,
    Inform,
}

/// A message of a guest, as far as a server reads it. An option that is malformed counts as absent: a host name that is no
/// text is no reason to go without an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    pub kind: Kind,
    pub mac: Mac,
    pub transaction: u32,
    /// The guest cannot be reached at an address before it has it.
    pub flags: u16,
    /// The address that the guest uses already.
    pub current: Option<Ipv4Addr>,
    /// The address that the guest wants.
    pub wanted: Option<Ipv4Addr>,
    /// The server that the guest chose.
    pub server: Option<Ipv4Addr>,
    /// What the guest wants to know; `None` if it leaves it to the server.
    pub asked: Option<Vec<u8>>,
    pub client: Option<Vec<u8>>,
    pub name: Option<Vec<u8>>,
}

/// Bytes of a client identifier at most: those of one option.
const IDENTIFIER_MAX: usize = 255;

impl Request {
    /// Reads a datagram; `None` if it is not from a guest of this link. Relays are none.
    pub fn parse(datagram: &[u8]) -> Option<Self> {
        let message = borrowed::Message::new(datagram).ok()?;
        // The hardware address is a slice of as many bytes as the message says; so the length is looked at first.
        let is_ethernet = message.htype() == HType::Eth && message.hlen() == 6;
        if message.opcode() != Opcode::BootRequest || !is_ethernet || !message.giaddr().is_unspecified() {
            return None;
        }
        let mac = Mac(*message.chaddr().first_chunk()?);
        let current = Some(message.ciaddr()).filter(|address| !address.is_unspecified());
        let mut kind = None;
        let mut request = Self {
            kind: Kind::Discover,
            mac,
            transaction: message.xid(),
            flags: message.flags().into(),
            current,
            wanted: None,
            server: None,
            asked: None,
            client: None,
            name: None,
        };
        for option in message.opts() {
            let data = option.data();
            match option.code() {
                OptionCode::MessageType => kind = kind_of(data),
                OptionCode::RequestedIpAddress => request.wanted = address(data),
                OptionCode::ServerIdentifier => request.server = address(data),
                OptionCode::ParameterRequestList => request.asked = Some(data.to_vec()),
                OptionCode::ClientIdentifier if data.len() <= IDENTIFIER_MAX => {
                    request.client = Some(data.to_vec());
                }
                OptionCode::Hostname => request.name = Some(data.to_vec()),
                _ => {}
            }
        }
        request.kind = kind?;
        mac.is_unicast().then_some(request)
    }
    /// Whether the answer is for all to hear (RFC 2131 §4.1).
    pub fn is_broadcast(&self) -> bool {
        self.flags & 0x8000 != 0
    }
    /// Whether the guest wants to know something. If it does not say, it gets what every guest needs.
    pub fn asks_for(&self, code: OptionCode) -> bool {
        match &self.asked {
            Some(asked) => asked.contains(&code.into()),
            None => matches!(
                code,
                OptionCode::Router
                    | OptionCode::DomainNameServer
                    | OptionCode::DomainName
                    | OptionCode::Hostname
                    | OptionCode::InterfaceMtu
            ),
        }
    }
}

fn kind_of(data: &[u8]) -> Option<Kind> {
    Some(match data {
        [1] => Kind::Discover,
        [3] => Kind::Request,
        [4] => Kind::Decline,
        [7] => Kind::Release,
        [8] => Kind::Inform,
        _ => return None,
    })
}

fn address(data: &[u8]) -> Option<Ipv4Addr> {
    Some(Ipv4Addr::from(<[u8; 4]>::try_from(data).ok()?))
}
