//! Records of directories: ECMA-119 §9.1.
use crate::fields::Fields;
use crate::{Entry, EntryKind, Time};

/// Bytes of a record before its name.
const FIXED_BYTES: usize = 33;
const IS_DIRECTORY: u8 = 0x02;
const GOES_ON: u8 = 0x80;

/// Bytes that are in one piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// First block.
    pub block: u64,
    /// Bytes.
    pub length: u64,
}

impl Run {
    /// Its first byte, with blocks of that many bytes.
    pub fn place(self, block_bytes: u64) -> u64 {
        self.block * block_bytes
    }
}

/// An entry, and where its bytes are.
#[derive(Clone, Debug)]
pub struct Record {
    /// How it is shown.
    pub entry: Entry,
    /// Its bytes.
    pub runs: Vec<Run>,
}

impl Record {
    /// Takes another run of the same file.
    pub fn add(&mut self, run: Run) {
        self.entry.size = self.entry.size.saturating_add(run.length);
        self.runs.push(run);
    }
}

/// A record as it is on the disk.
pub struct Parsed<'a> {
    /// Bytes of the record.
    pub length: usize,
    /// Where the bytes are.
    pub run: Run,
    /// Whether the next record has more of the same file.
    pub goes_on: bool,
    /// The name; one byte of zero for the directory itself, and of one for its parent.
    pub name: &'a [u8],
    /// The room for extensions.
    pub room: &'a [u8],
    is_directory: bool,
    modified: Option<Time>,
}

/// The record at the beginning of some bytes; `None` if there is none in them.
pub fn parse(bytes: &[u8]) -> Option<Parsed<'_>> {
    let length = usize::from(*bytes.first()?);
    let fields = Fields(bytes.get(..length).filter(|record| record.len() > FIXED_BYTES)?);
    let name_length = usize::from(fields.u8(32));
    let name = fields.bytes(FIXED_BYTES, name_length);
    // The room begins at an even place.
    let room = fields.bytes((FIXED_BYTES + name_length).next_multiple_of(2), length);
    let (extended, flags) = (fields.u8(1), fields.u8(25));
    let run = Run { block: u64::from(fields.u32(2)) + u64::from(extended), length: fields.u32(10).into() };
    Some(Parsed {
        length,
        run,
        goes_on: flags & GOES_ON != 0,
        name,
        room,
        is_directory: flags & IS_DIRECTORY != 0,
        modified: time(fields.bytes(18, 7)),
    })
}

impl Parsed<'_> {
    /// With a name as it is, but for the version.
    pub fn plain(&self) -> Record {
        self.record(without_version(self.name).to_vec())
    }
    /// With a name in UTF-16, big-endian.
    pub fn joliet(&self) -> Record {
        let units = self.name.chunks_exact(2).map(|unit| u16::from_be_bytes([unit[0], unit[1]]));
        let name: String = char::decode_utf16(units).map(|unit| unit.unwrap_or('\u{fffd}')).collect();
        self.record(without_version(name.as_bytes()).to_vec())
    }

    fn record(&self, name: Vec<u8>) -> Record {
        let kind = if self.is_directory { EntryKind::Directory } else { EntryKind::File };
        let size = self.run.length;
        let entry = Entry { name, kind, mode: None, size, modified: self.modified, target: None };
        Record { entry, runs: vec![self.run] }
    }
}

/// A name without `;1`, and without the dot before an empty extension.
fn without_version(name: &[u8]) -> &[u8] {
    let end = name.iter().rposition(|byte| *byte == b';').filter(|end| *end > 0).unwrap_or(name.len());
    let name = &name[..end];
    name.strip_suffix(b".").filter(|name| !name.is_empty()).unwrap_or(name)
}

/// A date in seven bytes, the last of which is the zone in quarters of an hour.
fn time(bytes: &[u8]) -> Option<Time> {
    let [year, month, day, hour, minute, second, zone] = *bytes else { return None };
    let minutes = i64::from(minute) - i64::from(zone.cast_signed()) * 15;
    let year = 1900 + i64::from(year);
    (month > 0).then(|| Time::of_parts(year, month.into(), day.into(), hour.into(), minutes, second.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lose_their_versions() {
        for (name, shown) in [("A.TXT;1", "A.TXT"), ("A.;1", "A"), ("A", "A"), (";1", ";1"), (".", ".")] {
            assert_eq!(without_version(name.as_bytes()), shown.as_bytes(), "{name}");
        }
    }

    #[test]
    fn zones_are_counted() {
        assert_eq!(time(&[70, 1, 1, 1, 0, 0, 4]), Some(Time(0)));
        assert_eq!(time(&[70, 1, 1, 0, 0, 0, 0xfc]), Some(Time(3600)));
    }
}
