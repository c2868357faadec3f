//! TCP segments, made by hand.
use std::net::SocketAddr;

use gasang_network::wire::{Checksum, IpHeader, Protocol, ethernet_header};

use crate::guest::Guest;

/// What a segment says.
#[derive(Clone, Copy, Debug)]
pub struct Segment<'a> {
    pub sequence: u32,
    pub acknowledgment: u32,
    pub flags: u8,
    pub window: u16,
    pub data: &'a [u8],
}

impl Default for Segment<'_> {
    fn default() -> Self {
        Self { sequence: 1000, acknowledgment: 0, flags: 0, window: 60_000, data: &[] }
    }
}

/// A whole frame to the gateway's card.
pub fn frame(guest: &Guest, from: SocketAddr, to: SocketAddr, segment: &Segment<'_>) -> Vec<u8> {
    let Segment { sequence, acknowledgment, flags, window, data } = *segment;
    let mut tcp = [from.port().to_be_bytes(), to.port().to_be_bytes()].concat();
    tcp.extend(sequence.to_be_bytes());
    tcp.extend(acknowledgment.to_be_bytes());
    tcp.extend([0x50, flags]);
    tcp.extend(window.to_be_bytes());
    tcp.extend([0; 4]);
    tcp.extend(data);
    let sum = Checksum::default()
        .add_pseudo_header(from.ip(), to.ip(), Protocol::TCP, tcp.len() as u32)
        .add(&tcp)
        .finish();
    tcp[16..18].copy_from_slice(&sum.to_be_bytes());
    let header = IpHeader::new(from.ip(), to.ip(), Protocol::TCP);
    let mut frame = ethernet_header(guest.gateway, guest.mac, header.ethertype()).to_vec();
    header.append(&mut frame, tcp.len());
    frame.extend(tcp);
    frame
}
