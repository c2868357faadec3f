//! Which clusters of the file are in use, and how often: "Host cluster management".
use std::collections::BTreeSet;
use std::sync::Arc;

use platform::DiskError;

use crate::file::HostFile;

use super::geometry::Geometry;
use super::spec;
use super::tables::Tables;

mod counts;
mod grow;

pub use counts::{count_at, set_count};

/// Memory that refcount blocks take: 8 MiB are enough for 512 GiB of a usual image.
const BLOCKS_BYTES: u64 = 8 << 20;

/// The refcount table, and those of its blocks that are in memory.
///
/// A refcount here is never lower than the number of references in the file, whichever tables were written and whichever
/// not yet.
#[derive(Debug)]
pub struct Refcounts {
    file: Arc<HostFile>,
    geometry: Geometry,
    table: Vec<u64>,
    table_offset: u64,
    /// Entries of the table that the file does not have yet.
    dirty: BTreeSet<usize>,
    blocks: Tables,
    /// No cluster below this one is free.
    first_free: u64,
    /// No cluster from this one on was ever used.
    end: u64,
    /// What is beyond the end reads as zeros.
    end_is_zero: bool,
}

/// Clusters of the file that follow one another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Where they begin.
    pub offset: u64,
    /// How many there are.
    pub clusters: u64,
    /// They read as zeros.
    pub is_fresh: bool,
}

impl Refcounts {
    /// Reads the table.
    pub fn read(
        file: Arc<HostFile>,
        geometry: Geometry,
        table_offset: u64,
        table_clusters: u32,
    ) -> Result<Self, DiskError> {
        let bytes = u64::from(table_clusters) << geometry.cluster_bits;
        let mut table = vec![0; bytes.min(spec::REFCOUNT_TABLE_BYTES_MAX) as usize];
        file.read(table_offset, &mut table)?;
        Ok(Self {
            table: table.chunks_exact(8).map(|entry| spec::be64(entry, 0)).collect(),
            table_offset,
            dirty: BTreeSet::new(),
            blocks: Tables::new(file.clone(), geometry.cluster(), BLOCKS_BYTES),
            first_free: 0,
            end: geometry.clusters(file.length()?),
            end_is_zero: !file.is_device(),
            file,
            geometry,
        })
    }
    /// What is wrong with the table, if something is.
    pub fn fault(&self) -> Option<String> {
        let mut blocks: Vec<_> = self.table.iter().filter(|entry| **entry != 0).collect();
        blocks.sort_unstable();
        if blocks.windows(2).any(|pair| pair[0] == pair[1]) {
            return Some("a refcount block is in the refcount table twice".into());
        }
        let is_sound = |entry: u64| self.geometry.is_start(entry) && !self.is_beyond(entry);
        let found = blocks.into_iter().find(|entry| !is_sound(**entry));
        found.map(|entry| format!("a refcount block at {entry:#x}"))
    }
    /// Whether an offset is beyond all that was ever used.
    pub fn is_beyond(&self, offset: u64) -> bool {
        offset >> self.geometry.cluster_bits >= self.end
    }
    /// Whether the refcount table or one of its blocks is known to be at an offset.
    pub fn is_at(&self, offset: u64) -> bool {
        let table = self.table_offset..self.table_offset + self.table.len() as u64 * 8;
        table.contains(&offset) || self.blocks.contains(offset)
    }
    /// Clusters that were ever used.
    pub fn end(&self) -> u64 {
        self.end
    }
    /// Clusters that the table can count.
    pub fn reach(&self) -> u64 {
        self.table.len() as u64 * self.geometry.refcounts()
    }
    /// Where the table is, and its length in bytes.
    pub fn table_at(&self) -> (u64, u64) {
        (self.table_offset, self.table.len() as u64 * 8)
    }
    /// The table's entries.
    pub fn table(&self) -> &[u64] {
        &self.table
    }

    /// How often a cluster is used.
    pub fn get(&mut self, cluster: u64) -> Result<u64, DiskError> {
        let (block, index) = self.index(cluster);
        match self.block(block)? {
            Some(offset) => Ok(count_at(self.blocks.get(offset)?, self.geometry.refcount_order, index)),
            None => Ok(0),
        }
    }
    /// Sets how often a cluster is used; its block has to be there.
    pub fn set(&mut self, cluster: u64, count: u64) -> Result<(), DiskError> {
        let (block, index) = self.index(cluster);
        let Some(offset) = self.block(block)? else {
            return Err(DiskError::Damaged(format!("cluster {cluster} has no refcount")));
        };
        let (at, bytes) = set_count(self.blocks.get(offset)?, self.geometry.refcount_order, index, count);
        self.blocks.put(offset, at, &bytes)?;
        if count == 0 {
            self.first_free = self.first_free.min(cluster);
        }
        Ok(())
    }

    /// Takes up to `most` free clusters that follow one another, at least one.
    pub fn allocate(&mut self, most: u64) -> Result<Room, DiskError> {
        let found = self.find(self.first_free, most)?;
        self.first_free = found.offset >> self.geometry.cluster_bits;
        self.take(found)?;
        self.first_free += found.clusters;
        Ok(found)
    }
    /// Takes exactly so many clusters that follow one another.
    pub fn allocate_all(&mut self, clusters: u64) -> Result<Room, DiskError> {
        let mut from = self.first_free;
        loop {
            let found = self.find(from, clusters)?;
            let first = found.offset >> self.geometry.cluster_bits;
            let mut room = found;
            while room.clusters < clusters {
                let next = self.find(first + room.clusters, clusters - room.clusters)?;
                if next.offset >> self.geometry.cluster_bits != first + room.clusters {
                    break;
                }
                room.clusters += next.clusters;
                room.is_fresh &= next.is_fresh;
            }
            if room.clusters == clusters {
                self.take(room)?;
                return Ok(room);
            }
            from = first + room.clusters;
        }
    }
    /// Gives back clusters that no table has ever referred to.
    pub fn give_back(&mut self, room: Room) -> Result<(), DiskError> {
        let first = room.offset >> self.geometry.cluster_bits;
        (first..first + room.clusters).try_for_each(|cluster| self.set(cluster, 0))
    }
    fn take(&mut self, room: Room) -> Result<(), DiskError> {
        let first = room.offset >> self.geometry.cluster_bits;
        for cluster in first..first + room.clusters {
            self.set(cluster, 1)?;
        }
        self.end = self.end.max(first + room.clusters);
        Ok(())
    }
    /// The first free clusters from one on, up to `most`; their refcounts have a block.
    fn find(&mut self, from: u64, most: u64) -> Result<Room, DiskError> {
        let (order, refcounts) = (self.geometry.refcount_order, self.geometry.refcounts());
        let mut cluster = from;
        loop {
            let (block, index) = self.index(cluster);
            let Some(offset) = self.block(block)? else {
                self.add_block(block)?;
                continue;
            };
            let bytes = self.blocks.get(offset)?;
            let is_free = |index: &usize| count_at(bytes, order, *index) == 0;
            let Some(first) = (index..refcounts as usize).find(is_free) else {
                cluster = (block as u64 + 1) * refcounts;
                continue;
            };
            let last = (first + 1..refcounts as usize).take(most as usize - 1).take_while(is_free).last();
            let count = last.unwrap_or(first) - first + 1;
            return self.room(block as u64 * refcounts + first as u64, count as u64);
        }
    }
    /// Clusters that are all fresh, or all not.
    fn room(&self, first: u64, count: u64) -> Result<Room, DiskError> {
        let is_beyond = first >= self.end;
        let clusters = if is_beyond { count } else { count.min(self.end - first) };
        let offset = first.checked_mul(self.geometry.cluster());
        match offset.filter(|offset| *offset <= spec::OFFSET_MASK) {
            Some(offset) => Ok(Room { offset, clusters, is_fresh: is_beyond && self.end_is_zero }),
            None => Err(DiskError::NoSpace(std::io::ErrorKind::FileTooLarge.into())),
        }
    }

    /// Whether the file lacks something.
    pub fn are_dirty(&self) -> bool {
        self.blocks.are_dirty() || !self.dirty.is_empty()
    }
    /// Writes what has changed; blocks before the table that refers to them.
    pub fn write(&mut self) -> Result<(), DiskError> {
        self.blocks.write()?;
        if self.dirty.is_empty() {
            return Ok(());
        }
        self.file.sync()?;
        for index in &self.dirty {
            self.file.write(self.table_offset + *index as u64 * 8, &self.table[*index].to_be_bytes())?;
        }
        self.dirty.clear();
        Ok(())
    }
    /// Keeps the memory within its bound.
    pub fn make_room(&mut self) -> Result<(), DiskError> {
        if self.blocks.are_too_many() {
            self.write()?;
            self.blocks.shrink();
        }
        Ok(())
    }

    fn index(&self, cluster: u64) -> (usize, usize) {
        let refcounts = self.geometry.refcounts();
        ((cluster / refcounts) as usize, (cluster % refcounts) as usize)
    }
    /// Where a block is.
    fn block(&self, index: usize) -> Result<Option<u64>, DiskError> {
        let entry = self.table.get(index).copied().unwrap_or(0);
        if entry & !spec::REFCOUNT_TABLE_MASK != 0
            || !self.geometry.is_start(entry)
            || entry > spec::OFFSET_MASK
        {
            return Err(DiskError::Damaged(format!("a refcount block at {entry:#x}")));
        }
        Ok((entry != 0).then_some(entry))
    }
}
