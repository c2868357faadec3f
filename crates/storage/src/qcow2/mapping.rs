//! Where the disk's clusters are: L1, L2 tables and refcounts, as they are changed in memory.
use std::collections::{BTreeSet, HashSet};
use std::ops::Range;
use std::sync::Arc;

use platform::DiskError;

use crate::file::HostFile;

use super::geometry::Geometry;
use super::header::Header;
use super::refcounts::{Refcounts, Room};
use super::slot::{Place, Slot};
use super::spec::{self, COPIED, OFFSET_MASK};
use super::tables::Tables;

/// Memory that L2 tables take: 32 MiB map 256 GiB of a usual image.
const TABLES_BYTES: u64 = 32 << 20;
/// Runs of clusters that wait to be freed before they are.
const FREED_MAX: usize = 1 << 16;

/// All tables of an image.
#[derive(Debug)]
pub struct Mapping {
    pub geometry: Geometry,
    /// L1 entries.
    pub l1: Vec<u64>,
    /// Where the L1 table is.
    pub l1_offset: u64,
    /// L1 entries that the file does not have yet.
    pub l1_dirty: BTreeSet<usize>,
    /// L2 tables.
    pub tables: Tables,
    pub refcounts: Refcounts,
    /// Bytes of the file that nothing in memory refers to any more, but tables in the file may.
    pub freed: Vec<Range<u64>>,
    /// Clusters of the disk whose data is on its way to a new place.
    pub busy: HashSet<u64>,
    /// "Incompatible features", as the header in the file has them.
    pub incompatible: u64,
    /// Why nothing may be written.
    pub refusal: Option<String>,
}

/// Bytes of the disk that are found the same way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// Where the first of them is.
    pub place: Place,
    /// How many there are.
    pub length: u64,
}

impl Mapping {
    /// Reads L1 and refcount table.
    pub fn read(file: &Arc<HostFile>, header: &Header) -> Result<Self, DiskError> {
        let geometry = header.geometry;
        let refcounts =
            Refcounts::read(file.clone(), geometry, header.refcount_offset, header.refcount_clusters)?;
        Ok(Self {
            geometry,
            l1: read_l1(file, header.l1_offset, header.l1_size)?,
            l1_offset: header.l1_offset,
            l1_dirty: BTreeSet::new(),
            tables: Tables::new(file.clone(), geometry.cluster(), TABLES_BYTES),
            refusal: refcounts.fault(),
            refcounts,
            freed: Vec::new(),
            busy: HashSet::new(),
            incompatible: header.incompatible,
        })
    }
    /// Whether anything has to be written.
    pub fn is_dirty(&self) -> bool {
        let of_tables = self.tables.are_dirty() || !self.l1_dirty.is_empty();
        of_tables || self.refcounts.are_dirty() || !self.freed.is_empty()
    }
    /// Whether so much has changed that it should be written now.
    pub fn is_full(&self) -> bool {
        self.freed.len() > FREED_MAX
    }
    /// Nothing is written to an image whose tables may be wrong.
    pub fn check_writable(&self) -> Result<(), DiskError> {
        match &self.refusal {
            Some(reason) => Err(DiskError::Damaged(format!("{reason}; it has to be repaired first"))),
            None => Ok(()),
        }
    }

    /// The L2 table that an L1 entry refers to.
    pub fn table(&self, index: usize) -> Result<Option<u64>, DiskError> {
        let offset = self.l1.get(index).copied().unwrap_or(0) & OFFSET_MASK;
        if !self.geometry.is_start(offset) || (offset != 0 && self.refcounts.is_beyond(offset)) {
            return Err(DiskError::Damaged(format!("an L2 table at {offset:#x}")));
        }
        Ok((offset != 0).then_some(offset))
    }
    /// The L1 entry for a byte of the disk.
    pub fn l1_index(&self, guest: u64) -> usize {
        (guest / self.geometry.table_span()) as usize
    }
    /// Where the L2 entry for a byte of the disk is in its table.
    fn slot_at(&self, guest: u64) -> usize {
        ((guest >> self.geometry.cluster_bits) % self.geometry.slots() * self.geometry.slot_bytes()) as usize
    }
    /// The L2 entry for a byte of the disk.
    pub fn slot(&mut self, guest: u64) -> Result<Slot, DiskError> {
        let Some(table) = self.table(self.l1_index(guest))? else { return Ok(Slot::default()) };
        let at = self.slot_at(guest);
        let is_extended = self.geometry.extended;
        let bytes = self.tables.get(table)?;
        let bitmap = if is_extended { spec::be64(bytes, at + 8) } else { 0 };
        Ok(Slot { entry: spec::be64(bytes, at), bitmap })
    }
    /// Changes the L2 entry for a byte of the disk, and lets go of what it referred to and does not any more.
    pub fn set_slot(&mut self, guest: u64, slot: Slot) -> Result<(), DiskError> {
        let table = self.own_table(self.l1_index(guest))?;
        let (at, old) = (self.slot_at(guest), self.slot(guest)?);
        let mut bytes = slot.entry.to_be_bytes().to_vec();
        if self.geometry.extended {
            bytes.extend(slot.bitmap.to_be_bytes());
        }
        self.tables.put(table, at, &bytes)?;
        if old.is_compressed() {
            let packed = old.packed(self.geometry);
            self.free(packed.offset, packed.length);
        } else if let Some(host) = old.host().filter(|host| slot.host() != Some(*host)) {
            self.free(host, self.geometry.cluster());
        }
        Ok(())
    }
    /// An L2 table that only this L1 entry refers to: the one that is there, a copy, or a new one.
    pub fn own_table(&mut self, index: usize) -> Result<u64, DiskError> {
        let old = self.table(index)?;
        if let Some(offset) = old
            && self.l1[index] & COPIED != 0
        {
            return Ok(offset);
        }
        let bytes = match old {
            Some(offset) => self.tables.get(offset)?.into(),
            None => self.tables.blank(),
        };
        let entry = self.l1.get(index).map(|_| index);
        let index = entry.ok_or_else(|| DiskError::Damaged("the L1 table is too small".into()))?;
        let room = self.allocate(1)?;
        self.tables.insert(room.offset, bytes);
        self.l1[index] = room.offset | COPIED;
        self.l1_dirty.insert(index);
        if let Some(offset) = old {
            self.drop_table(offset);
        }
        Ok(room.offset)
    }
    /// Forgets an L2 table to which nothing refers here any more.
    pub fn drop_table(&mut self, offset: u64) {
        self.tables.remove(offset);
        self.free(offset, self.geometry.cluster());
    }

    /// The bytes of the disk from `guest` on, at most `most`, that are found the same way. Clusters that follow one
    /// another in the file count as one.
    pub fn run(&mut self, guest: u64, most: u64) -> Result<Run, DiskError> {
        let (place, mut length) = self.slot(guest)?.place(self.geometry, self.geometry.within(guest))?;
        if self.table(self.l1_index(guest))?.is_none() {
            let span = self.geometry.table_span();
            return Ok(Run { place, length: most.min(span - guest % span) });
        }
        while length < most && !(guest + length).is_multiple_of(self.geometry.table_span()) {
            let next = guest + length;
            let (found, more) = self.slot(next)?.place(self.geometry, self.geometry.within(next))?;
            let continues = match (place, found) {
                (Place::Data(first), Place::Data(host)) => host == first + length,
                (Place::Compressed(_), _) => false,
                (one, other) => one == other,
            };
            if !continues {
                break;
            }
            length += more;
        }
        Ok(Run { place, length: length.min(most) })
    }

    /// Takes up to `most` free clusters that follow one another.
    pub fn allocate(&mut self, most: u64) -> Result<Room, DiskError> {
        self.refcounts.make_room()?;
        let room = self.refcounts.allocate(most)?;
        let cluster = self.geometry.cluster();
        (0..room.clusters).try_for_each(|index| self.guard(room.offset + index * cluster))?;
        Ok(room)
    }
    /// Refuses to overwrite tables, whatever refcounts and L2 entries say.
    pub fn guard(&self, host: u64) -> Result<(), DiskError> {
        let l1 = self.l1_offset..self.l1_offset + self.l1.len() as u64 * 8;
        let is_table = self.tables.contains(host) || self.refcounts.is_at(host) || l1.contains(&host);
        if host < self.geometry.cluster() || is_table || self.refcounts.is_beyond(host) {
            return Err(DiskError::Damaged(format!("data at {host:#x}, where none can be")));
        }
        Ok(())
    }
    /// Takes note that nothing refers to bytes of the file any more; refcounts change with the next flush.
    pub fn free(&mut self, offset: u64, length: u64) {
        match self.freed.last_mut() {
            // Ranges are joined whole cluster by whole cluster: each stands for one reference to every cluster.
            Some(last) if last.end == offset && self.geometry.is_start(offset) => last.end += length,
            _ => self.freed.push(offset..offset + length),
        }
    }
}

/// Reads an L1 table.
pub fn read_l1(file: &HostFile, offset: u64, entries: u32) -> Result<Vec<u64>, DiskError> {
    let mut bytes = vec![0; (u64::from(entries) * 8).min(spec::L1_BYTES_MAX) as usize];
    file.read(offset, &mut bytes)?;
    Ok(bytes.chunks_exact(8).map(|entry| spec::be64(entry, 0)).collect())
}
