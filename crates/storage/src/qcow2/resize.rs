//! Making a disk longer or shorter.
use std::sync::atomic::Ordering;

use platform::DiskError;
use platform::disk::SECTOR_BYTES;

use crate::{Format, ImageError};

use super::image::Qcow2Image;
use super::mapping::Mapping;
use super::refcounts::Room;
use super::slot::Slot;
use super::spec::{self, field};

impl Qcow2Image {
    /// Changes the disk's length.
    pub(super) fn resize_to(&self, length: u64) -> Result<(), ImageError> {
        let refuse = |reason| Err(ImageError::Length { format: Format::Qcow2, length, reason });
        if self.file.is_read_only() {
            return Err(DiskError::ReadOnly.into());
        }
        if !length.is_multiple_of(SECTOR_BYTES) {
            return refuse("it is no multiple of 512");
        }
        if self.geometry.l1_entries(length) > spec::L1_BYTES_MAX / 8 || length > i64::MAX as u64 {
            return refuse("its clusters are too small for that");
        }
        if self.snapshots.iter().any(|snapshot| snapshot.length.is_none()) {
            let what = "resized while they have snapshots that do not tell the disk's length";
            return Err(ImageError::Cannot { format: Format::Qcow2, what });
        }
        self.mapping.lock().check_writable()?;
        let old = self.length();
        if length > old {
            self.lengthen(old, length)?
        } else {
            self.shorten(old, length)?
        }
        self.flush_all()?;
        self.alone(|_| {
            self.file.write(field::SIZE as u64, &length.to_be_bytes())?;
            self.file.sync()?;
            self.length.store(length, Ordering::Release);
            Ok(())
        })
    }

    fn lengthen(&self, old: u64, length: u64) -> Result<(), ImageError> {
        let entries = self.geometry.l1_entries(length);
        self.alone(
            |mapping| {
                if entries > mapping.l1.len() as u64 { self.grow_l1(mapping, entries) } else { Ok(()) }
            },
        )?;
        // The rest of the last cluster, and what the backing file has beyond the old end.
        let backed = self.backing.as_ref().map_or(0, |backing| backing.length());
        let end = self.geometry.round_up(old).max(backed).min(length);
        Ok(self.zero_at(old, end.saturating_sub(old), true)?)
    }
    /// Puts a longer L1 table elsewhere.
    fn grow_l1(&self, mapping: &mut Mapping, entries: u64) -> Result<(), ImageError> {
        let clusters = self.geometry.clusters(entries * 8);
        let room = mapping.refcounts.allocate_all(clusters)?;
        if let Err(error) = self.move_l1(mapping, room, entries) {
            mapping.refcounts.give_back(room)?;
            return Err(error.into());
        }
        mapping.free(mapping.l1_offset, self.geometry.round_up(mapping.l1.len() as u64 * 8));
        mapping.l1.resize(entries as usize, 0);
        mapping.l1_offset = room.offset;
        Ok(())
    }
    fn move_l1(&self, mapping: &mut Mapping, room: Room, entries: u64) -> Result<(), DiskError> {
        for index in 0..room.clusters {
            mapping.guard(room.offset + index * self.geometry.cluster())?;
        }
        let mut bytes: Vec<u8> = mapping.l1.iter().flat_map(|entry| entry.to_be_bytes()).collect();
        bytes.resize((room.clusters * self.geometry.cluster()) as usize, 0);
        self.file.write(room.offset, &bytes)?;
        mapping.refcounts.write()?;
        self.file.sync()?;
        let mut fields = (entries as u32).to_be_bytes().to_vec();
        fields.extend(room.offset.to_be_bytes());
        self.file.write(field::L1_SIZE as u64, &fields)?;
        self.file.sync()
    }

    fn shorten(&self, old: u64, length: u64) -> Result<(), ImageError> {
        let end = self.geometry.round_up(length);
        // Should the disk become longer again, what is lost must not come back.
        self.zero_at(length, end.min(old) - length, false)?;
        let mut next = self.geometry.l1_entries(end) as usize;
        self.alone(|mapping| {
            let mut at = end;
            while !at.is_multiple_of(self.geometry.table_span()) && mapping.table(next - 1)?.is_some() {
                if mapping.slot(at)? != Slot::default() {
                    mapping.set_slot(at, Slot::default())?;
                }
                at += self.geometry.cluster();
            }
            Ok(())
        })?;
        // Whatever is freed is written in between, so that the list of it does not grow without end.
        while !self.alone(|mapping| {
            while next < mapping.l1.len() && !mapping.is_full() {
                self.drop_l1_entry(mapping, next)?;
                next += 1;
            }
            Ok(next >= mapping.l1.len())
        })? {}
        Ok(())
    }
    /// Lets go of an L2 table and all that it refers to.
    fn drop_l1_entry(&self, mapping: &mut Mapping, index: usize) -> Result<(), ImageError> {
        let Some(table) = mapping.table(index)? else { return Ok(()) };
        for slot in self.read_table(table)? {
            if slot.is_compressed() {
                let packed = slot.packed(self.geometry);
                mapping.free(packed.offset, packed.length);
            } else if let Some(host) = slot.host() {
                mapping.free(host, self.geometry.cluster());
            }
        }
        mapping.drop_table(table);
        mapping.l1[index] = 0;
        mapping.l1_dirty.insert(index);
        Ok(())
    }
}
