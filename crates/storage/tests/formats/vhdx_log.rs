//! VHDX images that were not closed: their log has entries that count.
use std::path::Path;

use storage::{ImageError, OpenOptions};

use crate::checksums::seal_vhdx;
use crate::models::{self, assert_same};
use crate::qemu;

/// Where QEMU puts the log, by the header.
const HEADERS: [usize; 2] = [64 << 10, 128 << 10];
const SECTOR: usize = 4096;
const GUID: [u8; 16] = *b"a log's own GUID";

fn number(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap())
}

/// The header that counts, as its offset.
fn current(bytes: &[u8]) -> usize {
    let sequence = |header: usize| {
        let is_there = bytes[header..].starts_with(b"head");
        if is_there { number(bytes, header + 8) } else { 0 }
    };
    if sequence(HEADERS[0]) > sequence(HEADERS[1]) { HEADERS[0] } else { HEADERS[1] }
}

/// The offset and length of the region whose GUID begins with some bytes.
fn region(bytes: &[u8], guid: &[u8]) -> usize {
    let entries = bytes[192 << 10..256 << 10][16..].chunks(32);
    let mut found = entries.filter(|entry| entry.starts_with(guid)).map(|entry| number(entry, 16));
    found.next().unwrap() as usize
}

/// An entry that writes pages, given with their offsets, and makes a range zeros.
fn entry(sequence: u64, tail: u32, file_length: u64, pages: &[(u64, &[u8])], zeros: (u64, u64)) -> Vec<u8> {
    let mut bytes = vec![0; SECTOR * (1 + pages.len())];
    bytes[..4].copy_from_slice(b"loge");
    let length = bytes.len() as u32;
    bytes[8..12].copy_from_slice(&length.to_le_bytes());
    bytes[12..16].copy_from_slice(&tail.to_le_bytes());
    bytes[16..24].copy_from_slice(&sequence.to_le_bytes());
    bytes[24..28].copy_from_slice(&(pages.len() as u32 + 1).to_le_bytes());
    bytes[32..48].copy_from_slice(&GUID);
    bytes[48..56].copy_from_slice(&file_length.to_le_bytes());
    bytes[56..64].copy_from_slice(&file_length.to_le_bytes());
    let mut descriptor = 64;
    bytes[descriptor..descriptor + 4].copy_from_slice(b"zero");
    bytes[descriptor + 8..descriptor + 16].copy_from_slice(&zeros.1.to_le_bytes());
    bytes[descriptor + 16..descriptor + 24].copy_from_slice(&zeros.0.to_le_bytes());
    bytes[descriptor + 24..descriptor + 32].copy_from_slice(&sequence.to_le_bytes());
    for (index, (offset, page)) in pages.iter().enumerate() {
        descriptor += 32;
        bytes[descriptor..descriptor + 4].copy_from_slice(b"desc");
        bytes[descriptor + 4..descriptor + 8].copy_from_slice(&page[SECTOR - 4..]);
        bytes[descriptor + 8..descriptor + 16].copy_from_slice(&page[..8]);
        bytes[descriptor + 16..descriptor + 24].copy_from_slice(&offset.to_le_bytes());
        bytes[descriptor + 24..descriptor + 32].copy_from_slice(&sequence.to_le_bytes());
        let sector = &mut bytes[SECTOR * (1 + index)..SECTOR * (2 + index)];
        sector[..4].copy_from_slice(b"data");
        sector[4..8].copy_from_slice(&((sequence >> 32) as u32).to_le_bytes());
        sector[8..SECTOR - 4].copy_from_slice(&page[8..SECTOR - 4]);
        sector[SECTOR - 4..].copy_from_slice(&(sequence as u32).to_le_bytes());
    }
    seal_vhdx(&mut bytes);
    bytes
}

/// Makes an image look as if its program had died: the first page of its block table is in the log only, in an entry
/// that begins `start` sectors into the log, after an older one that is overtaken.
pub fn leave_open(path: &Path, start: usize) {
    let mut bytes = std::fs::read(path).unwrap();
    let header = current(&bytes);
    let (log_length, log) =
        (number(&bytes, header + 68) as u32 as usize, number(&bytes, header + 72) as usize);
    let table = region(&bytes, b"\x66\x77\xc2\x2d");
    let page = bytes[table..table + SECTOR].to_vec();
    let file_length = bytes.len() as u64;
    bytes[table..table + SECTOR].fill(0xff);
    let wrong = vec![0xee; SECTOR];
    let sequence = 0x5_0000_0001;
    // The older entry damages the table; the newer one makes it zeros and then right.
    let older = entry(sequence, (start * SECTOR) as u32, file_length, &[(table as u64, &wrong)], (0, 0));
    let at = (table as u64, SECTOR as u64);
    let newer = entry(sequence + 1, (start * SECTOR) as u32, file_length, &[(table as u64, &page)], at);
    let both = [older, newer].concat();
    for (index, sector) in both.chunks(SECTOR).enumerate() {
        // It may go round the log's end.
        let at = log + (start + index) * SECTOR % log_length;
        bytes[at..at + SECTOR].copy_from_slice(sector);
    }
    bytes[header + 48..header + 64].copy_from_slice(&GUID);
    seal_vhdx(&mut bytes[header..header + SECTOR]);
    std::fs::write(path, bytes).unwrap();
}

/// Makes the checksums of entries right that are not cut in two by the log's end.
pub fn seal_entries(bytes: &mut [u8]) {
    for start in (1 << 20..bytes.len().min(2 << 20)).step_by(SECTOR) {
        if bytes[start..].starts_with(b"loge") {
            let length = (number(bytes, start + 8) as u32 as usize).min(bytes.len() - start).max(8);
            if length <= 1 << 20 {
                seal_vhdx(&mut bytes[start..start + length]);
            }
        }
    }
}

#[test]
fn what_is_in_the_log_counts() {
    if !qemu::is_here("what_is_in_the_log_counts") {
        return;
    }
    for start in [0, 5, 253, 254, 255] {
        let directory = tempfile::tempdir().unwrap();
        let (raw, path) = (directory.path().join("disk.raw"), directory.path().join("disk.vhdx"));
        let disk = models::sparse_disk(&mut models::numbers(start as u64), 24 << 20);
        std::fs::write(&raw, &disk).unwrap();
        qemu::succeed(&["convert", "-f", "raw", "-O", "vhdx", qemu::path(&raw), qemu::path(&path)]);
        leave_open(&path, start);
        let before = std::fs::read(&path).unwrap();
        for options in [OpenOptions::read_only(), OpenOptions::writable()] {
            let image = storage::open(&path, options).unwrap();
            assert!(image.shape().read_only);
            assert_same(&models::contents(&*image), &disk, "with a log");
            assert_same(&models::contents_by_extents(&*image), &disk, "with a log, by extents");
        }
        assert!(before == std::fs::read(&path).unwrap());
        // QEMU believes in the same log.
        qemu::run(&["check", "-r", "all", "-f", "vhdx", qemu::path(&path)]);
        assert!(before != std::fs::read(&path).unwrap());
        qemu::same_and_sound(&raw, &path, "vhdx");
    }
}

#[test]
fn a_log_without_sound_entries_is_refused() {
    if !qemu::is_here("a_log_without_sound_entries_is_refused") {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("disk.vhdx");
    qemu::succeed(&["create", "-q", "-f", "vhdx", qemu::path(&path), "8M"]);
    leave_open(&path, 0);
    let mut bytes = std::fs::read(&path).unwrap();
    let header = current(&bytes);
    let log = number(&bytes, header + 72) as usize;
    bytes[log + 100] ^= 1;
    bytes[log + 2 * SECTOR + 100] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    assert!(matches!(models::refusal(&path), ImageError::Malformed { .. }));
}
