use std::io::{Read, Seek, Write};
use std::os::fd::AsFd;

use super::*;

fn ram() -> GuestRam {
    GuestRam::new(64 << 10).unwrap()
}

#[test]
fn ranges_of_ram_are_one_run_of_bytes() {
    let ram = ram();
    let ranges = [(Gpa(0x1ffe), 2), (Gpa(0x3000), 1), (Gpa(0x100), 3)];
    let buffers = Buffers::of_ram(&ram, ranges).unwrap();
    assert_eq!(buffers.len(), 6);
    buffers.all().put(0, &[1, 2, 3, 4, 5, 6]);
    let mut byte = [0];
    ram.read(Gpa(0x3000), &mut byte).unwrap();
    assert_eq!(byte, [3]);
    assert_eq!(buffers.part(1..4).to_vec(), [2, 3, 4]);
    buffers.part(2..5).fill(9);
    assert_eq!(buffers.into_bytes(), [1, 2, 9, 9, 9, 6]);
}

#[test]
fn what_is_no_ram_is_refused() {
    let ram = ram();
    assert!(Buffers::of_ram(&ram, [(Gpa(0xffff), 2)]).is_none());
    assert!(Buffers::of_ram(&ram, [(Gpa(u64::MAX), 2)]).is_none());
    assert!(Buffers::of_ram(&ram, std::iter::repeat_n((Gpa(0), 0x1_0000), 0x8000)).is_none());
}

#[test]
fn neighbours_are_one_piece() {
    let buffers = Buffers::of_ram(&ram(), [(Gpa(0x1000), 16), (Gpa(0x1010), 16), (Gpa(0x1020), 0)]).unwrap();
    assert_eq!((buffers.pieces.len(), buffers.len()), (1, 32));
}

#[test]
fn files_are_read_and_written_in_many_pieces() {
    let ram = ram();
    let ranges: Vec<_> = (0..3000).map(|i| (Gpa(i * 16), 7)).collect();
    let buffers = Buffers::of_ram(&ram, ranges).unwrap();
    let bytes: Vec<u8> = (0..buffers.len()).map(|i| (i % 251) as u8).collect();
    buffers.all().put(0, &bytes);
    let mut file = tempfile::tempfile().unwrap();
    buffers.all().write_to(file.as_fd(), 5).unwrap();
    let mut back = Vec::new();
    file.rewind().unwrap();
    file.read_to_end(&mut back).unwrap();
    assert_eq!((&back[..5], &back[5..]), (&[0; 5][..], &bytes[..]));
    buffers.all().fill(0);
    buffers.part(10..20_000).read_from(file.as_fd(), 15).unwrap();
    let out = buffers.into_bytes();
    assert_eq!(
        (&out[..10], &out[10..20_000], &out[20_000..]),
        (&[0; 10][..], &bytes[10..20_000], &[0; 1000][..])
    );
}

#[test]
fn beyond_a_files_end_are_zeros() {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&[1, 2, 3]).unwrap();
    let buffers = Buffers::of_bytes(vec![9; 6]);
    buffers.all().read_from(file.as_fd(), 1).unwrap();
    assert_eq!(buffers.into_bytes(), [2, 3, 0, 0, 0, 0]);
}

#[test]
fn a_part_beyond_the_end_is_empty() {
    let buffers = Buffers::of_bytes(vec![1; 4]);
    assert!(buffers.part(9..12).is_empty());
    assert_eq!(buffers.part(3..12).len(), 1);
    buffers.part(3..12).put(0, &[7, 8]);
    assert!(!buffers.all().is_zero());
    assert_eq!(buffers.into_bytes(), [1, 1, 1, 7]);
}
