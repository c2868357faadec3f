//! Internal snapshots: "Snapshots". They are kept as they are; clusters that they share are copied before they change.
use crate::ImageError;
use crate::file::HostFile;

use super::header::{Header, malformed};
use super::spec::{self, be16, be32, be64, snapshot};

/// A snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Its name.
    pub name: String,
    /// Where its L1 table is.
    pub l1_offset: u64,
    /// Entries of its L1 table.
    pub l1_size: u32,
    /// Bytes of the disk when it was made, if that is written down.
    pub length: Option<u64>,
}

/// The snapshots of an image, and the bytes that their table has.
pub fn read(file: &HostFile, header: &Header) -> Result<(Vec<Snapshot>, u64), ImageError> {
    let mut found = Vec::new();
    let mut at = header.snapshots_offset;
    for index in 0..header.snapshots {
        let faulty = |problem: &str| malformed(file, format!("snapshot {index} {problem}"));
        let (snapshot, length) = read_one(file, at)?.map_err(faulty)?;
        if !header.geometry.is_start(snapshot.l1_offset)
            || u64::from(snapshot.l1_size) * 8 > spec::L1_BYTES_MAX
            || snapshot.l1_offset > spec::OFFSET_MASK
        {
            return Err(faulty("has an L1 table that is too long or not where one can be"));
        }
        found.push(snapshot);
        at += length;
    }
    Ok((found, at - header.snapshots_offset))
}

/// The snapshot at an offset, and the bytes of its entry.
fn read_one(file: &HostFile, at: u64) -> Result<Result<(Snapshot, u64), &'static str>, ImageError> {
    let head = file.read_some(at, snapshot::LENGTH)?;
    let extra = be32(&head, snapshot::EXTRA_SIZE);
    if head.len() < snapshot::LENGTH {
        return Ok(Err("is beyond the end of the file"));
    }
    if extra > spec::SNAPSHOT_EXTRA_MAX {
        return Ok(Err("has too much extra data"));
    }
    let id = usize::from(be16(&head, snapshot::ID_SIZE));
    let name = usize::from(be16(&head, snapshot::NAME_SIZE));
    let length = snapshot::LENGTH + extra as usize + id + name;
    let entry = file.read_some(at, length)?;
    if entry.len() < length {
        return Ok(Err("is beyond the end of the file"));
    }
    let has_length = extra as usize >= snapshot::DISK_SIZE + 8;
    let found = Snapshot {
        name: String::from_utf8_lossy(&entry[length - name..]).into_owned(),
        l1_offset: be64(&head, snapshot::L1_TABLE_OFFSET),
        l1_size: be32(&head, snapshot::L1_SIZE),
        length: has_length.then(|| be64(&entry, snapshot::LENGTH + snapshot::DISK_SIZE)),
    };
    Ok(Ok((found, length.next_multiple_of(8) as u64)))
}
