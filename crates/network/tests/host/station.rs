//! A guest made by hand: it speaks ARP and ICMP over a trunk.
use std::cell::Cell;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use gasang_network::host::trunk::Trunk;
use gasang_network::wire::Checksum;
use platform::net::{FrameHeader, MESSAGE_BYTES_MAX, Mac};
use rustix::io::Errno;

const ARP: [u8; 2] = [8, 6];
const IPV4: [u8; 2] = [8, 0];
/// For each step of a test.
const TIME: Duration = Duration::from_secs(10);

/// A guest.
pub struct Station<'a> {
    pub trunk: &'a Trunk,
    pub mac: Mac,
    pub address: Ipv4Addr,
}

impl Station<'_> {
    /// Waits for a frame of which `wanted` makes something, and answers questions for its address meanwhile.
    pub fn wait<T>(&self, wanted: impl Fn(FrameHeader, &[u8]) -> Option<T>) -> T {
        self.wait_or(|| {}, wanted)
    }
    /// The same, doing something else in between.
    fn wait_or<T>(&self, between: impl Fn(), wanted: impl Fn(FrameHeader, &[u8]) -> Option<T>) -> T {
        let mut message = vec![0; MESSAGE_BYTES_MAX];
        let begin = Instant::now();
        loop {
            between();
            match self.trunk.receive(&mut message) {
                Ok(count) => {
                    let (header, frame) = FrameHeader::split(&message[..count]).unwrap();
                    if let Some(found) = wanted(header, frame) {
                        return found;
                    }
                    self.answer_arp(frame);
                }
                Err(Errno::AGAIN) => std::thread::sleep(Duration::from_millis(1)),
                Err(error) => panic!("{error}"),
            }
            assert!(begin.elapsed() < TIME, "nothing came");
        }
    }
    /// Asks who has an address, again and again: an interface that has just come up loses frames.
    pub fn resolve(&self, address: Ipv4Addr) -> Mac {
        let asked = Cell::new(None);
        self.wait_or(
            || {
                if asked.get().is_none_or(|at: Instant| at.elapsed() > Duration::from_millis(200)) {
                    self.send(&self.arp(1, Mac::BROADCAST, address));
                    asked.set(Some(Instant::now()));
                }
            },
            |_, frame| {
                let is_answer = frame.len() >= 42 && frame[12..14] == ARP && frame[21] == 2;
                (is_answer && frame[28..32] == address.octets())
                    .then(|| Mac(frame[22..28].try_into().unwrap()))
            },
        )
    }
    /// Sends an echo request and waits for the answer.
    pub fn ping(&self, address: Ipv4Addr, mac: Mac) {
        let mut echo = vec![8, 0, 0, 0, 0x12, 0x34, 0, 1];
        echo.extend_from_slice(&[0x55; 56]);
        let checksum = Checksum::default().add(&echo).finish();
        echo[2..4].copy_from_slice(&checksum.to_be_bytes());
        let mut packet = vec![0x45, 0, 0, 0, 0, 0, 0, 0, 64, 1, 0, 0];
        packet.extend(self.address.octets());
        packet.extend(address.octets());
        packet[2..4].copy_from_slice(&((20 + echo.len()) as u16).to_be_bytes());
        let checksum = Checksum::default().add(&packet).finish();
        packet[10..12].copy_from_slice(&checksum.to_be_bytes());
        packet.extend(&echo);
        self.send(&[&mac.0[..], &self.mac.0, &IPV4, &packet].concat());
        self.wait(|_, frame| {
            let is_answer =
                frame.len() >= 14 + 28 + 56 && frame[12..14] == IPV4 && frame[23] == 1 && frame[34] == 0;
            (is_answer && frame[38..42] == [0x12, 0x34, 0, 1]).then_some(())
        });
    }
    /// Waits for a datagram to a port, and gives its header and payload.
    pub fn datagram(&self, port: u16) -> (FrameHeader, Vec<u8>) {
        self.wait(|header, frame| {
            let is_datagram = frame.len() >= 42 && frame[12..14] == IPV4 && frame[23] == 17;
            (is_datagram && frame[36..38] == port.to_be_bytes()).then(|| (header, frame[42..].to_vec()))
        })
    }
    /// Sends a whole frame.
    pub fn send(&self, frame: &[u8]) {
        let mut message = FrameHeader::default().to_bytes().to_vec();
        message.extend_from_slice(frame);
        self.trunk.send(&message).unwrap();
    }

    fn answer_arp(&self, frame: &[u8]) {
        let is_question = frame.len() >= 42 && frame[12..14] == ARP && frame[21] == 1;
        if is_question && frame[38..42] == self.address.octets() {
            let asker = Ipv4Addr::new(frame[28], frame[29], frame[30], frame[31]);
            self.send(&self.arp(2, Mac(frame[22..28].try_into().unwrap()), asker));
        }
    }
    fn arp(&self, operation: u8, to: Mac, address: Ipv4Addr) -> Vec<u8> {
        let target = if operation == 1 { Mac([0; 6]) } else { to };
        let fixed = [0, 1, 8, 0, 6, 4, 0, operation];
        [
            &to.0[..],
            &self.mac.0,
            &ARP,
            &fixed,
            &self.mac.0,
            &self.address.octets(),
            &target.0,
            &address.octets(),
        ]
        .concat()
    }
}
