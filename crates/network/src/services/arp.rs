//! ARP (RFC 826): answers for the network's own addresses, and what is learnt from it.
use std::net::Ipv4Addr;

use platform::net::Mac;

use crate::wire::{ETHERNET_BYTES, EtherType, ethernet_header};

/// A message about Ethernet and IPv4.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arp {
    /// Request or reply.
    pub operation: u16,
    /// Who speaks.
    pub sender: (Mac, Ipv4Addr),
    /// Who is asked for, or answered.
    pub target: (Mac, Ipv4Addr),
}

pub const REQUEST: u16 = 1;
pub const REPLY: u16 = 2;

/// Bytes of a message about Ethernet and IPv4.
const BYTES: usize = 28;
/// Kinds and lengths of the addresses in it.
const KIND: [u8; 6] = [0, 1, 8, 0, 6, 4];

impl Arp {
    /// Of a frame that carries ARP; `None` if it is about other things than Ethernet and IPv4.
    pub fn parse(frame: &[u8]) -> Option<Self> {
        let bytes = frame.get(ETHERNET_BYTES..)?.first_chunk::<BYTES>()?;
        if bytes[..6] != KIND {
            return None;
        }
        let party = |at: usize| {
            let mac = Mac([0, 1, 2, 3, 4, 5].map(|byte| bytes[at + byte]));
            (mac, Ipv4Addr::from([6, 7, 8, 9].map(|byte| bytes[at + byte])))
        };
        let operation = u16::from_be_bytes([bytes[6], bytes[7]]);
        Some(Self { operation, sender: party(8), target: party(18) })
    }
    /// A whole frame, from the message's sender.
    pub fn frame(&self, destination: Mac) -> Vec<u8> {
        let mut frame = ethernet_header(destination, self.sender.0, EtherType::ARP).to_vec();
        frame.extend_from_slice(&KIND);
        frame.extend_from_slice(&self.operation.to_be_bytes());
        for (mac, address) in [self.sender, self.target] {
            frame.extend_from_slice(&mac.0);
            frame.extend_from_slice(&address.octets());
        }
        frame
    }
    /// The answer to a request.
    pub fn reply(&self, own: Mac) -> Vec<u8> {
        Self { operation: REPLY, sender: (own, self.target.1), target: self.sender }.frame(self.sender.0)
    }
    /// A question for everybody.
    pub fn request(sender: (Mac, Ipv4Addr), address: Ipv4Addr) -> Vec<u8> {
        Self { operation: REQUEST, sender, target: (Mac([0; 6]), address) }.frame(Mac::BROADCAST)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_question_and_its_answer() {
        let (guest, own) = (Mac([2, 0, 0, 0, 0, 1]), Mac([2, 0, 0, 0, 0, 2]));
        let (guest4, own4) = (Ipv4Addr::new(10, 0, 2, 15), Ipv4Addr::new(10, 0, 2, 2));
        let frame = Arp::request((guest, guest4), own4);
        let request = Arp::parse(&frame).unwrap();
        assert_eq!((request.operation, request.sender, request.target.1), (REQUEST, (guest, guest4), own4));
        let reply = request.reply(own);
        assert_eq!((&reply[..6], reply.len()), (&guest.0[..], 42));
        let expected = Arp { operation: REPLY, sender: (own, own4), target: (guest, guest4) };
        assert_eq!(Arp::parse(&reply), Some(expected));
    }

    proptest! {
        #[test]
        fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = Arp::parse(&bytes);
        }
    }
}
