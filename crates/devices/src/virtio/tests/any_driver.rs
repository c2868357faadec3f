//! Drivers of block devices and SCSI hosts that do anything: requests that nearly make sense, torn rings, registers
//! written at random, resets in the middle.
use std::sync::Arc;

use platform::Device;
use x86::Gpa;

use super::board::Board;
use crate::memory_disk::MemoryDisk;
use crate::scsi::{Identity, Unit};
use crate::virtio::VirtioDevice;
use crate::virtio::blk::{BlkOptions, VirtioBlk};
use crate::virtio::ring::Segment;
use crate::virtio::ring::driver::{Form, KINDS};
use crate::virtio::ring::tests::Numbers;
use crate::virtio::scsi::{ScsiOptions, VirtioScsi};

const BUFFERS: u64 = 0x1000;
const RINGS: u64 = 0x10_0000;

/// Some buffers, at most three, which may overlap.
fn buffers(numbers: &mut Numbers) -> Vec<Segment> {
    let lengths = [1, 4, 12, 16, 51, 108, 512, 600, 4096];
    let count = numbers.below(4);
    (0..count)
        .map(|_| {
            let length = lengths[numbers.below(lengths.len() as u64) as usize];
            (Gpa(BUFFERS + numbers.below(16) * 0x40), length)
        })
        .collect()
}

/// Something that may be the beginning of a request.
fn header(numbers: &mut Numbers) -> Vec<u8> {
    let small = |numbers: &mut Numbers| numbers.below(16) as u8;
    if numbers.below(2) == 0 {
        let mut header = vec![small(numbers), 0, 0, 0, 0, 0, 0, 0];
        header.extend(numbers.below(80).to_le_bytes());
        return header;
    }
    let mut command = vec![1, numbers.below(5) as u8, 0x40, (numbers.below(8) / 7) as u8, 0, 0, 0, 0];
    command.extend(numbers.below(4).to_le_bytes());
    command.extend([0; 3]);
    let codes = [
        0x00, 0x03, 0x12, 0x15, 0x1a, 0x25, 0x28, 0x2a, 0x35, 0x41, 0x42, 0x55, 0x5a, 0x88, 0x93, 0x9e, 0xa0,
    ];
    command.push(codes[numbers.below(codes.len() as u64) as usize]);
    command
        .extend((0..31).map(|_| if numbers.below(3) == 0 { numbers.next() as u8 } else { small(numbers) }));
    command
}

fn act<D: VirtioDevice + 'static>(board: &mut Board<D>, disk: &MemoryDisk, numbers: &mut Numbers) {
    let queue = numbers.below(board.drivers.len() as u64) as usize;
    match numbers.below(16) {
        0..8 => {
            let header = header(numbers);
            board.poke(BUFFERS + numbers.below(16) * 0x40, &header);
            let (readable, writable) = (buffers(numbers), buffers(numbers));
            let form = [Form::Direct, Form::Indirect][numbers.below(2) as usize];
            if !readable.is_empty() || !writable.is_empty() {
                board.drivers[queue].add(&readable, &writable, form);
            }
            board.notify(queue);
        }
        8..12 => disk.pump(),
        12 => {
            let at = RINGS + queue as u64 * 0x5_0000 + numbers.below(0x2400);
            board.poke(at, &numbers.next().to_le_bytes()[..1 + numbers.below(8) as usize]);
            board.notify(queue);
        }
        13 => {
            let (offset, length) = (numbers.below(0x40), [1, 2, 4, 8][numbers.below(4) as usize]);
            board.write(offset, length, numbers.next());
        }
        14 => board.write(0x2000 + numbers.below(0x40), 4, numbers.below(0x100)),
        _ => {
            board.write(0x16, 2, queue as u64);
            board.write(0x3a, 2, 1);
        }
    }
}

fn torture<D: VirtioDevice + 'static>(
    numbers: &mut Numbers,
    features: u64,
    device: impl Fn(Arc<MemoryDisk>) -> D,
) {
    for _ in 0..150 {
        for kind in KINDS {
            let disk = MemoryDisk::new(64 * 512);
            let mut board = Board::started(device(Arc::clone(&disk)), kind, features | 1 << 40);
            for _ in 0..60 {
                act(&mut board, &disk, numbers);
            }
            board.start(kind, features);
            disk.pump();
            assert_eq!(board.read(0x14, 1), 0xf);
            let saved = board.function.lock().save();
            board.function.lock().restore(&saved).unwrap();
        }
    }
}

#[test]
fn any_driver_of_a_disk_is_harmless() {
    torture(&mut Numbers(0x0b10_c0de), 1 << 9 | 1 << 11, |disk| {
        let options = BlkOptions { queues: 2, packed: true, serial: String::new() };
        VirtioBlk::new(disk, &options)
    });
}

#[test]
fn any_driver_of_a_scsi_host_is_harmless() {
    torture(&mut Numbers(0x5c51_5c51), 1 << 1 | 1 << 2, |disk| {
        let identity = || {
            let (vendor, product) = ("GASANG".to_owned(), "DISK".to_owned());
            Identity { vendor, product, revision: String::new(), serial: String::new() }
        };
        let mut host = VirtioScsi::new(ScsiOptions { queues: 2, targets: 4, packed: true });
        host.insert(0, Unit::disk(identity(), Arc::<MemoryDisk>::clone(&disk))).unwrap();
        host.insert(1, Unit::cdrom(identity(), Some(disk))).unwrap();
        host.insert(2, Unit::cdrom(identity(), None)).unwrap();
        host
    });
}
