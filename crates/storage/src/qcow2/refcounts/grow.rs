//! More refcount blocks, and a larger refcount table.
use platform::DiskError;

use super::{Refcounts, set_count};
use crate::qcow2::spec::{self, field};

impl Refcounts {
    /// Makes a block for clusters that have none, so all of them are free; it takes the first of them itself.
    pub(super) fn add_block(&mut self, index: usize) -> Result<(), DiskError> {
        if index >= self.table.len() {
            return self.grow_table();
        }
        let first = index as u64 * self.geometry.refcounts();
        let room = self.room(first, 1)?;
        if first == 0 || self.is_at(room.offset) {
            return Err(DiskError::Damaged("clusters that are in use have no refcounts".into()));
        }
        self.blocks.insert(room.offset, self.blocks.blank());
        self.table[index] = room.offset;
        self.dirty.insert(index);
        self.take(room)
    }

    /// Puts a table of twice the size behind all clusters that the old one can count, so where nothing is yet.
    fn grow_table(&mut self) -> Result<(), DiskError> {
        let (cluster, refcounts) = (self.geometry.cluster(), self.geometry.refcounts());
        let (base, old_offset, old_bytes) = (self.reach(), self.table_offset, self.table.len() as u64 * 8);
        let mut table = self.table.clone();
        table.resize(table.len() * 2, 0);
        let bytes = table.len() as u64 * 8;
        if bytes > spec::REFCOUNT_TABLE_BYTES_MAX {
            return Err(DiskError::NoSpace(std::io::ErrorKind::FileTooLarge.into()));
        }
        let table_clusters = self.geometry.clusters(bytes);
        // The new blocks count the new table and themselves.
        let mut blocks = 1;
        while (table_clusters + blocks).div_ceil(refcounts) > blocks {
            blocks += 1;
        }
        let offset = self.room(base + table_clusters + blocks - 1, 1)?.offset
            - (table_clusters + blocks - 1) * cluster;
        for block in 0..blocks {
            let used = (table_clusters + blocks - block * refcounts).min(refcounts);
            let block_offset = offset + (table_clusters + block) * cluster;
            self.file.write(block_offset, &self.counted(used as usize))?;
            table[self.table.len() + block as usize] = block_offset;
        }
        let entries: Vec<u8> = table.iter().flat_map(|entry| entry.to_be_bytes()).collect();
        self.file.write(offset, &entries)?;
        // Entries that the old table lacks refer to blocks that may not be there yet.
        self.blocks.write()?;
        self.file.sync()?;
        let mut fields = offset.to_be_bytes().to_vec();
        fields.extend((table_clusters as u32).to_be_bytes());
        self.file.write(field::REFCOUNT_TABLE_OFFSET as u64, &fields)?;
        self.file.sync()?;
        self.dirty.clear();
        self.table = table;
        self.table_offset = offset;
        self.end = self.end.max(base + table_clusters + blocks);
        let old = old_offset / cluster;
        (old..old + old_bytes / cluster).try_for_each(|cluster| self.set(cluster, 0))
    }
    /// A block whose first clusters are used once.
    fn counted(&self, used: usize) -> Box<[u8]> {
        let mut block = self.blocks.blank();
        for index in 0..used {
            let (at, bytes) = set_count(&block, self.geometry.refcount_order, index, 1);
            block[at..at + bytes.len()].copy_from_slice(&bytes);
        }
        block
    }
}
