//! Putting changed tables into the file, in the order that the module's description gives.
use std::ops::Range;

use parking_lot::MutexGuard;
use platform::DiskError;

use super::image::Qcow2Image;
use super::mapping::Mapping;
use super::tables::Piece;

/// What leaves memory with one flush.
struct Leaving {
    tables: Vec<Piece>,
    /// L1 entries: index and value.
    l1: Vec<(usize, u64)>,
    l1_offset: u64,
    freed: Vec<Range<u64>>,
}

/// Proof that nobody else flushes.
pub struct Turn<'a> {
    _turn: MutexGuard<'a, ()>,
}

impl Qcow2Image {
    /// Everything that was written before this call survives the host.
    pub(super) fn flush_all(&self) -> Result<(), DiskError> {
        let turn = self.turn();
        self.store(&turn, false)
    }
    /// Flushes if more has changed than should be kept in memory. Not to be called with the gate held.
    pub(super) fn make_room(&self) -> Result<(), DiskError> {
        let is_full = |mapping: &mut Mapping| {
            if mapping.tables.are_too_many() {
                mapping.tables.shrink();
            }
            mapping.is_full() || mapping.tables.are_too_many()
        };
        if !is_full(&mut self.mapping.lock()) {
            return Ok(());
        }
        self.flush_all()
    }
    /// Waits until nobody flushes.
    pub(super) fn turn(&self) -> Turn<'_> {
        Turn { _turn: self.flushing.lock() }
    }

    /// Writes all that has changed. The tables are not locked while the host syncs.
    pub(super) fn store(&self, _turn: &Turn<'_>, is_alone: bool) -> Result<(), DiskError> {
        let Some(leaving) = self.leave()? else { return self.file.sync() };
        let stored = self.store_tables(&leaving);
        let mut mapping = self.mapping.lock();
        mapping.tables.settle(&leaving.tables, stored.is_ok());
        if let Err(error) = stored {
            mapping.l1_dirty.extend(leaving.l1.iter().map(|(index, _)| *index));
            mapping.freed.extend(leaving.freed);
            return Err(error);
        }
        drop(mapping);
        self.let_go(leaving.freed, is_alone)
    }
    /// Writes refcounts, and takes copies of the tables that refer to what they count.
    fn leave(&self) -> Result<Option<Leaving>, DiskError> {
        let mut mapping = self.mapping.lock();
        if !mapping.is_dirty() {
            return Ok(None);
        }
        mapping.refcounts.write()?;
        let changed = std::mem::take(&mut mapping.l1_dirty);
        Ok(Some(Leaving {
            tables: mapping.tables.take(),
            l1: changed.into_iter().map(|index| (index, mapping.l1[index])).collect(),
            l1_offset: mapping.l1_offset,
            freed: std::mem::take(&mut mapping.freed),
        }))
    }
    fn store_tables(&self, leaving: &Leaving) -> Result<(), DiskError> {
        self.file.sync()?;
        if leaving.tables.is_empty() && leaving.l1.is_empty() {
            return Ok(());
        }
        leaving.tables.iter().try_for_each(|piece| piece.write(&self.file))?;
        if !leaving.l1.is_empty() {
            self.file.sync()?;
        }
        for (index, entry) in &leaving.l1 {
            self.file.write(leaving.l1_offset + *index as u64 * 8, &entry.to_be_bytes())?;
        }
        self.file.sync()
    }

    /// Takes away the references of tables that have gone from the file.
    fn let_go(&self, freed: Vec<Range<u64>>, is_alone: bool) -> Result<(), DiskError> {
        if freed.is_empty() {
            return Ok(());
        }
        // Whoever has looked up a place before may read there still.
        if !is_alone {
            drop(self.gate.write());
        }
        let unused = self.mapping.lock().dereference(&freed)?;
        for room in &unused {
            // Punched holes are a gift to the host; without them the room is used again all the same.
            let _ = self.file.punch_hole(room.start, room.end - room.start);
        }
        let mut mapping = self.mapping.lock();
        let cluster_bits = self.geometry.cluster_bits;
        for room in unused {
            for cluster in room.start >> cluster_bits..room.end >> cluster_bits {
                mapping.refcounts.set(cluster, 0)?;
            }
        }
        mapping.refcounts.write()
    }
}

impl Mapping {
    /// Counts down for every cluster of the ranges. Those that nothing refers to now keep a count of one: they are
    /// answered, joined, and it is for the caller to set them free.
    fn dereference(&mut self, freed: &[Range<u64>]) -> Result<Vec<Range<u64>>, DiskError> {
        let cluster = self.geometry.cluster();
        let mut unused = Vec::new();
        for range in freed {
            let mut at = self.geometry.start(range.start);
            while at < range.end {
                let index = at >> self.geometry.cluster_bits;
                match self.refcounts.get(index)? {
                    1 if self.guard(at).is_ok() => unused.push(at),
                    0 | 1 => tracing::debug!(at, "a cluster was to be freed that was not in use"),
                    count => self.refcounts.set(index, count - 1)?,
                }
                at += cluster;
            }
        }
        unused.sort_unstable();
        unused.dedup();
        let mut joined: Vec<Range<u64>> = Vec::new();
        for at in unused {
            match joined.last_mut() {
                Some(last) if last.end == at => last.end += cluster,
                _ => joined.push(at..at + cluster),
            }
        }
        Ok(joined)
    }
}
