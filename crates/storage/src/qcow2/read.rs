//! Reading.
use platform::{DiskError, Span};

use crate::ImageError;
use crate::image::{Extent, ExtentKind};

use super::image::Qcow2Image;
use super::slot::Place;

impl Qcow2Image {
    /// Fills a span with what is at an offset of the disk. Tables are locked while they are looked at, but not while data
    /// is read.
    pub(super) fn read_at(&self, offset: u64, into: Span<'_>) -> Result<(), DiskError> {
        let mut done = 0;
        while done < into.len() {
            let guest = offset + done as u64;
            let run = self.mapping.lock().run(guest, (into.len() - done) as u64)?;
            let part = into.part(done..done + run.length as usize);
            match run.place {
                Place::Zero => part.fill(0),
                Place::Absent => match &self.backing {
                    Some(backing) => backing.read(guest, part)?,
                    None => part.fill(0),
                },
                Place::Data(host) => self.file.read_span(host, part)?,
                Place::Compressed(packed) => {
                    let cluster = self.unpacked.get(&self.file, packed)?;
                    let within = self.geometry.within(guest) as usize;
                    part.put(0, &cluster[within..within + part.len()]);
                }
            }
            done += part.len();
        }
        Ok(())
    }

    /// The run of one kind at an offset.
    pub(super) fn extent_at(&self, offset: u64, end: u64) -> Result<Extent, ImageError> {
        let first = self.one_extent(offset, end)?;
        let mut length = first.length;
        // As far as one table reaches: that is cheap.
        let span = self.geometry.table_span();
        let near = end.min((offset / span + 1) * span);
        while offset + length < near {
            let next = self.one_extent(offset + length, end)?;
            if next.kind != first.kind {
                break;
            }
            length += next.length;
        }
        Ok(Extent { length, kind: first.kind })
    }
    fn one_extent(&self, offset: u64, end: u64) -> Result<Extent, ImageError> {
        let run = self.mapping.lock().run(offset, end - offset)?;
        let kind = match (run.place, &self.backing) {
            (Place::Absent, Some(backing)) => return backing.extent(offset, run.length),
            (Place::Absent | Place::Zero, _) => ExtentKind::Zero,
            (Place::Data(_) | Place::Compressed(_), _) => ExtentKind::Data,
        };
        Ok(Extent { length: run.length, kind })
    }
}
