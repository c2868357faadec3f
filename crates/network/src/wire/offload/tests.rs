use std::net::SocketAddr;

use platform::net::Mac;

use super::*;
use crate::nat::tcp::{Fields, Path, Sequence};

fn whole(guest: &str, remote: &str, length: usize) -> (FrameHeader, Vec<u8>) {
    let (guest, remote): (SocketAddr, SocketAddr) = (guest.parse().unwrap(), remote.parse().unwrap());
    let path = Path { gateway: Mac([2, 0, 0, 0, 0, 1]), card: Mac([2, 0, 0, 0, 0, 2]), guest, remote };
    let head = path.head(&Fields {
        sequence: Sequence(u32::MAX - 100),
        acknowledgment: Sequence(1),
        flags: tcp_flag::ACK | tcp_flag::PSH | tcp_flag::FIN | tcp_flag::CWR,
        window: 100,
        options: &[1, 1, 1, 1],
        data_length: length,
        segment_size: 1000,
    });
    let (header, frame) = FrameHeader::split(head.bytes()).unwrap();
    let mut frame = frame.to_vec();
    frame.extend((0..length).map(|at| (at % 251) as u8));
    (header, frame)
}

#[test]
fn segments_are_sound_and_complete() {
    for (guest, remote) in [("10.0.2.15:1", "192.0.2.1:80"), ("[fd00::2]:1", "[2001:db8::1]:80")] {
        for partial in [false, true] {
            let (header, mut frame) = whole(guest, remote, 2500);
            let packet = Packet::parse(&frame).unwrap();
            let header = check(&header, &packet, &mut frame).unwrap();
            let (mut sizes, mut data) = (Vec::new(), Vec::new());
            let accepts = Offloads { checksum: partial, ..Offloads::default() };
            assert!(!suits(&header, accepts));
            finish(&header, &mut frame, accepts, &mut |header, segment| {
                let mut segment = segment.to_vec();
                assert_eq!(header.flags & FrameHeader::NEEDS_CHECKSUM != 0, partial);
                let packet = Packet::parse(&segment).unwrap();
                let checked = check(header, &packet, &mut segment).unwrap();
                finish(&checked, &mut segment, Offloads::default(), &mut |_, done| {
                    let ip = Packet::parse(done).unwrap().ip.unwrap();
                    assert!(is_sound(&ip, done));
                    let Some(Transport::Tcp { sequence, flags, data: place, .. }) = ip.transport else {
                        panic!()
                    };
                    assert_eq!(sequence, (u32::MAX - 100).wrapping_add(data.len() as u32));
                    assert_eq!(flags & tcp_flag::CWR != 0, data.is_empty());
                    data.extend_from_slice(&done[place]);
                    assert_eq!(flags & (tcp_flag::FIN | tcp_flag::PSH) != 0, data.len() == 2500);
                    sizes.push(done.len());
                });
            });
            assert_eq!(data, (0..2500).map(|at| (at % 251) as u8).collect::<Vec<_>>());
            assert_eq!((sizes.len(), sizes[0], sizes[2]), (3, frame.len() - 1500, frame.len() - 2000));
        }
    }
}

#[test]
fn headers_that_lie_are_refused() {
    let (good, mut frame) = whole("10.0.2.15:1", "192.0.2.1:80", 2500);
    let packet = Packet::parse(&frame).unwrap();
    let mut check = |change: &dyn Fn(&mut FrameHeader)| {
        let mut header = good;
        change(&mut header);
        super::check(&header, &packet, &mut frame)
    };
    assert!(check(&|_| {}).is_ok());
    assert!(check(&|header| header.checksum_start = u16::MAX).is_err());
    assert!(check(&|header| header.checksum_offset = u16::MAX).is_err());
    assert!(check(&|header| header.segment_size = 1).is_err());
    assert!(check(&|header| header.segmentation = Segmentation::TCP6).is_err());
    assert!(check(&|header| header.segmentation = Segmentation(3)).is_err());
    assert!(check(&|header| header.flags = 0).is_err());
}

#[test]
fn other_checksums_are_completed_at_once() {
    let mut frame = vec![0xff; 12];
    frame.extend([0x88, 0xb5, 0, 0, 1, 2, 3]);
    let packet = Packet::parse(&frame).unwrap();
    let header = FrameHeader {
        flags: FrameHeader::NEEDS_CHECKSUM,
        checksum_start: 14,
        checksum_offset: 0,
        ..FrameHeader::default()
    };
    assert_eq!(check(&header, &packet, &mut frame), Ok(FrameHeader::default()));
    assert_eq!(Checksum::default().add(&frame[14..]).finish(), 0);
}
