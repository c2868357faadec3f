//! GUID partition tables: UEFI 2.10 §5.3.
use std::io;

use super::{Partition, types};
use crate::DiskView;
use crate::fields::Fields;

/// Sizes of sectors that disks have.
const SECTORS: [u64; 2] = [512, 4096];
/// A header's bytes.
const HEADER_BYTES: usize = 92;
/// Bytes that a table of entries may have; 16 KiB is usual.
const TABLE_MAX: u64 = 1 << 20;

/// Reads the table, or its copy at the end of the disk; `None` if neither is sound.
pub fn read(view: &mut DiskView) -> io::Result<Option<Vec<Partition>>> {
    for sector in SECTORS {
        let last = (view.length() / sector).saturating_sub(1);
        for place in [1, last] {
            if let Some(partitions) = read_at(view, sector, place)? {
                return Ok(Some(partitions));
            }
        }
    }
    Ok(None)
}

/// The table whose header is in a sector.
fn read_at(view: &mut DiskView, sector: u64, place: u64) -> io::Result<Option<Vec<Partition>>> {
    let header: [u8; 512] = view.array_or_zeros(place.saturating_mul(sector))?;
    if !is_sound(&header, place) {
        return Ok(None);
    }
    let header = Fields(&header);
    let (first, count, size) = (header.u64(72), header.u32(80), header.u32(84));
    let bytes = u64::from(count) * u64::from(size);
    if size < 128 || bytes > TABLE_MAX {
        return Ok(None);
    }
    let mut table = vec![0; bytes as usize];
    match view.read_at(first.saturating_mul(sector), &mut table) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        result => result?,
    }
    if checksum(&table) != header.u32(88) && !cfg!(fuzzing) {
        return Ok(None);
    }
    let entries = (1..).zip(table.chunks(size as usize).map(Fields));
    Ok(Some(entries.filter_map(|(number, entry)| partition(number, entry, sector)).collect()))
}

/// Whether a header is one, is where it says, and has its checksum.
fn is_sound(header: &[u8; 512], place: u64) -> bool {
    let fields = Fields(header);
    let size = fields.u32(12) as usize;
    if !fields.has(0, b"EFI PART") || fields.u64(24) != place || !(HEADER_BYTES..=512).contains(&size) {
        return false;
    }
    let mut copy = *header;
    copy[16..20].fill(0);
    checksum(&copy[..size]) == fields.u32(16) || cfg!(fuzzing)
}

fn partition(number: u32, entry: Fields<'_>, sector: u64) -> Option<Partition> {
    let guid = types::guid(entry.bytes(0, 16))?;
    let (first, last) = (entry.u64(32), entry.u64(40));
    let length = last.checked_sub(first)?.checked_add(1)?.checked_mul(sector)?;
    let start = first.checked_mul(sector)?;
    start.checked_add(length)?;
    Some(Partition {
        number: Some(number),
        start,
        length,
        type_name: types::of_guid(&guid),
        name: entry.text_utf16(56, 36),
        file_system: None,
    })
}

/// CRC-32 as in Ethernet.
fn checksum(bytes: &[u8]) -> u32 {
    let step = |crc: u32, _| if crc & 1 != 0 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 };
    !bytes.iter().fold(u32::MAX, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), step))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_those_of_ethernet() {
        assert_eq!(checksum(b"123456789"), 0xcbf4_3926);
    }
}
