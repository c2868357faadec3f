//! A hostile guest's messages, given to a whole network.
//!
//! | bytes | |
//! |---|---|
//! | 1 | bit 0: a firewall with forward ports runs; bit 1: addresses are not checked; bit 2: the other card takes offloads |
//! | 2, and so many | each message: its length, little-endian, bit 15 for the other card as its sender; then header and frame |

use std::os::fd::OwnedFd;
use std::time::Duration;

use network::engine::{Attachment, Member, MemberKind, Network, Setup};
use network::policy::Filter;
use network::policy::groups::Groups;
use network::policy::zones::{Firewall, Setting, parse_forward_port};
use network::port::Cable;
use network::services::{Gateway, Leases, Now, Plan};
use network::wire::{Packet, offload};
use platform::net::{ControlMessage, FrameHeader, MESSAGE_BYTES_MAX, Mac, Offloads};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socketpair};

/// The network's card, that of its hostile guest, and that of the other one.
pub const CARDS: [Mac; 3] =
    [Mac([0x52, 0x54, 0, 0, 0, 0xff]), Mac([0x52, 0x54, 0, 0, 0, 1]), Mac([0x52, 0x54, 0, 0, 0, 2])];
/// Their addresses.
pub const ADDRESSES: [&str; 3] = ["10.0.2.1", "10.0.2.11", "10.0.2.12"];
/// What a message's length is of.
const LENGTH: u16 = 0x7fff;
const FROM_OTHER: u16 = 0x8000;
/// Messages of one input.
const MESSAGES: usize = 64;

/// Sends messages through a network that leads nowhere. What comes out must make sense, and little may be kept.
pub fn send_frames(bytes: &[u8]) {
    let Some((&kind, mut rest)) = bytes.split_first() else { return };
    let mut network = network_of(kind);
    let cables = [1, 2].map(|number| attach(&mut network, number, kind));
    let mut news = Vec::new();
    let mut turn = |network: &mut Network| {
        network.turn(Some(Duration::ZERO), &mut news).expect("epoll works");
        cables.iter().for_each(|cable| look_at(cable, kind));
    };
    for _ in 0..MESSAGES {
        let Some((length, behind)) = rest.split_first_chunk() else { break };
        let length = u16::from_le_bytes(*length);
        let (message, behind) = behind.split_at(behind.len().min(usize::from(length & LENGTH)));
        rest = behind;
        if message.is_empty() {
            // That would be the cable's end.
            continue;
        }
        let cable = &cables[usize::from(length & FROM_OTHER != 0)];
        if send(cable, message, SendFlags::DONTWAIT | SendFlags::NOSIGNAL).is_err() {
            turn(&mut network);
        }
    }
    turn(&mut network);
    let load = network.load();
    assert!(
        load.flows <= 2 * MESSAGES && load.fragment_bytes <= 1 << 20 && load.neighbours <= 128,
        "{load:?}"
    );
    assert!(load.leases <= 2 && load.connections == 0 && load.backlog_bytes <= 8 << 20, "{load:?}");
}

fn network_of(kind: u8) -> Network {
    let now = Now::read();
    let gateway = Gateway::new(Plan::natnet("fuzz"), CARDS[0], Leases::default(), &[], now).expect("a plan");
    let mut firewall = Firewall { running: kind & 1 != 0, ..Firewall::default() };
    for text in
        ["port=1-9000:proto=tcp:toport=80:toaddr=10.0.2.12", "port=53:proto=udp:toport=99:toaddr=10.0.2.12"]
    {
        let forward = parse_forward_port(text).expect("a forward port");
        firewall.add("public", &Setting::ForwardPort(forward), None).expect("a zone");
    }
    let filter = Filter::new(Groups::default(), firewall, now.instant);
    let setup = Setup { gateway, filter, outside: None, strict: kind & 2 == 0, save: Box::new(|_| {}) };
    Network::new(setup).expect("descriptors").0
}

fn attach(network: &mut Network, number: usize, kind: u8) -> OwnedFd {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let (ours, theirs) =
        socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).expect("descriptors");
    let member = Member {
        vm: format!("vm{number}"),
        nic: "eth0".to_owned(),
        mac: CARDS[number],
        kind: MemberKind::Guest,
        addresses: vec![ADDRESSES[number].parse().expect("an address")],
    };
    network.attach(Attachment { link: Box::new(Cable(ours)), member }).expect("there is room");
    let all = kind & 4 != 0 && number == 2;
    let takes = Offloads { checksum: all, tcp4: all, tcp6: all };
    let _ = send(&theirs, &ControlMessage::Offloads(takes).to_bytes(), SendFlags::DONTWAIT);
    theirs
}

/// What a card gets is a frame whose header asks for no more than it takes.
fn look_at(cable: &OwnedFd, kind: u8) {
    let mut message = vec![0; MESSAGE_BYTES_MAX];
    while let Ok((count, _)) = recv(cable, &mut message[..], RecvFlags::DONTWAIT) {
        if count == 0 {
            return;
        }
        let (header, frame) = FrameHeader::split(&message[..count]).expect("a header");
        if header.flags & FrameHeader::CONTROL != 0 {
            continue;
        }
        let packet = Packet::parse(frame).expect("a frame that makes sense");
        let all = kind & 4 != 0;
        let takes = Offloads { checksum: all, tcp4: all, tcp6: all };
        assert!(offload::suits(&header, takes), "{header:?}");
        // Whoever checks the header again finds nothing wrong.
        let checked = offload::check(&header, &packet, &mut frame.to_vec()).expect("a header that fits");
        assert_eq!(checked.segmentation, header.segmentation);
    }
}
