use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{FromRawFd, OwnedFd};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use platform::Buffers;

use super::*;

const PATIENCE: Duration = Duration::from_secs(20);

/// Both ends; the second as something to read and write messages with.
#[expect(unsafe_code, reason = "makes a cable")]
fn ends() -> (OwnedFd, File) {
    let mut both = [0; 2];
    // SAFETY: there is room for two descriptors, which belong to nobody else.
    unsafe {
        let kind = libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC;
        assert_eq!(libc::socketpair(libc::AF_UNIX, kind, 0, both.as_mut_ptr()), 0);
        (OwnedFd::from_raw_fd(both[0]), File::from_raw_fd(both[1]))
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Told {
    Frames,
    Room,
    Link(bool, bool),
    Lost(String),
}

struct Ear(Mutex<Sender<Told>>);

impl Ear {
    fn tell(&self, told: Told) {
        self.0.lock().send(told).unwrap();
    }
}

impl NetCard for Ear {
    fn frames_wait(&self) {
        self.tell(Told::Frames);
    }
    fn room(&self) {
        self.tell(Told::Room);
    }
    fn link_changed(&self, up: bool, anew: bool) {
        self.tell(Told::Link(up, anew));
    }
}

impl LinkWatch for Ear {
    fn lost(&self, nic: &str) {
        self.tell(Told::Lost(nic.to_owned()));
    }
}

/// A cable, the network's end of it, and what the card is told.
fn started() -> (Cable, File, Receiver<Told>) {
    let (ours, theirs) = ends();
    let cable = Cable::new("lan", Some(ours)).unwrap();
    let (sender, told) = channel();
    let ear = Arc::new(Ear(Mutex::new(sender)));
    cable.port().listen(false);
    cable.start(Arc::<Ear>::clone(&ear), ear).unwrap();
    (cable, theirs, told)
}

fn next(told: &Receiver<Told>) -> Told {
    told.recv_timeout(PATIENCE).expect("something is told")
}

#[test]
fn frames_go_both_ways() {
    let (cable, mut network, told) = started();
    let port = cable.port();
    let frame = Buffers::of_bytes(vec![7; 65_000]);
    let header = FrameHeader { segment_size: 1460, ..FrameHeader::default() };
    assert_eq!(port.send(&header, &[1, 2], frame.all()), Sent::Done);
    let mut message = vec![0; 70_000];
    assert_eq!(network.read(&mut message).unwrap(), 65_014);
    assert_eq!(message[..14], [&header.to_bytes()[..], &[1, 2]].concat());
    network.write_all(&message[..5012]).unwrap();
    port.listen(true);
    assert_eq!(next(&told), Told::Frames);
    let (into, mut spare) = (Buffers::of_bytes(vec![0; 3000]), vec![0; MESSAGE_BYTES_MAX]);
    let received = port.receive(into.all(), &mut spare);
    assert_eq!(received, Received::Frame { header, length: 5000, inside: 3000 });
    assert_eq!((into.into_bytes(), &spare[..2000]), (message[12..3012].to_vec(), &message[3012..5012]));
}

#[test]
fn the_network_is_told_what_the_card_takes() {
    let (cable, mut network, _told) = started();
    let offloads = Offloads { checksum: true, tcp4: true, tcp6: false };
    cable.port().tell(offloads);
    let mut message = [0; 64];
    let length = network.read(&mut message).unwrap();
    assert_eq!(message[..length], ControlMessage::Offloads(offloads).to_bytes());
    let (ours, mut other) = ends();
    cable.connect(ours).unwrap();
    let length = other.read(&mut message).unwrap();
    assert_eq!(message[..length], ControlMessage::Offloads(offloads).to_bytes());
    assert_eq!(network.read(&mut message).unwrap(), 0, "the old one has ended");
}

#[test]
fn a_full_cable_tells_when_it_has_room() {
    let (cable, mut network, told) = started();
    let (port, frame) = (cable.port(), Buffers::of_bytes(vec![0; 60_000]));
    let mut sent = 0;
    while port.send(&FrameHeader::default(), &[], frame.all()) == Sent::Done {
        sent += 1;
    }
    let mut message = vec![0; 70_000];
    (0..sent).for_each(|_| assert_eq!(network.read(&mut message).unwrap(), 60_012));
    assert_eq!(next(&told), Told::Room);
    assert_eq!(port.send(&FrameHeader::default(), &[], frame.all()), Sent::Done);
}

#[test]
fn a_lost_network_can_be_replaced() {
    let (cable, network, told) = started();
    drop(network);
    assert_eq!(next(&told), Told::Lost("lan".to_owned()));
    assert_eq!((next(&told), next(&told)), (Told::Room, Told::Link(false, false)));
    assert!(!cable.is_connected() && !cable.port().is_up());
    assert_eq!(cable.port().send(&FrameHeader::default(), &[1; 60], Buffers::none().all()), Sent::Done);
    let (ours, mut other) = ends();
    cable.connect(ours).unwrap();
    assert_eq!(next(&told), Told::Link(true, true));
    cable.plug(false);
    assert_eq!(next(&told), Told::Link(false, false));
    cable.plug(true);
    assert_eq!(next(&told), Told::Link(true, false));
    // The network's own word.
    cable.port().listen(true);
    other.write_all(&ControlMessage::Link(false).to_bytes()).unwrap();
    assert_eq!(next(&told), Told::Frames);
    let mut spare = vec![0; MESSAGE_BYTES_MAX];
    assert_eq!(cable.port().receive(Buffers::none().all(), &mut spare), Received::Other);
    while next(&told) != Told::Link(false, false) {}
}

#[test]
fn a_paused_card_receives_nothing() {
    let (cable, mut network, told) = started();
    cable.pause();
    cable.port().listen(true);
    network.write_all(&[0; 100]).unwrap();
    let mut spare = vec![0; MESSAGE_BYTES_MAX];
    assert_eq!(cable.port().receive(Buffers::none().all(), &mut spare), Received::Nothing);
    assert!(told.recv_timeout(Duration::from_millis(50)).is_err());
    cable.resume();
    assert_eq!(next(&told), Told::Frames);
}
