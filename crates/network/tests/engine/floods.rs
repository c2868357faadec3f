//! What a hostile guest sends: messages for its cable, made of a seed.
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use dhcproto::Encodable;
use dhcproto::v4::{DhcpOption, Message, MessageType};
use gasang_network::wire::{
    EtherType, IcmpHeader, ethernet_header, fragments, icmp_frame, tcp_flag, udp_frame,
};
use platform::net::{FrameHeader, Mac, Segmentation};
use rand::rngs::StdRng;
use rand::{Rng, RngExt};

use crate::guest::Guest;
use crate::segment::{Segment, frame};
use crate::world::{GATEWAY, GATEWAY4};

/// Whom it harms.
pub struct Targets {
    /// The hostile guest itself, its IPv4 address and its card.
    pub own: (Mac, IpAddr),
    /// Its neighbour.
    pub other: (Mac, IpAddr),
    /// The network's own address of IPv6.
    pub gateway6: Ipv6Addr,
    /// A port of the host's loopback where somebody listens and takes nothing.
    pub port: u16,
}

/// A kind of flood.
pub type Flood = fn(&mut StdRng, &Targets, &Guest) -> Vec<u8>;

/// All of them, with their names.
pub const ALL: [(&str, Flood); 10] = [
    ("beginnings of connections to outside", syn_outside),
    ("beginnings of connections to a neighbour", syn_neighbour),
    ("fragments of IPv4", fragments4),
    ("fragments of IPv6", fragments6),
    ("fragments that overlap", overlapping),
    ("datagrams", datagrams),
    ("addresses", addresses),
    ("DHCP", dhcp),
    ("garbage", garbage),
    ("frames that were damaged", damaged),
];

fn whole(frame: &[u8]) -> Vec<u8> {
    [&FrameHeader::default().to_bytes(), frame].concat()
}

fn own_port(random: &mut StdRng, targets: &Targets) -> SocketAddr {
    (targets.own.1, random.random::<u16>().max(1)).into()
}

fn syn_outside(random: &mut StdRng, targets: &Targets, guest: &Guest) -> Vec<u8> {
    // To a port that is open, to one that is not, and to where nobody may go.
    let to = match random.random_range(0..4) {
        0 => (GATEWAY4, 1).into(),
        1 => (IpAddr::from([169, 254, 169, 254]), 80).into(),
        _ => SocketAddr::new(GATEWAY4, targets.port),
    };
    let segment = Segment { sequence: random.random(), flags: tcp_flag::SYN, ..Segment::default() };
    whole(&frame(guest, own_port(random, targets), to, &segment))
}

fn syn_neighbour(random: &mut StdRng, targets: &Targets, guest: &Guest) -> Vec<u8> {
    let to = (targets.other.1, random.random()).into();
    let flags = [tcp_flag::SYN, tcp_flag::ACK, tcp_flag::RST, tcp_flag::SYN | tcp_flag::FIN, 0xff]
        [random.random_range(0..5)];
    let segment = Segment { sequence: random.random(), flags, ..Segment::default() };
    let mut frame = frame(guest, own_port(random, targets), to, &segment);
    frame[..6].copy_from_slice(&targets.other.0.0);
    whole(&frame)
}

/// One part of a long datagram, of which the others may never come.
fn part(random: &mut StdRng, from: (Mac, SocketAddr), to: (Mac, SocketAddr)) -> Vec<u8> {
    let length = random.random_range(1400..9000);
    let mut parts = Vec::new();
    let identification = random.random_range(0..3000);
    fragments::split(&udp_frame(from, to, &vec![7; length]), 1280, identification, &mut |part| {
        parts.push(part.to_vec())
    });
    whole(&parts[random.random_range(0..parts.len())])
}

fn fragments4(random: &mut StdRng, targets: &Targets, _: &Guest) -> Vec<u8> {
    let to = if random.random() { (GATEWAY, GATEWAY4) } else { targets.other };
    let from = (targets.own.0, own_port(random, targets));
    part(random, from, (to.0, (to.1, 9).into()))
}

fn fragments6(random: &mut StdRng, targets: &Targets, _: &Guest) -> Vec<u8> {
    let [.., last] = targets.own.0.0;
    let own = Ipv6Addr::from(u128::from(targets.gateway6) & !0xffff | u128::from(last) << 8);
    let (own, to) = ((own, 9).into(), (targets.gateway6, 9).into());
    part(random, (targets.own.0, own), (GATEWAY, to))
}

fn overlapping(random: &mut StdRng, targets: &Targets, guest: &Guest) -> Vec<u8> {
    let mut message = fragments4(random, targets, guest);
    let place = &mut message[FrameHeader::BYTES + 14 + 4..];
    place[..2].copy_from_slice(&[0, random.random_range(0..4)]);
    place[2..4].copy_from_slice(&[random.random::<u8>() & 0x3f, random.random()]);
    message
}

fn datagrams(random: &mut StdRng, targets: &Targets, _: &Guest) -> Vec<u8> {
    let to = [1, targets.port, 53, 67][random.random_range(0..4)];
    let mut data = vec![0; random.random_range(0..200)];
    random.fill_bytes(&mut data);
    whole(&udp_frame((targets.own.0, own_port(random, targets)), (GATEWAY, (GATEWAY4, to).into()), &data))
}

/// ARP and neighbour discovery, with all the world's addresses.
fn addresses(random: &mut StdRng, targets: &Targets, _: &Guest) -> Vec<u8> {
    let own = targets.own.0;
    if random.random() {
        let mut arp = ethernet_header(Mac::BROADCAST, own, EtherType::ARP).to_vec();
        arp.extend([0, 1, 8, 0, 6, 4, 0, random.random_range(1..3)]);
        arp.extend(own.0);
        arp.extend([10, 0, 2, random.random()]);
        arp.extend([0; 6]);
        arp.extend([10, 0, 2, random.random()]);
        return whole(&arp);
    }
    let target = u128::from(targets.gateway6) & !0xffff_ffff | u128::from(random.random::<u32>());
    let group: Ipv6Addr = "ff02::1:ff00:1".parse().unwrap();
    let source = if random.random() { Ipv6Addr::UNSPECIFIED } else { Ipv6Addr::from(target) };
    let header = IcmpHeader { kind: random.random_range(133..138), code: 0, rest: [0; 4] };
    let card = gasang_network::wire::ipv6_group_mac(group);
    whole(&icmp_frame((own, source.into()), (card, group.into()), header, &target.to_be_bytes()))
}

fn dhcp(random: &mut StdRng, targets: &Targets, _: &Guest) -> Vec<u8> {
    let mut card = targets.own.0;
    if random.random_range(0..3) == 0 {
        card.0[5] = random.random();
    }
    let none = std::net::Ipv4Addr::UNSPECIFIED;
    let mut message = Message::new(none, none, none, none, &card.0);
    let kinds = [MessageType::Discover, MessageType::Request, MessageType::Decline, MessageType::Release];
    message.opts_mut().insert(DhcpOption::MessageType(kinds[random.random_range(0..4)]));
    message.opts_mut().insert(DhcpOption::RequestedIpAddress([10, 0, 2, random.random()].into()));
    message.opts_mut().insert(DhcpOption::ClientIdentifier(random.random::<[u8; 8]>().to_vec()));
    let to = (Mac::BROADCAST, SocketAddr::from(([255; 4], 67)));
    whole(&udp_frame((card, SocketAddr::from(([0; 4], 68))), to, &message.to_vec().unwrap()))
}

/// Any bytes, from the cable's header on, more or less.
fn garbage(random: &mut StdRng, targets: &Targets, _: &Guest) -> Vec<u8> {
    let mut message = vec![0; random.random_range(0..300)];
    random.fill_bytes(&mut message);
    let kept = [0, FrameHeader::BYTES, FrameHeader::BYTES + 14][random.random_range(0..3)];
    let ethertype = [EtherType::IPV4, EtherType::IPV6, EtherType::ARP][random.random_range(0..3)];
    let sound = whole(&ethernet_header(GATEWAY, targets.own.0, ethertype));
    let kept = kept.min(message.len());
    message[..kept].copy_from_slice(&sound[..kept]);
    message
}

/// A sound frame of any other kind with a few bytes changed, cut or longer than it says, and a header that asks for much.
fn damaged(random: &mut StdRng, targets: &Targets, guest: &Guest) -> Vec<u8> {
    let (_, flood) = ALL[random.random_range(0..8)];
    let mut message = flood(random, targets, guest);
    for _ in 0..random.random_range(0..6) {
        let at = random.random_range(0..message.len());
        message[at] = random.random();
    }
    if random.random_range(0..4) == 0 {
        message.truncate(random.random_range(0..message.len()));
    }
    if random.random_range(0..3) == 0 {
        let header = FrameHeader {
            flags: random.random::<u8>() & 3,
            segmentation: Segmentation([0, 1, 4, 0x81, 3, 5][random.random_range(0..6)]),
            header_length: random.random(),
            segment_size: random.random_range(0..1600),
            checksum_start: [34, 54, random.random()][random.random_range(0..3)],
            checksum_offset: [16, 6, random.random()][random.random_range(0..3)],
            buffers: 0,
        };
        let kept = FrameHeader::BYTES.min(message.len());
        message[..kept].copy_from_slice(&header.to_bytes()[..kept]);
    }
    message
}
