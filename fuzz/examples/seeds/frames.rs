//! Frames and messages of a guest that means well.
use std::net::{IpAddr, SocketAddr};

use gasang_fuzz::{ADDRESSES, CARDS};
use network::wire::{
    Checksum, EtherType, IcmpHeader, IpHeader, Protocol, ethernet_header, fragments, icmp_frame, udp_frame,
};
use platform::net::{FrameHeader, Mac, Segmentation};

/// All of them: target, name, bytes.
pub fn all() -> Vec<(&'static str, &'static str, Vec<u8>)> {
    let mut seeds = Vec::new();
    for (name, messages) in frames() {
        let records = messages.iter().flat_map(|message| record(message));
        seeds.push(("frames", name, [1].into_iter().chain(records).collect()));
    }
    seeds.push(("services", "dns", [&[0], &dns()[..]].concat()));
    seeds.push(("services", "answer", [&[2], &dns()[..]].concat()));
    seeds.push(("services", "dhcp", [&[3], &dhcp()[..]].concat()));
    seeds.push(("segments", "outward", segments(0)));
    seeds.push(("segments", "inward", segments(1)));
    seeds
}

fn record(message: &[u8]) -> Vec<u8> {
    [&(message.len() as u16).to_le_bytes(), message].concat()
}

fn whole(frame: &[u8]) -> Vec<u8> {
    [&FrameHeader::default().to_bytes(), frame].concat()
}

fn frames() -> Vec<(&'static str, Vec<Vec<u8>>)> {
    let [gateway, own, other]: [IpAddr; 3] = ADDRESSES.map(|address| address.parse().expect("an address"));
    let at = |address, port| SocketAddr::new(address, port);
    let mut arp = ethernet_header(Mac::BROADCAST, CARDS[1], EtherType::ARP).to_vec();
    arp.extend([0, 1, 8, 0, 6, 4, 0, 1]);
    arp.extend(CARDS[1].0);
    arp.extend([10, 0, 2, 11, 0, 0, 0, 0, 0, 0, 10, 0, 2, 1]);
    let discover =
        udp_frame((CARDS[1], ([0; 4], 68).into()), (Mac::BROADCAST, ([255; 4], 67).into()), &dhcp());
    let query = udp_frame((CARDS[1], at(own, 4000)), (CARDS[0], at(gateway, 53)), &dns());
    let ping = icmp_frame((CARDS[1], own), (CARDS[0], gateway), IcmpHeader::echo(8, 1, 1), b"hello");
    let long = udp_frame((CARDS[1], at(own, 4000)), (CARDS[0], at(gateway, 9)), &[7; 4000]);
    let mut parts = Vec::new();
    fragments::split(&long, 1500, 7, &mut |part| parts.push(whole(part)));
    let led = udp_frame((CARDS[1], at(own, 4000)), (CARDS[0], at(gateway, 53)), b"x");
    vec![
        ("arp", vec![whole(&arp)]),
        ("dhcp", vec![whole(&discover)]),
        ("dns", vec![whole(&query)]),
        ("ping", vec![whole(&ping)]),
        ("fragments", parts),
        ("connection", vec![whole(&tcp(at(own, 4000), at(other, 80), 2, &[])), whole(&led)]),
        ("segmentation", vec![segmented(&tcp(at(own, 4000), at(other, 80), 16, &[7; 5000]))]),
    ]
}

/// With a header that leaves the cutting and the checksum to others.
fn segmented(frame: &[u8]) -> Vec<u8> {
    let header = FrameHeader {
        flags: FrameHeader::NEEDS_CHECKSUM,
        segmentation: Segmentation::TCP4,
        header_length: 54,
        segment_size: 1460,
        checksum_start: 34,
        checksum_offset: 16,
        buffers: 0,
    };
    [&header.to_bytes(), frame].concat()
}

fn tcp(from: SocketAddr, to: SocketAddr, flags: u8, data: &[u8]) -> Vec<u8> {
    let mut segment = [from.port().to_be_bytes(), to.port().to_be_bytes()].concat();
    segment.extend([0, 0, 0, 1, 0, 0, 0, 0, 0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
    segment.extend(data);
    let sum = Checksum::default().add_pseudo_header(from.ip(), to.ip(), Protocol::TCP, segment.len() as u32);
    let sum = sum.add(&segment).finish();
    segment[16..18].copy_from_slice(&sum.to_be_bytes());
    let header = IpHeader::new(from.ip(), to.ip(), Protocol::TCP);
    let mut frame = ethernet_header(CARDS[2], CARDS[1], header.ethertype()).to_vec();
    header.append(&mut frame, segment.len());
    frame.extend(segment);
    frame
}

/// A question for the address of "web.internal".
fn dns() -> Vec<u8> {
    let mut query = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in ["web", "internal"] {
        query.push(label.len() as u8);
        query.extend(label.bytes());
    }
    query.extend([0, 0, 1, 0, 1]);
    query
}

/// A DHCPDISCOVER (RFC 2131 §2).
fn dhcp() -> Vec<u8> {
    let mut message = vec![1, 1, 6, 0, 1, 2, 3, 4];
    message.resize(28, 0);
    message.extend(CARDS[1].0);
    message.resize(236, 0);
    message.extend([99, 130, 83, 99, 53, 1, 1, 55, 4, 1, 3, 6, 15, 12, 3]);
    message.extend(b"web\xff");
    message
}

/// A bit of everything that happens to a connection.
fn segments(direction: u8) -> Vec<u8> {
    let records: [[u8; 8]; 8] = [
        [direction, 2, 4, 5, 180, 3, 3, 7],
        [0, 1, 0, 0, 1, 0, 0, 16],
        [4, 0, 16, 0, 0, 0, 0, 0],
        [1, 1, 0, 0, 1, 0, 20, 16],
        [3, 0, 16, 0, 0, 0, 0, 0],
        [0, 65, 1, 0, 1, 16, 0, 16],
        [5, 1, 9, 9, 0, 0, 0, 0],
        [6, 0, 2, 9, 0, 0, 0, 0],
    ];
    records.concat()
}
