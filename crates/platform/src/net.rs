//! Networks: what a card and a network say to one another over a cable.
//!
//! A cable is a Unix socket that keeps the bounds of messages (`SOCK_SEQPACKET`), so that a frame goes from guest memory to
//! the network's process by one system call. Each message is a [`FrameHeader`] and either an Ethernet frame without its
//! check sequence, or, where the header's flags are [`FrameHeader::CONTROL`], a [`ControlMessage`].

//!
//! A device reaches its cable by a [`NetPort`] and is told by it through a [`NetCard`]. Lock order: devices may call a port
//! with their own lock held. A port calls its card with no lock held, from a thread of its own, and never from inside a
//! call.

mod control;
mod header;
mod port;

pub use control::{ControlMessage, Offloads};
pub use header::{FrameHeader, Segmentation};
pub use port::{NetCard, NetPort, Received, Sent};

/// An Ethernet address.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Mac(pub [u8; 6]);

/// Bytes of a frame at most: an IP packet of 65,535 bytes behind a header with one VLAN tag.
pub const FRAME_BYTES_MAX: usize = 65_535 + 18;
/// Bytes of a message on a cable at most.
pub const MESSAGE_BYTES_MAX: usize = FrameHeader::BYTES + FRAME_BYTES_MAX;

use serde::{Deserialize, Serialize};

/// Not an Ethernet address: `aa:bb:cc:dd:ee:ff` is one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no Ethernet address, such as 52:54:00:12:34:56")]
pub struct NoMac(String);

impl Mac {
    /// All stations of a network.
    pub const BROADCAST: Self = Self([0xff; 6]);

    /// Whether it names a group of stations.
    pub fn is_multicast(self) -> bool {
        self.0[0] & 1 != 0
    }
    /// Whether it can be a card's own.
    pub fn is_unicast(self) -> bool {
        !self.is_multicast() && self.0 != [0; 6]
    }
}

impl std::fmt::Display for Mac {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [a, b, c, d, e, f] = self.0;
        write!(formatter, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}")
    }
}

impl std::fmt::Debug for Mac {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, formatter)
    }
}

impl std::str::FromStr for Mac {
    type Err = NoMac;
    fn from_str(text: &str) -> Result<Self, NoMac> {
        let wrong = || NoMac(text.to_owned());
        let mut bytes = [0; 6];
        let mut parts = text.split([':', '-']);
        for byte in &mut bytes {
            let part = parts.next().filter(|part| part.len() == 2).ok_or_else(wrong)?;
            // from_str_radix takes a sign.
            if !part.bytes().all(|digit| digit.is_ascii_hexdigit()) {
                return Err(wrong());
            }
            *byte = u8::from_str_radix(part, 16).map_err(|_| wrong())?;
        }
        if parts.next().is_some() { Err(wrong()) } else { Ok(Self(bytes)) }
    }
}

impl TryFrom<String> for Mac {
    type Error = NoMac;
    fn try_from(text: String) -> Result<Self, NoMac> {
        text.parse()
    }
}

impl From<Mac> for String {
    fn from(mac: Mac) -> Self {
        mac.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_written() {
        let mac: Mac = "52:54:00:AB:cd:0f".parse().unwrap();
        assert_eq!((mac.to_string().as_str(), mac.is_unicast()), ("52:54:00:ab:cd:0f", true));
        assert_eq!("52-54-00-ab-cd-0f".parse::<Mac>().unwrap(), mac);
        assert!(Mac::BROADCAST.is_multicast() && !Mac([0; 6]).is_unicast());
        for wrong in
            ["", "52:54:00:ab:cd", "52:54:00:ab:cd:0f:1", "5:54:00:ab:cd:0ff", "+1:54:00:ab:cd:0f", "é:1"]
        {
            assert!(wrong.parse::<Mac>().is_err(), "{wrong}");
        }
    }
}
