//! UDP headers, written.
use std::net::SocketAddr;

use platform::net::Mac;

use super::{Checksum, IpHeader, Protocol, ethernet_header};

/// Bytes of a UDP header.
pub const UDP_BYTES: usize = 8;

/// A UDP header with its checksum (RFC 768, RFC 8200 §8.1). Data of more than 65,527 bytes does not fit.
pub fn udp_header(source: SocketAddr, destination: SocketAddr, data: &[u8]) -> [u8; UDP_BYTES] {
    let length = u16::try_from(UDP_BYTES + data.len()).unwrap_or(u16::MAX);
    let mut header = [0; UDP_BYTES];
    header[..2].copy_from_slice(&source.port().to_be_bytes());
    header[2..4].copy_from_slice(&destination.port().to_be_bytes());
    header[4..6].copy_from_slice(&length.to_be_bytes());
    let sum = Checksum::default()
        .add_pseudo_header(source.ip(), destination.ip(), Protocol::UDP, length.into())
        .add(&header)
        .add(data)
        .finish();
    // Zero means that there is none.
    let sum = if sum == 0 { u16::MAX } else { sum };
    header[6..].copy_from_slice(&sum.to_be_bytes());
    header
}

/// A whole frame with a datagram, from the first station to the second.
pub fn udp_frame(
    (from, source): (Mac, SocketAddr),
    (to, destination): (Mac, SocketAddr),
    data: &[u8],
) -> Vec<u8> {
    let ip = IpHeader::new(source.ip(), destination.ip(), Protocol::UDP);
    let mut frame = Vec::with_capacity(super::ETHERNET_BYTES + ip.bytes() + UDP_BYTES + data.len());
    frame.extend_from_slice(&ethernet_header(to, from, ip.ethertype()));
    ip.append(&mut frame, UDP_BYTES + data.len());
    frame.extend_from_slice(&udp_header(source, destination, data));
    frame.extend_from_slice(data);
    frame
}

#[cfg(test)]
mod tests {
    use super::super::{Packet, Transport};
    use super::*;

    #[test]
    fn datagrams_read_as_they_were_written() {
        for (source, destination) in [("10.0.2.3:53", "10.0.2.15:40000"), ("[fd00::1]:53", "[fd00::2]:7")] {
            let (source, destination) = (source.parse().unwrap(), destination.parse().unwrap());
            for data in [&b""[..], b"odd", b"even"] {
                let frame = udp_frame((Mac([2; 6]), source), (Mac([4; 6]), destination), data);
                let ip = Packet::parse(&frame).unwrap().ip.unwrap();
                let tuple = ip.tuple();
                assert_eq!((tuple.from(), tuple.to()), (source, destination));
                let Some(Transport::Udp { data: range, .. }) = ip.transport else { panic!("no UDP") };
                assert_eq!(&frame[range], data);
                let length = (ip.payload.end - ip.payload.start) as u32;
                let sum = Checksum::default()
                    .add_pseudo_header(source.ip(), destination.ip(), Protocol::UDP, length)
                    .add(&frame[ip.payload]);
                assert_eq!(sum.finish(), 0);
            }
        }
    }
}
