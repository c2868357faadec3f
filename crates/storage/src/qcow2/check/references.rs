//! Counting what tables refer to.
use std::collections::{BTreeMap, BTreeSet};

use platform::DiskError;

use crate::ImageError;
use crate::image::CheckReport;
use crate::qcow2::geometry::Geometry;
use crate::qcow2::header::BitmapDirectory;
use crate::qcow2::image::Qcow2Image;
use crate::qcow2::mapping::{Mapping, read_l1};
use crate::qcow2::slot::Slot;
use crate::qcow2::spec::{self, OFFSET_MASK, be16, be32, be64, bitmap};

/// Clusters of the largest file that is checked: 16 TiB of a usual image take 1 GiB of memory.
const CLUSTERS_MAX: u64 = 1 << 28;

/// How often each cluster of the file is referred to.
pub struct References {
    geometry: Geometry,
    counts: Vec<u32>,
    /// One bit for each cluster that tables or the header are in.
    tables: Vec<u64>,
}

impl References {
    /// None.
    pub fn none(geometry: Geometry, clusters: u64) -> Result<Self, DiskError> {
        if clusters > CLUSTERS_MAX {
            return Err(DiskError::Damaged(format!("{clusters} clusters are too many to be checked")));
        }
        let clusters = clusters as usize;
        Ok(Self { geometry, counts: vec![0; clusters], tables: vec![0; clusters.div_ceil(64)] })
    }
    /// How often a cluster is referred to.
    pub fn get(&self, cluster: u64) -> u32 {
        self.counts.get(cluster as usize).copied().unwrap_or(0)
    }
    /// Clusters of the file.
    pub fn clusters(&self) -> u64 {
        self.counts.len() as u64
    }
    /// Counts a table, or part of the header.
    pub fn add_table(&mut self, report: &mut CheckReport, name: &str, offset: u64, length: u64) -> bool {
        let is_inside = self.add(report, name, offset, length, 1);
        if is_inside && length > 0 {
            for cluster in self.touched(offset, length) {
                self.tables[cluster as usize / 64] |= 1 << (cluster % 64);
            }
        }
        is_inside
    }
    /// Counts references to data. Answers whether it can be there.
    fn add_data(&mut self, report: &mut CheckReport, offset: u64, length: u64, times: u32) {
        let is_inside = self.add(report, "data", offset, length, times);
        let is_table = |cluster: u64| self.tables[cluster as usize / 64] >> (cluster % 64) & 1 != 0;
        if is_inside && self.touched(offset, length).any(is_table) {
            report.corruption(format!("data at {offset:#x} overlaps a table"));
        }
    }
    fn add(&mut self, report: &mut CheckReport, name: &str, offset: u64, length: u64, times: u32) -> bool {
        let clusters = self.touched(offset, length);
        if clusters.end > self.clusters() {
            report.corruption(format!("{name} at {offset:#x} is beyond the end of the file"));
            return false;
        }
        for cluster in clusters {
            let count = &mut self.counts[cluster as usize];
            *count = count.saturating_add(times);
        }
        true
    }
    fn touched(&self, offset: u64, length: u64) -> std::ops::Range<u64> {
        let end = offset.saturating_add(length);
        offset / self.geometry.cluster()..self.geometry.clusters(end)
    }
}

impl Qcow2Image {
    /// Counts all references but those to refcounts. What is contradictory here cannot be mended.
    pub(super) fn references(
        &self,
        mapping: &mut Mapping,
        report: &mut CheckReport,
    ) -> Result<References, ImageError> {
        let clusters = self.geometry.clusters(self.file.length()?).max(1);
        let mut found = References::none(self.geometry, clusters)?;
        found.add_table(report, "the header", 0, self.geometry.cluster());
        if self.snapshots_length > 0 {
            let (offset, length) = (self.header.snapshots_offset, self.snapshots_length);
            found.add_table(report, "the table of snapshots", offset, length);
        }
        let tables = self.l2_tables(mapping, report, &mut found)?;
        // Where bitmaps are, is only sure as long as nothing was written.
        if let Some(directory) = self.header.bitmaps.filter(|_| self.file.is_read_only()) {
            self.count_bitmaps(directory, report, &mut found)?;
        }
        // A table is read once, however many snapshots share it.
        for (offset, times) in tables {
            self.count_data(offset, times, report, &mut found)?;
        }
        Ok(found)
    }
    /// Counts L1 and L2 tables of the disk and of its snapshots. Answers the L2 tables that can be read, and how often L1
    /// entries refer to them.
    fn l2_tables(
        &self,
        mapping: &Mapping,
        report: &mut CheckReport,
        found: &mut References,
    ) -> Result<BTreeMap<u64, u32>, ImageError> {
        let of_disk = (mapping.l1_offset, mapping.l1.len() as u32);
        let of_snapshots = self.snapshots.iter().map(|snapshot| (snapshot.l1_offset, snapshot.l1_size));
        let mut seen = BTreeSet::new();
        let mut tables: BTreeMap<u64, u32> = BTreeMap::new();
        let mut budget = self.geometry.round_up(self.file.length()?);
        for (l1_offset, entries) in std::iter::once(of_disk).chain(of_snapshots) {
            let length = u64::from(entries) * 8;
            if length > budget || !seen.insert(l1_offset) {
                report.corruption("the L1 tables of snapshots overlap".into());
                continue;
            }
            budget -= length;
            if length == 0 || !found.add_table(report, "an L1 table", l1_offset, length) {
                continue;
            }
            for entry in read_l1(&self.file, l1_offset, entries)? {
                let offset = entry & OFFSET_MASK;
                if !self.geometry.is_start(offset) {
                    report
                        .corruption(format!("an L2 table at {offset:#x}, which is no multiple of a cluster"));
                } else if offset != 0
                    && found.add_table(report, "an L2 table", offset, self.geometry.cluster())
                {
                    *tables.entry(offset).or_default() += 1;
                }
            }
        }
        Ok(tables)
    }
    /// Counts what an L2 table refers to, which is as often as `times` L1 entries refer to it.
    fn count_data(
        &self,
        table: u64,
        times: u32,
        report: &mut CheckReport,
        found: &mut References,
    ) -> Result<(), ImageError> {
        for slot in self.read_table(table)? {
            if slot.is_compressed() {
                let packed = slot.packed(self.geometry);
                let length = found.packed_length(packed.offset, packed.length);
                found.add_data(report, packed.offset, length, times);
                continue;
            }
            if let Err(error) = slot.place(self.geometry, 0) {
                report.corruption(error.to_string());
            } else if let Some(host) = slot.host() {
                found.add_data(report, host, self.geometry.cluster(), times);
            }
        }
        Ok(())
    }
    /// The entries of the L2 table at an offset of the file.
    pub(in crate::qcow2) fn read_table(&self, table: u64) -> Result<Vec<Slot>, ImageError> {
        let mut bytes = vec![0; self.geometry.cluster() as usize];
        self.file.read(table, &mut bytes)?;
        let is_extended = self.geometry.extended;
        let slots = bytes.chunks_exact(self.geometry.slot_bytes() as usize).map(|entry| Slot {
            entry: be64(entry, 0),
            bitmap: if is_extended { be64(entry, 8) } else { 0 },
        });
        Ok(slots.collect())
    }

    /// "Bitmaps": the directory, a table for each, and their data.
    fn count_bitmaps(
        &self,
        directory: BitmapDirectory,
        report: &mut CheckReport,
        found: &mut References,
    ) -> Result<(), ImageError> {
        let BitmapDirectory { offset, length } = directory;
        if length > bitmap::DIRECTORY_BYTES_MAX
            || !found.add_table(report, "the directory of bitmaps", offset, length)
        {
            report.corruption("the directory of bitmaps cannot be read".into());
            return Ok(());
        }
        let bytes = self.file.read_some(offset, length as usize)?;
        let mut at = 0;
        while at + bitmap::ENTRY_LENGTH <= bytes.len() {
            let entry = &bytes[at..];
            let (table, size) = (be64(entry, bitmap::TABLE_OFFSET), be32(entry, bitmap::TABLE_SIZE));
            let table_bytes = u64::from(size.min(bitmap::TABLE_SIZE_MAX)) * 8;
            if found.add_table(report, "a bitmap's table", table, table_bytes) {
                let words = self.file.read_some(table, table_bytes as usize)?;
                let hosts = words.chunks_exact(8).map(|word| be64(word, 0) & OFFSET_MASK);
                for host in hosts.filter(|host| *host != 0) {
                    found.add_data(report, host, self.geometry.cluster(), 1);
                }
            }
            let name = usize::from(be16(entry, bitmap::NAME_SIZE));
            let extra = be32(entry, bitmap::EXTRA_SIZE) as usize;
            at += (bitmap::ENTRY_LENGTH + name + extra).next_multiple_of(8);
        }
        Ok(())
    }
}

impl References {
    /// Bytes of a compressed cluster; the last sector need not all be in the file.
    fn packed_length(&self, offset: u64, length: u64) -> u64 {
        let end = self.clusters() * self.geometry.cluster();
        let is_cut = offset < end && offset + length > end && offset + length - end < spec::SECTOR_BYTES;
        if is_cut { end - offset } else { length }
    }
}
