//! Bridged mode: a pair of interfaces stands for a physical network with one other host.
use std::net::{Ipv4Addr, UdpSocket};
use std::process::Command;
use std::time::{Duration, Instant};

use gasang_network::host::helper;
use gasang_network::host::trunk::Trunk;
use platform::net::{FrameHeader, Mac};
use rustix::io::Errno;

use crate::stage;
use crate::station::Station;

const GUEST: Mac = Mac([0x52, 0x54, 0, 0, 0, 9]);
const OTHER: Mac = Mac([0x52, 0x54, 0, 0, 0, 10]);

fn ip(arguments: &str) {
    let status = Command::new("ip").args(arguments.split_whitespace()).status().unwrap();
    assert!(status.success(), "ip {arguments}");
}

/// An interface to bridge, and the kernel as the other host, 10.9.0.1.
fn wire() {
    ip("link add left type veth peer name right");
    ip("link set left up");
    ip("addr add 10.9.0.1/24 dev right");
    ip("link set right up");
}

fn open() -> (Trunk, Ipv4Addr) {
    let trunk = helper::open_bridged("left").unwrap();
    trunk.set_stations(&[GUEST]).unwrap();
    (trunk, "10.9.0.1".parse().unwrap())
}

#[test]
fn a_guest_meets_the_physical_network() {
    if !stage::in_namespace("bridged::a_guest_meets_the_physical_network") {
        return;
    }
    wire();
    let (trunk, host) = open();
    let station = Station { trunk: &trunk, mac: GUEST, address: "10.9.0.101".parse().unwrap() };
    station.ping(host, station.resolve(host));
    // A neighbour on the same machine leaves the checksum to whoever needs it.
    let socket = UdpSocket::bind("10.9.0.1:0").unwrap();
    socket.send_to(b"hello", "10.9.0.101:999").unwrap();
    let (header, payload) = station.datagram(999);
    assert_eq!(
        (header.flags & FrameHeader::NEEDS_CHECKSUM, &payload[..]),
        (FrameHeader::NEEDS_CHECKSUM, &b"hello"[..])
    );
    // And takes frames whose checksum is left to it.
    assert_eq!((header.checksum_start, header.checksum_offset), (34, 6));
}

#[test]
fn frames_for_others_do_not_arrive() {
    if !stage::in_namespace("bridged::frames_for_others_do_not_arrive") {
        return;
    }
    wire();
    let (trunk, host) = open();
    let other = Station { trunk: &trunk, mac: OTHER, address: "10.9.0.102".parse().unwrap() };
    let guest = Station { trunk: &trunk, mac: GUEST, address: "10.9.0.101".parse().unwrap() };
    guest.ping(host, guest.resolve(host));
    // The answer to the other's question is for its address, which is not one of ours.
    assert!(!answers(&other, host));
    trunk.set_stations(&[GUEST, OTHER]).unwrap();
    assert!(answers(&other, host));
    assert!(helper::open_bridged("nowhere").is_err());
}

/// Whether an answer to a question for `host` arrives within a while.
fn answers(station: &Station<'_>, host: Ipv4Addr) -> bool {
    let question = [
        &Mac::BROADCAST.0[..],
        &station.mac.0,
        &[8, 6, 0, 1, 8, 0, 6, 4, 0, 1],
        &station.mac.0,
        &station.address.octets(),
        &[0; 6],
        &host.octets(),
    ];
    station.send(&question.concat());
    let mut message = vec![0; 2000];
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_millis(500) {
        match station.trunk.receive(&mut message) {
            Ok(_) if message[12..18] == station.mac.0 => return true,
            Ok(_) => {}
            Err(Errno::AGAIN) => std::thread::sleep(Duration::from_millis(5)),
            Err(error) => panic!("{error}"),
        }
    }
    false
}
