//! Frames for tests.
use std::net::{IpAddr, SocketAddr};

use platform::net::Mac;

use crate::wire::Protocol;

/// Where frames of tests go: to everybody's own address.
const TO: Mac = Mac([0x52, 0x54, 0, 0xff, 0xff, 1]);

/// An IP packet in a frame.
pub fn ip(mac: Mac, source: IpAddr, destination: IpAddr, protocol: Protocol, payload: &[u8]) -> Vec<u8> {
    let mut frame = [TO.0, mac.0].concat();
    if let IpAddr::V6(group) = destination
        && group.is_multicast()
    {
        frame[..6].copy_from_slice(&[0x33, 0x33, 0, 0, 0, 1]);
    }
    match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            let length = (20 + payload.len() as u16).to_be_bytes();
            frame.extend([8, 0, 0x45, 0, length[0], length[1], 0, 0, 0, 0, 64, protocol.0, 0, 0]);
            frame.extend(source.octets());
            frame.extend(destination.octets());
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            let length = (payload.len() as u16).to_be_bytes();
            frame.extend([0x86, 0xdd, 0x60, 0, 0, 0, length[0], length[1], protocol.0, 64]);
            frame.extend(source.octets());
            frame.extend(destination.octets());
        }
        _ => panic!("two versions of IP"),
    }
    frame.extend(payload);
    frame
}

fn ends(source: &str, destination: &str) -> (SocketAddr, SocketAddr, Vec<u8>) {
    let (source, destination): (SocketAddr, SocketAddr) =
        (source.parse().unwrap(), destination.parse().unwrap());
    let ports = [source.port().to_be_bytes(), destination.port().to_be_bytes()].concat();
    (source, destination, ports)
}

/// A TCP segment without data.
pub fn tcp(mac: Mac, source: &str, destination: &str, flags: u8) -> Vec<u8> {
    let (source, destination, mut header) = ends(source, destination);
    header.extend([0, 0, 0, 0, 0, 0, 0, 0, 0x50, flags, 1, 0, 0, 0, 0, 0]);
    ip(mac, source.ip(), destination.ip(), Protocol::TCP, &header)
}

/// A datagram without data.
pub fn udp(mac: Mac, source: &str, destination: &str) -> Vec<u8> {
    let (source, destination, mut header) = ends(source, destination);
    header.extend([0, 8, 0, 0]);
    ip(mac, source.ip(), destination.ip(), Protocol::UDP, &header)
}

/// An ICMP message with identifier 7 and some contents.
pub fn icmp(mac: Mac, source: &str, destination: &str, kind: u8, data: &[u8]) -> Vec<u8> {
    let message = [&[kind, 0, 0, 0, 0, 7, 0, 1], data].concat();
    ip(mac, source.parse().unwrap(), destination.parse().unwrap(), Protocol::ICMP, &message)
}

/// An ICMPv6 message.
pub fn icmpv6(mac: Mac, source: &str, destination: &str, kind: u8) -> Vec<u8> {
    let message = [kind, 0, 0, 0, 0, 0, 0, 0];
    ip(mac, source.parse().unwrap(), destination.parse().unwrap(), Protocol::ICMPV6, &message)
}

/// An ARP packet: operation 1 asks, 2 answers.
pub fn arp(mac: Mac, sender: Mac, address: &str, operation: u8) -> Vec<u8> {
    let address: std::net::Ipv4Addr = address.parse().unwrap();
    let mut frame = [Mac::BROADCAST.0, mac.0].concat();
    frame.extend([8, 6, 0, 1, 8, 0, 6, 4, 0, operation]);
    frame.extend(sender.0);
    frame.extend(address.octets());
    frame.extend([0; 10]);
    frame
}
