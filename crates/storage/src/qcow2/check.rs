//! Checking an image's tables against one another, and mending them.
use platform::DiskError;

use crate::ImageError;
use crate::image::{CheckReport, Repair};

use super::image::Qcow2Image;
use super::mapping::Mapping;
use super::slot::Slot;
use super::spec::{COPIED, field, incompatible};

mod references;

pub use references::References;

/// A refcount that is not as it should be.
struct Difference {
    cluster: u64,
    refcount: u64,
    references: u64,
}

impl Qcow2Image {
    /// Checks all tables, and mends what it may.
    pub(super) fn check_all(&self, repair: Repair) -> Result<CheckReport, ImageError> {
        if repair != Repair::None && self.file.is_read_only() {
            return Err(DiskError::ReadOnly.into());
        }
        self.alone(|mapping| {
            let mut report = CheckReport::default();
            self.look(mapping, &mut report, repair != Repair::None)?;
            if repair == Repair::All {
                self.mend(mapping, &mut report)?;
            }
            Ok(report)
        })
    }
    /// Does something while nobody else uses the image and everything is in the file.
    pub(super) fn alone<T>(
        &self,
        act: impl FnOnce(&mut Mapping) -> Result<T, ImageError>,
    ) -> Result<T, ImageError> {
        let turn = self.turn();
        let _gate = self.gate.write();
        if !self.file.is_read_only() {
            self.store(&turn, true)?;
        }
        act(&mut self.mapping.lock())
    }

    /// Compares refcounts with references, and frees what has too high a refcount.
    fn look(&self, mapping: &mut Mapping, report: &mut CheckReport, free: bool) -> Result<(), ImageError> {
        let mut found = self.references(mapping, report)?;
        let (offset, length) = mapping.refcounts.table_at();
        found.add_table(report, "the refcount table", offset, length);
        if let Some(fault) = mapping.refcounts.fault() {
            report.corruption(fault);
            return Ok(());
        }
        for block in mapping.refcounts.table().to_vec() {
            if block != 0 {
                found.add_table(report, "a refcount block", block, self.geometry.cluster());
            }
        }
        let mut mended = 0;
        self.differences(mapping, &found, |Difference { cluster, refcount, references }| {
            if refcount > references {
                report.leaks += 1;
                mended += u64::from(free);
                return free.then_some(references);
            }
            report.corruption(format!(
                "cluster {cluster} is used {references} times, but its refcount is {refcount}"
            ));
            None
        })?;
        self.flags(mapping, |mapping, at, is_copied| {
            let refcount = mapping.refcounts.get(at >> self.geometry.cluster_bits)?;
            if (refcount == 1) != is_copied {
                report
                    .corruption(format!("the entry for {at:#x} has the wrong flag for refcount {refcount}"));
            }
            Ok(is_copied)
        })?;
        if free {
            mapping.refcounts.write()?;
            self.file.sync()?;
            report.mended += mended;
        }
        Ok(())
    }
    /// Tells of every refcount that is not as it should be. What is answered becomes the refcount.
    fn differences(
        &self,
        mapping: &mut Mapping,
        found: &References,
        mut tell: impl FnMut(Difference) -> Option<u64>,
    ) -> Result<(), ImageError> {
        let per_block = self.geometry.refcounts();
        let blocks = mapping.refcounts.table().len() as u64;
        for block in 0..blocks.max(found.clusters().div_ceil(per_block)) {
            let is_there = mapping.refcounts.table().get(block as usize).is_some_and(|entry| *entry != 0);
            if !is_there && block * per_block >= found.clusters() {
                continue;
            }
            for cluster in block * per_block..(block + 1) * per_block {
                let refcount = if is_there { mapping.refcounts.get(cluster)? } else { 0 };
                let references = u64::from(found.get(cluster));
                if refcount != references
                    && let Some(count) = tell(Difference { cluster, refcount, references })
                {
                    mapping.refcounts.set(cluster, count)?;
                }
            }
            mapping.refcounts.make_room()?;
        }
        Ok(())
    }
    /// Goes through the entries of the disk's tables that refer to something, with its offset and whether they say that
    /// nothing else does. What is answered is put there.
    fn flags(
        &self,
        mapping: &mut Mapping,
        mut is_copied: impl FnMut(&mut Mapping, u64, bool) -> Result<bool, ImageError>,
    ) -> Result<(), ImageError> {
        for index in 0..mapping.l1.len() {
            let Ok(Some(table)) = mapping.table(index) else { continue };
            let is = mapping.l1[index] & COPIED != 0;
            let should = is_copied(mapping, table, is)?;
            if is != should {
                mapping.l1[index] ^= COPIED;
                mapping.l1_dirty.insert(index);
            }
            for (number, slot) in self.read_table(table)?.into_iter().enumerate() {
                let Some(host) = slot.host().filter(|host| self.geometry.is_start(*host)) else { continue };
                let is = slot.own_host().is_some();
                if is != is_copied(mapping, host, is)? {
                    let flipped = Slot { entry: slot.entry ^ COPIED, ..slot };
                    let at = number * self.geometry.slot_bytes() as usize;
                    mapping.tables.put(table, at, &flipped.entry.to_be_bytes())?;
                }
            }
        }
        Ok(())
    }

    /// Mends everything that refcounts and flags are, if anything has to be mended.
    fn mend(&self, mapping: &mut Mapping, report: &mut CheckReport) -> Result<(), ImageError> {
        let needed = incompatible::CORRUPT | incompatible::DIRTY;
        if report.corruption_count == 0 && mapping.incompatible & needed == 0 {
            return Ok(());
        }
        let mut lasting = CheckReport::default();
        let found = self.references(mapping, &mut lasting)?;
        self.rebuild(mapping, &found)?;
        self.set_flags(mapping, &found)?;
        let mut after = CheckReport::default();
        self.look(mapping, &mut after, false)?;
        report.mended += report.corruption_count.saturating_sub(after.corruption_count);
        if after.corruption_count == 0 {
            self.set_features(mapping, mapping.incompatible & !needed)?;
            mapping.refusal = None;
        }
        Ok(())
    }
    /// Makes flags say what the references say, and puts them into the file.
    fn set_flags(&self, mapping: &mut Mapping, found: &References) -> Result<(), ImageError> {
        self.flags(mapping, |_, at, _| Ok(found.get(at >> self.geometry.cluster_bits) == 1))?;
        mapping.tables.write()?;
        self.file.sync()?;
        for index in std::mem::take(&mut mapping.l1_dirty) {
            self.file.write(mapping.l1_offset + index as u64 * 8, &mapping.l1[index].to_be_bytes())?;
        }
        Ok(self.file.sync()?)
    }
    fn set_features(&self, mapping: &mut Mapping, incompatible: u64) -> Result<(), ImageError> {
        if self.geometry.version >= 3 && mapping.incompatible != incompatible {
            self.file.sync()?;
            self.file.write(field::INCOMPATIBLE_FEATURES as u64, &incompatible.to_be_bytes())?;
            self.file.sync()?;
        }
        mapping.incompatible = incompatible;
        Ok(())
    }

    /// Counts anew what an image that was not closed has left uncounted.
    pub(super) fn recount(&self) -> Result<(), ImageError> {
        self.alone(|mapping| {
            let mut report = CheckReport::default();
            let found = self.references(mapping, &mut report)?;
            if let Some(problem) = report.corruptions.first() {
                mapping.refusal = Some(problem.clone());
                return Ok(());
            }
            self.rebuild(mapping, &found)?;
            self.set_flags(mapping, &found)?;
            self.set_features(mapping, mapping.incompatible & !incompatible::DIRTY)?;
            mapping.refusal = None;
            Ok(())
        })
    }
}
