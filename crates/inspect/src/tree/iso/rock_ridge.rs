//! The extensions of Unix: SUSP 1.12 and Rock Ridge 1.12.
use std::io;

use crate::fields::Fields;
use crate::{DiskView, Entry, EntryKind};

/// Areas of further extensions that are followed for one record.
const AREAS_MAX: usize = 32;
/// Bytes of a name, and of where a link leads to.
const TEXT_MAX: usize = 4096;
/// The text goes on in the next one of its kind.
const CONTINUES: u8 = 0x01;

/// What the extensions of a record say.
#[derive(Debug, Default)]
pub struct Extras {
    name: Vec<u8>,
    mode: Option<u32>,
    target: Option<Vec<u8>>,
    /// Whether the last component of the target goes on.
    is_open: bool,
    /// The block of the directory that this record stands for.
    pub child: Option<u32>,
    /// Whether a directory was put here because it would be too deep elsewhere.
    pub was_moved_here: bool,
}

/// Where a room begins again.
struct Area {
    block: u32,
    offset: u32,
    length: u32,
}

/// How many bytes other records skip, if the root's own record says that there are extensions.
pub fn skip(room: &[u8]) -> Option<usize> {
    // Tapes of CD-ROM XA have fourteen bytes of their own before.
    [0, 14].iter().find_map(|at| {
        let fields = Fields(room.get(*at..)?);
        fields.has(0, b"SP\x07\x01\xbe\xef").then(|| fields.u8(6).into())
    })
}

/// Reads a room, and the areas that it leads to.
pub fn read(room: &[u8], block: u64, view: &mut DiskView) -> io::Result<Extras> {
    let mut extras = Extras::default();
    let mut next = extras.take(room);
    for _ in 0..AREAS_MAX {
        let Some(area) = next else { break };
        let mut bytes = vec![0; (area.length as usize).min(TEXT_MAX)];
        view.read_at(u64::from(area.block) * block + u64::from(area.offset), &mut bytes)?;
        next = extras.take(&bytes);
    }
    Ok(extras)
}

impl Extras {
    /// Takes note of all fields; the area where they go on.
    fn take(&mut self, mut room: &[u8]) -> Option<Area> {
        let mut area = None;
        while let [a, b, length, ..] = *room {
            let Some(bytes) = room.get(..length.into()).filter(|bytes| bytes.len() >= 4) else { break };
            let field = Fields(bytes);
            match &[a, b] {
                b"NM" => self.name_part(field),
                b"PX" => self.mode = Some(field.u32(4)),
                b"SL" => self.target_part(field),
                b"CL" => self.child = Some(field.u32(4)),
                b"RE" => self.was_moved_here = true,
                b"CE" => {
                    area = Some(Area { block: field.u32(4), offset: field.u32(12), length: field.u32(20) });
                }
                b"ST" => break,
                _ => {}
            }
            room = &room[bytes.len()..];
        }
        area
    }
    fn name_part(&mut self, field: Fields<'_>) {
        let part = field.0.get(5..).unwrap_or(&[]);
        if self.name.len() + part.len() <= TEXT_MAX {
            self.name.extend_from_slice(part);
        }
    }
    /// A target comes in components, which may be cut anywhere.
    fn target_part(&mut self, field: Fields<'_>) {
        let target = self.target.get_or_insert_default();
        let mut rest = field.0.get(5..).unwrap_or(&[]);
        while let [flags, length, ref after @ ..] = *rest {
            let text = after.get(..length.into()).unwrap_or(after);
            rest = &after[text.len()..];
            let part: &[u8] = match flags & 0x0e {
                0x02 => b".",
                0x04 => b"..",
                0x08 => b"/",
                _ => text,
            };
            if target.len() + part.len() >= TEXT_MAX {
                return;
            }
            if !self.is_open && !target.is_empty() && !target.ends_with(b"/") {
                target.push(b'/');
            }
            target.extend_from_slice(part);
            self.is_open = flags & CONTINUES != 0;
        }
    }

    /// Puts what is known into an entry.
    pub fn apply(self, entry: &mut Entry) {
        if !self.name.is_empty() {
            entry.name = self.name;
        }
        if let Some(mode) = self.mode {
            entry.mode = Some((mode & 0o7777) as u16);
            // A directory that was moved is a file here, and only its block is right.
            if self.child.is_none() {
                entry.kind = EntryKind::of_mode(mode);
            }
        }
        if entry.kind == EntryKind::Symlink {
            entry.target = self.target;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_put_together() {
        let mut extras = Extras::default();
        let first = b"SL\x10\x01\x01\x08\x00\x00\x03usr\x01\x02li";
        let second = b"SL\x0a\x01\x00\x00\x01b\x04\x00";
        assert_eq!((first.len(), second.len()), (0x10, 0x0a));
        assert!(extras.take(&[first.as_slice(), second].concat()).is_none());
        assert_eq!(extras.target.as_deref(), Some(b"/usr/lib/..".as_slice()));
    }

    #[test]
    fn nonsense_ends_a_room() {
        for room in [&b"NM\x00\x01"[..], b"NM\xff\x01\x00a", b"NM", b"NM\x03\x01\x00"] {
            let mut extras = Extras::default();
            assert!(extras.take(room).is_none() && extras.name.is_empty());
        }
    }
}
