//! Everything in front of a segment's data: the header of the cable, Ethernet, IP and TCP, in one buffer.
use std::net::{IpAddr, SocketAddr};

use platform::net::{FrameHeader, Mac, Segmentation};

use super::Sequence;
use crate::wire::{Checksum, ETHERNET_BYTES, EtherType, Protocol};

/// Where segments go: from the gateway to a guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Path {
    /// The gateway's card.
    pub gateway: Mac,
    /// The guest's card.
    pub card: Mac,
    /// The guest's end. Of the same family as the other one.
    pub guest: SocketAddr,
    /// The other end, as the guest sees it.
    pub remote: SocketAddr,
}

/// Fields of a segment for a guest.
#[derive(Clone, Copy, Debug)]
pub struct Fields<'a> {
    /// Of its first byte.
    pub sequence: Sequence,
    /// What is awaited from the guest.
    pub acknowledgment: Sequence,
    /// See [`tcp_flag`](crate::wire::tcp_flag).
    pub flags: u8,
    /// As in the header.
    pub window: u16,
    /// Whole words.
    pub options: &'a [u8],
    /// Bytes of data that follow.
    pub data_length: usize,
    /// Most bytes of data in a segment; more are cut later.
    pub segment_size: u16,
}

/// Cable, Ethernet, IPv6 and TCP with all options.
const HEAD_MAX: usize = FrameHeader::BYTES + ETHERNET_BYTES + 40 + 60;
const TCP_BYTES: usize = 20;
/// Where the checksum is in a TCP header.
const CHECKSUM_AT: usize = 16;
const HOPS: u8 = 64;

/// Headers of a segment, complete but for the checksum over its data.
#[derive(Clone, Debug)]
pub struct Head {
    bytes: [u8; HEAD_MAX],
    length: usize,
    path: Path,
    flags: u8,
}

impl Path {
    /// Bytes of the IP header.
    fn ip_bytes(&self) -> usize {
        if self.guest.is_ipv4() { 20 } else { 40 }
    }
    /// Most data in one frame.
    pub fn data_max(&self, options: usize) -> usize {
        usize::from(u16::MAX) - self.ip_bytes() - TCP_BYTES - options
    }
    /// Most bytes of data in a segment that fits into an MTU.
    pub fn segment_size(&self, mtu: u16) -> u16 {
        mtu.saturating_sub((self.ip_bytes() + TCP_BYTES) as u16)
    }

    /// The head of a segment.
    pub fn head(&self, fields: &Fields<'_>) -> Head {
        let mut head = Head { bytes: [0; HEAD_MAX], length: 0, path: *self, flags: fields.flags };
        let tcp_length = TCP_BYTES + fields.options.len();
        let (ip_length, l4_length) = (self.ip_bytes(), tcp_length + fields.data_length);
        let cut = fields.data_length > usize::from(fields.segment_size);
        let segmentation = match (cut, self.guest.is_ipv4()) {
            (false, _) => Segmentation::NONE,
            (true, true) => Segmentation::TCP4,
            (true, false) => Segmentation::TCP6,
        };
        let cable = FrameHeader {
            flags: FrameHeader::NEEDS_CHECKSUM,
            segmentation,
            header_length: (ETHERNET_BYTES + ip_length + tcp_length) as u16,
            segment_size: if cut { fields.segment_size } else { 0 },
            checksum_start: (ETHERNET_BYTES + ip_length) as u16,
            checksum_offset: CHECKSUM_AT as u16,
            buffers: 0,
        };
        head.put(&cable.to_bytes());
        head.put(&self.card.0);
        head.put(&self.gateway.0);
        self.put_ip(&mut head, l4_length);
        head.put(&self.remote.port().to_be_bytes());
        head.put(&self.guest.port().to_be_bytes());
        head.put(&fields.sequence.0.to_be_bytes());
        head.put(&fields.acknowledgment.0.to_be_bytes());
        head.put(&[(tcp_length as u8 / 4) << 4, fields.flags]);
        head.put(&fields.window.to_be_bytes());
        let sum = Checksum::default().add_pseudo_header(
            self.remote.ip(),
            self.guest.ip(),
            Protocol::TCP,
            l4_length as u32,
        );
        head.put(&sum.partial().to_be_bytes());
        head.put(&[0, 0]);
        head.put(fields.options);
        head
    }

    fn put_ip(&self, head: &mut Head, l4_length: usize) {
        match (self.remote.ip(), self.guest.ip()) {
            (IpAddr::V4(remote), IpAddr::V4(guest)) => {
                head.put(&EtherType::IPV4.0.to_be_bytes());
                let mut header =
                    [0x45, 0, 0, 0, 0, 0, 0x40, 0, HOPS, Protocol::TCP.0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
                header[2..4].copy_from_slice(&((20 + l4_length) as u16).to_be_bytes());
                header[12..16].copy_from_slice(&remote.octets());
                header[16..20].copy_from_slice(&guest.octets());
                let sum = Checksum::default().add(&header).finish();
                header[10..12].copy_from_slice(&sum.to_be_bytes());
                head.put(&header);
            }
            (remote, guest) => {
                let wide = |address| match address {
                    IpAddr::V4(address) => address.to_ipv6_mapped(),
                    IpAddr::V6(address) => address,
                };
                head.put(&EtherType::IPV6.0.to_be_bytes());
                head.put(&[0x60, 0, 0, 0]);
                head.put(&(l4_length as u16).to_be_bytes());
                head.put(&[Protocol::TCP.0, HOPS]);
                head.put(&wide(remote).octets());
                head.put(&wide(guest).octets());
            }
        }
    }
}

impl Head {
    /// The bytes, from the cable's header on.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
    /// Where it goes.
    pub fn path(&self) -> &Path {
        &self.path
    }
    /// The header's flags.
    pub fn flags(&self) -> u8 {
        self.flags
    }
    fn put(&mut self, bytes: &[u8]) {
        self.bytes[self.length..self.length + bytes.len()].copy_from_slice(bytes);
        self.length += bytes.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Packet, Transport, tcp_flag};

    fn path(guest: &str, remote: &str) -> Path {
        let (guest, remote) = (guest.parse().unwrap(), remote.parse().unwrap());
        Path { gateway: Mac([2, 0, 0, 0, 0, 1]), card: Mac([2, 0, 0, 0, 0, 2]), guest, remote }
    }

    #[test]
    fn heads_are_sound() {
        for path in [path("10.0.2.15:1", "192.0.2.1:80"), path("[fd00::2]:1", "[2001:db8::1]:80")] {
            let fields = Fields {
                sequence: Sequence(7),
                acknowledgment: Sequence(8),
                flags: tcp_flag::ACK,
                window: 9,
                options: &[1, 1, 1, 0],
                data_length: 3000,
                segment_size: 1440,
            };
            let head = path.head(&fields);
            let (cable, frame) = FrameHeader::split(head.bytes()).unwrap();
            let mut frame = frame.to_vec();
            assert_eq!(usize::from(cable.header_length), frame.len());
            frame.resize(frame.len() + 3000, 5);
            let ip = Packet::parse(&frame).unwrap().ip.unwrap();
            assert_eq!(ip.payload.end, frame.len());
            let tuple = ip.tuple();
            assert_eq!((tuple.from(), tuple.to()), (path.remote, path.guest));
            let Some(Transport::Tcp { sequence: 7, acknowledgment: 8, window: 9, options, data, .. }) =
                ip.transport
            else {
                panic!("{:?}", ip.transport)
            };
            assert_eq!((options.len(), data.len(), cable.segment_size), (4, 3000, 1440));
        }
    }
}
