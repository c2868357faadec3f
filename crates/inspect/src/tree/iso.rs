//! ISO 9660 (ECMA-119), with the names of Rock Ridge or Joliet.
mod record;
mod rock_ridge;

use std::io;

use record::{Record, Run};

use super::{Sink, Tree, push, show};
use crate::fields::Fields;
use crate::file_system::ISO_DESCRIPTORS;
use crate::{DiskView, Entry, EntryKind, FileSystemKind, InspectError};

const KIND: FileSystemKind = FileSystemKind::Iso9660;
/// Bytes of a sector, which no record of a directory crosses.
const SECTOR: usize = 2048;
/// Descriptors that are looked at.
const DESCRIPTORS_MAX: u64 = 64;
/// Bytes that a directory may have.
const DIRECTORY_MAX: u64 = 64 << 20;
/// Bytes of a file that are read at once.
const PIECE: usize = 64 << 10;

/// Whose names are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Names {
    /// Upper case, with versions.
    Plain,
    /// UTF-16.
    Joliet,
    /// Those of Unix, in extensions that begin that many bytes into the room for them.
    RockRidge(usize),
}

/// A file system that is open.
pub struct Iso {
    view: DiskView,
    /// Bytes of a block, the unit of places.
    block: u64,
    root: Run,
    names: Names,
}

impl Iso {
    /// Opens it.
    pub fn open(mut view: DiskView) -> Result<Self, InspectError> {
        let (mut plain, mut joliet) = (None, None);
        for index in 0..DESCRIPTORS_MAX {
            let bytes: [u8; SECTOR] =
                view.array_at(ISO_DESCRIPTORS + index * SECTOR as u64).map_err(failure)?;
            let descriptor = Fields(&bytes);
            match descriptor.u8(0) {
                _ if !descriptor.has(1, b"CD001") => break,
                1 if plain.is_none() => plain = Some(volume(descriptor)?),
                2 if is_joliet(descriptor) && joliet.is_none() => joliet = Some(volume(descriptor)?),
                255 => break,
                _ => {}
            }
        }
        let (block, root) = plain.ok_or_else(|| InspectError::damaged(KIND, "it has no descriptor"))?;
        let mut iso = Self { view, block, root, names: Names::Plain };
        if let Some(skip) = iso.rock_ridge()? {
            iso.names = Names::RockRidge(skip);
        } else if let Some((block, root)) = joliet {
            iso = Self { block, root, names: Names::Joliet, ..iso };
        }
        Ok(iso)
    }

    /// How far into their room the extensions of Rock Ridge begin, if the root's own record has them.
    fn rock_ridge(&mut self) -> Result<Option<usize>, InspectError> {
        let start = self.root.place(self.block);
        let bytes: [u8; 256] = self.view.array_or_zeros(start).map_err(failure)?;
        let room = record::parse(&bytes).map_or(&[][..], |parsed| parsed.room);
        Ok(rock_ridge::skip(room))
    }

    /// What a path leads to.
    fn find(&mut self, path: &[Vec<u8>]) -> Result<Record, InspectError> {
        let mut found = Record { entry: Entry::root(), runs: vec![self.root] };
        for name in path {
            if found.entry.kind != EntryKind::Directory {
                return Err(InspectError::NotADirectory(show(path)));
            }
            let ignore_case = !matches!(self.names, Names::RockRidge(_));
            let is_it = |record: &Record| {
                record.entry.name == *name || ignore_case && record.entry.name.eq_ignore_ascii_case(name)
            };
            let records = self.records(&found)?;
            found = records.into_iter().find(is_it).ok_or_else(|| InspectError::NotFound(show(path)))?;
        }
        Ok(found)
    }
    /// What a directory has.
    fn records(&mut self, directory: &Record) -> Result<Vec<Record>, InspectError> {
        let mut records: Vec<Record> = Vec::new();
        // A file of several runs has as many records, all but the last of them marked.
        let mut goes_on = false;
        for run in &directory.runs {
            if run.length > DIRECTORY_MAX {
                return Err(InspectError::damaged(KIND, "a directory is too long"));
            }
            let start = run.place(self.block);
            for at in (0..run.length).step_by(SECTOR) {
                let sector: [u8; SECTOR] = self.view.array_at(start.saturating_add(at)).map_err(failure)?;
                let mut rest = &sector[..];
                while let Some(parsed) = record::parse(rest) {
                    rest = &rest[parsed.length..];
                    if matches!(parsed.name, [0 | 1]) {
                        continue;
                    }
                    if records.len() >= super::ENTRIES_MAX {
                        return Err(InspectError::damaged(KIND, "a directory is too long"));
                    }
                    let last = records.last_mut().filter(|_| goes_on);
                    goes_on = parsed.goes_on;
                    match last {
                        Some(last) => last.add(parsed.run),
                        None => records.extend(self.record(&parsed)?),
                    }
                }
            }
        }
        Ok(records)
    }
    /// A record with its extensions; `None` if it stands for a directory that was moved here and is shown elsewhere.
    fn record(&mut self, parsed: &record::Parsed<'_>) -> Result<Option<Record>, InspectError> {
        match self.names {
            Names::Plain => Ok(Some(parsed.plain())),
            Names::Joliet => Ok(Some(parsed.joliet())),
            Names::RockRidge(skip) => {
                let extras =
                    rock_ridge::read(parsed.room.get(skip..).unwrap_or(&[]), self.block, &mut self.view);
                let extras = extras.map_err(failure)?;
                if extras.was_moved_here {
                    return Ok(None);
                }
                let mut record = parsed.plain();
                if let Some(block) = extras.child {
                    record.entry.kind = EntryKind::Directory;
                    record.runs = vec![self.moved(block)?];
                }
                extras.apply(&mut record.entry);
                Ok(Some(record))
            }
        }
    }
    /// The run of a directory by its block; its own record, which comes first, has the length.
    fn moved(&mut self, block: u32) -> Result<Run, InspectError> {
        let start = u64::from(block) * self.block;
        let bytes: [u8; 256] = self.view.array_at(start).map_err(failure)?;
        let own =
            record::parse(&bytes).ok_or_else(|| InspectError::damaged(KIND, "a directory is missing"))?;
        Ok(own.run)
    }
}

impl Tree for Iso {
    fn entry(&mut self, path: &[Vec<u8>]) -> Result<Entry, InspectError> {
        Ok(self.find(path)?.entry)
    }
    fn list(&mut self, path: &[Vec<u8>]) -> Result<Vec<Entry>, InspectError> {
        let directory = self.find(path)?;
        if directory.entry.kind != EntryKind::Directory {
            return Err(InspectError::NotADirectory(show(path)));
        }
        let mut entries = Vec::new();
        for record in self.records(&directory)? {
            push(KIND, &mut entries, record.entry)?;
        }
        Ok(entries)
    }
    fn read(&mut self, path: &[Vec<u8>], sink: &mut Sink<'_>) -> Result<(), InspectError> {
        let mut piece = vec![0; PIECE];
        for run in self.find(path)?.runs {
            let start = run.place(self.block);
            for at in (0..run.length).step_by(PIECE) {
                let piece = &mut piece[..(run.length - at).min(PIECE as u64) as usize];
                self.view.read_at(start.saturating_add(at), piece).map_err(failure)?;
                sink(piece)?;
            }
        }
        Ok(())
    }
}

/// Bytes of a block, and the root directory (ECMA-119 §8.4.12 and §8.4.18).
fn volume(descriptor: Fields<'_>) -> Result<(u64, Run), InspectError> {
    let block = u64::from(descriptor.u16(128));
    let root = record::parse(descriptor.bytes(156, 34));
    match root {
        Some(root) if matches!(block, 512 | 1024 | 2048) => Ok((block, root.run)),
        _ => Err(InspectError::damaged(KIND, "its descriptor makes no sense")),
    }
}

/// Joliet's descriptors name the character sets UCS-2 level 1, 2 or 3.
fn is_joliet(descriptor: Fields<'_>) -> bool {
    [b"%/@", b"%/C", b"%/E"].iter().any(|escape| descriptor.has(88, *escape))
}

fn failure(error: io::Error) -> InspectError {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => InspectError::damaged(KIND, "it ends too early"),
        _ => InspectError::Disk(error),
    }
}
