//! Tables of partitions, made by hand.
use fatfs::FatType;
use gasang_inspect::{FileSystemKind, InspectError, Scheme};

use super::disk::disk;
use super::fat;

const SECTOR: usize = 512;
const LENGTH: usize = 4 << 20;

/// A line of a table in the master boot record.
fn line(image: &mut [u8], sector: u32, index: usize, kind: u8, first: u32, sectors: u32) {
    let table = &mut image[sector as usize * SECTOR..][..SECTOR];
    let line = &mut table[446 + 16 * index..][..16];
    line[4] = kind;
    line[8..12].copy_from_slice(&first.to_le_bytes());
    line[12..].copy_from_slice(&sectors.to_le_bytes());
    table[510..].copy_from_slice(&[0x55, 0xaa]);
}

fn put(image: &mut [u8], sector: usize, bytes: &[u8]) {
    image[sector * SECTOR..][..bytes.len()].copy_from_slice(bytes);
}

/// A disk with a primary partition of FAT and two logical ones.
pub fn mbr() -> Vec<u8> {
    let mut image = vec![0; LENGTH];
    line(&mut image, 0, 0, 0x0c, 64, 2048);
    line(&mut image, 0, 2, 0x05, 3000, 4000);
    line(&mut image, 3000, 0, 0x83, 8, 1000);
    line(&mut image, 3000, 1, 0x05, 2000, 2000);
    line(&mut image, 5000, 0, 0x82, 8, 1000);
    put(&mut image, 64, &fat::image(1 << 20, FatType::Fat12));
    image[5008 * SECTOR + 4086..][..10].copy_from_slice(b"SWAPSPACE2");
    image
}

#[test]
fn the_master_boot_record_has_logical_partitions() {
    let survey = gasang_inspect::survey(&disk(mbr())).unwrap();
    assert_eq!(survey.scheme, Some(Scheme::Mbr));
    let rows = survey.partitions.iter().map(|partition| {
        let kind = partition.file_system.as_ref().map(|found| found.kind.name());
        (
            partition.number.unwrap(),
            partition.start / 512,
            partition.length / 512,
            partition.type_name.as_str(),
            kind,
        )
    });
    assert_eq!(
        rows.collect::<Vec<_>>(),
        [
            (1, 64, 2048, "FAT32", Some("vfat")),
            (3, 3000, 4000, "extended", None),
            (5, 3008, 1000, "Linux", None),
            (6, 5008, 1000, "Linux swap", Some("swap")),
        ]
    );
    assert_eq!(survey.choose(None).unwrap().number, Some(1));
    assert!(matches!(survey.choose(Some(2)), Err(InspectError::NoPartition(2))));
}

#[test]
fn chains_that_lead_back_end() {
    let mut image = mbr();
    line(&mut image, 5000, 1, 0x05, 0, 2000);
    assert_eq!(gasang_inspect::survey(&disk(image)).unwrap().partitions.len(), 4);
}

/// A disk with a GUID partition table and its copy at the end.
pub fn gpt() -> Vec<u8> {
    let mut image = vec![0; LENGTH];
    let last = (LENGTH / SECTOR - 1) as u64;
    line(&mut image, 0, 0, 0xee, 1, last as u32);
    let mut table = vec![0; 128 * 128];
    let system =
        [0x28, 0x73, 0x2a, 0xc1, 0x1f, 0xf8, 0xd2, 0x11, 0xba, 0x4b, 0, 0xa0, 0xc9, 0x3e, 0xc9, 0x3b];
    for (index, first, sectors) in [(0, 64_u64, 2048_u64), (4, 4000, 100)] {
        let entry = &mut table[index * 128..][..128];
        entry[..16].copy_from_slice(&system);
        entry[16] = 1;
        entry[32..40].copy_from_slice(&first.to_le_bytes());
        entry[40..48].copy_from_slice(&(first + sectors - 1).to_le_bytes());
        for (at, unit) in "Größe".encode_utf16().enumerate() {
            entry[56 + 2 * at..][..2].copy_from_slice(&unit.to_le_bytes());
        }
    }
    for (place, first) in [(1, 2), (last, last - 32)] {
        put(&mut image, first as usize, &table);
        put(&mut image, place as usize, &header(place, first, &table));
    }
    put(&mut image, 64, &fat::image(1 << 20, FatType::Fat12));
    image
}

fn header(place: u64, first: u64, table: &[u8]) -> [u8; 92] {
    let mut header = [0; 92];
    header[..8].copy_from_slice(b"EFI PART");
    header[10] = 1;
    header[12] = 92;
    header[24..32].copy_from_slice(&place.to_le_bytes());
    header[72..80].copy_from_slice(&first.to_le_bytes());
    header[80..84].copy_from_slice(&128_u32.to_le_bytes());
    header[84..88].copy_from_slice(&128_u32.to_le_bytes());
    header[88..].copy_from_slice(&checksum(table).to_le_bytes());
    let sum = checksum(&header);
    header[16..20].copy_from_slice(&sum.to_le_bytes());
    header
}

fn checksum(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = crc >> 1 ^ if crc & 1 == 1 { 0xedb8_8320 } else { 0 };
        }
    }
    !crc
}

#[test]
fn guid_tables_have_a_copy() {
    let whole = gasang_inspect::survey(&disk(gpt())).unwrap();
    assert_eq!(whole.scheme, Some(Scheme::Gpt));
    let [first, second] = whole.partitions.as_slice() else { panic!("{whole:?}") };
    assert_eq!((first.number, first.start, first.length), (Some(1), 64 * 512, 1 << 20));
    assert_eq!((first.type_name.as_str(), first.name.as_deref()), ("EFI system", Some("Größe")));
    assert_eq!(first.file_system.as_ref().map(|found| found.kind), Some(FileSystemKind::Fat));
    assert_eq!((second.number, second.start, second.file_system.is_none()), (Some(5), 4000 * 512, true));

    let mut damaged = gpt();
    damaged[SECTOR + 40] ^= 1;
    assert_eq!(gasang_inspect::survey(&disk(damaged)).unwrap(), whole);
    let mut damaged = gpt();
    damaged[2 * SECTOR + 5] ^= 1;
    assert_eq!(gasang_inspect::survey(&disk(damaged.clone())).unwrap(), whole);
    // Without both, the protective partition is all there is.
    let last = damaged.len() - SECTOR;
    damaged[last] ^= 1;
    let survey = gasang_inspect::survey(&disk(damaged)).unwrap();
    assert_eq!((survey.scheme, survey.partitions[0].type_name.as_str()), (Some(Scheme::Mbr), "GPT"));
}
